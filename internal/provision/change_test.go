package provision_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/store/storetest"
)

// The calls that fault rules are about.
var (
	onUpdate = simulator.Match{Method: "PATCH", Path: "/v2/users/*"}
	onGet    = simulator.Match{Method: "GET", Path: "/v2/users/*"}
	onDelete = simulator.Match{Method: "DELETE", Path: "/v2/users/*"}
)

// next lets the next call that matches go as the effect says.
func (w *world) next(t *testing.T, on simulator.Match, effect simulator.Effect) {
	t.Helper()
	w.fault(t, simulator.Fault{Match: on, Effect: effect, Times: 1})
}

// edit changes the user's name here, as whoever may do so does.
func (w *world) edit(t *testing.T, a accepted, name string) {
	t.Helper()
	w.exec(t, `UPDATE users SET display_name = $1 WHERE id = $2`, name, string(a.userID))
	w.want(t, a)
}

// want has something carried of the user.
func (w *world) want(t *testing.T, a accepted) {
	t.Helper()
	w.exec(t, `UPDATE users SET sync = 'pending', sync_change = sync_change + 1, sync_error_class = NULL WHERE id = $1`, string(a.userID))
}

// step carries what has changed as far as it goes now, and returns when to go
// on.
func (w *world) step(t *testing.T, a accepted) time.Duration {
	t.Helper()
	again, err := w.service.CarryChange(t.Context(), a.userID)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// stepOut takes steps, each when the last one said, until nothing is left to
// do, and returns how long that took.
func (w *world) stepOut(t *testing.T, a accepted) time.Duration {
	t.Helper()
	begun := w.clock.now()
	for range 1000 {
		again := w.step(t, a)
		if again == 0 {
			return w.clock.now().Sub(begun)
		}
		w.clock.advance(again)
	}
	t.Fatalf("not carried after %s:\n%s", w.clock.now().Sub(begun), w.log)
	return 0
}

// synced is how far a change has come, as it is stored.
type synced struct {
	sync    directory.Sync
	class   string
	unsure  bool
	claimed bool
}

func (w *world) synced(t *testing.T, a accepted) synced {
	t.Helper()
	var got synced
	var class sql.NullString
	row := w.db.SQL().QueryRowContext(t.Context(), `
		SELECT sync, sync_error_class, sync_ambiguous_until IS NOT NULL, sync_claimed_until IS NOT NULL
		FROM users WHERE id = $1`, string(a.userID))
	if err := row.Scan(&got.sync, &class, &got.unsure, &got.claimed); err != nil {
		t.Fatal(err)
	}
	got.class = class.String
	return got
}

// carried fails the test unless the change stands as wanted and the provider
// knows the user by the name.
func (w *world) carried(t *testing.T, a accepted, want synced, name string) {
	t.Helper()
	if got := w.synced(t, a); got != want {
		t.Errorf("stands at %+v, not %+v, after %q\n%s", got, want, w.tenant.trace(), w.log)
	}
	if got := w.tenant.user(t, a.externalID()).DisplayName; got != name {
		t.Errorf("is called %q there, not %q, after %q", got, name, w.tenant.trace())
	}
}

func (w *world) traced(t *testing.T, want string) {
	t.Helper()
	if got := w.tenant.trace(); got != want {
		t.Errorf("the provider saw %q, not %q", got, want)
	}
}

var isSynced = synced{sync: directory.SyncSynced}

// eachChange runs test over both dialects, with a user who is invited.
func eachChange(t *testing.T, test func(t *testing.T, w *world, a accepted)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		test(t, w, w.invite(t))
	})
}

func TestTenChangesBecomeOneCallWithTheLastValues(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		for _, name := range []string{"Anna", "Anne", "Anni", "Ann", "Hanna", "Hannah", "Joanna", "Ännchen", "Nan", "Nancy"} {
			w.edit(t, a, name)
		}
		for range 10 { // a job for each
			w.stepOut(t, a)
		}
		w.carried(t, a, isSynced, "Nancy")
		w.traced(t, "update")
	})
}

func TestAnEmptyNameAndAnAddressAreCarriedTogether(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		w.exec(t, `UPDATE users SET email = 'Anna.New@example.com', email_canonical = 'anna.new@example.com' WHERE id = $1`, string(a.userID))
		w.edit(t, a, "")
		w.stepOut(t, a)
		w.carried(t, a, isSynced, "Anna.New@example.com")
		if got := w.tenant.user(t, a.externalID()).Email; got != "Anna.New@example.com" {
			t.Errorf("has the address %q there", got)
		}
	})
}

