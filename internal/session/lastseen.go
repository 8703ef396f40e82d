package session

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// flushEvery is how far last_seen_at in the database may lag behind. It is
// short against any idle end worth having.
const flushEvery = 5 * time.Second

// maxSeen bounds the sessions remembered between two writes. Beyond it the
// oldest news is kept and later ones wait for the next use.
const maxSeen = 100_000

// lastSeen gathers the uses of sessions, so that a use costs no write of its
// own: one statement writes all of them.
type lastSeen struct {
	write sync.Mutex // held for a whole write; there is one at a time

	mu    sync.Mutex
	times map[ID]time.Time // not yet written
	// taken is what the last write took. It counts until the next one: a
	// look-up that is under way meanwhile may have read the row before it.
	taken map[ID]time.Time
}

// note remembers that the session was used.
func (l *lastSeen) note(id ID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteLocked(id, at)
}

func (l *lastSeen) noteLocked(id ID, at time.Time) {
	if l.times == nil {
		l.times = make(map[ID]time.Time)
	}
	if known, ok := l.times[id]; ok && at.After(known) || !ok && len(l.times) < maxSeen {
		l.times[id] = at
	}
}

// at returns when the session was last used, as far as that is remembered.
func (l *lastSeen) at(id ID) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.times[id]; ok {
		return at, true
	}
	at, ok := l.taken[id]
	return at, ok
}

// take returns what is to be written.
func (l *lastSeen) take() map[ID]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken, l.times = l.times, nil
	return l.taken
}

// giveBack keeps what could not be written for the next time.
func (l *lastSeen) giveBack(ids iter.Seq[ID]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range ids {
		l.noteLocked(id, l.taken[id])
	}
}

// Run writes what has been seen every few seconds, and once more when ctx
// ends, before it returns.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flushLast(ctx)
			return
		case <-ticker.C:
			s.Flush(ctx)
		}
	}
}

// flushLast writes what has been seen although ctx has ended.
func (s *Service) flushLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushEvery)
	defer cancel()
	s.Flush(ctx)
}

// Flush writes what has been seen. What cannot be written is kept for the
// next time.
func (s *Service) Flush(ctx context.Context) {
	s.seen.write.Lock()
	defer s.seen.write.Unlock()
	seen := s.seen.take()
	if len(seen) == 0 {
		return
	}
	left, err := s.Store.TouchSessions(ctx, seen)
	if err != nil {
		s.seen.giveBack(maps.Keys(seen))
		s.Log.WarnContext(ctx, "sessions' last use was not written", slog.Int("sessions", len(seen)), slog.Any("error", err))
		return
	}
	s.seen.giveBack(slices.Values(left))
}
