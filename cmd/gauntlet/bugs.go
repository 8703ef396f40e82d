package main

import (
	"flag"
	"slices"
	"time"

	"github.com/portico-id/portico/cmd/gauntlet/check"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/failpoint"
)

// profile is the load and the faults under which a seeded bug must show, and
// the promises of which at least one must then be found broken. Any other
// violation does not count as having found the bug.
type profile struct {
	shows   []check.Rule
	provoke func(*options)
}

// profiles are gentle but for the one fault that matters: a run is short, and
// what it finds is the bug.
//
//nolint:gochecknoglobals // a table
var profiles = map[string]profile{
	// The process dies between the commit and the job's insertion.
	failpoint.JobOutsideTransaction: {
		shows: []check.Rule{check.Stranded},
		provoke: func(o *options) {
			o.points, o.pointChance = []string{"accept.after_commit", "accept.before_commit"}, 1
			o.kills = 1
		},
	},
	// The create's answer is lost at once and its effect comes later: a look-up
	// that finds nobody must not lead to a second create.
	failpoint.NoQuarantine: {
		shows: []check.Rule{check.Doubled},
		provoke: func(o *options) {
			o.late = 3 * time.Second
			o.faults = lateCreates(o.late)
		},
	},
	// The create's effect is there and its answer lost: looking would find it.
	failpoint.NoLookup: {
		shows:   []check.Rule{check.Doubled},
		provoke: func(o *options) { o.faults = lostAnswers() },
	},
	// Somebody else has the address at the provider, and it keeps addresses
	// unique.
	failpoint.AdoptByEmail: {
		shows: []check.Rule{check.Orphan, check.Mapping},
		provoke: func(o *options) {
			o.uniqueness, o.foreign = string(simulator.UniqueBoth), 40
		},
	},
	// The database commits, and what does not hear of it commits again.
	failpoint.CommitRetried: {
		shows:   []check.Rule{check.Surplus, check.Doubled, check.Lost, check.Key},
		provoke: func(o *options) { o.cutCommits = 0.1 },
	},
	// Many requests for one address look at once, and all see nobody. The
	// constraint that would catch them is what the bug lacks.
	failpoint.SelectUnique: {
		shows:   []check.Rule{check.Doubled},
		provoke: func(o *options) { o.storm, o.storms, o.unconstraint = true, 20, true },
	},
}

// provoke sets what the profile needs, and leaves alone what a flag says.
func (o *options) provoke(p profile, flags *flag.FlagSet) {
	given := make(map[string]string)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	o.minutes, o.replicas, o.rate = 0.12, 2, 60
	o.hostility, o.late, o.crashEvery, o.cutEvery, o.kills = 0, time.Second, 0, 0, 0
	o.pointChance, o.cutCommits, o.cutAnswers = 0, 0, 0
	o.patience = 8 * time.Second
	p.provoke(o)
	if o.control {
		o.unconstraint = false // the product without the bug relies on it
		o.patience = 2 * time.Minute
	}
	for name, value := range given {
		_ = flags.Set(name, value) // it was taken before
	}
}

// caught says whether the violations are those of the bug.
func (p profile) caught(found []check.Violation) bool {
	return slices.ContainsFunc(found, func(v check.Violation) bool { return slices.Contains(p.shows, v.Rule) })
}
