package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestUsesAreWrittenAllAtOnceAndNotOneByOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		var opened []session.Opened
		for _, address := range numbered(20) {
			w.identity = w.invite(t, address)
			opened = append(opened, w.open(t, session.Browser))
		}
		begun := w.clock.now().Truncate(time.Microsecond)
		w.clock.advance(time.Minute)
		for _, o := range opened[1:] {
			w.recognised(t, o.Token)
		}
		for _, o := range opened {
			if at := w.storedLastSeen(t, o.Token); !at.Equal(begun) {
				t.Fatalf("a use was written by itself, at %s", at)
			}
		}
		w.sessions.Flush(t.Context())
		for _, o := range opened[1:] {
			if at := w.storedLastSeen(t, o.Token); !at.Equal(begun.Add(time.Minute)) {
				t.Errorf("written as last seen at %s", at)
			}
		}
		if at := w.storedLastSeen(t, opened[0].Token); !at.Equal(begun) {
			t.Errorf("a session that was not used is written as last seen at %s", at)
		}
		if w.db.Dialect() == store.Postgres {
			// xmin names the transaction that wrote a row.
			n := count(t, w.db.SQL(), `SELECT count(DISTINCT xmin::text) FROM sessions WHERE last_seen_at > created_at`)
			if n != 1 {
				t.Errorf("they were written in %d transactions", n)
			}
		}
	})
}

func TestTheLastUseNeverMovesBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		behind := w.replica(w.sessions.Log)
		if _, _, err := behind.Recognise(t.Context(), opened.Token); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(time.Minute)
		w.recognised(t, opened.Token)
		latest := w.clock.now().Truncate(time.Microsecond)
		w.sessions.Flush(t.Context())
		behind.Flush(t.Context())
		if at := w.storedLastSeen(t, opened.Token); !at.Equal(latest) {
			t.Errorf("last seen at %s, not %s", at, latest)
		}
		// Nor in memory, where two requests may overtake each other.
		w.clock.advance(-30 * time.Second)
		w.recognised(t, opened.Token)
		w.clock.advance(30*time.Second + idle - time.Microsecond)
		w.recognised(t, opened.Token)
	})
}

func TestAUseCountsBeforeItIsWrittenAndWhileItIs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		slow := &held{Store: w.store, begun: make(chan struct{}), end: make(chan struct{})}
		w.sessions.Store = slow
		opened := w.open(t, session.Browser)
		w.clock.advance(idle - time.Second)
		w.recognised(t, opened.Token)
		w.clock.advance(2 * time.Second)
		w.recognised(t, opened.Token)
		var flush sync.WaitGroup
		flush.Go(func() { w.sessions.Flush(t.Context()) })
		<-slow.begun
		w.recognised(t, opened.Token)
		close(slow.end)
		flush.Wait()
		w.recognised(t, opened.Token)
	})
}

// held is the store with a write that takes until it is let go.
type held struct {
	*store.Store

	begun, end chan struct{}
}

// TouchSessions waits for its end before it writes.
func (h *held) TouchSessions(ctx context.Context, seen map[session.ID]time.Time) ([]session.ID, error) {
	close(h.begun)
	<-h.end
	return h.Store.TouchSessions(ctx, seen)
}

func TestWhatCannotBeWrittenIsKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened, other := w.open(t, session.Browser), w.open(t, session.Native)
		w.clock.advance(time.Minute)
		w.recognised(t, opened.Token)
		first := w.clock.now().Truncate(time.Microsecond)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		w.sessions.Flush(ended)
		w.sessions.Flush(ended)
		if at := w.storedLastSeen(t, opened.Token); at.Equal(first) {
			t.Fatal("the write did not fail")
		}
		w.clock.advance(time.Minute)
		w.recognised(t, other.Token)
		w.sessions.Flush(t.Context())
		if at := w.storedLastSeen(t, opened.Token); !at.Equal(first) {
			t.Errorf("kept as last seen at %s, not %s", at, first)
		}
		if at := w.storedLastSeen(t, other.Token); !at.Equal(first.Add(time.Minute)) {
			t.Errorf("beside it, last seen at %s", at)
		}
	})
}

func TestAUseIsWrittenLaterWhereSomebodyHasTheRowLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t))
	opened := w.open(t, session.Browser)
	w.clock.advance(time.Minute)
	w.recognised(t, opened.Token)
	used := w.clock.now().Truncate(time.Microsecond)
	tx, err := w.db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), `SELECT FROM sessions FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.sessions.Flush(t.Context())
	}
	if at := w.storedLastSeen(t, opened.Token); !at.Equal(opened.Session.LastSeenAt) {
		t.Fatalf("it was not locked: last seen at %s", at)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	w.sessions.Flush(t.Context())
	if at := w.storedLastSeen(t, opened.Token); !at.Equal(used) {
		t.Errorf("last seen at %s, not %s", at, used)
	}
}

func TestRunWritesOnceMoreWhenItEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		w.clock.advance(time.Minute)
		w.recognised(t, opened.Token)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.sessions.Run(ctx)
		if at := w.storedLastSeen(t, opened.Token); !at.Equal(w.clock.now().Truncate(time.Microsecond)) {
			t.Errorf("last seen at %s", at)
		}
	})
}

// SQLite works inside the goroutine that asks, so its time may be a bubble's.
func TestRunWritesEveryFewSeconds(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.sessions.Run(ctx) })
		for range 3 {
			w.clock.advance(time.Minute)
			w.recognised(t, opened.Token)
			<-time.After(5*time.Second + time.Millisecond)
			synctest.Wait()
			if at := w.storedLastSeen(t, opened.Token); !at.Equal(w.clock.now().Truncate(time.Microsecond)) {
				t.Errorf("last seen at %s, not %s", at, w.clock.now())
			}
		}
		cancel()
		running.Wait()
		if _, _, err := w.sessions.Recognise(ctx, opened.Token); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
}
