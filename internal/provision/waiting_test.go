package provision_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/await"
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
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for name, test := range map[string]struct {
			lookup     bool
			uniqueness simulator.Uniqueness
			attempts   int
		}{
			"with look-up, where nothing is unique":             {true, simulator.UniqueNone, 1},
			"with look-up":                                      {true, simulator.UniqueExternalID, 1},
			"without look-up, where the external_id is unique":  {false, simulator.UniqueExternalID, 2},
			"without look-up, where the address is unique, too": {false, simulator.UniqueBoth, 2},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, test.lookup)
				w.modes(t, func(m *simulator.Modes) { m.Uniqueness = test.uniqueness })
				w.fault(t, once(simulator.Effect{Status: 504, Commit: simulator.CommitLate, DelayMS: 250}))
				a := w.accept(t)
				again := w.carry(t, a)
				for w.ambiguousFor(t, a) > quarantine/2 && again > 0 {
					w.clock.advance(again)
					again = w.carry(t, a)
				}
				if test.lookup && len(w.tenant.all()) < 2 {
					t.Error("nobody looked")
				}
				// The other half of the quarantine is the provider's.
				await.True(t, "the late commit", func() bool { return len(w.tenant.Users()) > 0 })
				w.clock.advance(again)
				w.carryOut(t, a)
				w.check(t, a, state{directory.Invited, test.attempts, "", true}, 1)
			})
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
			effect simulator.Effect
			again  time.Duration
		}{
			"in Retry-After":              {simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "7"}}, 7 * time.Second},
			"in RateLimit-Reset":          {simulator.Effect{Status: 429, Headers: map[string]string{"RateLimit-Reset": "11"}}, 11 * time.Second},
			"not at all":                  {simulator.Effect{Status: 429}, 500 * time.Millisecond},
			"for longer than an hour":     {simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "86400"}}, time.Hour},
			"with an error, for a while":  {simulator.Effect{Status: 503, Headers: map[string]string{"Retry-After": "90"}}, 90 * time.Second},
			"with an error, for a moment": {simulator.Effect{Status: 503, Headers: map[string]string{"Retry-After": "2"}}, 2 * time.Second},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				w.fault(t, once(test.effect))
				a := w.accept(t)
				if again := w.carry(t, a); again != test.again {
					t.Errorf("again in %s, not %s", again, test.again)
				}
				if got := w.state(t, a); got.status != directory.Provisioning || got.attempt != 1 || got.settled {
					t.Errorf("stands at %+v", got)
				}
				w.clock.advance(test.again)
				w.carryOut(t, a)
				w.check(t, a, state{directory.Invited, 2, "", true}, 1)
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
				a := w.accept(t)
				everything := simulator.Match{Path: "/*"}
				w.fault(t, simulator.Fault{Match: everything, Effect: simulator.Effect{Status: test.status}})
				for i := range 5 {
					if again := w.carry(t, a); again != time.Minute {
						t.Errorf("again in %s", again)
					}
					attempts := i + 1
					if lookup {
						attempts = 1 // the look-up is refused first
					}
					if got, want := w.state(t, a), (state{directory.Provisioning, attempts, test.class, false}); got != want {
						t.Errorf("stands at %+v, not %+v", got, want)
					}
					w.clock.advance(time.Minute)
				}
				w.tenant.ClearFaults()
				w.carryOut(t, a)
				attempts := 6
				if lookup {
					attempts = 2
				}
				w.check(t, a, state{directory.Invited, attempts, "", true}, 1)
			})
		}
	})
}

func TestAProviderThatIsDownIsTriedAgainEverMoreRarely(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), false)
		live := w.service.Provider
		w.service.Provider = client(t, nowhere, generous)
		a := w.accept(t)
		want := 500 * time.Millisecond
		for i := range 10 {
			if again := w.carry(t, a); again != want {
				t.Errorf("after %d attempts again in %s, not %s", i+1, again, want)
			}
			if got, want := w.state(t, a), (state{directory.Provisioning, i + 1, "unreachable", false}); got != want {
				t.Errorf("stands at %+v, not %+v", got, want)
			}
			if wait := w.ambiguousFor(t, a); wait != 0 {
				t.Errorf("what was not sent is in quarantine for %s", wait)
			}
			w.clock.advance(want)
			want = min(2*want, time.Minute)
		}
		w.service.Provider = live
		if took := w.carryOut(t, a); took != 0 {
			t.Errorf("back, it took %s", took)
		}
		w.check(t, a, state{directory.Invited, 11, "", true}, 1)
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
			"by a refusal":                {simulator.Effect{Status: 403}, "unauthorized", time.Minute},
			"by an address that is not":   {simulator.Effect{Status: 404}, "misconfigured", time.Minute},
			"by a filter that is refused": {simulator.Effect{Status: 400}, "rejected", 5 * time.Second},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, true)
				a := w.accept(t)
				w.fault(t, once(simulator.Effect{Status: 500, Commit: simulator.CommitBefore}))
				w.fault(t, simulator.Fault{Match: onFind, Effect: test.effect})
				w.clock.advance(w.carry(t, a))
				left := w.ambiguousFor(t, a)
				for range 8 {
					if again := w.carry(t, a); again != test.again {
						t.Errorf("again in %s, not %s", again, test.again)
					}
					if got, want := w.state(t, a), (state{directory.Provisioning, 1, test.class, false}); got != want {
						t.Errorf("stands at %+v, not %+v", got, want)
					}
					if got := w.ambiguousFor(t, a); got != left {
						t.Errorf("in quarantine for %s, not %s", got, left)
					}
					w.clock.advance(test.again)
					left -= test.again
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
