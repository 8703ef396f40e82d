package account

import (
	"context"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

// Store keeps users. Its changes lock the user, ask the rules of this package,
// and write the line of the audit and the jobs that follow in the same
// transaction. They return the user as they are afterwards, ErrNotFound,
// tombstones included, and ErrVersion unless the user's version is the one that
// is named or that is [AnyVersion]. Every method may return
// directory.ErrUnavailable.
type Store interface {
	// FindUser returns ErrNotFound when nobody has the id, not even as a
	// tombstone.
	FindUser(ctx context.Context, id directory.UserID) (directory.User, error)

	// ExportUser returns all rows that are held about the user. It returns
	// ErrNotFound.
	ExportUser(ctx context.Context, id directory.UserID) (Export, error)

	Listing
	Edits
	EmailChanges
	Letters
	Lives
	Enrolments
}

// Edits change what is known of a user.
type Edits interface {
	// UpdateUser returns ErrEmailTaken or a *StatusError of [Editable].
	UpdateUser(ctx context.Context, id directory.UserID, edit Edit, version int64) (directory.User, error)
}

// Lives end, and begin again.
type Lives interface {
	// SuspendUser returns a *StatusError of [Suspended].
	SuspendUser(ctx context.Context, id directory.UserID, version int64, at time.Time) (directory.User, error)
	// RestoreUser returns a *StatusError of [Restored].
	RestoreUser(ctx context.Context, id directory.UserID, version int64, at time.Time) (directory.User, error)
	// DeleteUser returns a *StatusError of [Deletable].
	DeleteUser(ctx context.Context, id directory.UserID, deletion Deletion, version int64) (directory.User, error)
}

// Enrolments lead users to the provider.
type Enrolments interface {
	// InviteUser stores a new user. It returns ErrEmailTaken or
	// ErrExternalIDTaken.
	InviteUser(ctx context.Context, user directory.User) (directory.User, error)
	// RemindUser returns a *StatusError of [Remindable].
	RemindUser(ctx context.Context, id directory.UserID, at time.Time) (directory.User, error)
	// RetryUser returns a *StatusError of [Retried].
	RetryUser(ctx context.Context, id directory.UserID, at time.Time) (directory.User, error)
	// AdoptUser returns ErrInternalIDTaken or a *StatusError of [Adoptable].
	AdoptUser(
		ctx context.Context, id directory.UserID, there directory.InternalID, version int64, at time.Time,
	) (directory.User, error)
}

// Edit is what is to become of a user's data. What is nil stays.
type Edit struct {
	DisplayName *string
	Email       *directory.Email
	Locale      *string
	At          time.Time
	Tell        bool // the old address, by a letter, if it has been used
}

// Deletion is when a user is to be deleted.
type Deletion struct {
	At    time.Time
	After time.Time // end of the grace period
	Tell  bool      // by a letter
}
