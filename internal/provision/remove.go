package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
)

// classLeftAtProvider says, in the audit, of a user who is deleted that the
// provider has kept them: it had them before us.
const classLeftAtProvider = "left_at_provider"

// remove deletes a user whose grace is over: at the provider if they were made
// there for us, and then here.
func (s *Service) remove(ctx context.Context, c Change) (time.Duration, error) {
	switch {
	case !c.MadeThere, c.User.InternalID == "" && c.Attempt == 0:
		class := ""
		if !c.MadeThere || c.AdoptInternalID != "" {
			class = classLeftAtProvider
		}
		c, again, err := s.claim(ctx, c)
		if again != 0 || err != nil {
			return again, err
		}
		return s.bury(ctx, c, class)
	case s.Changer == nil, c.User.InternalID == "" && s.Lookup == nil:
		return s.giveUp(ctx, c, classUnsupported, errNoChanges)
	case c.User.InternalID == "":
		return s.seek(ctx, c)
	default:
		return s.expel(ctx, c)
	}
}

// seek looks for whom a create may have made that nobody has heard of.
func (s *Service) seek(ctx context.Context, c Change) (time.Duration, error) {
	if wait := c.AmbiguousUntil.Sub(s.Now()); wait > 0 {
		return wait, nil // they may still come to be
	}
	permit, c, again, err := s.begin(ctx, c, 0)
	if again != 0 || err != nil {
		return again, err
	}
	found, err := s.Lookup.FindUser(ctx, c.User.ExternalID)
	ctx = context.WithoutCancel(ctx)
	s.done(ctx, permit, err)
	switch class := beyondidentity.ClassOf(err); {
	case class == "" && found.InternalID == c.AdoptInternalID:
		return s.bury(ctx, c, classLeftAtProvider)
	case class == "":
		known, err := s.Store.KnowLeaving(ctx, c, found.InternalID)
		if errors.Is(err, ErrInternalIDTaken) {
			return s.end(ctx, c, Outcome{directory.SyncFailed, classInternalIDTaken, c.UnsureUntil}, onward, err)
		}
		if err == nil && !known {
			return busyRetry, nil
		}
		return onward, err
	case class == beyondidentity.NotFound:
		return s.bury(ctx, c, "")
	case class == beyondidentity.Duplicate, class == beyondidentity.Rejected, class == beyondidentity.Conflict:
		return s.end(ctx, c, Outcome{directory.SyncFailed, class, c.UnsureUntil}, onward, err)
	default:
		return s.end(ctx, c, Outcome{Sync: directory.SyncPending, UnsureUntil: c.UnsureUntil}, lookRetry, err)
	}
}

// expel deletes the user at the provider. However often that happens, it is
// the same.
func (s *Service) expel(ctx context.Context, c Change) (time.Duration, error) {
	permit, c, again, err := s.begin(ctx, c, 0)
	if again != 0 || err != nil {
		return again, err
	}
	err = s.Changer.DeleteUser(ctx, c.User.InternalID)
	ctx = context.WithoutCancel(ctx)
	s.done(ctx, permit, err)
	switch class := beyondidentity.ClassOf(err); {
	case class == "", class == beyondidentity.NotFound:
		return s.bury(ctx, c, "")
	case notDone(class):
		return s.end(ctx, c, Outcome{Sync: directory.SyncPending, UnsureUntil: c.UnsureUntil}, firstRetry, err)
	case class == beyondidentity.Ambiguous:
		return s.end(ctx, c, Outcome{Sync: directory.SyncPending, UnsureUntil: c.UnsureUntil}, s.Quarantine, err)
	default:
		return s.end(ctx, c, Outcome{directory.SyncFailed, class, c.UnsureUntil}, onward, err)
	}
}

// bury makes a tombstone of the user.
func (s *Service) bury(ctx context.Context, c Change, class string) (time.Duration, error) {
	ctx = context.WithoutCancel(ctx)
	buried, err := s.Store.Bury(ctx, c, class, s.Now().UTC())
	if err != nil {
		return 0, err
	}
	if !buried {
		// They were restored at the last moment, and may be gone there.
		return onward, s.Store.DoubtChange(ctx, c.User.ID, s.Now().UTC())
	}
	s.Log.InfoContext(ctx, "user is deleted", slog.String("user_id", string(c.User.ID)),
		slog.Bool("left_at_provider", class == classLeftAtProvider))
	return 0, nil
}
