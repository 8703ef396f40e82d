package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
)

// classDiffers says that the provider has answered a change with success and
// shows other data than were sent.
const classDiffers = beyondidentity.Class("differs")

// Change is a user of whom something is to be carried to the provider.
type Change struct {
	User         directory.User
	Number       int64     // another with each change that is to be carried
	UnsureUntil  time.Time // end of the quarantine of what was sent; zero when there is none
	ClaimedUntil time.Time // a worker has the user; zero when none has

	MadeThere       bool                 // false: the provider had them before us, and keeps them
	AdoptInternalID directory.InternalID // the one there whom an operator has named as this user
	Attempt         int                  // creates begun so far
	AmbiguousUntil  time.Time            // end of the quarantine of the last of them
}

// Claim is a worker's hold on a user while it calls the provider.
type Claim struct {
	At          time.Time
	Until       time.Time // when the worker is dead if it is not heard of
	UnsureUntil time.Time // what is known if it is not: end of the call's quarantine
}

// Outcome is what a call has come to.
type Outcome struct {
	Sync        directory.Sync
	Class       beyondidentity.Class
	UnsureUntil time.Time // end of the quarantine of what was sent; zero when all is settled
}

// Changes keeps how far changes have come. One worker at a time has a user.
type Changes interface {
	// FindChange returns ErrNotFound when there is no such user.
	FindChange(ctx context.Context, id directory.UserID) (Change, error)
	// BeginChange claims the user. It reports whether they are still as c says
	// and nobody else has them.
	BeginChange(ctx context.Context, c Change, claim Claim) (bool, error)
	// EndChange records the outcome, unless there is a newer change by now,
	// and gives the user free. It reports whether the claim still held.
	EndChange(ctx context.Context, c Change, o Outcome) (bool, error)
	// DoubtChange has the user looked at after unsureUntil: what was sent may
	// have come after what another worker has sent since.
	DoubtChange(ctx context.Context, id directory.UserID, unsureUntil time.Time) error
	// KnowLeaving records under which id the provider has a user who is to be
	// deleted, and gives them free. It returns ErrInternalIDTaken when another
	// user has that id, who is not to be deleted.
	KnowLeaving(ctx context.Context, c Change, internalID directory.InternalID) (bool, error)
	// Bury makes a tombstone of the user: nothing is left of them but the ids,
	// which are never used again. It reports whether the claim still held and
	// the user was still to be deleted.
	Bury(ctx context.Context, c Change, class string, at time.Time) (bool, error)
}

const (
	// onward says that there is more to do at once.
	onward time.Duration = -1
	// callsAtOnce bounds the calls that one job makes before others have a turn.
	callsAtOnce = 3
	// leaseMargin is how much longer than a call a worker's claim is.
	leaseMargin = 5 * time.Second
)

// CarryChange carries what has changed of the user to the provider, as the
// directory has it now, or their deletion. It returns as Carry does.
func (s *Service) CarryChange(ctx context.Context, id directory.UserID) (again time.Duration, err error) {
	for range callsAtOnce {
		c, err := s.Store.FindChange(ctx, id)
		if err != nil {
			return 0, err
		}
		if again, err = s.change(ctx, c); again != onward || err != nil {
			return max(again, 0), err
		}
	}
	return firstRetry, nil
}

// change makes one call, or says when to make it.
func (s *Service) change(ctx context.Context, c Change) (time.Duration, error) {
	now := s.Now()
	switch wait := c.ClaimedUntil.Sub(now); {
	case c.User.Sync != directory.SyncPending:
		return 0, nil
	case c.User.Status == directory.Deleting:
		if grace := c.User.DeleteAfter.Sub(now); grace > 0 {
			return grace, nil
		}
		if wait > 0 {
			return wait, nil
		}
		return s.remove(ctx, c)
	case c.User.InternalID == "":
		return 0, nil // whatever brings them to the provider has the change carried after
	case wait > 0:
		return wait, nil
	case s.Changer == nil:
		return s.giveUp(ctx, c, classUnsupported, errNoChanges)
	}
	wait := c.UnsureUntil.Sub(now)
	switch {
	case c.UnsureUntil.IsZero():
		return s.send(ctx, c, time.Time{})
	case c.User.SyncClass != "" && wait > 0:
		return wait, nil // there is nothing newer to send
	case wait > 0:
		return s.send(ctx, c, c.UnsureUntil)
	case c.User.SyncClass == "":
		return s.send(ctx, c, time.Time{})
	default:
		return s.compare(ctx, c)
	}
}

