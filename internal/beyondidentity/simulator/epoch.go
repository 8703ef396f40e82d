package simulator

import (
	"context"
	"sync"
	"time"
)

// epoch is the time between two resets. Effects that commit late belong to one
// epoch and end with it, so that none reaches into the next test.
type epoch struct {
	ctx    context.Context //nolint:containedctx // it is the epoch's end, not a request's
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newEpoch() *epoch {
	ctx, cancel := context.WithCancel(context.Background())
	return &epoch{ctx: ctx, cancel: cancel}
}

// begin registers work that close has to wait for, or reports false when the
// epoch is over. Each true needs one wg.Done.
func (e *epoch) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.wg.Add(1)
	return true
}

// close ends the epoch and waits for its work.
func (e *epoch) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.wg.Wait()
}

// sleep reports whether the delay passed before ctx or the epoch ended.
func (e *epoch) sleep(ctx context.Context, delay time.Duration) bool {
	if delay <= 0 {
		return ctx.Err() == nil && e.ctx.Err() == nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-e.ctx.Done():
	}
	return false
}
