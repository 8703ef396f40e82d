//go:build gauntlet

package failpoint

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Enabled says whether this program was built with the tag gauntlet.
const Enabled = true

// armed is what the environment asks for. It is read before main, so that a
// mistyped plan ends the program and does not run as a harmless one.
//
//nolint:gochecknoglobals // the calls are all over the program and carry nothing
var armed = mustArm(os.Getenv(EnvPoints), os.Getenv(EnvBug)) //nolint:forbidigo // there is no other way in

func mustArm(points, bug string) *plan {
	p, err := arm(points, bug)
	if err != nil {
		fmt.Fprintln(os.Stderr, ReportPrefix+err.Error())
		os.Exit(2) //nolint:revive // before main there is nobody to return it to
	}
	return p
}

// plan is a Spec at work.
type plan struct {
	bug    string
	rules  map[string]Rule
	report func(line string)
	kill   func()

	mu     sync.Mutex
	random *rand.Rand
	passed map[string]int
}

func arm(points, bug string) (*plan, error) {
	spec, err := Parse(points)
	if err != nil {
		return nil, err
	}
	if bug != "" && !slices.Contains(Bugs, bug) {
		return nil, fmt.Errorf("%q is no seeded bug", bug)
	}
	p := &plan{
		bug:    bug,
		rules:  make(map[string]Rule),
		report: func(line string) { _, _ = os.Stderr.WriteString(line) },
		kill:   killSelf,
		random: rand.New(rand.NewPCG(spec.Seed, 0)), //nolint:gosec,forbidigo // chance that can be repeated, not a secret
		passed: make(map[string]int),
	}
	for _, r := range spec.Rules {
		p.rules[r.Point] = r
	}
	return p, nil
}

// killSelf does not return: no signal handler, no deferred call and no other
// goroutine gets to finish what it was about to write.
func killSelf() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// Here passes a point, at which the process may end, panic or be held up. It
// panics for a name that is not in Points.
func Here(point string) { armed.here(point) }

// Seeded reports whether the bug is to be made. It panics for a name that is
// not in Bugs.
func Seeded(bug string) bool {
	if !slices.Contains(Bugs, bug) {
		panic("failpoint: no such bug: " + bug)
	}
	return armed.bug == bug
}

func (p *plan) here(point string) {
	rule, acts := p.pass(point)
	if !acts {
		return
	}
	switch rule.Action {
	case Kill:
		p.report(ReportPrefix + point + " " + Killed + "\n")
		p.kill()
	case Panic:
		panic("failpoint: " + point)
	case Delay:
		time.Sleep(rule.Delay) //nolint:forbidigo // to be held up is the point
	}
}

// pass counts a passing and returns the rule that acts on it, if one does.
func (p *plan) pass(point string) (rule Rule, acts bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed[point]++
	if p.passed[point] == 1 {
		if !slices.Contains(Points, point) {
			panic("failpoint: no such point: " + point)
		}
		p.report(ReportPrefix + point + " " + Passed + "\n")
	}
	rule, planned := p.rules[point]
	switch {
	case !planned:
		return rule, false
	case rule.Nth > 0:
		return rule, p.passed[point] == rule.Nth
	default:
		return rule, p.random.Float64() < rule.Probability
	}
}
