package provision_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAProcessThatDiesLeavesWhatTheNextOneNeeds(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for name, arrived := range map[string]bool{"before its create arrived": false, "after its create arrived": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				a := w.accept(t)
				until := w.clock.now().Add(callLimit + quarantine)
				if mine, err := w.store.BeginAttempt(t.Context(), w.enlist(t, a), until, w.clock.now()); !mine || err != nil {
					t.Fatal(mine, err)
				}
				if arrived {
					w.put(t, a.externalID(), a.email.String())
				}
				took := w.carryOut(t, a)
				want := state{directory.Invited, 2, "", true}
				if arrived {
					want.attempt = 1
				}
				if !(arrived && lookup) && took < callLimit+quarantine {
					t.Errorf("settled after %s", took)
				}
				w.check(t, a, want, 1)
			})
		}
	})
}

func TestOfSeveralWorkersWithOneSignupOneCreates(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueNone })
		a := w.accept(t)
		var workers sync.WaitGroup
		for range 16 {
			workers.Go(func() {
				if _, err := w.service.Carry(t.Context(), a.id); err != nil {
					t.Error(err)
				}
			})
		}
		workers.Wait()
		w.carryOut(t, a)
		w.check(t, a, state{directory.Invited, 1, "", true}, 1)
	})
}

func TestADatabaseThatGoesAwayDuringACreateLosesNothing(t *testing.T) {
	t.Parallel()
	for name, lookup := range map[string]bool{"with look-up": true, "without look-up": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, storetest.Open(t, databaseURL), lookup)
				w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueExternalID })
				a := w.accept(t)
				w.tenant.onAnswer(func(string) {
					if err := w.db.Close(); err != nil {
						t.Error(err)
					}
				})
				if _, err := w.service.Carry(t.Context(), a.id); !errors.Is(err, directory.ErrUnavailable) {
					t.Errorf("got %v", err)
				}
				if _, err := w.service.Carry(t.Context(), a.id); !errors.Is(err, directory.ErrUnavailable) {
					t.Errorf("still away: %v", err)
				}
				w.tenant.onAnswer(nil)
				w.db = storetest.Open(t, databaseURL)
				w.store, _ = storeOver(t, w.db)
				w.service.Store = w.store
				w.carryOut(t, a)
				w.check(t, a, state{directory.Invited, 1, "", true}, 1)
			})
		})
	}
}

func TestAProgramThatStopsDuringACreateWritesWhatItKnows(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		a := w.accept(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// It happens, and the call is cancelled before the answer is there.
		w.fault(t, once(simulator.Effect{DelayMS: 60_000, Commit: simulator.CommitBefore}))
		var stop sync.WaitGroup
		stop.Go(func() {
			await.True(t, "the create", func() bool { return len(w.tenant.Users()) == 1 })
			cancel()
		})
		again, err := w.service.Carry(ctx, a.id)
		stop.Wait()
		if again <= 0 || err != nil {
			t.Errorf("got %s, %v", again, err)
		}
		if got, want := w.state(t, a), (state{directory.Provisioning, 1, "ambiguous", false}); got != want {
			t.Errorf("stands at %+v, not %+v", got, want)
		}
		w.carryOut(t, a)
		w.check(t, a, state{directory.Invited, 1, "", true}, 1)
	})
}

func TestASuccessIsWrittenEvenIfTheProgramStopsMeanwhile(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		a := w.accept(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		provider := w.service.Provider
		w.service.Provider = stopping{provider, cancel}
		if again, err := w.service.Carry(ctx, a.id); again != 0 || err != nil {
			t.Errorf("got %s, %v", again, err)
		}
		w.check(t, a, state{directory.Invited, 1, "", true}, 1)
	})
}

func TestAUserWhoIsNoLongerToBeProvisionedIsLeftAlone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		for _, status := range directory.Statuses() {
			if status == directory.Received || status == directory.Provisioning {
				continue
			}
			a := w.accept(t)
			w.enlist(t, a)
			w.exec(t, `UPDATE users SET status = $1, internal_id = external_id WHERE external_id = $2`, string(status), string(a.externalID()))
			if again := w.carry(t, a); again != 0 {
				t.Errorf("%s: again in %s", status, again)
			}
			if got, want := w.state(t, a), (state{status, 0, "", true}); got != want {
				t.Errorf("stands at %+v, not %+v", got, want)
			}
		}
		if got := w.tenant.trace(); got != "" {
			t.Errorf("the provider saw %q", got)
		}
	})
}

func TestALoginThatSettlesAUserEndsTheQuarantine(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.fault(t, once(simulator.Effect{Status: 500, Commit: simulator.CommitBefore}))
		a := w.accept(t)
		w.carry(t, a)
		w.login(t, a, w.tenant.Users()[0].InternalID)
		if again := w.carry(t, a); again != 0 {
			t.Errorf("again in %s", again)
		}
		w.check(t, a, state{directory.Active, 1, "", true}, 1)
		if got := w.tenant.trace(); got != "create" {
			t.Errorf("the provider saw %q", got)
		}
	})
}
