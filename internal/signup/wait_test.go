package signup_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

// watched is a store whose look-ups for those who wait are counted, and can
// fail.
type watched struct {
	signup.Store

	away    atomic.Bool
	looks   atomic.Int64
	waiting atomic.Int64 // how many sign-ups the last look was for
	last    atomic.Pointer[[]signup.Hash]
}

// lastHas reports whether the last look was for the receipt too.
func (w *watched) lastHas(receipt signup.Receipt) bool {
	hash, err := receipt.Hash()
	last := w.last.Load()
	return err == nil && last != nil && slices.Contains(*last, hash)
}

// FindSignups counts, and asks the store.
func (w *watched) FindSignups(ctx context.Context, hashes []signup.Hash) (map[signup.Hash]signup.Record, error) {
	w.looks.Add(1)
	w.waiting.Store(int64(len(hashes)))
	w.last.Store(&hashes)
	if w.away.Load() {
		return nil, directory.ErrUnavailable
	}
	return w.Store.FindSignups(ctx, hashes)
}

// watch runs the service until stop is called or the test ends.
func (w *world) watch() (looks *watched, stop func()) {
	w.t.Helper()
	looks = &watched{Store: w.store}
	w.Store = looks
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	w.t.Cleanup(stop)
	return looks, stop
}

// start waits in the background.
func (w *world) start(ctx context.Context, receipt signup.Receipt, from signup.Status, limit time.Duration) <-chan outcome {
	answer := make(chan outcome, 1)
	go func() {
		got, err := w.Wait(ctx, receipt, from, limit)
		answer <- outcome{got, err}
	}()
	return answer
}

// soon is what comes before the wait would have been over by itself.
func soon(t *testing.T, answer <-chan outcome) outcome {
	t.Helper()
	select {
	case o := <-answer:
		return o
	case <-time.After(await.Patience):
		t.Fatal("it waits on")
		return outcome{}
	}
}

const long = time.Hour

func TestAWaitEndsWhenTheStatusMoves(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		looks, _ := w.watch()
		receipt := w.accept("anna@example.com").Receipt
		moves := []struct {
			from, to signup.Status
			move     func()
		}{
			{signup.Received, signup.Invited, func() {
				w.settle(moment)
				w.clock.advance(time.Second)
			}},
			{signup.Invited, signup.Active, func() {
				w.exec(`UPDATE users SET status = 'active', internal_id = 'int', activated_at = $1`, rounded.Add(time.Second))
			}},
		}
		for _, m := range moves {
			answer := w.start(t.Context(), receipt, m.from, long)
			before := looks.looks.Load()
			await.True(t, "somebody looks twice", func() bool { return looks.looks.Load() >= before+2 })
			select {
			case early := <-answer:
				t.Fatalf("without news it ends with %+v", early)
			default:
			}
			m.move()
			if got := soon(t, answer); got.err != nil || got.got.Status != m.to || got.got.Receipt != receipt {
				t.Errorf("from %s: %+v", m.from, got)
			}
		}
	})
}

func TestAWaitThatIsForNothingEndsAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL) // and nobody looks: a wait would last
		receipt := w.accept("anna@example.com").Receipt
		now := func(name string, from, want signup.Status, limit time.Duration) {
			t.Helper()
			if got := soon(t, w.start(t.Context(), receipt, from, limit)); got.err != nil || got.got.Status != want {
				t.Errorf("%s: %+v", name, got)
			}
		}
		now("no time", signup.Received, signup.Received, 0)
		now("less than no time", signup.Received, signup.Received, -time.Second)
		now("it stands elsewhere", signup.Invited, signup.Received, long)
		w.settle(moment)
		w.clock.advance(time.Second)
		now("it has moved", signup.Received, signup.Invited, long)
		w.exec(`UPDATE users SET status = 'failed'`)
		now("it has failed for good", signup.Failed, signup.Failed, long)
		w.exec(`UPDATE users SET status = 'active', internal_id = 'int', activated_at = $1`, rounded.Add(time.Second))
		now("it is active for good", signup.Active, signup.Active, long)
		if _, err := w.Wait(t.Context(), "Az-_0Az-_0Az-_0Az-_0AQ", signup.Received, long); !errors.Is(err, signup.ErrNotFound) {
			t.Error(err)
		}
		if _, err := w.Wait(t.Context(), "what?", signup.Received, long); !errors.Is(err, signup.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestAWaitEndsWithItsTimeOrItsRequest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		looks, _ := w.watch()
		receipt := w.accept("anna@example.com").Receipt
		begun := time.Now()
		got := soon(t, w.start(t.Context(), receipt, signup.Received, 300*time.Millisecond))
		if took := time.Since(begun); got.err != nil || got.got.Status != signup.Received || took < 300*time.Millisecond {
			t.Errorf("after %s: %+v", took, got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		answer := w.start(ctx, receipt, signup.Received, long)
		before := looks.looks.Load()
		await.True(t, "somebody looks", func() bool { return looks.looks.Load() > before })
		cancel()
		if got := soon(t, answer); !errors.Is(got.err, context.Canceled) {
			t.Errorf("given up: %+v", got)
		}
		// Who has gone is not looked for.
		other := w.accept("bert@example.com").Receipt
		next := w.start(t.Context(), other, signup.Received, long)
		await.True(t, "only the other is looked for", func() bool { return looks.waiting.Load() == 1 && looks.lastHas(other) })
		w.settle(moment)
		w.clock.advance(time.Second)
		if got := soon(t, next); got.err != nil || got.got.Status != signup.Invited {
			t.Errorf("the other: %+v", got)
		}
	})
}

