package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/signup"
)

const (
	// overdueAfter is how old a sign-up is that should have been settled, or
	// should at least have a job.
	overdueAfter = 2 * time.Minute
	// atOnce bounds the rows that one look takes.
	atOnce = 200
	// A user is looked at again after a tenth of the time that they have been
	// as they are, within these.
	soonestCheck = 15 * time.Second
	latestCheck  = 24 * time.Hour
	activeCheck  = 7 * 24 * time.Hour
)

// ClassVanished is the error class of a user whom the provider had and has no
// longer.
const ClassVanished = "vanished"

// Watch is what the reconciler reads and writes.
type Watch interface {
	// OverdueSignups returns sign-ups accepted before that are not settled,
	// oldest first, beyond those up to after.
	OverdueSignups(ctx context.Context, before time.Time, after signup.ID, limit int) ([]signup.ID, error)
	// DueUsers returns the users who are to be looked at by now.
	DueUsers(ctx context.Context, now time.Time, limit int) ([]directory.User, error)
	// Activate records that an invited user has a passkey. It reports whether
	// that was news.
	Activate(ctx context.Context, id directory.UserID, at time.Time) (bool, error)
	// MarkVanished records whether the provider still has the user. It reports
	// whether that was news.
	MarkVanished(ctx context.Context, id directory.UserID, vanished bool, at time.Time) (bool, error)
	// CheckAgain sets when the user is looked at next.
	CheckAgain(ctx context.Context, id directory.UserID, at time.Time) error
}

// Reconcile mends what the ordinary course has left: it gives sign-ups that
// have lost their job another, and looks at users whom the provider has, for a
// passkey that nobody told us of and for those who are gone.
func (s *Service) Reconcile(ctx context.Context) error {
	if err := errors.Join(s.requeue(ctx), s.requeueUsers(ctx)); err != nil || s.Lookup == nil {
		return err
	}
	for {
		due, err := s.Store.DueUsers(ctx, s.Now().UTC(), atOnce)
		if err != nil {
			return err
		}
		for _, user := range due {
			if again, err := s.check(ctx, user); err != nil || again > 0 {
				return err
			}
		}
		if len(due) < atOnce {
			return nil
		}
	}
}

// check looks one user up. It returns when to go on if it is not the time.
func (s *Service) check(ctx context.Context, user directory.User) (time.Duration, error) {
	permit, closed, err := s.admit(ctx, gate.Reconcile)
	if err != nil || closed > 0 {
		return closed, err
	}
	found, err := s.Lookup.FindUser(ctx, user.ExternalID)
	s.done(ctx, permit, err)
	switch beyondidentity.ClassOf(err) {
	case "", beyondidentity.NotFound:
		if err := s.note(ctx, user, found, err == nil); err != nil {
			return 0, err
		}
	case beyondidentity.Rejected, beyondidentity.Duplicate, beyondidentity.Conflict:
		s.Log.WarnContext(ctx, "user cannot be looked at", slog.String("user_id", string(user.ID)), slog.Any("error", err))
	default:
		return lookRetry, nil
	}
	now := s.Now().UTC()
	next := activeCheck
	if user.Status == directory.Invited && !found.HasActivePasskey {
		next = min(max(now.Sub(user.CreatedAt)/10, soonestCheck), latestCheck)
	}
	return 0, s.Store.CheckAgain(ctx, user.ID, now.Add(next))
}

// note records what a look-up has shown of a user whom the provider had.
func (s *Service) note(ctx context.Context, user directory.User, found beyondidentity.User, there bool) error {
	if user.InternalID == "" {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	now := s.Now().UTC()
	// A user under another internal_id is not the one that we made.
	gone := !there || found.InternalID != user.InternalID
	news, err := s.Store.MarkVanished(ctx, user.ID, gone, now)
	if err != nil {
		return err
	}
	if news {
		s.Log.WarnContext(ctx, "whether the provider has the user has changed",
			slog.String("user_id", string(user.ID)), slog.Bool("there", !gone))
	}
	if gone || !found.HasActivePasskey || user.Status != directory.Invited {
		return nil
	}
	if news, err = s.Store.Activate(ctx, user.ID, now); news {
		s.Log.InfoContext(ctx, "user has enrolled", slog.String("user_id", string(user.ID)))
	}
	return err
}
