package signup

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// LongestWait bounds a long poll.
	LongestWait = 25 * time.Second
	// LongestPreference bounds how long a sign-up's own answer may be held.
	LongestPreference = 10 * time.Second

	// lookEvery is the time between two looks for all who wait.
	lookEvery = 200 * time.Millisecond
	// mostWaiting bounds the requests that are held at once; beyond it they
	// are answered as things stand.
	mostWaiting = 4096
)

// waiting are the long polls under way: one look at the database serves all.
type waiting struct {
	mu      sync.Mutex
	tickets map[*ticket]struct{}
	stopped bool
	wake    chan struct{}
}

// ticket is one request that waits.
type ticket struct {
	hash Hash
	from Status
	news chan Record // gets the record once its status is another
}

// Wait returns the sign-up as soon as its status is not from, or when the time
// is over, or at once if nothing will change. It returns ErrNotFound, or
// directory.ErrUnavailable.
func (s *Service) Wait(ctx context.Context, receipt Receipt, from Status, limit time.Duration) (Signup, error) {
	current, err := s.Status(ctx, receipt)
	if err != nil || limit <= 0 || current.Status != from || current.Status.final() {
		return current, err
	}
	hash, err := receipt.Hash()
	if err != nil {
		return Signup{}, err
	}
	t := &ticket{hash: hash, from: from, news: make(chan Record, 1)}
	if !s.waiting.add(t) {
		return current, nil
	}
	defer s.waiting.remove(t)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case record, ok := <-t.news:
		if !ok { // the program stops
			return current, nil
		}
		return s.shown(receipt, record), nil
	case <-timer.C:
		return current, nil
	case <-ctx.Done():
		return current, ctx.Err()
	}
}

// Run looks after those who wait until ctx ends, and then sends them home.
func (s *Service) Run(ctx context.Context) {
	defer s.waiting.stop()
	wake := s.waiting.alarm()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if s.waiting.none() {
			select {
			case <-ctx.Done():
				return
			case <-wake:
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.look(ctx)
		}
	}
}

// look tells each who waits of a status that has changed. When the database is
// away they wait on.
func (s *Service) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	hashes := s.waiting.hashes()
	if len(hashes) == 0 {
		return
	}
	records, err := s.Store.FindSignups(ctx, hashes)
	if err != nil {
		return
	}
	now := s.Now()
	s.waiting.tell(func(t *ticket) (Record, bool) {
		record, ok := records[t.hash]
		return record, ok && record.status(now) != t.from
	})
}

func (w *waiting) alarm() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wake == nil {
		w.wake = make(chan struct{}, 1)
	}
	return w.wake
}

func (w *waiting) add(t *ticket) bool {
	wake := w.alarm()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || len(w.tickets) >= mostWaiting {
		return false
	}
	if w.tickets == nil {
		w.tickets = make(map[*ticket]struct{})
	}
	w.tickets[t] = struct{}{}
	select {
	case wake <- struct{}{}:
	default:
	}
	return true
}

func (w *waiting) remove(t *ticket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tickets, t)
}

func (w *waiting) none() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.tickets) == 0
}

func (w *waiting) hashes() []Hash {
	w.mu.Lock()
	defer w.mu.Unlock()
	distinct := make(map[Hash]struct{}, len(w.tickets))
	for t := range w.tickets {
		distinct[t.hash] = struct{}{}
	}
	return slices.Collect(maps.Keys(distinct))
}

// tell gives their record to those who have news, once.
func (w *waiting) tell(news func(*ticket) (Record, bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.tickets {
		if record, ok := news(t); ok {
			t.news <- record // has room for the one
			delete(w.tickets, t)
		}
	}
}

// stop lets nobody wait any more.
func (w *waiting) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for t := range w.tickets {
		close(t.news)
		delete(w.tickets, t)
	}
}
