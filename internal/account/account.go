package account

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	Policy *directory.Policy // of addresses; nil admits all
	// Grace is the time between the wish to be deleted and the deletion.
	Grace time.Duration
	Now   func() time.Time
}

var errNotYet = errors.New("not there yet")

// Get returns the user, tombstones included. It returns ErrNotFound.
func (s *Service) Get(context.Context, directory.UserID) (directory.User, error) {
	return directory.User{}, errNotYet
}

// Update changes the user's data and has the provider told. It returns
// ErrNotFound, ErrVersion, ErrEmailTaken, a *StatusError, or an error of the
// policy.
func (s *Service) Update(context.Context, directory.UserID, Change, int64) (directory.User, error) {
	return directory.User{}, errNotYet
}

// Suspend ends the user's sessions and lets them sign in no more. It returns
// ErrNotFound, ErrVersion or a *StatusError. Who is suspended already stays so.
func (s *Service) Suspend(ctx context.Context, id directory.UserID, version int64) (directory.User, error) {
	return directory.User{}, errNotYet
}

// Restore undoes a suspension, or a deletion within its grace period. It
// returns ErrNotFound, ErrVersion or a *StatusError.
func (s *Service) Restore(ctx context.Context, id directory.UserID, version int64) (directory.User, error) {
	return directory.User{}, errNotYet
}

// Delete ends the user's sessions at once and has them deleted when grace is
// over; the returned user's DeleteAfter says when. It returns ErrNotFound,
// ErrVersion or a *StatusError.
func (s *Service) Delete(ctx context.Context, id directory.UserID, grace time.Duration, version int64) (directory.User, error) {
	return directory.User{}, errNotYet
}

// Invite makes a user whom the provider then mails. It returns ErrEmailTaken,
// ErrExternalIDTaken or an error of the policy.
func (s *Service) Invite(context.Context, Invitation) (directory.User, error) {
	return directory.User{}, errNotYet
}

// Resend has the enrolment mail sent again. It returns ErrNotFound or a
// *StatusError unless the user is invited.
func (s *Service) Resend(context.Context, directory.UserID) (directory.User, error) {
	return directory.User{}, errNotYet
}

// Retry has the provider asked again about a user who has failed or is in
// conflict, and about a change that it would not have. It returns ErrNotFound
// or a *StatusError.
func (s *Service) Retry(context.Context, directory.UserID) (directory.User, error) {
	return directory.User{}, errNotYet
}

// Adopt resolves a conflict: the operator says that this user of the
// provider's is the one. It returns ErrNotFound, ErrVersion,
// ErrInternalIDTaken or a *StatusError.
func (s *Service) Adopt(ctx context.Context, id directory.UserID, there directory.InternalID, version int64) (directory.User, error) {
	return directory.User{}, errNotYet
}
