package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/signup"
)

var (
	// ErrNotFound says that there is no such sign-up, or no such user.
	ErrNotFound = errors.New("no such sign-up or user")
	// ErrInternalIDTaken says that another user here has the internal_id: two
	// external_ids of ours have met one user at the provider.
	ErrInternalIDTaken = errors.New("another user has this internal_id")
)

// Provider changes users at the provider. Its errors are *beyondidentity.Error.
type Provider interface {
	CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error)
	RecoverUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error)
}

// Changer reads and changes users at the provider by internal_id, where that is
// possible. Its errors are *beyondidentity.Error.
type Changer interface {
	GetUser(ctx context.Context, id directory.InternalID) (beyondidentity.User, error)
	UpdateUser(ctx context.Context, id directory.InternalID, change beyondidentity.UserChange) (beyondidentity.User, error)
	DeleteUser(ctx context.Context, id directory.InternalID) error
}

// Lookup finds users at the provider by external_id, where that is possible.
type Lookup interface {
	FindUser(ctx context.Context, id directory.ExternalID) (beyondidentity.User, error)
}

// Gate says when the provider may be called, and is told what came of it.
type Gate interface {
	// Admit returns a *gate.ClosedError when it is not the time.
	Admit(ctx context.Context, lane gate.Lane) (gate.Permit, error)
	// Limited reports whether a permit costs something although it is not used.
	Limited() bool
}

// Subject is a sign-up and its user as far as provisioning goes, or a user
// without one.
type Subject struct {
	Signup     signup.ID   // empty for a user without one
	Kind       signup.Kind // empty until the sign-up has a user
	AcceptedAt time.Time
	Locale     string
	Settled    bool
	Wished     time.Time // when an administrator wished for a mail; zero for a sign-up's wish

	User           directory.User
	Attempt        int       // creates begun so far
	AmbiguousUntil time.Time // end of the quarantine; zero when there is none

	MadeThere       bool                 // false: the provider had them before us, and keeps them
	Adopt           bool                 // take over whom the provider has under our external_id
	AdoptInternalID directory.InternalID // the one there whom an operator has named as this user
}

// lane is the lane of the calls that the subject needs: somebody waits for a
// sign-up or an invitation, and nobody for one of thousands of imports.
func (s Subject) lane() gate.Lane {
	if s.Signup == "" && s.User.Origin == directory.FromImport {
		return gate.Import
	}
	return gate.Signup
}

// foreign reports whether the external_id comes from elsewhere, so that the
// provider may have somebody under it whom we did not create.
func (s Subject) foreign() bool { return string(s.User.ExternalID) != string(s.User.ID) }

// Store keeps how far provisioning has come. Every write is conditional on the
// user being as the subject says; one that comes too late changes nothing and
// reports false. A move from one status to another writes its line of the
// audit in the same transaction. Every method may return
// directory.ErrUnavailable.
type Store interface {
	// FindSubject returns ErrNotFound when there is no such sign-up.
	FindSubject(ctx context.Context, id signup.ID) (Subject, error)
	// FindUserSubject returns a user without a sign-up. It returns ErrNotFound
	// when there is no such user.
	FindUserSubject(ctx context.Context, id directory.UserID) (Subject, error)
	// Enlist gives the sign-up its user, unless it has one: the one who has the
	// address, or a new one made of the candidate. It returns ErrNotFound when
	// there is no such sign-up.
	Enlist(ctx context.Context, id signup.ID, at time.Time) (Subject, error)
	// Start enlists the sign-up and, if it can do both at once, records that
	// the first create is about to be sent for the user whom it has made. It
	// reports whether it has; the subject is as Enlist returns it.
	Start(ctx context.Context, id signup.ID, ambiguousUntil, at time.Time) (s Subject, begun bool, err error)
	// Settle records that nothing is left to do for the sign-up.
	Settle(ctx context.Context, id signup.ID, at time.Time) error

	Attempts
	Takeovers
	Mails
	Changes
	Watch
	Lost
}

// Attempts are the steps towards a user at the provider.
type Attempts interface {
	// BeginAttempt records that another create is about to be sent.
	BeginAttempt(ctx context.Context, s Subject, ambiguousUntil, at time.Time) (bool, error)
	// Postpone records why the attempt did not settle the user, and what
	// counts of it.
	Postpone(ctx context.Context, s Subject, p Postponement) (bool, error)
	// Invite records that the provider has the user, and under which id, and
	// that nothing is left to do for the sign-up that made them. It returns
	// ErrInternalIDTaken when another user has that id.
	Invite(ctx context.Context, s Subject, internalID directory.InternalID, at time.Time) (bool, error)
	// Refuse ends provisioning in status failed or conflict, and settles the
	// sign-up as Invite does.
	Refuse(ctx context.Context, s Subject, status directory.Status, class string, at time.Time) (bool, error)
}

