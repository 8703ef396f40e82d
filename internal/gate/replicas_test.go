package gate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store/storetest"
)

// eachPair runs test over two replicas on one database, of both dialects.
func eachPair(t *testing.T, perMinute int, test func(t *testing.T, w *world, a, b *replica)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, 2, perMinute)
		test(t, w, w.replicas[0], w.replicas[1])
	})
}

func TestAClosureByOneReplicaHoldsForAll(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		calls   []error
		because gate.Reason
		until   time.Duration
		level   string
	}{
		"five failures in a row, counted together": {
			[]error{
				failure(beyondidentity.Ambiguous), failure(beyondidentity.Unreachable), failure(beyondidentity.Ambiguous),
				errors.New("of unknown origin"), context.DeadlineExceeded,
			}, gate.Failing, time.Second, "level=WARN",
		},
		"a 429 that says for how long":  {[]error{rateLimited(7 * time.Second)}, gate.RateLimited, 7 * time.Second, "level=WARN"},
		"a 429 that does not":           {[]error{rateLimited(0)}, gate.RateLimited, 10 * time.Second, "level=WARN"},
		"a 401":                         {[]error{failure(beyondidentity.Unauthorized)}, gate.Unauthorized, time.Minute, "level=ERROR"},
		"an address that is not an API": {[]error{failure(beyondidentity.Misconfigured)}, gate.Misconfigured, time.Minute, "level=ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachPair(t, 0, func(t *testing.T, w *world, a, b *replica) {
				for i, err := range test.calls {
					w.replicas[i%2].call(t, err)
				}
				for _, r := range w.replicas {
					r.refused(t, gate.Signup, test.because)
					want := w.clock.now().Truncate(time.Microsecond)
					if s := r.state(t); s.Open() || !s.Since.Equal(want) || !s.Until.Equal(want.Add(test.until)) {
						t.Errorf("state %+v", s)
					}
				}
				if all := a.log.String() + b.log.String(); strings.Count(all, "\n") != 1 || !strings.Contains(all, test.level) {
					t.Errorf("logged %s", all)
				}
				w.clock.advance(test.until - time.Microsecond)
				b.refused(t, gate.Signup, test.because)
				w.clock.advance(time.Microsecond)
				probe := b.admitted(t, gate.Reconcile)
				a.refused(t, gate.Signup, test.because)
				probe.Done(t.Context(), nil)
				a.call(t, nil)
				if s := a.state(t); !s.Open() || s.Failures != 0 || s.Closures != 0 || s.RefusedToken != "" {
					t.Errorf("state %+v", s)
				}
				if !strings.Contains(b.log.String(), `level=INFO msg="provider is back" because=`+string(test.because)) {
					t.Errorf("logged %s", b.log)
				}
			})
		})
	}
}

func TestAnAnswerBetweenFailuresStartsTheCountAgain(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, _ *world, a, b *replica) {
		for _, answer := range []error{
			nil, failure(beyondidentity.NotFound), failure(beyondidentity.Conflict),
			failure(beyondidentity.Rejected), failure(beyondidentity.Duplicate),
		} {
			for range 2 {
				a.call(t, failure(beyondidentity.Ambiguous))
				b.call(t, failure(beyondidentity.Unreachable))
			}
			b.call(t, answer)
			if s := a.state(t); !s.Open() || s.Failures != 0 {
				t.Fatalf("after %v: %+v", answer, s)
			}
		}
	})
}

func TestWhatWeGaveUpOurselvesProvesNothing(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, _ *world, a, b *replica) {
		for range 4 {
			a.call(t, failure(beyondidentity.Ambiguous))
		}
		a.admitted(t, gate.Signup).Unused(t.Context())
		for _, err := range []error{
			context.Canceled,
			&beyondidentity.Error{Class: beyondidentity.Ambiguous, Err: context.Canceled},
			&beyondidentity.Error{Class: beyondidentity.Rejected}, // nothing was sent
		} {
			a.call(t, err)
		}
		if s := b.state(t); !s.Open() || s.Failures != 4 {
			t.Errorf("state %+v", s)
		}
	})
}

