package program

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// leaving is a handler that can be told to take its leave: from then on each
// answer ends its connection, so that a proxy gets no other request under way
// on one that is about to be closed. Connections without a request are left
// open: to close one is a race with the request that is just being sent on it.
type leaving struct {
	next http.Handler
	now  atomic.Bool
}

// ServeHTTP answers the request.
func (l *leaving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.now.Load() {
		w.Header().Set("Connection", "close")
	}
	l.next.ServeHTTP(w, r)
}

// linger goes on serving for a while after readiness has gone off, so that
// whoever hands requests out sees it before the listener is closed. It returns
// what has failed meanwhile, if something has.
func (l *leaving) linger(ctx context.Context, delay time.Duration, failed <-chan error) error {
	l.now.Store(true)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