func TestAChangeGoesAsItsAnswerSays(t *testing.T) {
	t.Parallel()
	failed := func(class string) synced { return synced{sync: directory.SyncFailed, class: class} }
	for name, test := range map[string]struct {
		on     simulator.Match
		effect simulator.Effect
		want   synced
		name   string
		trace  string
		took   time.Duration // at least
	}{
		"a success is one":                          {onFind, simulator.Effect{Status: 500}, isSynced, "Berta", "update", 0},
		"refused data is for an operator":           {onUpdate, simulator.Effect{Status: 422}, failed("rejected"), "Anna", "update", 0},
		"another's address is for an operator":      {onUpdate, simulator.Effect{Status: 409}, failed("conflict"), "Anna", "update", 0},
		"a refused token is waited out":             {onUpdate, simulator.Effect{Status: 401}, isSynced, "Berta", "update update", time.Second},
		"a limit is waited out as long as it says":  {onUpdate, simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "20"}}, isSynced, "Berta", "update update", 20 * time.Second},
		"a foreign page is waited out":              {onUpdate, simulator.Effect{Status: 405}, isSynced, "Berta", "update update", time.Second},
		"an error that did nothing is looked after": {onUpdate, simulator.Effect{Status: 503}, isSynced, "Berta", "update get update", quarantine},
		"a reset that did nothing is looked after":  {onUpdate, simulator.Effect{Drop: true}, isSynced, "Berta", "update get update", quarantine},
		"an error that happened is looked after":    {onUpdate, simulator.Effect{Status: 500, Commit: simulator.CommitBefore}, isSynced, "Berta", "update get", quarantine},
		"a reset that happened is looked after":     {onUpdate, simulator.Effect{Drop: true, Commit: simulator.CommitBefore}, isSynced, "Berta", "update get", quarantine},
		"nonsense for an answer is looked after":    {onUpdate, simulator.Effect{Status: 200, Body: []byte(`{}`), Commit: simulator.CommitBefore}, isSynced, "Berta", "update get", quarantine},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachChange(t, func(t *testing.T, w *world, a accepted) {
				w.edit(t, a, "Berta")
				w.next(t, test.on, test.effect)
				if took := w.stepOut(t, a); took < test.took || test.took == 0 && took > 0 {
					t.Errorf("took %s", took)
				}
				w.carried(t, a, test.want, test.name)
				w.traced(t, test.trace)
			})
		})
	}
}

func TestAUserWhoIsGoneThereIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		if err := w.tenant.SetStatus(w.tenant.user(t, a.externalID()).InternalID, simulator.StatusDeleted); err != nil {
			t.Fatal(err)
		}
		w.edit(t, a, "Berta")
		w.stepOut(t, a)
		w.carried(t, a, synced{sync: directory.SyncFailed, class: "vanished"}, "Anna")
		w.traced(t, "update")
		w.edit(t, a, "Carla") // a new change is a new try
		w.next(t, onUpdate, simulator.Effect{Status: 503})
		w.stepOut(t, a)
		w.carried(t, a, synced{sync: directory.SyncFailed, class: "vanished"}, "Anna")
		w.traced(t, "update update get")
	})
}

// A change that was given up on may come after one that was sent later, and
// undo it.
func TestAnOlderChangeThatComesLateDoesNotWin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		late  time.Duration
		trace string
	}{
		"before the newer one":        {2 * time.Second, "update update get"},
		"after the newer one":         {30 * time.Second, "update update get update"},
		"at the end of its time":      {quarantine, "update update get update"},
		"never, as far as anyone saw": {time.Hour, "update update get"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachChange(t, func(t *testing.T, w *world, a accepted) {
				w.edit(t, a, "Older")
				w.tenant.beLate("update", test.late)
				if again := w.step(t, a); again != quarantine {
					t.Errorf("again in %s", again)
				}
				w.clock.advance(5 * time.Second)
				w.edit(t, a, "Newer")
				if again := w.step(t, a); again != quarantine-5*time.Second {
					t.Errorf("the newer one was sent, and again in %s", again)
				}
				w.carried(t, a, synced{directory.SyncPending, "ambiguous", true, false}, "Newer")
				w.stepOut(t, a)
				w.carried(t, a, isSynced, "Newer")
				w.traced(t, test.trace)
			})
		})
	}
}

func TestAProviderThatShowsOtherDataThanItWasSentIsNotAskedForever(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		internalID := w.tenant.user(t, a.externalID()).InternalID
		w.edit(t, a, "Berta  Maria")
		w.fault(t, simulator.Fault{Match: onUpdate, Effect: simulator.Effect{
			Status: 200, Body: []byte(`{"id":"` + internalID + `","display_name":"Berta Maria"}`), Commit: simulator.CommitNever,
		}, Times: 2})
		w.stepOut(t, a)
		w.carried(t, a, synced{directory.SyncFailed, "differs", true, false}, "Anna")
		w.traced(t, "update get update")
		w.edit(t, a, "Berta")
		w.stepOut(t, a)
		w.carried(t, a, isSynced, "Berta")
	})
}