func TestAProbeThatIsGivenUpLetsAnotherPass(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, w *world, a, b *replica) {
		a.call(t, rateLimited(time.Second))
		w.clock.advance(time.Second)
		probe := a.admitted(t, gate.Signup)
		b.refused(t, gate.Signup, gate.RateLimited)
		probe.Unused(t.Context())
		lost := b.admitted(t, gate.Signup)
		a.refused(t, gate.Signup, gate.RateLimited)
		w.clock.advance(15*time.Second - time.Microsecond)
		a.refused(t, gate.Signup, gate.RateLimited)
		w.clock.advance(time.Microsecond)
		second := a.admitted(t, gate.Signup) // the other's process has died, it seems
		lost.Unused(t.Context())
		b.refused(t, gate.Signup, gate.RateLimited)
		// It was only slow, and is as good a proof as the second.
		lost.Done(t.Context(), nil)
		b.call(t, nil)
		second.Done(t.Context(), nil)
	})
}

func TestExactlyOneOfManyMakesTheProbe(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 600} {
		t.Run(fmt.Sprintf("%d a minute", perMinute), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Postgres(t), 2, perMinute)
			w.replicas[0].call(t, rateLimited(time.Minute))
			for round := range 10 {
				w.clock.advance(time.Minute)
				var probes atomic.Int32
				var callers sync.WaitGroup
				for i := range 50 {
					callers.Go(func() {
						permit, err := w.replicas[i%2].Admit(t.Context(), gate.Signup)
						if err == nil {
							probes.Add(1)
							permit.Done(t.Context(), rateLimited(time.Minute))
							return
						}
						if closed, ok := errors.AsType[*gate.ClosedError](err); !ok || closed.Because != gate.RateLimited {
							t.Error(err)
						}
					})
				}
				callers.Wait()
				if probes.Load() != 1 {
					t.Errorf("round %d: %d probes", round, probes.Load())
				}
			}
		})
	}
}

func TestTheBreakerOpensOnceInAStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t), 2, 0)
	var permits []gate.Permit
	for i := range 64 {
		permits = append(permits, w.replicas[i%2].admitted(t, gate.Signup))
	}
	var callers sync.WaitGroup
	for _, permit := range permits {
		callers.Go(func() { permit.Done(t.Context(), failure(beyondidentity.Ambiguous)) })
	}
	callers.Wait()
	// The 59 that were under way add nothing.
	s := w.replicas[0].state(t)
	if s.Because != gate.Failing || s.Closures != 1 || s.Until.Sub(s.Since) != time.Second {
		t.Errorf("state %+v", s)
	}
	for i, seconds := range []int{2, 4, 8, 16, 30, 30} {
		w.clock.advance(w.replicas[0].state(t).Until.Sub(w.clock.now().Truncate(time.Microsecond)))
		w.replicas[i%2].call(t, failure(beyondidentity.Ambiguous))
		if s := w.replicas[0].state(t); s.Until.Sub(w.clock.now().Truncate(time.Microsecond)) != time.Duration(seconds)*time.Second {
			t.Errorf("after probe %d: %+v", i, s)
		}
	}
}

func TestALateAnswerDoesNotOpenTheGate(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, w *world, a, b *replica) {
		early, other := a.admitted(t, gate.Signup), a.admitted(t, gate.Signup)
		b.call(t, rateLimited(time.Minute))
		early.Done(t.Context(), nil)
		before := b.state(t)
		other.Done(t.Context(), rateLimited(time.Second))
		if after := b.state(t); after != before || after.Open() {
			t.Errorf("from %+v to %+v", before, after)
		}
		// Nor does a probe's, if the gate was closed for longer meanwhile.
		slow := b.admittedAfter(t, w, time.Minute)
		again := a.admittedAfter(t, w, 15*time.Second)
		again.Done(t.Context(), rateLimited(time.Hour))
		slow.Done(t.Context(), nil)
		a.refused(t, gate.Signup, gate.RateLimited)
	})
}

func TestALate429ProlongsTheClosure(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, w *world, a, b *replica) {
		late, latest := a.admitted(t, gate.Signup), a.admitted(t, gate.Signup)
		for range 5 {
			b.call(t, failure(beyondidentity.Unreachable))
		}
		probe := b.admittedAfter(t, w, time.Second)
		late.Done(t.Context(), rateLimited(time.Minute))
		probe.Done(t.Context(), nil) // it was sent before that
		w.clock.advance(time.Minute - time.Microsecond)
		b.refused(t, gate.Signup, gate.RateLimited)
		// And a refused token matters more than either.
		latest.Done(t.Context(), failure(beyondidentity.Unauthorized))
		b.refused(t, gate.Signup, gate.Unauthorized)
	})
}

