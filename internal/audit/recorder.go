package audit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

// Bounds of a recorder.
const (
	waiting    = 1024             // events that are not written yet
	batch      = 100              // events of one transaction
	writeLimit = 10 * time.Second // for a transaction
	flushLimit = 10 * time.Second // for all that is left at the end
	retryAfter = time.Second      // while the database is away
)

// Store keeps events. It may return directory.ErrUnavailable.
type Store interface {
	WriteEvents(ctx context.Context, events []Event) error
}

// Recorder writes events that have no transaction of their own: refusals, which
// change nothing. Whoever records one never waits for it. Its fields are set
// before use.
//
// Refusals cost whoever causes them nothing, so that they are bounded: of each
// address and in all only so many a minute are kept, and the rest counted in one
// event. A flood of requests is not to become one of writes (CWE-779).
type Recorder struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger

	once    sync.Once
	queue   chan Event
	flood   flood
	dropped atomic.Int64 // for want of room
}

// Record has the event written soon, under the origin of ctx. It does not wait.
func (r *Recorder) Record(ctx context.Context, event Event) {
	event = event.Complete(ctx)
	if event.At.IsZero() {
		event.At = r.Now()
	}
	kept, counted := r.flood.admit(event, r.Now())
	for _, e := range counted {
		r.enqueue(e)
	}
	if kept {
		r.enqueue(event)
	}
}

func (r *Recorder) enqueue(event Event) {
	select {
	case r.events() <- event:
	default:
		r.dropped.Add(1)
	}
}

func (r *Recorder) events() chan Event {
	r.once.Do(func() { r.queue = make(chan Event, waiting) })
	return r.queue
}

// Run writes what is recorded until ctx ends, and then what is left.
func (r *Recorder) Run(ctx context.Context) {
	minute := time.NewTicker(window)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			r.flush(context.WithoutCancel(ctx))
			return
		case <-minute.C:
			for _, e := range r.flood.end(r.Now()) {
				r.enqueue(e)
			}
			r.write(ctx, r.more(ctx, nil))
		case first := <-r.events():
			r.write(ctx, r.more(ctx, []Event{first}))
		}
	}
}

// more adds what is waiting to a batch, up to what one may have.
func (r *Recorder) more(ctx context.Context, events []Event) []Event {
	for len(events) < batch {
		select {
		case e := <-r.events():
			events = append(events, e)
		default:
			return r.withDropped(ctx, events)
		}
	}
	return r.withDropped(ctx, events)
}

// withDropped adds how many events there was no room for, if any.
func (r *Recorder) withDropped(ctx context.Context, events []Event) []Event {
	n := r.dropped.Swap(0)
	if n == 0 {
		return events
	}
	r.Log.WarnContext(ctx, "audit events were dropped: there was no room for more", slog.Int64("count", n))
	return append(events, Event{
		At: r.Now(), Origin: Origin{Actor: Portico}, Action: Dropped, Outcome: Failed, After: Values{"count": n},
	})
}

// write writes a batch, however long the database is away, unless ctx ends.
// Events that are recorded meanwhile wait, and those beyond are dropped.
func (r *Recorder) write(ctx context.Context, events []Event) {
	for try := 0; len(events) > 0; try++ {
		err := r.try(ctx, events)
		switch {
		case err == nil:
			return
		case !errors.Is(err, directory.ErrUnavailable):
			r.writeEach(ctx, events)
			return
		case try == 0:
			r.Log.WarnContext(ctx, "audit events cannot be written yet", slog.Int("count", len(events)), slog.Any("error", err))
		}
		pause := time.NewTimer(retryAfter)
		select {
		case <-ctx.Done():
			pause.Stop()
			r.writeAtEnd(ctx, events)
			return
		case <-pause.C:
		}
	}
}

// writeAtEnd writes a batch once, though ctx has ended.
func (r *Recorder) writeAtEnd(ctx context.Context, events []Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushLimit)
	defer cancel()
	r.lastTry(ctx, events)
}

func (r *Recorder) try(ctx context.Context, events []Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	return r.Store.WriteEvents(ctx, events)
}

// writeEach writes one by one a batch that the database will not have: one of
// them is not to cost the others.
func (r *Recorder) writeEach(ctx context.Context, events []Event) {
	for _, e := range events {
		if err := r.try(ctx, []Event{e}); err != nil {
			r.lost(ctx, 1, err)
		}
	}
}

// flush writes all that is left, once.
func (r *Recorder) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	for _, e := range r.flood.end(r.Now().Add(window)) {
		r.enqueue(e)
	}
	for {
		events := r.more(ctx, nil)
		if len(events) == 0 {
			return
		}
		r.lastTry(ctx, events)
	}
}

func (r *Recorder) lastTry(ctx context.Context, events []Event) {
	if err := r.Store.WriteEvents(ctx, events); err != nil {
		r.lost(ctx, len(events), err)
	}
}

func (r *Recorder) lost(ctx context.Context, n int, err error) {
	r.Log.ErrorContext(ctx, "audit events are lost", slog.Int("count", n), slog.Any("error", err))
}
