package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

var (
	// ErrNotFound says that there is no such sign-up.
	ErrNotFound = errors.New("no such sign-up")
	// ErrInternalIDTaken says that another user here has the internal_id: two
	// external_ids of ours have met one user at the provider.
	ErrInternalIDTaken = errors.New("another user has this internal_id")
)

// Provider creates users at the provider. Its errors are *beyondidentity.Error.
type Provider interface {
	CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error)
	RecoverUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error)
}

// Lookup finds users at the provider by external_id, where that is possible.
type Lookup interface {
	FindUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error)
}

// Subject is a sign-up's user as far as provisioning goes.
type Subject struct {
	User           directory.User
	Kind           signup.Kind
	Attempt        int       // creates begun so far
	AmbiguousUntil time.Time // end of the quarantine; zero when there is none
}

// Store keeps how far provisioning has come. Every write is conditional on the
// attempt and on the user still being received or provisioning; one that comes
// too late changes nothing and reports false. Every method may return
// directory.ErrUnavailable.
type Store interface {
	// FindSubject returns ErrNotFound when there is no such sign-up.
	FindSubject(ctx context.Context, id signup.ID) (Subject, error)
	// BeginAttempt records that attempt+1 is about to be sent.
	BeginAttempt(ctx context.Context, id directory.UserID, attempt int, ambiguousUntil time.Time) (bool, error)
	// Postpone records why the attempt did not settle the user. A zero
	// ambiguousUntil says that surely nothing happened.
	Postpone(ctx context.Context, id directory.UserID, attempt int, ambiguousUntil time.Time, class string) (bool, error)
	// Invite records that the provider has the user, and under which id. It
	// returns ErrInternalIDTaken when another user has that id.
	Invite(ctx context.Context, id directory.UserID, internalID directory.InternalID) (bool, error)
	// Refuse ends provisioning in status failed or conflict.
	Refuse(ctx context.Context, id directory.UserID, status directory.Status, class string) (bool, error)
	// Settle records that nothing is left to do for the sign-up.
	Settle(ctx context.Context, id signup.ID, at time.Time) error
}

// Service carries sign-ups out. Its fields are set before use.
type Service struct {
	Store      Store
	Provider   Provider
	Lookup     Lookup        // nil where the provider has none
	Quarantine time.Duration // within which a create that was sent must have settled
	CallLimit  time.Duration // longest time that one call can take
	Now        func() time.Time
	Log        *slog.Logger
}

// The times between two tries.
const (
	firstRetry    = 500 * time.Millisecond
	longestRetry  = time.Minute
	operatorRetry = time.Minute // while only an operator can mend it
	busyRetry     = time.Second
	lookRetry     = 5 * time.Second // a look-up is no attempt: nothing counts it, to back off by
)

// classInternalIDTaken is the error class of a user who ends in conflict
// without the provider having refused anything.
const classInternalIDTaken = beyondidentity.Class("internal_id_taken")

// Carry does for the sign-up what can be done now. It returns zero when
// nothing is left to do, else when to call again. It returns ErrNotFound, or
// another error when the database could not be read or written; call again
// after that too.
func (s *Service) Carry(ctx context.Context, id signup.ID) (again time.Duration, err error) {
	subject, err := s.Store.FindSubject(ctx, id)
	if err != nil {
		return 0, err
	}
	if subject.Kind == signup.New {
		again, err = s.provision(ctx, subject)
		if err != nil || again > 0 {
			return again, err
		}
	}
	// What happened at the provider is written even while the program stops.
	return 0, s.Store.Settle(context.WithoutCancel(ctx), id, s.Now().UTC())
}

// provision moves the subject's user one step.
func (s *Service) provision(ctx context.Context, subject Subject) (time.Duration, error) {
	switch subject.User.Status {
	case directory.Received, directory.Provisioning:
	case directory.Invited, directory.Active, directory.Suspended, directory.Failed,
		directory.Conflict, directory.Deleting, directory.Deleted:
		return 0, nil
	}
	if subject.Attempt > 0 && s.Lookup != nil {
		// An earlier create may have happened. Creating a user sends a mail,
		// so look before creating another.
		found, err := s.Lookup.FindUser(ctx, subject.User.ExternalID)
		switch beyondidentity.ClassOf(err) {
		case "":
			return s.invite(ctx, subject, found)
		case beyondidentity.NotFound:
		case beyondidentity.Duplicate:
			return s.refuse(ctx, subject, directory.Conflict, beyondidentity.Duplicate, err)
		default:
			return s.postpone(ctx, subject, subject.AmbiguousUntil, lookRetry, err)
		}
	}
	if wait := subject.AmbiguousUntil.Sub(s.Now()); wait > 0 {
		// "Not found" does not say that a slow create is not still under way.
		return s.quarantined(wait), nil
	}
	return s.create(ctx, subject)
}