// Postponement is why, and for how long, a user is not settled.
type Postponement struct {
	// Attempt is how many attempts count: one less when it is sure that
	// nothing was done.
	Attempt        int
	AmbiguousUntil time.Time // zero says that surely nothing happened
	Class          string
	At             time.Time
}

// Mails are claimed before they are sent, so that nobody gets one twice for one
// wish.
type Mails interface {
	// ClaimEnrolmentMail reports whether an enrolment mail may go out now: none
	// was claimed for the same wish before, the user is still invited, and the
	// last one went out before.
	ClaimEnrolmentMail(ctx context.Context, s Subject, at, before time.Time) (bool, error)
	// ReleaseEnrolmentMail takes a claim back: it is sure that none went out.
	ReleaseEnrolmentMail(ctx context.Context, s Subject, claimed, last time.Time) error
	// ClaimNotice stores the job that tells the user of a sign-up with their
	// address, unless they were told since before. It reports whether it did.
	ClaimNotice(ctx context.Context, s Subject, at, before time.Time) (bool, error)
	// BeginNotice marks the claimed notice as sent. It reports whether it was
	// not yet.
	BeginNotice(ctx context.Context, id directory.UserID) (bool, error)
	// UndoNotice takes the mark back: it is sure that none went out.
	UndoNotice(ctx context.Context, id directory.UserID) error
}

// Service carries sign-ups, and what changes of users, out. Its fields are set before use.
type Service struct {
	Store      Store
	Provider   Provider
	Lookup     Lookup  // nil where the provider has none
	Changer    Changer // nil where the provider has none
	Gate       Gate
	Jobs       Jobs
	Quarantine time.Duration // within which a create that was sent must have settled
	CallLimit  time.Duration // longest time that one call can take
	MailPause  time.Duration // between two enrolment mails to one user
	// Creates has as many places as creates for sign-ups may be under way at
	// once; nil for any number.
	Creates chan struct{}
	Mailer  Mailer // tells owners of registered addresses; nil where there is no mail server
	Now     func() time.Time
	Log     *slog.Logger

	pace pace
	lost rounds
}

// noticePause is the time between two notices to one user.
const noticePause = 24 * time.Hour

// The times between two tries.
const (
	firstRetry   = 500 * time.Millisecond
	longestRetry = time.Minute
	busyRetry    = time.Second
	lookRetry    = 5 * time.Second // a look-up is no attempt: nothing counts it, to back off by
)

// Carry does for the sign-up what can be done now. It returns zero when
// nothing is left to do, else when to call again. It returns ErrNotFound, or
// another error when the database could not be read or written; call again
// after that too.
func (s *Service) Carry(ctx context.Context, id signup.ID) (again time.Duration, err error) {
	begun := s.Now()
	subject, taken, again, err := s.start(ctx, id)
	if taken || err != nil || subject.Settled {
		return again, err
	}
	settled := s.Now
	switch {
	case subject.Kind != signup.New:
		again, err = s.meet(ctx, subject)
		settled = func() time.Time { return s.pace.since(begun, s.Now()) }
	case underWay(subject.User.Status):
		return s.provision(ctx, subject) // its last step settles the sign-up
	}
	if err != nil || again > 0 {
		return again, err
	}
	// What happened at the provider is written even while the program stops.
	return 0, s.Store.Settle(context.WithoutCancel(ctx), id, settled().UTC())
}

// admit asks the gate. It returns a permit, or when to ask again.
func (s *Service) admit(ctx context.Context, lane gate.Lane) (gate.Permit, time.Duration, error) {
	permit, err := s.Gate.Admit(ctx, lane)
	if closed, ok := errors.AsType[*gate.ClosedError](err); ok {
		return gate.Permit{}, max(closed.Wait, time.Millisecond), nil
	}
	if err == nil {
		failpoint.Here("gate.after_admit")
	}
	return permit, 0, err
}

// done tells the gate what came of a call.
func (s *Service) done(ctx context.Context, permit gate.Permit, err error) {
	failpoint.Here("gate.before_done")
	permit.Done(ctx, err)
}

func (s *Service) about(subject Subject) []any {
	return []any{
		slog.String("user_id", string(subject.User.ID)),
		slog.Int("attempt", subject.Attempt),
	}
}
