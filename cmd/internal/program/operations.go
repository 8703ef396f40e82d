package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/portico-id/portico/api"
)

// operations is the operations listener. It answers from the first moment on:
// while serve waits for its database, whoever looks after the process must see
// that it lives, and that it is not ready.
type operations struct {
	handler atomic.Pointer[http.Handler]
	server  *http.Server
	address string
	failed  chan error // gets why it has ended by itself
	running sync.WaitGroup
}

// startOperations listens and answers the probes.
func startOperations(ctx context.Context, config Config, log *slog.Logger) (*operations, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", config.OpsListen)
	if err != nil {
		return nil, fmt.Errorf("PORTICO_OPS_LISTEN: %w", err)
	}
	o := &operations{address: listener.Addr().String(), failed: make(chan error, 1)}
	o.answerWith(api.Starting())
	o.server = newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*o.handler.Load()).ServeHTTP(w, r)
	}), log)
	o.running.Go(func() {
		if err := o.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.failed <- err
		}
	})
	return o, nil
}

func (o *operations) answerWith(handler http.Handler) { o.handler.Store(&handler) }

// close ends the listener, and may be called again.
func (o *operations) close() error {
	err := o.server.Close()
	o.running.Wait()
	return err
}
