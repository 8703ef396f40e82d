package session

import (
	"context"
	"log/slog"
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
	mu    sync.Mutex
	times map[ID]time.Time
}

// note remembers that the session was used.
func (l *lastSeen) note(id ID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times == nil {
		l.times = make(map[ID]time.Time)
	}
	if _, ok := l.times[id]; ok || len(l.times) < maxSeen {
		l.times[id] = at
	}
}

// at returns when the session was last used, if that is not yet written.
func (l *lastSeen) at(id ID) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.times[id]
	return at, ok
}

// take empties the memory.
func (l *lastSeen) take() map[ID]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := l.times
	l.times = nil
	return times
}

// Run writes what has been seen every few seconds, and once more when ctx
// ends, before it returns.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushEvery)
			defer cancel()
			s.Flush(last)
			return
		case <-ticker.C:
			s.Flush(ctx)
		}
	}
}

// Flush writes what has been seen. What cannot be written is kept for the
// next time.
func (s *Service) Flush(ctx context.Context) {
	seen := s.seen.take()
	if len(seen) == 0 {
		return
	}
	if err := s.Store.TouchSessions(ctx, seen); err != nil {
		s.Log.WarnContext(ctx, "sessions' last use was not written", slog.Int("sessions", len(seen)), slog.Any("error", err))
		for id, at := range seen {
			if _, newer := s.seen.at(id); !newer {
				s.seen.note(id, at)
			}
		}
	}
}