// create sends the user to the provider and records what came of it.
func (s *Service) create(ctx context.Context, subject Subject) (time.Duration, error) {
	until := s.Now().UTC().Add(s.CallLimit + s.Quarantine)
	mine, err := s.Store.BeginAttempt(ctx, subject.User.ID, subject.Attempt, until)
	if err != nil {
		return 0, err
	}
	if !mine {
		return busyRetry, nil
	}
	subject.Attempt++
	created, err := s.Provider.CreateUser(ctx, beyondidentity.NewUser{
		ExternalID:  subject.User.ExternalID,
		Email:       subject.User.Email.String(),
		DisplayName: subject.User.DisplayName,
	})
	ctx = context.WithoutCancel(ctx)
	switch class := beyondidentity.ClassOf(err); class {
	case "":
		return s.invite(ctx, subject, created)
	case beyondidentity.Conflict:
		return s.resolve(ctx, subject, err)
	case beyondidentity.Rejected:
		return s.refuse(ctx, subject, directory.Failed, class, err)
	case beyondidentity.Unreachable, beyondidentity.Unauthorized, beyondidentity.Misconfigured,
		beyondidentity.RateLimited:
		return s.postpone(ctx, subject, time.Time{}, backoff(subject.Attempt), err)
	default: // ambiguous
		again := s.quarantined(s.Quarantine)
		if s.Lookup != nil {
			again = min(again, backoff(subject.Attempt))
		}
		return s.postpone(ctx, subject, s.Now().UTC().Add(s.Quarantine), again, err)
	}
}

// resolve finds out whose user is in the way of a create. It is ours only if
// it carries our external_id, never by its address.
func (s *Service) resolve(ctx context.Context, subject Subject, conflict error) (time.Duration, error) {
	find := s.Provider.RecoverUser
	if s.Lookup != nil {
		find = s.Lookup.FindUser
	}
	found, err := find(ctx, subject.User.ExternalID)
	switch beyondidentity.ClassOf(err) {
	case "":
		return s.invite(ctx, subject, found)
	case beyondidentity.NotFound, beyondidentity.Rejected, beyondidentity.Duplicate:
		return s.refuse(ctx, subject, directory.Conflict, beyondidentity.Conflict, conflict)
	default:
		// The create was refused, so there is nothing to wait out.
		return s.postpone(ctx, subject, time.Time{}, backoff(subject.Attempt), err)
	}
}

func (s *Service) invite(ctx context.Context, subject Subject, user beyondidentity.User) (time.Duration, error) {
	ctx = context.WithoutCancel(ctx)
	moved, err := s.Store.Invite(ctx, subject.User.ID, user.InternalID)
	if errors.Is(err, ErrInternalIDTaken) {
		return s.refuse(ctx, subject, directory.Conflict, classInternalIDTaken, err)
	}
	if err != nil {
		return 0, err
	}
	if moved {
		s.Log.InfoContext(ctx, "user is invited", s.about(subject)...)
	}
	return 0, nil
}

func (s *Service) refuse(
	ctx context.Context, subject Subject, status directory.Status, class beyondidentity.Class, why error,
) (time.Duration, error) {
	moved, err := s.Store.Refuse(ctx, subject.User.ID, status, string(class))
	if err != nil {
		return 0, err
	}
	if moved {
		s.Log.ErrorContext(ctx, "provider will not have the user", append(s.about(subject),
			slog.String("status", string(status)), slog.Any("error", why))...)
	}
	return 0, nil
}

// postpone records why the user is not settled. It returns when to try again:
// when the provider says, when an operator may have acted, or after again.
func (s *Service) postpone(
	ctx context.Context, subject Subject, ambiguousUntil time.Time, again time.Duration, why error,
) (time.Duration, error) {
	level := slog.LevelWarn
	if failure, ok := errors.AsType[*beyondidentity.Error](why); ok {
		switch {
		case failure.Class == beyondidentity.Unauthorized, failure.Class == beyondidentity.Misconfigured:
			// Nothing that we send will be taken until an operator acts.
			level, again = slog.LevelError, operatorRetry
		case failure.RetryAfter > 0:
			again = failure.RetryAfter
		}
	}
	class := string(beyondidentity.ClassOf(why))
	if _, err := s.Store.Postpone(ctx, subject.User.ID, subject.Attempt, ambiguousUntil, class); err != nil {
		return 0, err
	}
	s.Log.Log(ctx, level, "provisioning is postponed", append(s.about(subject),
		slog.Float64("again_in_s", again.Seconds()), slog.Any("error", why))...)
	return again, nil
}

// quarantined says when to look again at a user whose create may still settle.
// Without a look-up there is nothing to see before the end.
func (s *Service) quarantined(wait time.Duration) time.Duration {
	if s.Lookup == nil {
		return wait
	}
	return min(wait, max(wait/8, busyRetry))
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

func (s *Service) about(subject Subject) []any {
	return []any{
		slog.String("user_id", string(subject.User.ID)),
		slog.Int("attempt", subject.Attempt),
	}
}