func TestALookThatProvesNothingIsTakenAgain(t *testing.T) {
	t.Parallel()
	for name, effect := range map[string]simulator.Effect{
		"an error":      {Status: 500},
		"nonsense":      {Status: 200, Body: []byte(`{}`)},
		"a limit":       {Status: 429},
		"another token": {Status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachChange(t, func(t *testing.T, w *world, a accepted) {
				w.edit(t, a, "Berta")
				w.next(t, onUpdate, simulator.Effect{Status: 500, Commit: simulator.CommitBefore})
				w.next(t, onGet, effect)
				w.stepOut(t, a)
				w.carried(t, a, isSynced, "Berta")
				w.traced(t, "update get get")
			})
		})
	}
	t.Run("a refusal is for an operator", func(t *testing.T) {
		t.Parallel()
		eachChange(t, func(t *testing.T, w *world, a accepted) {
			w.edit(t, a, "Berta")
			w.next(t, onUpdate, simulator.Effect{Status: 500, Commit: simulator.CommitBefore})
			w.next(t, onGet, simulator.Effect{Status: 400})
			w.stepOut(t, a)
			w.carried(t, a, synced{sync: directory.SyncFailed, class: "rejected"}, "Berta")
		})
	})
}

func TestAChangeDuringTheCreateArrives(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for name, settle := range map[string]func(t *testing.T, w *world, a accepted){
			"and its answer": func(t *testing.T, w *world, a accepted) { w.carryOut(t, a) },
			"whose answer is lost, and a look": func(t *testing.T, w *world, a accepted) {
				w.fault(t, once(simulator.Effect{Status: 500, Commit: simulator.CommitBefore}))
				w.carryOut(t, a)
			},
			"whose answer is lost, and a login": func(t *testing.T, w *world, a accepted) {
				w.fault(t, once(simulator.Effect{Status: 500, Commit: simulator.CommitBefore}))
				w.carry(t, a)
				w.login(t, a, w.tenant.user(t, a.externalID()).InternalID)
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, true)
				a := w.accept(t)
				w.tenant.onAnswer(func(op string) {
					if op != "create" {
						return
					}
					w.edit(t, a, "Berta")
					if again := w.step(t, a); again != 0 {
						t.Errorf("the change waits for %s", again)
					}
				})
				settle(t, w, a)
				w.tenant.onAnswer(nil)
				if n := w.jobs(t, "change", a); n != 1 {
					t.Errorf("%d jobs carry the change", n)
				}
				w.carried(t, a, synced{sync: directory.SyncPending}, "Anna")
				w.stepOut(t, a)
				w.carried(t, a, isSynced, "Berta")
			})
		}
	})
}

func TestOfSeveralWorkersWithOneUserOneCalls(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		w.edit(t, a, "Berta")
		var workers sync.WaitGroup
		w.tenant.onAnswer(func(string) {
			w.tenant.onAnswer(nil)
			for range 8 { // while the first has the user
				workers.Go(func() {
					again, err := w.service.CarryChange(t.Context(), a.userID)
					if again <= 0 || again > 2*callLimit || err != nil {
						t.Errorf("the others wait for %s, %v", again, err)
					}
				})
			}
			workers.Wait()
		})
		w.step(t, a)
		w.carried(t, a, isSynced, "Berta")
		w.traced(t, "update")
		w.edit(t, a, "Carla")
		for range 8 {
			workers.Go(func() {
				if _, err := w.service.CarryChange(t.Context(), a.userID); err != nil {
					t.Error(err)
				}
			})
		}
		workers.Wait()
		w.stepOut(t, a)
		w.carried(t, a, isSynced, "Carla")
		w.traced(t, "update update")
	})
}

func TestAChangeDuringACallIsSentAfterIt(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		w.edit(t, a, "Berta")
		w.tenant.onAnswer(func(string) {
			w.tenant.onAnswer(nil)
			w.edit(t, a, "Carla")
		})
		if again := w.step(t, a); again != 0 {
			t.Errorf("again in %s", again)
		}
		w.carried(t, a, isSynced, "Carla")
		w.traced(t, "update update")
	})
}

// dying is a provider whose process is gone before, or right after, the call.
type dying struct {
	provision.Changer

	after bool
}

func (d dying) UpdateUser(ctx context.Context, id directory.InternalID, change beyondidentity.UserChange) (beyondidentity.User, error) {
	if d.after {
		_, _ = d.Changer.UpdateUser(ctx, id, change)
	}
	panic(crash{})
}

