package reconcile_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store/storetest"
)

// everything is all that can be repaired.
func everything() []reconcile.Class {
	return append(reconcile.Repairable(), reconcile.MissingThere)
}

// operators are the classes that an operator has to decide about.
func operators() []reconcile.Class {
	return []reconcile.Class{reconcile.UnknownHere, reconcile.IDsDiffer, reconcile.Duplicate}
}

func TestEveryDriftIsFoundAndMendedAndNothingElseIsTouched(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.seed(t, *usersFlag)
		everybody := slices.Clone(w.people)
		p := w.plant(t, *driftsFlag)
		here, there := w.here(t), w.there()

		begun := time.Now()
		run := w.run(t, reconcile.Plan{})
		t.Logf("%d users there, %d differences, in %s", run.Total, run.Differences(), time.Since(begun))
		p.compare(t, w.findings(t, run))
		if got := w.here(t); !maps.Equal(got, here) {
			t.Error("looking has changed something here")
		}
		if got := w.there(); !maps.Equal(got, there) {
			t.Error("looking has changed something there")
		}
		if n := w.count(t, `SELECT count(*) FROM reconciliation_users`) + w.count(t, `SELECT count(*) FROM reconciliation_suspects`); n > 0 {
			t.Errorf("%d rows of copies are left", n)
		}

		begun = time.Now()
		run = w.run(t, reconcile.Plan{Repair: everything(), MaxPercent: 100})
		t.Logf("repaired in %s: %+v", time.Since(begun), run.Counts)
		for _, f := range w.findings(t, run) {
			repairable := slices.Contains(everything(), f.Class)
			if repairable && f.Outcome != reconcile.Repaired || !repairable && f.Outcome != "" {
				t.Errorf("%+v", f)
			}
		}
		w.work(t)
		w.idle(t)

		run = w.run(t, reconcile.Plan{})
		found := w.findings(t, run)
		for _, f := range found {
			// Whose address was another's there has it back.
			if !slices.Contains(operators(), f.Class) {
				t.Errorf("is still there: %+v", f)
			}
		}
		hereAfter, thereAfter := w.here(t), w.there()
		for _, u := range everybody {
			if !p.hit[u.id] && (hereAfter[u.id] != here[u.id] || thereAfter[u.internal] != there[u.internal]) {
				t.Errorf("%s was touched", u.external)
			}
		}
		if repaired, lines := w.count(t, `SELECT count(*) FROM reconciliation_findings WHERE outcome = 'repaired'`),
			w.count(t, `SELECT count(*) FROM audit_events WHERE action = 'user.reconciled' AND actor = $1`, operator); lines != repaired {
			t.Errorf("%d differences were repaired, and the audit has %d", repaired, lines)
		}
	})
}
