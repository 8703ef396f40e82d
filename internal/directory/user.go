package directory

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// UserID is a user's own id in this directory: a UUIDv7 (RFC 9562 §5.7) in
// its canonical text form. It is never reused.
type UserID string

// NewUserID returns a fresh UserID, ordered by time.
func NewUserID() UserID {
	// NewV7 fails only if the system's randomness does, which crypto/rand
	// turns into a crash of its own.
	return UserID(uuid.Must(uuid.NewV7()).String())
}

// ExternalID is our key for a user as the provider stores it. For sign-ups it
// is the UserID itself; an imported user keeps the key of the directory that
// they come from. Users are matched by it, and by nothing else.
type ExternalID string

// InternalID is the provider's own key for a user: the `id` of its UserInfo
// and what its modifying calls take. It is empty until the user has been
// created there, and written once.
type InternalID string

// User is one person in the directory. Times are UTC.
type User struct {
	ID          UserID
	ExternalID  ExternalID
	InternalID  InternalID // empty until provisioned
	Email       Email
	DisplayName string
	Status      Status
	Issuer      string // of the first login; empty before
	Subject     string // of the first login; unique together with Issuer
	Locale      string // BCP 47; empty if nobody has said
	Origin      Origin
	Sync        Sync
	SyncClass   string // of the error that keeps a change from the provider; empty without one
	LastClass   string // of the error that keeps the user from the provider; empty without one
	Version     int64  // another with every change of what is shown
	CreatedAt   time.Time
	UpdatedAt   time.Time
	SuspendedAt time.Time // zero unless Suspended, or suspended before Deleting
	DeleteAfter time.Time // end of the grace period; zero unless Deleting
}

// Origin says how a user came to be here.
type Origin string

// The origins.
const (
	FromSignup Origin = "signup"
	FromAdmin  Origin = "admin"
	FromImport Origin = "import"
)

// Sync says how far the provider has what is known here of a user.
type Sync string

// The states. A change is committed here first, and then carried there.
const (
	SyncPending Sync = "pending" // something is still to be carried there
	SyncSynced  Sync = "synced"  // the provider has it all
	SyncFailed  Sync = "failed"  // the provider will not have it; see the error's class
)

// Synced returns how far the provider has the user: one who is not there yet
// is pending, or has failed. Of a tombstone there is nothing to be had.
func (u User) Synced() Sync {
	switch {
	case u.InternalID != "" || u.Status == Deleted:
		return u.Sync
	case u.Status == Failed || u.Status == Conflict:
		return SyncFailed
	default:
		return SyncPending
	}
}

// Restored returns the status of a suspended or leaving user who is restored:
// as far as they had come before. Who was suspended before they were deleted is
// suspended again, since nobody has said that they may come in.
func (u User) Restored(activated bool) Status {
	switch {
	case u.Status == Deleting && !u.SuspendedAt.IsZero():
		return Suspended
	case u.InternalID == "":
		return Provisioning
	case activated:
		return Active
	default:
		return Invited
	}
}

// Status is where a user stands in their life.
type Status string

// The statuses, in the order of a life without trouble.
const (
	Received     Status = "received"     // accepted here, the provider has not been asked yet
	Provisioning Status = "provisioning" // the provider has been asked and has not settled it
	Invited      Status = "invited"      // exists at the provider, has not logged in yet
	Active       Status = "active"       // has logged in
	Suspended    Status = "suspended"    // may not log in until restored
	Failed       Status = "failed"       // the provider refused the data; an operator decides
	Conflict     Status = "conflict"     // the provider holds another user in the way; an operator decides
	Deleting     Status = "deleting"     // to be deleted at the provider
	Deleted      Status = "deleted"      // a tombstone
)

// Statuses returns every status, in the order above.
func Statuses() []Status {
	return []Status{
		Received, Provisioning, Invited, Active, Suspended,
		Failed, Conflict, Deleting, Deleted,
	}
}

// moves lists the legal moves out of each status.
//
// Provisioning may become Active directly: the provider's answer to the
// create can be lost although the user exists there, has their mail and logs
// in, and a login that proves our external_id settles the question.
//
// Invited and Active may become Provisioning again, or Conflict: the provider
// has lost the user, and an operator has them created again.
func (s Status) moves() []Status {
	switch s {
	case Received:
		return []Status{Provisioning, Deleting}
	case Provisioning:
		return []Status{Invited, Active, Failed, Conflict, Deleting}
	case Invited:
		return []Status{Active, Suspended, Deleting, Provisioning, Conflict}
	case Active:
		return []Status{Suspended, Deleting, Provisioning, Conflict}
	case Suspended: // whom the provider has lost meanwhile is created again
		return []Status{Invited, Active, Provisioning, Deleting}
	case Failed, Conflict:
		return []Status{Provisioning, Deleting}
	case Deleting: // within the grace period there is a way back
		return []Status{Deleted, Provisioning, Invited, Active, Suspended}
	case Deleted:
		return nil
	default:
		return nil
	}
}

// CanBecome reports whether a user may move from s to next. Staying is no move.
func (s Status) CanBecome(next Status) bool { return slices.Contains(s.moves(), next) }
