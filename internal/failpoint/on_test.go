//go:build gauntlet

package failpoint

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// armedFor returns a plan that records what it says, and how often it kills.
func armedFor(t *testing.T, points string) (p *plan, lines *[]string, kills *int) {
	t.Helper()
	p, err := arm(points, "")
	if err != nil {
		t.Fatal(err)
	}
	lines, kills = new([]string), new(int)
	p.report = func(line string) { *lines = append(*lines, line) }
	p.kill = func() { *kills++ }
	return p, lines, kills
}

func TestAPointActsAtItsNthPassingAlone(t *testing.T) {
	t.Parallel()
	p, lines, kills := armedFor(t, "create.before=kill@#3")
	for range 5 {
		p.here("create.before")
		p.here("create.after")
	}
	want := []string{
		"failpoint: create.before passed\n", "failpoint: create.after passed\n", "failpoint: create.before killed\n",
	}
	if *kills != 1 || !slices.Equal(*lines, want) {
		t.Errorf("%d kills, and it says %q", *kills, *lines)
	}
}

func TestAProbabilityIsKeptAndRepeatable(t *testing.T) {
	t.Parallel()
	const passings = 10_000
	counts := make(map[int]bool)
	for range 2 {
		p, _, kills := armedFor(t, "seed=42;create.before=kill@0.1")
		for range passings {
			p.here("create.before")
		}
		if *kills < passings/20 || *kills > passings/5 {
			t.Errorf("%d of %d", *kills, passings)
		}
		counts[*kills] = true
	}
	if len(counts) != 1 {
		t.Error("the same seed has two courses")
	}
}

func TestADelayHoldsTheCallerUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := armedFor(t, "create.before=delay:3s")
		began := time.Now()
		p.here("create.before")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("for %s", took)
		}
	})
}

func TestNamesThatNobodyHasPanic(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(){
		"a point":             func() { Here("create.befor") },
		"a bug":               func() { Seeded("no-such-bug") },
		"a point that panics": func() { p, _, _ := armedFor(t, "create.before=panic"); p.here("create.before") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("nothing happened")
				}
			}()
			call()
		})
	}
}

func TestABugThatNobodyHasIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := arm("", "no-such-bug"); err == nil {
		t.Error("it was taken")
	}
	if p, err := arm("", NoLookup); err != nil || p.bug != NoLookup {
		t.Error(p, err)
	}
}