func TestOneLookServesAllWhoWait(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		const crowd, each = 60, 3
		receipts := make([]signup.Receipt, crowd)
		for i := range receipts {
			receipts[i] = w.accept("anna@example.com").Receipt
		}
		looks, _ := w.watch()
		var answers []<-chan outcome
		for range each {
			for _, receipt := range receipts {
				answers = append(answers, w.start(t.Context(), receipt, signup.Received, long))
			}
		}
		await.True(t, "everybody waits", func() bool { return looks.waiting.Load() == crowd })
		before, begun := looks.looks.Load(), time.Now()
		await.True(t, "somebody looks", func() bool { return looks.looks.Load() >= before+3 })
		// A ticker may be late, and is never early.
		if n, took := looks.looks.Load()-before, time.Since(begun); n > int64(took/(200*time.Millisecond))+2 {
			t.Errorf("%d looks in %s", n, took)
		}
		w.settle(moment)
		w.clock.advance(time.Second)
		for _, answer := range answers {
			if got := soon(t, answer); got.err != nil || got.got.Status != signup.Invited {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestWhoWaitsIsSentHomeWhenTheProgramStops(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.accept("anna@example.com").Receipt
		looks, stop := w.watch()
		var answers []<-chan outcome
		for range 20 {
			answers = append(answers, w.start(t.Context(), receipt, signup.Received, long))
		}
		await.True(t, "somebody waits", func() bool { return looks.waiting.Load() == 1 })
		stop()
		answers = append(answers, w.start(t.Context(), receipt, signup.Received, long)) // who comes too late does not wait
		for _, answer := range answers {
			if got := soon(t, answer); got.err != nil || got.got.Status != signup.Received || got.got.Receipt != receipt {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestAnOutageOfTheDatabaseIsWaitedOut(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.accept("anna@example.com").Receipt
		looks, _ := w.watch()
		looks.away.Store(true)
		answer := w.start(t.Context(), receipt, signup.Received, long)
		await.True(t, "somebody looks twice", func() bool { return looks.looks.Load() >= 2 })
		w.settle(moment)
		w.clock.advance(time.Second)
		looks.away.Store(false)
		if got := soon(t, answer); got.err != nil || got.got.Status != signup.Invited {
			t.Errorf("%+v", got)
		}
	})
}

// TestMoreThanAreHeldAtOnceAreAnsweredAsThingsStand is a flood of long polls
// (CWE-770).
func TestMoreThanAreHeldAtOnceAreAnsweredAsThingsStand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t))
	receipt := w.accept("anna@example.com").Receipt
	const most = 4096
	ctx, cancel := context.WithCancel(t.Context())
	var held, answered atomic.Int64
	var all sync.WaitGroup
	for range most + 10 {
		all.Go(func() {
			got, err := w.Wait(ctx, receipt, signup.Received, long)
			switch {
			case err == nil && got.Status == signup.Received:
				answered.Add(1)
			case errors.Is(err, context.Canceled):
				held.Add(1)
			default:
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	await.True(t, "ten are answered", func() bool { return answered.Load() == 10 })
	cancel()
	all.Wait()
	if held.Load() != most {
		t.Errorf("%d were held", held.Load())
	}
}
