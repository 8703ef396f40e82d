package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// The reasons for which nothing is changed.
var (
	// ErrNotFound says that there is no such user, or only a tombstone.
	ErrNotFound = errors.New("no such user")
	// ErrVersion says that the user has changed since they were read.
	ErrVersion = errors.New("the user has changed meanwhile")
	// ErrEmailTaken says that another user has the address.
	ErrEmailTaken = errors.New("another user has the address")
	// ErrExternalIDTaken says that another user has, or had, the external_id.
	ErrExternalIDTaken = errors.New("another user has the external_id")
	// ErrInternalIDTaken says that another user has the internal_id.
	ErrInternalIDTaken = errors.New("another user has the internal_id")
)

// StatusError says that the user's status does not allow what was asked.
type StatusError struct{ Status directory.Status }

// Error names the status.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the user is %s, which does not allow this", e.Status)
}

// AnyVersion is for a caller who changes the user whatever they are by now.
const AnyVersion int64 = 0

// Change is what is to become of a user's data. What is nil stays.
type Change struct {
	DisplayName *string
	Email       *string // by an administrator, who needs no proof
	Locale      *string
}

// Invitation is a user to be made by an administrator.
type Invitation struct {
	Email       string
	DisplayName string
	Locale      string
	ExternalID  directory.ExternalID // empty for the user's own id
}

// Service changes users. Its fields are set before use.
type Service struct {
	Store  Store
	Policy *directory.Policy // of addresses; nil admits all
	// Grace is the time between the wish to be deleted and the deletion.
	Grace  time.Duration
	Limits Limits // of what users ask for; nil for none
	Mailer Mailer // nil where there is no mail server
	Now    func() time.Time
	Log    *slog.Logger // of letters; may be nil where there is no Mailer
}

// now is the time as it is stored.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// known reports whether a user can have the id. One that is no UUID must not
// get as far as a database, which has a complaint of its own about it.
func known(id directory.UserID) bool {
	parsed, err := uuid.Parse(string(id))
	return err == nil && parsed.String() == string(id)
}

// Get returns the user, tombstones included. It returns ErrNotFound or
// directory.ErrUnavailable.
func (s *Service) Get(ctx context.Context, id directory.UserID) (directory.User, error) {
	if !known(id) {
		return directory.User{}, ErrNotFound
	}
	return s.Store.FindUser(ctx, id)
}

// Update changes the user's data and has the provider told. What is as it was
// already is no change, and another version is not made for it. It returns
// ErrNotFound, ErrVersion, ErrEmailTaken, a *StatusError, an error of the
// policy, or directory.ErrUnavailable.
func (s *Service) Update(ctx context.Context, id directory.UserID, change Change, version int64) (directory.User, error) {
	if !known(id) {
		return directory.User{}, ErrNotFound
	}
	edit := Edit{DisplayName: change.DisplayName, Locale: change.Locale, At: s.now(), Tell: s.Mailer != nil}
	if change.Email != nil {
		email, err := s.Policy.Parse(*change.Email)
		if err != nil {
			return directory.User{}, err
		}
		edit.Email = &email
	}
	return s.Store.UpdateUser(ctx, id, edit, version)
}

// Suspend ends the user's sessions and lets them sign in no more. It returns
// ErrNotFound, ErrVersion, a *StatusError or directory.ErrUnavailable. Who is
// suspended already stays so.
func (s *Service) Suspend(ctx context.Context, id directory.UserID, version int64) (directory.User, error) {
	if !known(id) {
		return directory.User{}, ErrNotFound
	}
	return s.Store.SuspendUser(ctx, id, version, s.now())
}

// Restore undoes a suspension, or a deletion within its grace period. It
// returns ErrNotFound, ErrVersion, a *StatusError or directory.ErrUnavailable.
func (s *Service) Restore(ctx context.Context, id directory.UserID, version int64) (directory.User, error) {
	if !known(id) {
		return directory.User{}, ErrNotFound
	}
	return s.Store.RestoreUser(ctx, id, version, s.now())
}

// Delete ends the user's sessions at once and has them deleted when grace is
// over; the returned user's DeleteAfter says when. Who is being deleted already
// can only be deleted sooner. It returns ErrNotFound, ErrVersion, a
// *StatusError or directory.ErrUnavailable.
func (s *Service) Delete(ctx context.Context, id directory.UserID, grace time.Duration, version int64) (directory.User, error) {
	if !known(id) {
		return directory.User{}, ErrNotFound
	}
	now := s.now()
	return s.Store.DeleteUser(ctx, id, Deletion{At: now, After: now.Add(max(grace, 0))}, version)
}

// Invite makes a user whom the provider then mails. It returns ErrEmailTaken,
// ErrExternalIDTaken, an error of the policy or directory.ErrUnavailable.
func (s *Service) Invite(ctx context.Context, invitation Invitation) (directory.User, error) {
	email, err := s.Policy.Parse(invitation.Email)
	if err != nil {
		return directory.User{}, err
	}
	now, id := s.now(), directory.NewUserID()
	external := invitation.ExternalID
	if external == "" {
		external = directory.ExternalID(id)
	}
	return s.Store.InviteUser(ctx, directory.User{
		ID: id, ExternalID: external, Email: email, DisplayName: invitation.DisplayName, Locale: invitation.Locale,
		Status: directory.Received, Origin: directory.FromAdmin, Sync: directory.SyncSynced, Version: 1,
		CreatedAt: now, UpdatedAt: now,
	})
}

// Resend has the enrolment mail sent again. It returns ErrNotFound, a
// *StatusError unless the user is invited, or directory.ErrUnavailable.
func (s *Service) Resend(ctx context.Context, id directory.UserID) (directory.User, error) {
	if !known(id) {
		return directory.User{}, ErrNotFound
	}
	return s.Store.RemindUser(ctx, id, s.now())
}

// Retry has the provider asked again about a user who has failed or is in
// conflict, and about a change that it would not have. It returns ErrNotFound,
// a *StatusError where nothing has failed, or directory.ErrUnavailable.
func (s *Service) Retry(ctx context.Context, id directory.UserID) (directory.User, error) {
	if !known(id) {
		return directory.User{}, ErrNotFound
	}
	return s.Store.RetryUser(ctx, id, s.now())
}

// Adopt resolves a conflict: the operator says that this user of the
// provider's is the one. It returns ErrNotFound, ErrVersion,
// ErrInternalIDTaken, a *StatusError or directory.ErrUnavailable.
func (s *Service) Adopt(ctx context.Context, id directory.UserID, there directory.InternalID, version int64) (directory.User, error) {
	if !known(id) {
		return directory.User{}, ErrNotFound
	}
	return s.Store.AdoptUser(ctx, id, there, version, s.now())
}
