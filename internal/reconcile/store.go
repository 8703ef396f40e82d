package reconcile

import (
	"context"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

// Store keeps the runs and what they have found. What changes a run returns
// ErrLost unless its holder has it. Every method may return
// directory.ErrUnavailable.
type Store interface {
	Runs
	Suspects
	Repairs
}

// Runs are the comparisons.
type Runs interface {
	// BeginRun stores the run and gives it to its holder; one that was
	// interrupted is abandoned. It returns a *BusyError.
	BeginRun(ctx context.Context, run Run, until time.Time) error
	// ResumeRun gives the run that was interrupted to the holder, if it is the
	// actor's, where one is named. It returns ErrNothing or a *BusyError.
	ResumeRun(ctx context.Context, holder, actor string, at, until time.Time) (Run, error)
	// HoldRun renews the holder's lease.
	HoldRun(ctx context.Context, run Run, until time.Time) error
	// SaveRun stores how far the run has come. One that has ended frees its
	// place, and what it has copied is removed.
	SaveRun(ctx context.Context, run Run) error
	// LastRun returns when the latest run was begun, or the zero time.
	LastRun(ctx context.Context) (time.Time, error)
	// PurgeRuns removes all runs but the latest that have ended.
	PurgeRuns(ctx context.Context, keep int) error
	// StageUsers stores a page of the provider's users, and with it how far
	// the run has come.
	StageUsers(ctx context.Context, run Run, users []beyondidentity.User) error
	// CountUsers returns how many users there are here, tombstones not
	// counted.
	CountUsers(ctx context.Context) (int, error)
}

// Suspects are those of whom a difference is suspected, and what was found of
// them.
type Suspects interface {
	// CompareDirectories stores who is suspected, and with it that they are.
	CompareDirectories(ctx context.Context, run Run, bounds Bounds) error
	// NextSuspects returns some of those who are still to be looked at.
	NextSuspects(ctx context.Context, run RunID, limit int) ([]Suspect, error)
	// CountSuspects returns how many there are.
	CountSuspects(ctx context.Context, run RunID) (int, error)
	// ClearSuspect takes the suspect off the list and stores what was found.
	ClearSuspect(ctx context.Context, run Run, suspect Suspect, found []Finding, at time.Time) error
	// LoadHere returns a user as they are here, or false.
	LoadHere(ctx context.Context, id directory.UserID) (Here, bool, error)
	// KnownHere reports whether somebody here has, or had, one of the ids.
	KnownHere(ctx context.Context, external directory.ExternalID, internal directory.InternalID) (bool, error)
	// SharingAddress returns the internal_id of another user of ours whom the run has
	// seen there with the address, or nothing.
	SharingAddress(ctx context.Context, run RunID, canonical string, but directory.InternalID) (directory.InternalID, error)
	// LoadSignup returns a sign-up that is not settled, or false.
	LoadSignup(ctx context.Context, id signup.ID) (Unsettled, bool, error)
	// ListFindings returns the findings of a run in their order, beyond the
	// one named.
	ListFindings(ctx context.Context, run RunID, after string, limit int) ([]Finding, error)
	// CountFindings returns what became of them by class.
	CountFindings(ctx context.Context, run RunID) (map[Class]Count, error)
	// NextRepairs returns findings of the classes whose repair was not tried.
	NextRepairs(ctx context.Context, run RunID, classes []Class, limit int) ([]Finding, error)
}

// Repairs each change a user who is still of the version, write the audit's
// line, and settle the finding, in one transaction. They return ErrGone where
// the user is another by now.
type Repairs interface {
	// SendAgain has the change job send the provider what is known here.
	SendAgain(ctx context.Context, run Run, finding Finding, version int64, at time.Time) error
	// CreateAgain takes the internal_id, which means nothing any more, from
	// the user, and has one whom we made created again. One whom the provider
	// had before us ends in conflict; one who is suspended stays so.
	CreateAgain(ctx context.Context, run Run, finding Finding, here Here, at time.Time) error
	// JobAgain gives a user who waits for the provider, or whose change does,
	// another job; or a sign-up, where the finding names one.
	JobAgain(ctx context.Context, run Run, finding Finding, version int64, at time.Time) error
	// NoteRepair writes that a repair is about to be tried at the provider.
	NoteRepair(ctx context.Context, run Run, finding Finding, at time.Time) error
	// SettleRepair stores what became of the finding's repair.
	SettleRepair(ctx context.Context, run Run, finding Finding, at time.Time) error
}

// Bounds say who is suspected of being stuck.
type Bounds struct {
	StuckBefore time.Time
	// Importing says that imported users still wait for their turn: that
	// they are not there yet means nothing.
	Importing bool
}

// Suspect is somebody who is to be looked at.
type Suspect struct {
	Kind    SuspectKind
	Subject string
}

// SuspectKind says what a suspect's subject is.
type SuspectKind string

// The kinds.
const (
	SuspectUser     SuspectKind = "user"     // a UserID
	SuspectStranger SuspectKind = "stranger" // an internal_id that nobody here has
	SuspectSignup   SuspectKind = "signup"   // a sign-up's id
)

// Here is a user as they are here.
type Here struct {
	directory.User

	MadeThere      bool
	Since          time.Time // when they came to be of their status
	AmbiguousUntil time.Time // end of a create's quarantine, or zero
	SyncSince      time.Time // when their last change was to be carried there
	DeletedAt      time.Time
}

// Unsettled is a sign-up that is not settled.
type Unsettled struct {
	ID         signup.ID
	User       directory.UserID // empty before there is one
	Status     directory.Status // theirs
	AcceptedAt time.Time
}
