package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portico-id/portico/cmd/gauntlet/check"
)

// shown bounds how many violations of one rule are printed.
const shown = 5

// report prints what was found and the figures. It returns errBroken when
// something was found that must not be, or a seeded bug was not.
func (w *world) report(e check.Evidence, found []check.Violation, lasted, drain time.Duration) error {
	byRule := make(map[check.Rule][]check.Violation)
	for _, v := range found {
		byRule[v.Rule] = append(byRule[v.Rule], v)
	}
	var rules []check.Rule
	for rule := range byRule {
		rules = append(rules, rule)
	}
	slices.Sort(rules)
	for _, rule := range rules {
		for i, v := range byRule[rule] {
			if i == shown {
				w.say("BROKEN %s: and %d more", rule, len(byRule[rule])-shown)
				break
			}
			w.say("BROKEN %s: %s", rule, v.Text)
		}
	}
	w.figures(e, byRule, lasted, drain)
	if n := w.count.exits.Load(); n > 0 {
		w.say("the last of %d processes that ended by themselves said:\n%.2000s", n, strings.Join(w.fleet.last[max(0, len(w.fleet.last)-1):], "\n"))
	}
	if w.options.bug != "" && !w.options.control {
		if p := profiles[w.options.bug]; !p.caught(found) {
			w.say("the seeded bug %s was NOT found: none of %v is broken", w.options.bug, p.shows)
			return errBroken
		}
		w.say("the seeded bug %s was found", w.options.bug)
		return nil
	}
	if len(found) > 0 {
		w.say("%d violations; the same plan again: -seed %d", len(found), w.options.seed)
		return errBroken
	}
	w.say("every promise was kept")
	return nil
}

// figures prints the table.
func (w *world) figures(e check.Evidence, byRule map[check.Rule][]check.Violation, lasted, drain time.Duration) {
	all, atPoints := w.count.kills()
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	line("seed", "%d", w.options.seed)
	line("replicas", "%d", w.options.replicas)
	line("load", "%s", lasted.Round(100*time.Millisecond))
	line("kills", "%d (%.1f a second; %d at random, %d at points)", all, float64(all)/lasted.Seconds(), all-atPoints, atPoints)
	line("kills by point", "%s", w.count.byPoint())
	if unseen := w.count.unseen(w.options.points); len(unseen) > 0 {
		line("points not passed", "%s", strings.Join(unseen, ", "))
	}
	line("restarts", "%d, %d of them after an end that nobody had planned", w.count.restarts.Load(), w.count.exits.Load())
	line("Postgres crashes", "%d", w.count.crashes.Load())
	line("answers of Postgres lost", "%d of COMMITs, %d of others", w.count.lostCommits.Load(), w.count.lostAnswers.Load())
	line("outages of the provider", "%d", w.count.cuts.Load())
	line("sign-ups sent", "%d, of them %d replays by the load balancer", w.count.requests.Load(), w.count.replays.Load())
	line("answers", "%s", w.count.byStatus())
	line("accepted", "%d, of them %d replayed by Idempotency-Key", w.count.accepted.Load(), w.count.replayed.Load())
	line("addresses", "%d", len(e.Sent))
	line("rows", "%d sign-ups, %d users, %d transitions", len(e.Signups), len(e.Users), len(e.Transitions))
	line("at the provider", "%d users", len(e.Provider))
	line("polls, resends accepted", "%d, %d", w.count.polls.Load(), w.count.resends.Load())
	line("drain time", "%s", drain.Round(100*time.Millisecond))
	line("statuses", "%s", statuses(e.Users))
	for _, rule := range []check.Rule{
		check.Lost, check.Doubled, check.Orphan, check.Stranded, check.Unsettled, check.Unfinished,
		check.Mapping, check.Mail, check.Notice, check.Audit, check.Leak, check.Panicked,
	} {
		line(string(rule), "%d", len(byRule[rule]))
	}
	_ = t.Flush() // to the same writer as everything
}

func statuses(users []check.User) string {
	counts := make(map[string]int)
	for _, u := range users {
		counts[u.Status]++
	}
	return listed(counts)
}
