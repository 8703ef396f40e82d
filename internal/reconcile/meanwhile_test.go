package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAProviderThatFailsAtRandomYieldsNoFalseFinding(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.seed(t, 300)
		p := w.plant(t, 1)
		w.service.PageSize = 40
		seed := rand.Uint64() //nolint:forbidigo // chance, no secret
		if err := w.sim.BeHostile(simulator.Hostility{Seed: seed, Level: 0.2, Lateness: 100 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		here := w.here(t)
		run := w.run(t, reconcile.Plan{})
		if t.Failed() {
			t.Logf("the provider was hostile with seed %d", seed)
		}
		p.compare(t, w.findings(t, run))
		if !maps.Equal(here, w.here(t)) {
			t.Error("somebody was touched")
		}
	})
}

func TestWhoComesAndGoesDuringARunIsNoDifference(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.seed(t, 200)
		p := w.plant(t, 1)
		w.service.PageSize = 5
		w.work(t)
		ctx, stop := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		made, gone := 0, 0
		busy.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := w.accounts.Invite(ctx, account.Invitation{Email: fmt.Sprintf("new.%d@example.com", i), DisplayName: "New"}); err == nil {
					made++
				}
				if i >= len(p.people) || p.hit[p.people[i].id] {
					continue
				}
				if _, err := w.accounts.Delete(ctx, directory.UserID(p.people[i].id), 0, account.AnyVersion); err == nil {
					gone++
				}
			}
		})
		run := w.run(t, reconcile.Plan{})
		stop()
		busy.Wait()
		t.Logf("%d came and %d went", made, gone)
		if made < 3 || gone < 3 {
			t.Errorf("only %d came and %d went", made, gone)
		}
		p.compare(t, w.findings(t, run))
	})
}

// smallPages is a provider that gives fewer users a page than it is asked for.
type smallPages struct{ reconcile.Provider }

// ListUsers returns seventeen users at most.
func (p smallPages) ListUsers(ctx context.Context, page beyondidentity.Page) (beyondidentity.Listed, error) {
	page.Size = min(page.Size, 17)
	return p.Provider.ListUsers(ctx, page)
}

func TestPagesThatAreSmallerThanAskedForLeaveNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.seed(t, 250)
	p := w.plant(t, 1)
	w.service.Provider = smallPages{w.client}
	run := w.run(t, reconcile.Plan{})
	p.compare(t, w.findings(t, run))
}

func TestATokenThatIsRefusedEndsTheRunAndItGoesOnLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.seed(t, 30)
	id, err := w.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "/v2/users"}, Effect: simulator.Effect{Status: http.StatusUnauthorized}})
	if err != nil || id == "" {
		t.Fatal(err)
	}
	ctx := asOperator(t.Context())
	run, err := w.service.Begin(ctx, reconcile.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	run, err = w.service.Finish(ctx, run, func(reconcile.Progress) {})
	if closed, ok := errors.AsType[*gate.ClosedError](err); !ok || closed.Because != gate.Unauthorized || run.State == reconcile.Done {
		t.Fatalf("%v, and the run is %s", err, run.State)
	}
	w.sim.ClearFaults()
	w.exec(t, `UPDATE provider_gate SET closed_because = NULL, closed_since = NULL, closed_until = NULL, refused_token = NULL`)
	if run, err = w.service.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if run, err = w.service.Finish(ctx, run, func(reconcile.Progress) {}); err != nil || run.State != reconcile.Done {
		t.Errorf("%v, and the run is %s", err, run.State)
	}
}

func TestThePeriodicRunReportsAndRepairsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.seed(t, 100)
		ctx := t.Context()
		var mu sync.Mutex
		now := time.Now()
		w.service.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
		const every = 24 * time.Hour
		compare := func() {
			t.Helper()
			await.Until(t, "the comparison is done", func() error {
				again, err := w.service.Compare(ctx, every)
				if err == nil && again > 0 {
					err = errors.New("there is more to do")
				}
				return err
			})
		}
		runs := func() int {
			return w.count(t, `SELECT count(*) FROM reconciliations WHERE state = 'done' AND actor = $1`, audit.Portico)
		}
		compare()
		if n := runs(); n != 1 || !strings.Contains(w.log.String(), "level=INFO msg=\"the directories agree\"") {
			t.Errorf("%d runs", n)
		}
		w.patchThere(t, w.people[1].internal, "display_name", "Another")
		compare() // which is not due
		if n := runs(); n != 1 {
			t.Errorf("%d runs within a day", n)
		}
		mu.Lock()
		now = now.Add(every)
		mu.Unlock()
		here, there := w.here(t), w.there()
		compare()
		if n := runs(); n != 2 || !strings.Contains(w.log.String(), "level=WARN msg=\"the directories differ: portico reconcile shows in what\"") ||
			!strings.Contains(w.log.String(), "attributes_differ=1") {
			t.Errorf("%d runs after a day", n)
		}
		if !maps.Equal(here, w.here(t)) || !maps.Equal(there, w.there()) {
			t.Error("somebody was touched")
		}
		// An operator's run that was interrupted is not for a job to go on with.
		mu.Lock()
		now = now.Add(time.Hour)
		mu.Unlock()
		run, err := w.service.Begin(asOperator(ctx), reconcile.Plan{Repair: everything(), MaxPercent: 100})
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		now = now.Add(time.Hour)
		mu.Unlock()
		compare()
		if resumed, err := w.service.Resume(asOperator(ctx)); err != nil || resumed.ID != run.ID {
			t.Errorf("%v: %+v", err, resumed)
		}
	})
}