func (d dying) DeleteUser(ctx context.Context, id directory.InternalID) error {
	if d.after {
		_ = d.Changer.DeleteUser(ctx, id)
	}
	panic(crash{})
}

// die carries with a worker who dies.
func (w *world) die(t *testing.T, a accepted, after bool) {
	t.Helper()
	changer := w.service.Changer
	w.service.Changer = dying{changer, after}
	defer func() {
		w.service.Changer = changer
		if cause := recover(); cause != (crash{}) {
			t.Errorf("did not die: %v", cause)
		}
	}()
	w.step(t, a)
}

func TestAWorkerThatDiesIsWaitedOutAndLookedAfter(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"before its call": false, "after its call": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachChange(t, func(t *testing.T, w *world, a accepted) {
				w.edit(t, a, "Berta")
				w.die(t, a, after)
				again := w.step(t, a)
				if again < callLimit || again > 2*callLimit {
					t.Errorf("waits for %s", again)
				}
				w.edit(t, a, "Carla") // meanwhile
				if took := w.stepOut(t, a); took < callLimit+quarantine {
					t.Errorf("took %s", took)
				}
				w.carried(t, a, isSynced, "Carla")
			})
		})
	}
}

// stoppingChanger is a provider whose program stops once it has answered.
type stoppingChanger struct {
	provision.Changer

	stop context.CancelFunc
}

func (s stoppingChanger) UpdateUser(ctx context.Context, id directory.InternalID, change beyondidentity.UserChange) (beyondidentity.User, error) {
	defer s.stop()
	return s.Changer.UpdateUser(ctx, id, change)
}

func (s stoppingChanger) DeleteUser(ctx context.Context, id directory.InternalID) error {
	defer s.stop()
	return s.Changer.DeleteUser(ctx, id)
}

func TestWhatCameOfAChangeIsWrittenEvenIfTheProgramStops(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		w.edit(t, a, "Berta")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.service.Changer = stoppingChanger{w.service.Changer, cancel}
		_, _ = w.service.CarryChange(ctx, a.userID)
		w.carried(t, a, isSynced, "Berta")
	})
}

func TestAWorkerThatWasHeldUpPastItsClaimCastsDoubt(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, a accepted) {
		w.edit(t, a, "Berta")
		w.tenant.onAnswer(func(string) {
			// The answer takes so long that another worker takes over, and is done.
			w.tenant.onAnswer(nil)
			w.clock.advance(time.Minute)
			w.edit(t, a, "Carla")
			w.step(t, a)
		})
		w.stepOut(t, a)
		w.carried(t, a, isSynced, "Carla")
		if trace := w.tenant.trace(); trace != "update update update get" {
			t.Errorf("the provider saw %q", trace)
		}
	})
}

func TestWithoutAnInterfaceForChangesTheyAreKeptUntilThereIsOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), false)
		a, b := w.invite(t), w.invite(t)
		for _, who := range []accepted{a, b} {
			w.edit(t, who, "Berta")
			w.stepOut(t, who)
			w.carried(t, who, synced{sync: directory.SyncFailed, class: provision.ClassUnsupported}, "Anna")
		}
		w.clock.advance(time.Hour)
		if err := w.service.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.carried(t, a, synced{sync: directory.SyncFailed, class: provision.ClassUnsupported}, "Anna")
		provider := client(t, w.tenant.url, generous)
		w.service.Lookup, w.service.Changer = provider, provider // and another start
		w.clock.advance(time.Hour)
		if err := w.service.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, who := range []accepted{a, b} {
			if n := w.jobs(t, "change", who); n != 1 {
				t.Errorf("%d jobs", n)
			}
			w.stepOut(t, who)
			w.carried(t, who, isSynced, "Berta")
		}
	})
}

// jobs counts the user's jobs of the kind.
func (w *world) jobs(t *testing.T, kind string, a accepted) int {
	t.Helper()
	return w.count(t, `SELECT count(*) FROM river_job WHERE kind = $1 AND CAST(args AS text) LIKE '%'||$2||'%'`, kind, string(a.userID))
}

func TestAChangeOfAUserWhoIsNotThereIsParked(t *testing.T) {
	t.Parallel()
	eachChange(t, func(t *testing.T, w *world, _ accepted) {
		for name, carry := range map[string]func(context.Context, directory.UserID) (time.Duration, error){
			"change": w.service.CarryChange, "enrol": w.service.CarryUser,
			"remind": func(ctx context.Context, id directory.UserID) (time.Duration, error) {
				return w.service.Remind(ctx, id, w.clock.now())
			},
		} {
			if _, err := carry(t.Context(), directory.NewUserID()); !errors.Is(err, provision.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