func TestWhatFailsLateDoesNotShortenAClosureNorCountAsOne(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, w *world, a, b *replica) {
		var late []gate.Permit
		for range 10 {
			late = append(late, a.admitted(t, gate.Signup))
		}
		b.call(t, rateLimited(0))
		for _, permit := range late[:8] {
			permit.Done(t.Context(), rateLimited(0))
		}
		now := w.clock.now().Truncate(time.Microsecond)
		if s := b.state(t); s.Closures != 1 || s.Until.Sub(now) != 10*time.Second {
			t.Errorf("state %+v", s)
		}
		late[8].Done(t.Context(), rateLimited(time.Hour))
		late[9].Done(t.Context(), failure(beyondidentity.Unauthorized))
		if s := b.state(t); s.Because != gate.Unauthorized || s.Until.Sub(now) != time.Hour {
			t.Errorf("state %+v", s)
		}
	})
}

// admittedAfter advances the clock first.
func (r *replica) admittedAfter(t *testing.T, w *world, d time.Duration) gate.Permit {
	t.Helper()
	w.clock.advance(d)
	return r.admitted(t, gate.Signup)
}

func TestAClockThatWasAheadDoesNotCloseTheGateForEver(t *testing.T) {
	t.Parallel()
	eachPair(t, 60, func(t *testing.T, w *world, a, b *replica) {
		ahead := newClock()
		ahead.advance(1000 * time.Hour)
		a.Now = ahead.now
		a.call(t, nil)
		b.call(t, nil)
		b.refused(t, gate.Signup, gate.OverBudget) // the bucket counts as full, and no more
		w.clock.advance(2 * time.Second)
		b.call(t, nil)
		a.call(t, rateLimited(time.Hour))
		w.clock.advance(time.Minute)
		b.call(t, nil)
		if s := b.state(t); !s.Open() {
			t.Errorf("state %+v", s)
		}
	})
}

func TestADatabaseThatIsAwayIsNotAClosedGate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		for _, perMinute := range []int{0, 60} {
			r := newWorld(t, databaseURL, 1, perMinute).replicas[0]
			permit := r.admitted(t, gate.Signup)
			if err := r.db.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Admit(t.Context(), gate.Signup); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("admit: %v", err)
			}
			if _, err := r.State(t.Context()); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("state: %v", err)
			}
			permit.Done(t.Context(), nil)
			if !strings.Contains(r.log.String(), "outcome of a call to the provider was not recorded") {
				t.Errorf("logged %s", r.log)
			}
		}
	})
}

func TestAnOutcomeIsRecordedAlthoughItsContextHasEnded(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, _ *world, a, b *replica) {
		permit := a.admitted(t, gate.Signup)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		permit.Done(ctx, rateLimited(time.Minute))
		b.refused(t, gate.Signup, gate.RateLimited)
	})
}

// counted counts the statements that a store is asked for.
type counted struct {
	gate.Store
	statements int
}

func (c *counted) LoadGate(ctx context.Context) (gate.State, error) {
	c.statements++
	return c.Store.LoadGate(ctx)
}

func (c *counted) DrawCall(ctx context.Context, draw gate.Draw) (bool, error) {
	c.statements++
	return c.Store.DrawCall(ctx, draw)
}

func (c *counted) SwapGate(ctx context.Context, from, to gate.State) (bool, error) {
	c.statements++
	return c.Store.SwapGate(ctx, from, to)
}

func TestACallThatPassesIsOneStatementBeforeItAndOneAfterIt(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 60} {
		r := newWorld(t, storetest.SQLite(t), 1, perMinute).replicas[0]
		statements := &counted{Store: r.Store}
		r.Store = statements
		permit := r.admitted(t, gate.Signup)
		if statements.statements != 1 {
			t.Errorf("%d statements to let it pass", statements.statements)
		}
		permit.Done(t.Context(), nil)
		if statements.statements != 2 {
			t.Errorf("%d statements with what came of it", statements.statements)
		}
	}
}
