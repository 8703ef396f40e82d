package provision_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// A create that commits after its answer, and after a look-up that saw
// nothing, is the way to double a user.
func TestACreateThatCommitsLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for _, uniqueness := range []simulator.Uniqueness{simulator.UniqueNone, simulator.UniqueExternalID, simulator.UniqueBoth} {
			for _, late := range []time.Duration{time.Millisecond, 30 * time.Second, quarantine} {
				t.Run(string(uniqueness)+", by "+late.String(), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, db, lookup)
					w.modes(t, func(m *simulator.Modes) { m.Uniqueness = uniqueness })
					w.tenant.createLate(late)
					a := w.accept(t)
					w.carryOut(t, a)
					w.check(t, a, state{directory.Invited, 1, "", true}, 1)
				})
			}
		}
	})
}

func TestTheQuarantineIsStoredAndLookedThrough(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.fault(t, once(simulator.Effect{Status: 500}))
		a := w.accept(t)
		again := w.carry(t, a)
		if got, want := w.state(t, a), (state{directory.Provisioning, 1, "ambiguous", false}); got != want {
			t.Errorf("stands at %+v, not %+v", got, want)
		}
		if got := w.ambiguousFor(t, a); got != quarantine {
			t.Errorf("in quarantine for %s", got)
		}
		if !lookup && again != quarantine {
			t.Errorf("with nothing to see, again in %s", again)
		}
		var waits []time.Duration
		for w.ambiguousFor(t, a) > 0 {
			if again <= 0 || again > quarantine {
				t.Fatalf("again in %s", again)
			}
			waits = append(waits, again)
			w.clock.advance(again)
			if w.ambiguousFor(t, a) > 0 {
				again = w.carry(t, a)
			}
		}
		if looks := len(w.tenant.all()) - 1; lookup && (looks < 5 || looks > 30) {
			t.Errorf("looked %d times, after %v", looks, waits)
		} else if !lookup && looks != 0 {
			t.Errorf("%d calls in quarantine", looks)
		}
		w.carryOut(t, a)
		w.check(t, a, state{directory.Invited, 2, "", true}, 1)
	})
}

func TestALimitOnCallsIsWaitedOutAsLongAsItSays(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for name, test := range map[string]struct {
			effect  simulator.Effect
			again   time.Duration
			attempt int // that counts
		}{
			"in Retry-After":              {simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "7"}}, 7 * time.Second, 0},
			"in RateLimit-Reset":          {simulator.Effect{Status: 429, Headers: map[string]string{"RateLimit-Reset": "11"}}, 11 * time.Second, 0},
			"not at all":                  {simulator.Effect{Status: 429}, 500 * time.Millisecond, 0},
			"for longer than an hour":     {simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "86400"}}, time.Hour, 0},
			"with an error, for a while":  {simulator.Effect{Status: 503, Headers: map[string]string{"Retry-After": "90"}}, 90 * time.Second, 1},
			"with an error, for a moment": {simulator.Effect{Status: 503, Headers: map[string]string{"Retry-After": "2"}}, 2 * time.Second, 1},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				w.fault(t, once(test.effect))
				a := w.accept(t)
				if again := w.carry(t, a); again != test.again {
					t.Errorf("again in %s, not %s", again, test.again)
				}
				if got := w.state(t, a); got.status != directory.Provisioning || got.attempt != test.attempt || got.settled {
					t.Errorf("stands at %+v", got)
				}
				w.clock.advance(test.again)
				w.carryOut(t, a)
				w.check(t, a, state{directory.Invited, test.attempt + 1, "", true}, 1)
			})
		}
	})
}

func TestATenantsOwnLimitDelaysAndDoublesNothing(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.modes(t, func(m *simulator.Modes) { m.RatePerMinute = 2 })
		all := []accepted{w.accept(t), w.accept(t), w.accept(t), w.accept(t), w.accept(t)}
		left := len(all)
		for range 100 {
			left = 0
			for _, a := range all {
				if w.carry(t, a) > 0 {
					left++
				}
			}
			if left == 0 {
				break
			}
			w.clock.advance(time.Minute)
		}
		if left != 0 {
			t.Errorf("%d are not settled", left)
		}
		for _, user := range w.tenant.Users() {
			if user.Creates != 1 || user.Mails != 1 {
				t.Errorf("%+v", user)
			}
		}
		if n := len(w.tenant.Users()); n != len(all) {
			t.Errorf("%d users", n)
		}
	})
}

