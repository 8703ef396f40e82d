package gate_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store/storetest"
)

// atMost fails the test where more calls than n were made within a minute.
func atMost(t *testing.T, n int, calls []time.Time) {
	t.Helper()
	for i := range calls {
		if i >= n && calls[i].Sub(calls[i-n]) < time.Minute {
			t.Fatalf("more than %d calls in the minute from %s", n, calls[i-n])
		}
	}
}

func TestNoMinuteHasMoreCallsThanTheBudget(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 2, 3, 7, 60, 200} {
		t.Run(fmt.Sprintf("%d a minute", perMinute), func(t *testing.T) {
			t.Parallel()
			eachPair(t, perMinute, func(t *testing.T, w *world, _, _ *replica) {
				// Two bursts after a pause, and as much as there is in between.
				var calls []time.Time
				const minutes = 2
				step := (20 * time.Second / time.Duration(perMinute)).Truncate(time.Microsecond)
				for at := time.Duration(0); at < minutes*time.Minute; at += step {
					for _, r := range w.replicas {
						if permit, err := r.Admit(t.Context(), gate.Signup); err == nil {
							calls = append(calls, w.clock.now())
							permit.Done(t.Context(), nil)
						}
					}
					w.clock.advance(step)
				}
				atMost(t, perMinute, calls)
				if perMinute > 2 && len(calls) < minutes*perMinute*8/10 {
					t.Errorf("only %d calls in %d minutes", len(calls), minutes)
				}
			})
		})
	}
}

func TestReplicasThatAskAtOnceShareOneBudget(t *testing.T) {
	t.Parallel()
	const perMinute = 200
	w := newWorld(t, storetest.Postgres(t), 2, perMinute)
	var calls []time.Time
	var mu sync.Mutex
	for range 8 {
		var callers sync.WaitGroup
		for i := range 64 {
			callers.Go(func() {
				_, err := w.replicas[i%2].Admit(t.Context(), gate.Signup)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					calls = append(calls, w.clock.now())
				} else if closed, ok := errors.AsType[*gate.ClosedError](err); !ok || closed.Because != gate.OverBudget {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		w.clock.advance(10 * time.Second)
	}
	atMost(t, perMinute, calls)
	if len(calls) != 8*perMinute/10 {
		t.Errorf("%d calls, not a burst every 10 s", len(calls))
	}
}

func TestALowerLaneTakesOnlyWhatTheHigherLeave(t *testing.T) {
	t.Parallel()
	eachPair(t, 60, func(t *testing.T, w *world, a, b *replica) {
		lanes := []gate.Lane{gate.Signup, gate.Resend, gate.Change, gate.Import, gate.Reconcile}
		for high, saturating := range lanes {
			for range 40 {
				for {
					if _, err := a.Admit(t.Context(), saturating); err != nil {
						break
					}
				}
				for _, lower := range lanes[high+1:] {
					b.refused(t, lower, gate.OverBudget)
				}
				w.clock.advance(370 * time.Millisecond)
			}
			// The lower lanes have left what it may take at once.
			w.clock.advance(time.Minute)
			n := 0
			for ; n < 60; n++ {
				if _, err := b.Admit(t.Context(), saturating); err != nil {
					break
				}
			}
			if want := []int{6, 4, 3, 2, 1}[high]; n != want {
				t.Errorf("lane %d may take %d at once, not %d", saturating, n, want)
			}
		}
		// Nobody else asks: the last lane has it all.
		n := 0
		for range 60 * 10 {
			if _, err := a.Admit(t.Context(), gate.Reconcile); err == nil {
				n++
			}
			w.clock.advance(100 * time.Millisecond)
		}
		if n < 50 {
			t.Errorf("an idle minute had %d calls for the last lane", n)
		}
	})
}

func TestThoseWhoWaitDoNotComeBackAtOnce(t *testing.T) {
	t.Parallel()
	eachPair(t, 600, func(t *testing.T, w *world, a, b *replica) {
		for range 60 {
			a.admitted(t, gate.Signup)
		}
		turns := make(map[time.Duration]int) // by the second
		var last time.Duration
		for range 1000 {
			wait := a.refused(t, gate.Signup, gate.OverBudget)
			turns[wait.Truncate(time.Second)]++
			last = max(last, wait)
		}
		if last > 61*time.Second {
			t.Errorf("the last of them waits for %s", last)
		}
		for second, n := range turns {
			if n > 20 {
				t.Errorf("%d come back after %s", n, second)
			}
		}
		if wait := a.refused(t, gate.Resend, gate.OverBudget); wait > 5*time.Second {
			t.Errorf("another lane waits behind them for %s", wait)
		}
		w.clock.advance(10 * time.Second)
		b.call(t, rateLimited(time.Hour))
		if wait := b.refused(t, gate.Signup, gate.RateLimited); wait != time.Hour {
			t.Errorf("the first that waits for the probe does so for %s", wait)
		}
		if wait := b.refused(t, gate.Signup, gate.RateLimited); wait <= time.Hour {
			t.Errorf("the second, too: %s", wait)
		}
	})
}
