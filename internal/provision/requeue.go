package provision

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

const (
	// lostEvery is how often jobs of users are missed. It takes longer than to
	// miss those of sign-ups: an import under way is a job for each user.
	lostEvery = 5 * time.Minute
	// lostAtOnce bounds the users that one look takes. Each costs the queue a
	// walk through its jobs.
	lostAtOnce = 5000
)

// Jobs are inserted for those that have none left. Each method returns how
// many.
type Jobs interface {
	Requeue(ctx context.Context, ids []signup.ID) (int, error)
	RequeueChanges(ctx context.Context, ids []directory.UserID) (int, error)
	RequeueEnrols(ctx context.Context, ids []directory.UserID) (int, error)
	RequeueImports(ctx context.Context, ids []directory.UserID) (int, error)
}

// Lost finds users who should have a job, in the order of their ids, beyond
// those up to after.
type Lost interface {
	// PendingChanges returns users of whom something is to be carried to the
	// provider by now.
	PendingChanges(ctx context.Context, now time.Time, after directory.UserID, limit int) ([]directory.UserID, error)
	// PendingUsers returns users who are not at the provider yet and have no
	// sign-up under way: those who were imported, or all others.
	PendingUsers(ctx context.Context, imported bool, after directory.UserID, limit int) ([]directory.UserID, error)
	// ReviveUnsupported makes up to limit changes pending again that the
	// provider had no interface for, with their jobs. It returns how many.
	ReviveUnsupported(ctx context.Context, limit int) (int, error)
}

// rounds says when users were last looked through.
type rounds struct {
	mu   sync.Mutex
	last time.Time
}

// due reports whether it is time for another round, and begins it.
func (r *rounds) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last) < lostEvery {
		return false
	}
	r.last = now
	return true
}

// requeue gives sign-ups that have lost their job another.
func (s *Service) requeue(ctx context.Context) error {
	var after signup.ID
	for {
		overdue, err := s.Store.OverdueSignups(ctx, s.Now().UTC().Add(-overdueAfter), after, atOnce)
		if err != nil || len(overdue) == 0 {
			return err
		}
		n, err := s.Jobs.Requeue(ctx, overdue)
		if err != nil {
			return err
		}
		if n > 0 {
			s.Log.WarnContext(ctx, "sign-ups had lost their jobs and have new ones", slog.Int("signups", n))
		}
		if len(overdue) < atOnce {
			return nil
		}
		after = overdue[len(overdue)-1]
	}
}

// requeueUsers does the same for users, every so often, and has carried what
// could not be while the provider's interface was not configured.
func (s *Service) requeueUsers(ctx context.Context) error {
	now := s.Now().UTC()
	if !s.lost.due(now) {
		return nil
	}
	if s.Changer != nil {
		if err := s.revive(ctx); err != nil {
			return err
		}
	}
	changes := func(after directory.UserID) ([]directory.UserID, error) {
		return s.Store.PendingChanges(ctx, now, after, lostAtOnce)
	}
	if err := s.requeueEach(ctx, changes, s.Jobs.RequeueChanges); err != nil {
		return err
	}
	users := func(imported bool) func(after directory.UserID) ([]directory.UserID, error) {
		return func(after directory.UserID) ([]directory.UserID, error) {
			return s.Store.PendingUsers(ctx, imported, after, lostAtOnce)
		}
	}
	if err := s.requeueEach(ctx, users(false), s.Jobs.RequeueEnrols); err != nil {
		return err
	}
	return s.requeueEach(ctx, users(true), s.Jobs.RequeueImports)
}

func (s *Service) requeueEach(
	ctx context.Context, find func(after directory.UserID) ([]directory.UserID, error),
	again func(ctx context.Context, ids []directory.UserID) (int, error),
) error {
	var after directory.UserID
	for {
		ids, err := find(after)
		if err != nil || len(ids) == 0 {
			return err
		}
		n, err := again(ctx, ids)
		if err != nil {
			return err
		}
		if n > 0 {
			s.Log.WarnContext(ctx, "users had lost their jobs and have new ones", slog.Int("users", n))
		}
		if len(ids) < lostAtOnce {
			return nil
		}
		after = ids[len(ids)-1]
	}
}

// revive has changes carried that there was no interface for.
func (s *Service) revive(ctx context.Context) error {
	for {
		n, err := s.Store.ReviveUnsupported(ctx, atOnce)
		if err != nil {
			return err
		}
		if n > 0 {
			s.Log.InfoContext(ctx, "changes that were kept are carried to the provider", slog.Int("users", n))
		}
		if n < atOnce {
			return nil
		}
	}
}
