package main

import (
	"testing"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/built"
	"github.com/portico-id/portico/internal/failpoint"
)

func TestMain(m *testing.M) { built.Main(m) }

// binary is portico with failpoints.
var binary = built.Once("github.com/portico-id/portico/cmd/portico", "-tags", "gauntlet")

// slots bounds how many gauntlets run at once: each is several processes and a
// database.
var slots = make(chan struct{}, 2)

// play runs the gauntlet with the flags and returns what became of it.
func play(t *testing.T, flags ...string) (*world, error) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	slots <- struct{}{}
	defer func() { <-slots }()
	log := &await.Log{}
	o, err := commandLine(append([]string{"-binary", path}, flags...), log)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(o, log)
	err = w.run(t.Context())
	t.Cleanup(func() {
		if t.Failed() || testing.Verbose() {
			t.Log(log)
		}
	})
	return w, err
}

func TestGauntletShort(t *testing.T) {
	t.Parallel()
	flags := []string{"-minutes", "0.2", "-crash", "5s", "-cut", "4s", "-late", "1s", "-rate", "40"}
	if testing.Short() {
		flags = []string{"-minutes", "0.05", "-replicas", "2", "-crash", "0", "-cut", "0", "-late", "500ms", "-hostility", "1", "-rate", "20"}
	}
	w, err := play(t, flags...)
	if err != nil {
		t.Fatal(err)
	}
	if kills, _ := w.count.kills(); kills == 0 || w.count.accepted.Load() == 0 {
		t.Errorf("%d kills and %d sign-ups: that was no gauntlet", kills, w.count.accepted.Load())
	}
	if !testing.Short() && (w.count.crashes.Load() == 0 || w.count.cuts.Load() == 0) {
		t.Errorf("%d crashes of Postgres, %d outages", w.count.crashes.Load(), w.count.cuts.Load())
	}
}

func TestEverySeededBugHasAProfile(t *testing.T) {
	t.Parallel()
	for _, bug := range failpoint.Bugs {
		p, ok := profiles[bug]
		if !ok || len(p.shows) == 0 {
			t.Errorf("nothing provokes %s", bug)
		}
		o, err := commandLine([]string{"-bug", bug, "-seed", "7", "-late", "3s"}, &await.Log{})
		if err != nil || o.seed != 7 || o.late.String() != "3s" || o.rate <= 0 {
			t.Errorf("%s: %+v %v", bug, o, err)
		}
	}
	if len(profiles) != len(failpoint.Bugs) {
		t.Error("a profile provokes a bug that there is not")
	}
}

// TestEverySeededBugIsFound shows that the gauntlet can fail. A short run finds
// the one bug that needs the least time; the others take minutes together.
func TestEverySeededBugIsFound(t *testing.T) {
	t.Parallel()
	bugs := failpoint.Bugs
	if testing.Short() {
		bugs = []string{failpoint.NoLookup}
	}
	for _, bug := range bugs {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			// A machine that is busy with something else may come to too few
			// sign-ups to provoke anything in one run.
			var err error
			for range 3 {
				if _, err = play(t, "-bug", bug); err == nil {
					return
				}
			}
			t.Error(err)
		})
	}
}