func TestATokenThatIsRefusedIsTriedAgainEachMinuteUntilItIsTaken(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for name, test := range map[string]struct {
			status int
			class  string
		}{
			"refused": {401, "unauthorized"}, "not allowed": {403, "unauthorized"}, "sent elsewhere": {404, "misconfigured"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				a, other := w.accept(t), w.accept(t)
				everything := simulator.Match{Path: "/*"}
				w.fault(t, simulator.Fault{Match: everything, Effect: simulator.Effect{Status: test.status}})
				for i := range 5 {
					for _, one := range []accepted{a, other, a} {
						if again := w.carry(t, one); again <= 0 {
							t.Errorf("again in %s", again)
						}
					}
					if n := len(w.tenant.all()); n != i+1 {
						t.Errorf("%d calls in %d minutes", n, i+1)
					}
					if got, want := w.state(t, a), (state{directory.Provisioning, 0, test.class, false}); got != want {
						t.Errorf("stands at %+v, not %+v", got, want)
					}
					w.clock.advance(time.Minute)
				}
				w.tenant.ClearFaults()
				for _, one := range []accepted{a, other} {
					w.carryOut(t, one)
				}
				if got, want := w.state(t, a), (state{directory.Invited, 1, "", true}); got != want {
					t.Errorf("stands at %+v, not %+v", got, want)
				}
				if n := strings.Count(w.log.String(), "level=ERROR"); n != 1 {
					t.Errorf("%d alarms:\n%s", n, w.log)
				}
			})
		}
	})
}

// nowhere is a client of an address where nobody listens.
func nowhere(t *testing.T) *beyondidentity.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return client(t, address, generous)
}

func TestAnOutageIsWaitedOutHoweverLongItLasts(t *testing.T) {
	t.Parallel()
	away := nowhere(t)
	statuses := []int{401, 403, 404, 405, 429}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), false)
		live := w.service.Provider
		a := w.accept(t)
		// Each leaves the user as it found them, so that more would end no otherwise.
		tries := map[store.Dialect]int{store.Postgres: 200, store.SQLite: 2000}[w.db.Dialect()]
		if testing.Short() {
			tries /= 20
		}
		for i := range tries {
			w.service.Provider = away
			if i%2 == 1 {
				w.service.Provider = live
				w.fault(t, once(simulator.Effect{Status: statuses[i/2%len(statuses)]}))
			}
			if again := w.carry(t, a); again <= 0 {
				t.Fatalf("given up after %d tries: %+v", i+1, w.state(t, a))
			}
			if got := w.state(t, a); got.status != directory.Provisioning || got.attempt != 0 || got.settled || w.ambiguousFor(t, a) != 0 {
				t.Fatalf("stands at %+v", got)
			}
			w.clock.advance(time.Minute) // the gate lets a try through by then
		}
		if n := len(w.tenant.all()); n != tries/2 {
			t.Errorf("%d calls arrived of %d", n, tries/2)
		}
		w.service.Provider = live
		w.carryOut(t, a)
		w.check(t, a, state{directory.Invited, 1, "", true}, 1)
		if n := w.count(t, `SELECT count(*) FROM audit_events WHERE user_id = $1`, string(a.userID)); n != 3 {
			t.Errorf("%d lines of the audit", n)
		}
	})
}

func TestAProviderThatErrsForeverIsAskedForeverAndNeverTwiceAtOnce(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.fault(t, simulator.Fault{Match: onCreate, Effect: simulator.Effect{Status: 503}})
		a := w.accept(t)
		for range 100 {
			again := w.carry(t, a)
			if again <= 0 {
				t.Fatalf("given up: %+v", w.state(t, a))
			}
			w.clock.advance(again)
		}
		if got := w.state(t, a); got.status != directory.Provisioning || got.settled {
			t.Errorf("stands at %+v", got)
		}
		checkWaits(t, w.tenant.all(), quarantine)
		w.tenant.ClearFaults()
		w.carryOut(t, a)
		if user := w.tenant.user(t, a.externalID()); user.Creates != 1 {
			t.Errorf("created %d times", user.Creates)
		}
	})
}