// send changes the user at the provider. What was sent before is unsure until
// then, and may still come to happen and undo this.
func (s *Service) send(ctx context.Context, c Change, unsureUntil time.Time) (time.Duration, error) {
	permit, c, again, err := s.begin(ctx, c, s.CallLimit+s.Quarantine)
	if again != 0 || err != nil {
		return again, err
	}
	email := c.User.Email.String()
	name := beyondidentity.ShownName(c.User.DisplayName, email)
	_, err = s.Changer.UpdateUser(ctx, c.User.InternalID, beyondidentity.UserChange{Email: &email, DisplayName: &name})
	ctx = context.WithoutCancel(ctx)
	s.done(ctx, permit, err)
	switch class := beyondidentity.ClassOf(err); {
	case class == "" && unsureUntil.IsZero():
		return s.end(ctx, c, Outcome{Sync: directory.SyncSynced}, onward, nil)
	case class == "":
		return s.end(ctx, c, Outcome{directory.SyncPending, beyondidentity.Ambiguous, unsureUntil}, onward, nil)
	case notDone(class):
		return s.end(ctx, c, Outcome{directory.SyncPending, beyondidentity.Class(c.User.SyncClass), unsureUntil}, firstRetry, err)
	case class == beyondidentity.NotFound:
		return s.end(ctx, c, Outcome{directory.SyncFailed, ClassVanished, unsureUntil}, onward, err)
	case class != beyondidentity.Ambiguous:
		return s.end(ctx, c, Outcome{directory.SyncFailed, class, unsureUntil}, onward, err)
	}
	unsureUntil = s.Now().UTC().Add(s.Quarantine)
	switch differs := succeeded(err); {
	case differs && c.User.SyncClass == string(classDiffers):
		// It was given the time to show what it says that it has done.
		return s.end(ctx, c, Outcome{directory.SyncFailed, classDiffers, unsureUntil}, onward, err)
	case differs:
		return s.end(ctx, c, Outcome{directory.SyncPending, classDiffers, unsureUntil}, onward, err)
	default:
		return s.end(ctx, c, Outcome{directory.SyncPending, beyondidentity.Ambiguous, unsureUntil}, onward, err)
	}
}

// compare looks, now that everything that was sent has happened or never will,
// whether the provider has what it should.
func (s *Service) compare(ctx context.Context, c Change) (time.Duration, error) {
	permit, claimed, again, err := s.begin(ctx, c, 0)
	if again != 0 || err != nil {
		return again, err
	}
	found, err := s.Changer.GetUser(ctx, c.User.InternalID)
	ctx = context.WithoutCancel(ctx)
	s.done(ctx, permit, err)
	switch class := beyondidentity.ClassOf(err); {
	case class == "" && shows(found, c.User):
		return s.end(ctx, claimed, Outcome{Sync: directory.SyncSynced}, onward, nil)
	case class == "":
		if again, err := s.free(ctx, claimed, c.UnsureUntil); again != 0 || err != nil {
			return again, err
		}
		return s.send(ctx, c, time.Time{})
	case class == beyondidentity.NotFound:
		return s.end(ctx, claimed, Outcome{Sync: directory.SyncFailed, Class: ClassVanished}, onward, err)
	case class == beyondidentity.Rejected:
		return s.end(ctx, claimed, Outcome{Sync: directory.SyncFailed, Class: class}, onward, err)
	default: // it proves nothing
		return s.end(ctx, claimed, Outcome{directory.SyncPending, beyondidentity.Class(c.User.SyncClass), c.UnsureUntil}, lookRetry, err)
	}
}

