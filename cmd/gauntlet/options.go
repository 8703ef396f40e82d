package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/failpoint"
)

// options are what one run does. Probabilities and paces that have no flag are
// set by the profiles of seeded bugs.
type options struct {
	minutes    float64
	seed       uint64
	replicas   int
	clients    int
	rate       float64 // sign-ups a second
	kills      float64 // a second, over all replicas
	crashEvery time.Duration
	cutEvery   time.Duration
	outage     time.Duration
	storm      bool
	bug        string
	control    bool
	hostility  int
	late       time.Duration
	uniqueness string
	patience   time.Duration // for everything to come to rest
	binary     string
	keep       bool

	storms       int     // addresses in a storm, and requests for each
	pointChance  float64 // that a process is armed with a kill at some point
	points       []string
	cutCommits   float64           // share of COMMITs whose answer is lost on the way
	cutAnswers   float64           // share of other statements'
	faults       []simulator.Fault // instead of those of -hostility
	foreign      int               // addresses that somebody else has at the provider
	unconstraint bool              // drop the constraint that makes addresses unique
}

// commandLine reads the flags. It returns flag.ErrHelp after -help.
func commandLine(args []string, out io.Writer) (options, error) {
	o := options{cutCommits: 0.002, cutAnswers: 0.0002, pointChance: 0.8, points: failpoint.Points, storms: 100}
	flags := flag.NewFlagSet("gauntlet", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Float64Var(&o.minutes, "minutes", 3, "how long load and chaos last")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the plan; 0 takes one from the clock")
	flags.IntVar(&o.replicas, "replicas", 3, "processes that serve")
	flags.IntVar(&o.clients, "clients", 16, "clients at once")
	flags.Float64Var(&o.rate, "rate", 60, "sign-ups a second")
	flags.Float64Var(&o.kills, "kills", 3.5, "kills a second, over all replicas")
	flags.DurationVar(&o.crashEvery, "crash", 25*time.Second, "mean time between two crashes of Postgres; 0 for none")
	flags.DurationVar(&o.cutEvery, "cut", 20*time.Second, "mean time between two short outages of the provider; 0 for none")
	flags.DurationVar(&o.outage, "outage", 0, "one long outage of the provider, at the end of the load")
	flags.BoolVar(&o.storm, "storm", false, "100 addresses, each by 100 requests at once, instead of load and chaos")
	flags.StringVar(&o.bug, "bug", "", "make this bug, and succeed if it is found: "+strings.Join(failpoint.Bugs, ", "))
	flags.BoolVar(&o.control, "control", false, "with -bug: the same load and chaos without the bug, and succeed if nothing is found")
	flags.IntVar(&o.hostility, "hostility", 2, "how the provider behaves, from 0 (kind) to 3")
	flags.DurationVar(&o.late, "late", 2*time.Second, "how late the provider may still commit a create; the quarantine is a little longer")
	flags.StringVar(&o.uniqueness, "uniqueness", string(simulator.UniqueNone), "what the provider keeps unique: none, email, external_id, both")
	flags.DurationVar(&o.patience, "patience", 5*time.Minute, "how long everything may take to come to rest")
	flags.StringVar(&o.binary, "binary", "", "a portico built with -tags gauntlet, instead of building one")
	flags.BoolVar(&o.keep, "keep", false, "keep all logs, and say where")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	if p, ok := profiles[o.bug]; ok {
		o.provoke(p, flags)
	}
	if o.storm {
		o.pointChance = 0 // a storm is trouble enough
	}
	return o, o.check()
}

func (o options) check() error {
	unique := simulator.Modes{Uniqueness: simulator.Uniqueness(o.uniqueness)}.Uniqueness
	switch {
	case o.replicas < 1, o.clients < 1, o.rate <= 0, o.minutes < 0:
		return errors.New("-replicas, -clients and -rate start from 1")
	case o.bug != "" && !slices.Contains(failpoint.Bugs, o.bug):
		return fmt.Errorf("%q is no seeded bug", o.bug)
	case o.control && o.bug == "":
		return errors.New("-control is for -bug")
	case o.hostility < 0 || o.hostility > 3:
		return errors.New("-hostility is between 0 and 3")
	case !slices.Contains([]simulator.Uniqueness{
		simulator.UniqueNone, simulator.UniqueEmail, simulator.UniqueExternalID, simulator.UniqueBoth,
	}, unique):
		return fmt.Errorf("-uniqueness is not %q", o.uniqueness)
	}
	return nil
}

// load is how long load and chaos last.
func (o options) load() time.Duration {
	d := time.Duration(o.minutes * float64(time.Minute))
	if o.outage > 0 {
		d = max(d, o.outage+15*time.Second)
	}
	return d
}

// quarantine is what Portico is told: a little more than the provider takes.
func (o options) quarantine() time.Duration { return o.late + time.Second }
