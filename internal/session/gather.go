package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

const (
	// lanes is how many queries may be under way while the database is quick.
	// The fewer there are, the larger are the batches, and the less work are
	// they; but one alone leaves processors idle, here and at the database,
	// whenever it is held up.
	lanes = 3
	// worthwhile is how many must wait, for each lane at work, before another
	// one is taken. With fewer, queries are much of the work; by the time that
	// there are so many, the one under way has mostly been answered.
	worthwhile = 16
	// slow is after how long a query holds up those who wait for it: the next
	// who comes takes another lane, and takes them along. Then there may be
	// maxLanes.
	slow     = 5 * time.Millisecond
	maxLanes = 4
	// maxBatch bounds one query, so that nobody waits for an endless one.
	maxBatch = 256
	// maxQueue bounds those who wait for a lane. It is some tenths of a second
	// of work: whoever came later would hardly get an answer in time.
	maxQueue = 4096
	// batchLimit bounds one query in time. It must not be a request's, which
	// may end at any moment. With maxQueue and maxBatch it bounds how long
	// anybody waits for a lane, too.
	batchLimit = 2 * time.Second
	// aloneLimit bounds the second look-up of whoever was in a batch that
	// failed, unless the request's own end comes first.
	aloneLimit = 10 * time.Second
)

// Found is a stored session with its user, and the hash that it was found by.
type Found struct {
	Hash    Hash
	User    directory.User
	Session Session
}

// gatherer answers look-ups that come at the same time with one query. There
// is no timer in it: whoever finds nobody at work makes the query at once.
// Those that come while a query is under way wait, and the next is for all of
// them: when that one is answered, or when enough of them are there. So batches
// grow with the load by themselves. Its zero value is ready.
//
// Who waits can leave at any time. Who makes a query stays until it is
// answered, even if the request has ended meanwhile: to cut a query off costs
// its connection, and clients that hang up must not be able to cause that.
//
// It remembers nothing. A look-up takes part only in queries that begin after
// it, so a revocation that has been committed is in its answer.
type gatherer struct {
	mu    sync.Mutex
	busy  int       // lanes at work
	begun time.Time // when the latest query began
	queue []*lookUp
}

// lookUp is one request's.
type lookUp struct {
	hash   Hash
	answer chan answer // takes one without waiting, for nobody may be there
}

// answer is what a query says of one hash: nil if there is no such session.
type answer struct {
	found *Found
	err   error
}

// find returns the session with this hash, if this kind of client carries it.
// It returns ErrUnknown when there is none, directory.ErrUnavailable, or
// context.Canceled when that is how ctx has ended.
func (s *Service) find(ctx context.Context, hash Hash, client Client) (*Found, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx)
	}
	l := &lookUp{hash: hash, answer: make(chan answer, 1)}
	batch, ok := s.enter(l)
	if !ok {
		return nil, fmt.Errorf("%w: %d look-ups are waiting already", directory.ErrUnavailable, maxQueue)
	}
	if len(batch) > 0 {
		s.lead(batch) //nolint:contextcheck // a query for many must not end with the request of one
	}
	var got answer
	select {
	case got = <-l.answer:
	case <-ctx.Done():
		s.gather.leave(l)
		return nil, gaveUp(ctx)
	}
	if got.err != nil {
		// What made the query fail may have been another's, or is over now:
		// a connection that had died unnoticed, say.
		ctx, cancel := context.WithTimeout(ctx, aloneLimit)
		defer cancel()
		alone := ask(ctx, s.Store, []Hash{hash})
		got = alone.of(hash)
	}
	switch {
	case got.err != nil:
		return nil, got.err
	case got.found == nil || got.found.Session.Client != client:
		return nil, ErrUnknown
	}
	return got.found, nil
}

// gaveUp is why somebody does not wait any longer.
func gaveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: no look-up in time: %w", directory.ErrUnavailable, ctx.Err())
	}
	return ctx.Err()
}