// notDone reports whether a change of that class has surely not been made,
// and may be made as soon as the gate lets it through.
func notDone(class beyondidentity.Class) bool {
	switch class {
	case beyondidentity.Unreachable, beyondidentity.Unauthorized, beyondidentity.Misconfigured, beyondidentity.RateLimited:
		return true
	case beyondidentity.Ambiguous, beyondidentity.Rejected, beyondidentity.NotFound, beyondidentity.Conflict,
		beyondidentity.Duplicate:
	}
	return false
}

// succeeded reports whether the provider has answered the failed call with a
// success, and with other data than were sent.
func succeeded(err error) bool {
	failure, ok := errors.AsType[*beyondidentity.Error](err)
	return ok && failure.Status/100 == 2
}

// begin asks the gate and claims the user for a call whose quarantine lasts
// that long, or zero for one that changes nothing. It returns the user as
// claimed, or when to try again.
func (s *Service) begin(ctx context.Context, c Change, quarantine time.Duration) (gate.Permit, Change, time.Duration, error) {
	permit, closed, err := s.admit(ctx, gate.Change)
	if err != nil || closed > 0 {
		return permit, c, closed, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	claim := Claim{At: now, Until: now.Add(s.CallLimit + leaseMargin), UnsureUntil: c.UnsureUntil}
	if until := now.Add(quarantine); quarantine > 0 && until.After(c.UnsureUntil) {
		claim.UnsureUntil = until
	}
	mine, err := s.Store.BeginChange(ctx, c, claim)
	if err != nil || !mine {
		permit.Unused(ctx)
		return permit, c, onward, err
	}
	c.ClaimedUntil, c.UnsureUntil = claim.Until, claim.UnsureUntil
	return permit, c, 0, nil
}

// end records what a call has come to, and says why if it was not a success.
func (s *Service) end(ctx context.Context, c Change, o Outcome, again time.Duration, why error) (time.Duration, error) {
	held, err := s.Store.EndChange(ctx, c, o)
	if err != nil {
		return 0, err
	}
	if !held {
		return onward, s.Store.DoubtChange(ctx, c.User.ID, s.Now().UTC().Add(s.Quarantine))
	}
	if failure, ok := errors.AsType[*beyondidentity.Error](why); ok && failure.RetryAfter > 0 && again > 0 {
		again = failure.RetryAfter
	}
	about := []any{slog.String("user_id", string(c.User.ID)), slog.String("class", string(o.Class)), slog.Any("error", why)}
	switch {
	case why == nil:
	case o.Sync == directory.SyncFailed:
		s.Log.ErrorContext(ctx, "provider will not have the change", about...)
	default:
		s.Log.WarnContext(ctx, "change is postponed", about...)
	}
	return again, nil
}

// free gives the user free for the next call.
func (s *Service) free(ctx context.Context, c Change, unsureUntil time.Time) (time.Duration, error) {
	held, err := s.Store.EndChange(ctx, c, Outcome{
		directory.SyncPending, beyondidentity.Class(c.User.SyncClass), unsureUntil,
	})
	if err != nil || held {
		return 0, err
	}
	return onward, nil
}

// giveUp records what keeps the change from the provider, without a call.
func (s *Service) giveUp(ctx context.Context, c Change, class beyondidentity.Class, why error) (time.Duration, error) {
	c, again, err := s.claim(ctx, c)
	if again != 0 || err != nil {
		return again, err
	}
	return s.end(ctx, c, Outcome{directory.SyncFailed, class, c.UnsureUntil}, onward, why)
}

// claim claims the user without a call.
func (s *Service) claim(ctx context.Context, c Change) (Change, time.Duration, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	claim := Claim{At: now, Until: now.Add(s.CallLimit + leaseMargin), UnsureUntil: c.UnsureUntil}
	mine, err := s.Store.BeginChange(ctx, c, claim)
	if err != nil || !mine {
		return c, onward, err
	}
	c.ClaimedUntil = claim.Until
	return c, 0, nil
}
