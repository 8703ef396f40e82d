package program

import (
	"context"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store"
)

func newReconcile(
	stored *store.Store, q *queue.Queue, beyond provider, gate reconcile.Gate, log *slog.Logger,
) *reconcile.Service {
	return &reconcile.Service{
		Store:      stored,
		Provider:   beyond,
		Gate:       gate,
		Accounts:   &account.Service{Store: stored, Now: time.Now},
		Jobs:       q,
		StuckAfter: reconcile.StuckAfter,
		Now:        time.Now,
		Log:        log,
	}
}

// compare does a part of the periodic comparison. One that has failed is gone
// on with when it is next looked for.
func (p *parts) compare(ctx context.Context) (again time.Duration, err error) {
	err = p.logged("compare", func(ctx context.Context) error {
		var failed error
		again, failed = p.reconcile.Compare(ctx, p.every)
		return failed
	})(ctx)
	return again, err
}
