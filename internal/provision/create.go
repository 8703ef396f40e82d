package provision

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/signup"
)

// classInternalIDTaken is the error class of a user who ends in conflict
// without the provider having refused anything.
const classInternalIDTaken = beyondidentity.Class("internal_id_taken")

// underWay reports whether a user is still to be brought to the provider.
func underWay(status directory.Status) bool {
	return status == directory.Received || status == directory.Provisioning
}

// provision moves the subject's user one step. It returns zero once they are
// somewhere, which settles the sign-up that made them, too.
func (s *Service) provision(ctx context.Context, subject Subject) (time.Duration, error) {
	if !underWay(subject.User.Status) {
		return 0, nil
	}
	if subject.AdoptInternalID != "" {
		return s.takeOver(ctx, subject)
	}
	wait := subject.AmbiguousUntil.Sub(s.Now())
	if failpoint.Seeded(failpoint.NoQuarantine) {
		wait = 0
	}
	if subject.Attempt > 0 && !failpoint.Seeded(failpoint.NoLookup) && (s.Lookup != nil || wait <= 0) {
		// An earlier create may have happened. Creating a user sends a mail,
		// so look before creating another.
		return s.look(ctx, subject, wait)
	}
	if wait > 0 {
		return wait, nil // without a look-up there is nothing to see before the end
	}
	if subject.Attempt == 0 && subject.foreign() && s.Lookup != nil {
		return s.lookFirst(ctx, subject)
	}
	return s.create(ctx, subject)
}

// look adopts the user whom an earlier create may have made, or creates again
// when the quarantine is over and there is none.
func (s *Service) look(ctx context.Context, subject Subject, wait time.Duration) (time.Duration, error) {
	permit, closed, err := s.admit(ctx, subject.lane())
	if err != nil || closed > 0 {
		return closed, err
	}
	failpoint.Here("lookup.before")
	found, err := s.find(ctx, subject.User.ExternalID)
	failpoint.Here("lookup.after")
	s.done(ctx, permit, err)
	switch class := beyondidentity.ClassOf(err); {
	case class == "":
		// Where nobody could look before the create, nobody knows who made them.
		subject.MadeThere = subject.MadeThere && !(subject.foreign() && s.Lookup == nil)
		return s.invite(ctx, subject, found)
	case class == beyondidentity.Duplicate:
		return s.refuse(ctx, subject, directory.Conflict, class, err)
	case class == beyondidentity.NotFound, class == beyondidentity.Rejected && s.Lookup == nil:
		if wait > 0 {
			// "Not found" does not say that a slow create is not still under way.
			return min(wait, max(wait/8, busyRetry)), nil
		}
		return s.create(ctx, subject)
	default:
		return s.postpone(ctx, subject, Postponement{
			Attempt: subject.Attempt, AmbiguousUntil: subject.AmbiguousUntil,
		}, lookRetry, err)
	}
}

// find looks the user up by external_id. Where there is no look-up, sending the
// enrolment mail again answers the same question at the price of a mail, and
// before another create rather than after it: where the provider does not keep
// external_ids apart, that create would make a second user.
func (s *Service) find(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error) {
	if s.Lookup != nil {
		return s.Lookup.FindUser(ctx, id)
	}
	return s.Provider.RecoverUser(ctx, id)
}

// start enlists the sign-up. If that makes a user it takes their first step as
// well, to which it returns when to take the next; else it is still to be taken.
//
// It asks the gate before it knows whether it will need to. Where that is not
// for nothing it only enlists.
func (s *Service) start(ctx context.Context, id signup.ID) (subject Subject, taken bool, again time.Duration, err error) {
	if s.Gate.Limited() {
		subject, err = s.Store.Enlist(ctx, id, s.Now().UTC())
		return subject, false, 0, err
	}
	leave, err := s.takePlace(ctx, gate.Signup)
	if err != nil {
		return Subject{}, false, 0, err
	}
	defer leave()
	permit, closed, err := s.admit(ctx, gate.Signup)
	if err != nil {
		return Subject{}, false, 0, err
	}
	begun, until := s.bounds()
	if closed > 0 {
		if subject, err = s.Store.Enlist(ctx, id, begun); err != nil || !subject.fresh() {
			return subject, false, 0, err
		}
		return subject, true, closed, nil
	}
	subject, taken, err = s.Store.Start(ctx, id, until, begun)
	if err != nil || !taken {
		permit.Unused(ctx)
		return subject, false, 0, err
	}
	again, err = s.sendNew(ctx, subject, attempt{permit, begun, until, leave})
	return subject, true, again, err
}