func TestWhileTheGateIsClosedNothingIsCalled(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		fresh, invited, active, lost := w.accept(t), w.invite(t), w.invite(t), w.accept(t)
		w.set(t, active, directory.Active)
		w.clock.advance(mailPause)
		again, known := w.acceptAs(t, invited.email.String()), w.acceptAs(t, active.email.String())
		if mine, err := w.store.BeginAttempt(t.Context(), w.enlist(t, lost), w.clock.now(), w.clock.now()); !mine || err != nil {
			t.Fatal(mine, err)
		}
		const closed = 90 * time.Second
		w.close(t, closed)
		for name, step := range map[string]func() (time.Duration, error){
			"a new sign-up":                    func() (time.Duration, error) { return w.service.Carry(t.Context(), fresh.id) },
			"a sign-up whose answer was lost":  func() (time.Duration, error) { return w.service.Carry(t.Context(), lost.id) },
			"a duplicate of an invited user's": func() (time.Duration, error) { return w.service.Carry(t.Context(), again.id) },
			"a duplicate of an active user's":  func() (time.Duration, error) { return w.service.Carry(t.Context(), known.id) },
			"a wish for another mail":          func() (time.Duration, error) { return w.service.Resend(t.Context(), invited.id) },
		} {
			if wait, err := step(); wait < closed || wait > closed+time.Second || err != nil {
				t.Errorf("%s: again in %s, %v", name, wait, err)
			}
		}
		if err := w.service.Reconcile(t.Context()); err != nil {
			t.Error(err)
		}
		if got := w.tenant.trace(); got != "" {
			t.Errorf("the provider saw %q", got)
		}
		for _, a := range []accepted{fresh, lost, again, known} {
			subject, err := w.store.FindSubject(t.Context(), a.id)
			if err != nil || subject.Settled {
				t.Errorf("%+v, %v", subject, err)
			}
		}
		if got := w.state(t, fresh); got.status != directory.Received || got.attempt != 0 {
			t.Errorf("the new one stands at %+v", got)
		}
	})
}

func TestALookUpThatFailsIsRepeatedAndNothingIsCreatedMeanwhile(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for name, test := range map[string]struct {
			effect simulator.Effect
			class  string
			again  time.Duration
		}{
			"by an error":                 {simulator.Effect{Status: 500}, "ambiguous", 5 * time.Second},
			"by a lost answer":            {simulator.Effect{Drop: true}, "ambiguous", 5 * time.Second},
			"by an answer that is empty":  {simulator.Effect{Status: 200, Body: jsontext.Value(`{}`)}, "ambiguous", 5 * time.Second},
			"by a page that is empty":     {simulator.Effect{Status: 200, Body: jsontext.Value(`{"users":[],"total_size":1}`)}, "ambiguous", 5 * time.Second},
			"by a limit":                  {simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "17"}}, "rate_limited", 17 * time.Second},
			"by a refusal":                {simulator.Effect{Status: 403}, "unauthorized", 5 * time.Second},
			"by an address that is not":   {simulator.Effect{Status: 404}, "misconfigured", 5 * time.Second},
			"by a filter that is refused": {simulator.Effect{Status: 400}, "rejected", 5 * time.Second},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, true)
				a := w.accept(t)
				w.fault(t, once(simulator.Effect{Status: 500, Commit: simulator.CommitBefore}))
				w.fault(t, simulator.Fault{Match: onFind, Effect: test.effect})
				w.clock.advance(w.carry(t, a))
				until := w.clock.now().Add(w.ambiguousFor(t, a))
				if again := w.carry(t, a); again != test.again {
					t.Errorf("again in %s, not %s", again, test.again)
				}
				for range 30 {
					if got, want := w.state(t, a), (state{directory.Provisioning, 1, test.class, false}); got != want {
						t.Errorf("stands at %+v, not %+v", got, want)
					}
					if got := w.clock.now().Add(w.ambiguousFor(t, a)); !got.Equal(until) {
						t.Errorf("in quarantine until %s, not %s", got, until)
					}
					w.clock.advance(5 * time.Second)
					if again := w.carry(t, a); again <= 0 {
						t.Errorf("again in %s", again)
					}
				}
				if got := w.tenant.trace(); got != "create find" {
					t.Errorf("the provider saw %q", got)
				}
				w.tenant.ClearFaults()
				w.carryOut(t, a)
				w.check(t, a, state{directory.Invited, 1, "", true}, 1)
			})
		}
	})
}

func TestASignupThatIsNotIsNotFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		if again, err := w.service.Carry(t.Context(), signup.ID(uuid.NewString())); again != 0 || !errors.Is(err, provision.ErrNotFound) {
			t.Errorf("got %s, %v", again, err)
		}
	})
}