// enter puts the look-up into the queue. It reports false when that is full,
// and returns a batch if whoever has called it is to take a lane.
func (s *Service) enter(l *lookUp) (batch []*lookUp, ok bool) {
	g := &s.gather
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) >= maxQueue {
		return nil, false
	}
	g.queue = append(g.queue, l)
	if now := s.Now(); g.wantsLane(now) {
		g.busy++
		return g.take(now, nil), true
	}
	return nil, true
}

// wantsLane reports whether those who wait are better off with another query
// beside those under way.
func (g *gatherer) wantsLane(now time.Time) bool {
	return g.busy < lanes && len(g.queue) >= worthwhile*g.busy || g.busy < maxLanes && now.Sub(g.begun) > slow
}

// leave takes the look-up out of the queue, if it is still there.
func (g *gatherer) leave(l *lookUp) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.queue, l); i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
	}
}

// take takes those who wait out of the queue, the oldest first.
func (g *gatherer) take(now time.Time, into []*lookUp) []*lookUp {
	n := min(len(g.queue), maxBatch)
	into = append(into, g.queue[:n]...)
	g.queue = slices.Delete(g.queue, 0, n)
	g.begun = now
	return into
}

// next returns the lane's next batch, or frees the lane.
func (s *Service) next(done []*lookUp) []*lookUp {
	clear(done) // whoever has been answered is not to be kept alive
	g := &s.gather
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.busy--
		return nil
	}
	return g.take(s.Now(), done[:0])
}

// lead answers the batch and leaves those who have come meanwhile to a
// goroutine: whoever has called it has waited enough.
func (s *Service) lead(batch []*lookUp) {
	s.answer(batch)
	if batch = s.next(batch); len(batch) > 0 {
		go s.lane(batch)
	}
}

// lane answers the batch, and then those who have come meanwhile, until nobody
// has.
func (s *Service) lane(batch []*lookUp) {
	for len(batch) > 0 {
		s.answer(batch)
		batch = s.next(batch)
	}
}

// answer makes one query and tells everybody what it says of their hash, and of
// no other.
func (s *Service) answer(batch []*lookUp) {
	ctx, cancel := context.WithTimeout(context.Background(), batchLimit)
	defer cancel()
	hashes := make([]Hash, len(batch))
	for i, l := range batch {
		hashes[i] = l.hash
	}
	all := askSafely(ctx, s.Store, hashes)
	if all.err != nil {
		s.Log.WarnContext(ctx, "sessions were not found together and are looked up one by one",
			slog.Int("sessions", len(batch)), slog.Any("error", all.err))
	}
	for _, l := range batch {
		l.answer <- all.of(l.hash)
	}
}

// askSafely turns a panic into an error: in a lane it would end the process.
// Each request makes the query again by itself, where it ends that request.
func askSafely(ctx context.Context, store Store, hashes []Hash) (all answers) {
	defer func() {
		if p := recover(); p != nil {
			all = answers{err: fmt.Errorf("panic: %v", p)}
		}
	}()
	return ask(ctx, store, hashes)
}

// answers are what one query says.
type answers struct {
	found []Found
	next  int // in found, from where of looks
	err   error
}

// of returns the answer that belongs to the hash. A query mostly answers in the
// order in which it was asked, so that the next one is mostly the one: that is
// less than half the work of a map, which is made and thrown away each time.
func (a *answers) of(hash Hash) answer {
	for range a.found {
		candidate := &a.found[a.next]
		a.next = (a.next + 1) % len(a.found)
		if candidate.Hash == hash {
			return answer{found: candidate}
		}
	}
	return answer{err: a.err}
}

func ask(ctx context.Context, store Store, hashes []Hash) answers {
	found, err := store.FindSessions(ctx, hashes)
	if err != nil {
		return answers{err: err}
	}
	return answers{found: found}
}
