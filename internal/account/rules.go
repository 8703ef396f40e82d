package account

import (
	"time"

	"github.com/portico-id/portico/internal/directory"
)

// Editable returns a *StatusError when the user's data is not to be changed any
// more.
func Editable(u directory.User) error {
	if u.Status == directory.Deleting || u.Status == directory.Deleted {
		return &StatusError{u.Status}
	}
	return nil
}

// Suspended returns whether a suspension changes anything: not for who is
// suspended. It returns a *StatusError.
func Suspended(u directory.User) (changes bool, err error) {
	switch {
	case u.Status == directory.Suspended:
		return false, nil
	case u.Status != directory.Deleting && u.Status.CanBecome(directory.Suspended):
		return true, nil
	default:
		return false, &StatusError{u.Status}
	}
}

// Restored returns the status of a user who is restored now: as far as they had
// come before, which is suspended if they were when they were deleted. It returns a
// *StatusError for one who needs no restoring, and for one whose grace period
// is over: the provider may be deleting them already.
func Restored(u directory.User, activated bool, now time.Time) (directory.Status, error) {
	next := u.Restored(activated)
	switch {
	case u.Status != directory.Suspended && u.Status != directory.Deleting,
		u.Status == directory.Deleting && !now.Before(u.DeleteAfter),
		!u.Status.CanBecome(next):
		return u.Status, &StatusError{u.Status}
	}
	return next, nil
}

// Deletable returns a *StatusError unless the user can be deleted then. Who is
// being deleted can be sooner, and not later.
func Deletable(u directory.User, after time.Time) error {
	if u.Status.CanBecome(directory.Deleting) || u.Status == directory.Deleting && after.Before(u.DeleteAfter) {
		return nil
	}
	return &StatusError{u.Status}
}

// Remindable returns a *StatusError unless the user has an enrolment mail to be
// sent again.
func Remindable(u directory.User) error {
	if u.Status != directory.Invited {
		return &StatusError{u.Status}
	}
	return nil
}

// Retried returns the status of a user about whom the provider is asked again:
// one whom it does not have is provisioned, one of whom it has not taken a
// change stays as they are. It returns a *StatusError where nothing has failed.
func Retried(u directory.User) (directory.Status, error) {
	switch {
	case u.Status == directory.Failed || u.Status == directory.Conflict:
		return directory.Provisioning, nil
	case u.Sync == directory.SyncFailed && u.Status != directory.Deleted:
		return u.Status, nil
	default:
		return u.Status, &StatusError{u.Status}
	}
}

// Adoptable returns a *StatusError unless the user is in conflict with one of
// the provider's.
func Adoptable(u directory.User) error {
	if u.Status != directory.Conflict {
		return &StatusError{u.Status}
	}
	return nil
}