// fresh reports whether all that there is to do for the subject is a first
// create.
func (s Subject) fresh() bool {
	return s.Kind == signup.New && s.User.Status == directory.Received && s.Attempt == 0 && s.AdoptInternalID == ""
}

// create sends the user to the provider and records what came of it.
func (s *Service) create(ctx context.Context, subject Subject) (time.Duration, error) {
	leave, err := s.takePlace(ctx, subject.lane())
	if err != nil {
		return 0, err
	}
	defer leave()
	permit, closed, err := s.admit(ctx, subject.lane())
	if err != nil || closed > 0 {
		return closed, err
	}
	begun, until := s.bounds()
	mine, err := s.Store.BeginAttempt(ctx, subject, until, begun)
	if err != nil || !mine {
		permit.Unused(ctx)
		return busyRetry, err
	}
	return s.sendNew(ctx, subject, attempt{permit, begun, until, leave})
}

// takePlace waits for one of the places for creates, and returns how it is left.
// Imports need none: they have fewer workers of their own.
func (s *Service) takePlace(ctx context.Context, lane gate.Lane) (leave func(), err error) {
	if s.Creates == nil || lane != gate.Signup {
		return func() {}, nil
	}
	select {
	case s.Creates <- struct{}{}:
		return sync.OnceFunc(func() { <-s.Creates }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// attempt is a create that is about to be sent.
type attempt struct {
	permit gate.Permit
	begun  time.Time
	until  time.Time // nobody knows what came of it unless it is answered
	leave  func()    // gives its place to the next
}

// bounds are when an attempt that is made now begins, and until when nobody
// knows what came of it.
func (s *Service) bounds() (begun, until time.Time) {
	begun = s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	return begun, begun.Add(s.CallLimit + s.Quarantine)
}

// sendNew sends the user to the provider, on an attempt that has begun, and records
// what came of it. The subject is as it was before.
func (s *Service) sendNew(ctx context.Context, subject Subject, a attempt) (time.Duration, error) {
	before := subject
	subject.Attempt++
	subject.AmbiguousUntil = a.until
	subject.User.Status = directory.Provisioning
	failpoint.Here("create.before")
	created, err := s.Provider.CreateUser(ctx, beyondidentity.NewUser{
		ExternalID:  subject.User.ExternalID,
		Email:       subject.User.Email.String(),
		DisplayName: subject.User.DisplayName,
	})
	failpoint.Here("create.after")
	a.leave()
	ctx = context.WithoutCancel(ctx)
	s.done(ctx, a.permit, err)
	switch class := beyondidentity.ClassOf(err); class {
	case "":
		s.pace.took(s.Now().Sub(a.begun))
		return s.invite(ctx, subject, created)
	case beyondidentity.Conflict:
		return s.resolve(ctx, subject, before.Attempt == 0, err)
	case beyondidentity.Rejected:
		return s.refuse(ctx, subject, directory.Failed, class, err)
	case beyondidentity.Unreachable, beyondidentity.Unauthorized, beyondidentity.Misconfigured,
		beyondidentity.RateLimited:
		// Surely nothing was done: the attempt does not count.
		return s.postpone(ctx, subject, Postponement{Attempt: before.Attempt}, firstRetry, err)
	default: // ambiguous
		until := s.Now().UTC().Add(s.Quarantine)
		again := s.Quarantine
		if s.Lookup != nil {
			again = min(again, backoff(subject.Attempt))
		}
		return s.postpone(ctx, subject, Postponement{Attempt: subject.Attempt, AmbiguousUntil: until}, again, err)
	}
}

// resolve finds out whose user is in the way of a create. It is ours only if
// it carries our external_id, never by its address. If no create was sent
// before, one under an external_id from elsewhere was there before us.
func (s *Service) resolve(ctx context.Context, subject Subject, first bool, conflict error) (time.Duration, error) {
	if failpoint.Seeded(failpoint.AdoptByEmail) {
		if found, ok := s.findByEmail(ctx, subject); ok {
			return s.invite(ctx, subject, found)
		}
	}
	refused, first := subject, first && subject.foreign()
	if first {
		refused.Attempt = 0 // it made nobody, whoever is found later
	}
	if first && s.Lookup == nil {
		// To look would send a mail to somebody who may be in use there.
		return s.refuse(ctx, refused, directory.Conflict, beyondidentity.Conflict, conflict)
	}
	permit, closed, err := s.admit(ctx, subject.lane())
	if err != nil {
		return 0, err
	}
	if closed > 0 {
		// The create was refused, so there is nothing to wait out.
		return s.postpone(ctx, subject, Postponement{Attempt: refused.Attempt}, closed, conflict)
	}
	found, err := s.find(ctx, subject.User.ExternalID)
	s.done(ctx, permit, err)
	switch beyondidentity.ClassOf(err) {
	case "":
		return s.resolved(ctx, subject, refused, first, found, conflict)
	case beyondidentity.NotFound, beyondidentity.Rejected, beyondidentity.Duplicate:
		return s.refuse(ctx, refused, directory.Conflict, beyondidentity.Conflict, conflict)
	default:
		return s.postpone(ctx, subject, Postponement{Attempt: refused.Attempt}, backoff(subject.Attempt), err)
	}
}

// resolved invites whom the conflict was about, or says whose they are.
func (s *Service) resolved(
	ctx context.Context, subject, refused Subject, first bool, found beyondidentity.User, conflict error,
) (time.Duration, error) {
	switch {
	case !first:
		return s.invite(ctx, subject, found)
	case subject.Adopt:
		return s.adopt(ctx, subject, found)
	default:
		return s.refuse(ctx, refused, directory.Conflict, classAlreadyThere, conflict)
	}
}

func (s *Service) invite(ctx context.Context, subject Subject, user beyondidentity.User) (time.Duration, error) {
	ctx = context.WithoutCancel(ctx)
	moved, err := s.Store.Invite(ctx, subject, user.InternalID, s.Now().UTC())
	if errors.Is(err, ErrInternalIDTaken) {
		return s.refuse(ctx, subject, directory.Conflict, classInternalIDTaken, err)
	}
	if err != nil {
		return 0, err
	}
	if !moved {
		return busyRetry, nil // somebody else has, and may have settled nothing
	}
	s.Log.InfoContext(ctx, "user is invited", s.about(subject)...)
	return 0, nil
}

func (s *Service) refuse(
	ctx context.Context, subject Subject, status directory.Status, class beyondidentity.Class, why error,
) (time.Duration, error) {
	moved, err := s.Store.Refuse(ctx, subject, status, string(class), s.Now().UTC())
	if err != nil {
		return 0, err
	}
	if !moved {
		return busyRetry, nil
	}
	s.Log.ErrorContext(ctx, "provider will not have the user", append(s.about(subject),
		slog.String("status", string(status)), slog.Any("error", why))...)
	return 0, nil
}

// postpone records why the user is not settled. It returns when to try again:
// when the provider says, or after again.
func (s *Service) postpone(
	ctx context.Context, subject Subject, p Postponement, again time.Duration, why error,
) (time.Duration, error) {
	if failure, ok := errors.AsType[*beyondidentity.Error](why); ok && failure.RetryAfter > 0 {
		again = failure.RetryAfter
	}
	p.Class = string(beyondidentity.ClassOf(why))
	p.At = s.Now().UTC()
	if _, err := s.Store.Postpone(ctx, subject, p); err != nil {
		return 0, err
	}
	s.Log.WarnContext(ctx, "provisioning is postponed", append(s.about(subject),
		slog.Float64("again_in_s", again.Seconds()), slog.Any("error", why))...)
	return max(again, time.Millisecond), nil
}

// backoff doubles from firstRetry to longestRetry.
func backoff(attempt int) time.Duration {
	again := firstRetry
	for range attempt - 1 {
		if again *= 2; again >= longestRetry {
			return longestRetry
		}
	}
	return again
}
