package reconcile_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestARunThatWasInterruptedAnywhereGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.seed(t, 300)
		p := w.plant(t, 1)
		w.service.PageSize = 50
		plan := reconcile.Plan{Repair: []reconcile.Class{reconcile.AttributesDiffer}, MaxPercent: 100}
		run, err := w.service.Begin(asOperator(t.Context()), plan)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[reconcile.State]bool)
		read := 0
		for {
			// Each time it is stopped after three steps, as if it had died then.
			ctx, stop := context.WithCancel(asOperator(t.Context()))
			steps := 0
			run, err = w.service.Finish(ctx, run, func(now reconcile.Progress) {
				seen[now.State] = true
				if now.State == reconcile.Reading && now.Done < read {
					t.Errorf("it reads again from %d, and had come to %d", now.Done, read)
				}
				if now.State == reconcile.Reading {
					read = now.Done
				}
				steps++
				if steps == 3 {
					stop()
				}
			})
			stop()
			if run.State == reconcile.Done {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if run, err = w.service.Resume(asOperator(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		for _, state := range []reconcile.State{reconcile.Reading, reconcile.Confirming, reconcile.Repairing} {
			if !seen[state] {
				t.Errorf("nothing was seen of it %s", state)
			}
		}
		p.compare(t, w.findings(t, run))
		if count := run.Counts[reconcile.AttributesDiffer]; count.Repaired != count.Found || count.Found == 0 {
			t.Errorf("what it was to repair: %+v", count)
		}
		if _, err := w.service.Resume(t.Context()); !errors.Is(err, reconcile.ErrNothing) {
			t.Errorf("another resumption: %v", err)
		}
	})
}

func TestOneRunIsUnderWayAtATime(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		ctx := asOperator(t.Context())
		now := time.Now()
		w.service.Now = func() time.Time { return now }
		first, err := w.service.Begin(ctx, reconcile.Plan{})
		if err != nil {
			t.Fatal(err)
		}
		second := first
		second.ID, second.Holder, second.StartedAt = "0191a9c0-0000-7000-8000-000000000001", "another", now
		err = w.store.BeginRun(ctx, second, now.Add(time.Minute))
		if busy, ok := errors.AsType[*reconcile.BusyError](err); !ok || busy.Actor != operator || !busy.Until.After(now) {
			t.Errorf("a second run: %v", err)
		}
		if _, err := w.store.ResumeRun(ctx, "another", "", now, now.Add(time.Minute)); err == nil {
			t.Error("a run that is under way is resumed")
		}
		// The process has died: its lease ends, and the run is another's.
		second.StartedAt = now.Add(time.Hour)
		if err := w.store.BeginRun(ctx, second, now.Add(2*time.Hour)); err != nil {
			t.Error(err)
		}
		for what, err := range map[string]error{
			"renews its lease": w.store.HoldRun(ctx, first, now.Add(time.Hour)),
			"stores a page":    w.store.StageUsers(ctx, first, nil),
			"goes on":          w.store.SaveRun(ctx, first),
			"compares":         w.store.CompareDirectories(ctx, first, reconcile.Bounds{}),
			"clears a suspect": w.store.ClearSuspect(ctx, first, reconcile.Suspect{Kind: reconcile.SuspectStranger, Subject: "x"}, nil, now),
			"repairs":          w.store.SettleRepair(ctx, first, reconcile.Finding{ID: first.Holder}, now),
		} {
			if !errors.Is(err, reconcile.ErrLost) {
				t.Errorf("the one before %s: %v", what, err)
			}
		}
		if n := w.count(t, `SELECT count(*) FROM reconciliations WHERE state = 'abandoned' AND ended_at IS NOT NULL AND running IS NULL`); n != 1 {
			t.Errorf("%d runs are abandoned", n)
		}
	})
}

func TestTenRunsAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.seed(t, 2)
	w.createThere(t, "stranger", "stranger@example.org", "A stranger")
	var last reconcile.Run
	for range 12 {
		last = w.run(t, reconcile.Plan{})
	}
	if runs, found := w.count(t, `SELECT count(*) FROM reconciliations`), w.count(t, `SELECT count(*) FROM reconciliation_findings`); runs != 10 || found != 10 {
		t.Errorf("there are %d runs with %d findings", runs, found)
	}
	if found := w.findings(t, last); len(found) != 1 {
		t.Errorf("the last one has found %+v", found)
	}
}

func TestARunThatWouldTouchTooManyTouchesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.seed(t, 100)
	active := slices.DeleteFunc(slices.Clone(w.people), func(u person) bool { return u.status != "active" })
	for _, u := range active[:15] {
		w.patchThere(t, u.internal, "display_name", "Another")
	}
	ctx := asOperator(t.Context())
	attributes := []reconcile.Class{reconcile.AttributesDiffer}
	here := w.here(t)
	run, err := w.service.Begin(ctx, reconcile.Plan{Repair: attributes, MaxPercent: reconcile.DefaultPercent})
	if err != nil {
		t.Fatal(err)
	}
	run, err = w.service.Finish(ctx, run, func(reconcile.Progress) {})
	if ceiling, ok := errors.AsType[*reconcile.CeilingError](err); !ok || ceiling.Wanted != 15 || ceiling.Ceiling != 10 {
		t.Errorf("15 of 100 users: %v", err)
	}
	if run.State != reconcile.Done || run.Counts[reconcile.AttributesDiffer] != (reconcile.Count{Found: 15}) {
		t.Errorf("the run is %s with %+v", run.State, run.Counts)
	}
	if after := w.here(t); !maps.Equal(here, after) {
		t.Error("somebody was touched")
	}
	run = w.run(t, reconcile.Plan{Repair: attributes, MaxPercent: reconcile.DefaultPercent, MaxChanges: 4})
	if run.Counts[reconcile.AttributesDiffer] != (reconcile.Count{Found: 15, Repaired: 4}) {
		t.Errorf("with an end after 4: %+v", run.Counts)
	}
	if n := w.count(t, `SELECT count(*) FROM users WHERE sync = 'pending'`); n != 4 {
		t.Errorf("%d users were touched", n)
	}
	run = w.run(t, reconcile.Plan{Repair: attributes, MaxPercent: 15})
	if run.Counts[reconcile.AttributesDiffer] != (reconcile.Count{Found: 11, Repaired: 11}) {
		t.Errorf("with 15 per cent: %+v", run.Counts)
	}
}

func TestWhatIsRepairedByAnotherMeanwhileIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.seed(t, 20)
	u := w.people[1]
	w.patchThere(t, u.internal, "display_name", "Another")
	ctx := asOperator(t.Context())
	run, err := w.service.Begin(ctx, reconcile.Plan{Repair: []reconcile.Class{reconcile.AttributesDiffer}, MaxPercent: 5})
	if err != nil {
		t.Fatal(err)
	}
	run, err = w.service.Finish(ctx, run, func(now reconcile.Progress) {
		if now.State == reconcile.Repairing && now.Done == 0 {
			w.patchThere(t, u.internal, "display_name", u.name)
		}
	})
	if err != nil || run.Counts[reconcile.AttributesDiffer] != (reconcile.Count{Found: 1, Gone: 1}) {
		t.Errorf("%v, %+v", err, run.Counts)
	}
	if n := w.count(t, `SELECT count(*) FROM users WHERE sync = 'pending'`); n != 0 {
		t.Error("a change is sent that is none")
	}
}

func TestWhoWasNotCertainlyMadeByUsIsNeverDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.seed(t, 20)
	p := &planter{world: w, hit: make(map[string]bool), want: make(map[string]int)}
	u := p.pick(t, "active", true)
	// The key of another directory, which has given it to somebody new since.
	w.exec(t, `UPDATE users SET external_id = 'hr-7' WHERE id = $1`, u.id)
	p.entomb(t, u)
	w.setThere(t, u.internal, simulator.StatusDeleted)
	internal := w.createThere(t, "hr-7", "new.colleague@example.com", "A New Colleague")
	run := w.run(t, reconcile.Plan{Repair: everything(), MaxPercent: 100})
	if run.Counts[reconcile.StatusDiffers] != (reconcile.Count{Found: 1, Refused: 1}) {
		t.Errorf("%+v", run.Counts)
	}
	w.call(t, http.MethodGet, "/v2/users/"+internal, "", nil) // they are there as before
}

func TestADeletionWhoseAnswerWasLostIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.seed(t, 20)
	p := &planter{world: w, hit: make(map[string]bool), want: make(map[string]int)}
	u := p.pick(t, "active", true)
	p.entomb(t, u)
	if _, err := w.sim.AddFault(simulator.Fault{
		Match:  simulator.Match{Method: http.MethodDelete, Path: "*"},
		Effect: simulator.Effect{Drop: true, Commit: simulator.CommitBefore}, Times: 1,
	}); err != nil {
		t.Fatal(err)
	}
	run := w.run(t, reconcile.Plan{Repair: []reconcile.Class{reconcile.StatusDiffers}, MaxPercent: 100})
	if run.Counts[reconcile.StatusDiffers] != (reconcile.Count{Found: 1, Repaired: 1}) {
		t.Errorf("%+v", run.Counts)
	}
	if n := w.count(t, `SELECT count(*) FROM audit_events WHERE action IN ('user.reconciling', 'user.reconciled') AND user_id = $1`, u.id); n != 2 {
		t.Errorf("the audit has %d lines", n)
	}
}
