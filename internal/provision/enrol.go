package provision

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
)

// The error classes of users who end in conflict although the provider has
// refused nothing.
const (
	// classAlreadyThere says that the provider has somebody under an
	// external_id from elsewhere, and nobody has said that it is this user.
	classAlreadyThere = beyondidentity.Class("already_there")
	// classUnsupported says that the provider's interface that would be needed
	// is not configured.
	classUnsupported = beyondidentity.Class(ClassUnsupported)
)

// ClassUnsupported is the error class of what can be done only where users can
// be changed at the provider.
const ClassUnsupported = "unsupported_by_provider"

// Takeover is somebody at the provider who becomes a user of ours. They stay
// there when the user is deleted.
type Takeover struct {
	InternalID directory.InternalID
	Active     bool // they have a passkey
	Differs    bool // the provider has other data of them, which are to be changed
	At         time.Time
}

// Takeovers are the steps towards a user whom the provider had before us.
type Takeovers interface {
	// BeginLook records that the provider is asked about the user. It reports
	// whether they are still as the subject says.
	BeginLook(ctx context.Context, s Subject, at time.Time) (bool, error)
	// TakeOver makes the user invited, or active, and a change of whom the
	// provider has other data. It returns ErrInternalIDTaken when another user
	// has that id.
	TakeOver(ctx context.Context, s Subject, t Takeover) (bool, error)
}

// CarryUser does for a user without a sign-up what Carry does for a sign-up: one
// who was invited or imported, or is tried again. It returns as Carry does.
func (s *Service) CarryUser(ctx context.Context, id directory.UserID) (again time.Duration, err error) {
	subject, err := s.Store.FindUserSubject(ctx, id)
	if err != nil {
		return 0, err
	}
	return s.provision(ctx, subject)
}

// Remind sends an invited user's enrolment mail again, as an administrator
// wished for at that time. It returns as Carry does.
func (s *Service) Remind(ctx context.Context, id directory.UserID, wished time.Time) (again time.Duration, err error) {
	subject, err := s.Store.FindUserSubject(ctx, id)
	if err != nil || subject.User.Status != directory.Invited {
		return 0, err
	}
	subject.Wished = wished
	return s.remind(ctx, subject, gate.Resend)
}

// lookFirst looks for a user whose external_id comes from elsewhere before the
// first create: where nothing is unique, that would make them a second time.
func (s *Service) lookFirst(ctx context.Context, subject Subject) (time.Duration, error) {
	permit, closed, err := s.admit(ctx, subject.lane())
	if err != nil || closed > 0 {
		return closed, err
	}
	mine, err := s.Store.BeginLook(ctx, subject, s.Now().UTC())
	if err != nil || !mine {
		permit.Unused(ctx)
		return busyRetry, err
	}
	subject.User.Status = directory.Provisioning
	found, err := s.Lookup.FindUser(ctx, subject.User.ExternalID)
	s.done(ctx, permit, err)
	switch class := beyondidentity.ClassOf(err); {
	case class == "" && subject.Adopt:
		return s.adopt(ctx, subject, found)
	case class == "":
		return s.refuse(ctx, subject, directory.Conflict, classAlreadyThere, errAlreadyThere)
	case class == beyondidentity.NotFound:
		return s.create(ctx, subject)
	case class == beyondidentity.Duplicate:
		return s.refuse(ctx, subject, directory.Conflict, class, err)
	case class == beyondidentity.Rejected:
		// An external_id that cannot be looked for cannot be matched, ever.
		return s.refuse(ctx, subject, directory.Failed, class, err)
	default:
		return s.postpone(ctx, subject, Postponement{}, lookRetry, err)
	}
}

// Why a user is refused by us.
var (
	errAlreadyThere = errors.New("the provider has somebody under the external_id, who is not to be taken over")
	errNoChanges    = errors.New("users cannot be changed at the provider")
)

// takeOver gives the one whom an operator has named our external_id. What else
// differs is a change like any other.
func (s *Service) takeOver(ctx context.Context, subject Subject) (time.Duration, error) {
	if s.Changer == nil {
		return s.refuse(ctx, subject, directory.Conflict, classUnsupported, errNoChanges)
	}
	permit, closed, err := s.admit(ctx, subject.lane())
	if err != nil || closed > 0 {
		return closed, err
	}
	mine, err := s.Store.BeginLook(ctx, subject, s.Now().UTC())
	if err != nil || !mine {
		permit.Unused(ctx)
		return busyRetry, err
	}
	subject.User.Status = directory.Provisioning
	changed, err := s.Changer.UpdateUser(ctx, subject.AdoptInternalID, beyondidentity.UserChange{
		ExternalID: &subject.User.ExternalID,
	})
	ctx = context.WithoutCancel(ctx)
	s.done(ctx, permit, err)
	switch class := beyondidentity.ClassOf(err); class {
	case "":
		return s.adopt(ctx, subject, changed)
	case beyondidentity.NotFound:
		subject.AdoptInternalID = "" // there is no such user to try again with
		return s.refuse(ctx, subject, directory.Conflict, class, err)
	case beyondidentity.Conflict, beyondidentity.Rejected, beyondidentity.Duplicate:
		return s.refuse(ctx, subject, directory.Conflict, class, err)
	default:
		// However often it happens, it is the same.
		return s.postpone(ctx, subject, Postponement{
			Attempt: subject.Attempt, AmbiguousUntil: subject.AmbiguousUntil,
		}, lookRetry, err)
	}
}

// adopt makes somebody at the provider a user of ours. No mail is sent.
func (s *Service) adopt(ctx context.Context, subject Subject, found beyondidentity.User) (time.Duration, error) {
	ctx = context.WithoutCancel(ctx)
	moved, err := s.Store.TakeOver(ctx, subject, Takeover{
		InternalID: found.InternalID,
		Active:     found.HasActivePasskey,
		Differs:    !shows(found, subject.User),
		At:         s.Now().UTC(),
	})
	if errors.Is(err, ErrInternalIDTaken) {
		return s.refuse(ctx, subject, directory.Conflict, classInternalIDTaken, err)
	}
	if err != nil {
		return 0, err
	}
	if !moved {
		return busyRetry, nil
	}
	s.Log.InfoContext(ctx, "user is taken over", append(s.about(subject), slog.Bool("enrolled", found.HasActivePasskey))...)
	return 0, nil
}

// shows reports whether the provider has the user's data. It may keep addresses
// in lower case.
func shows(there beyondidentity.User, user directory.User) bool {
	email := user.Email.String()
	return strings.EqualFold(there.Email, email) && there.DisplayName == beyondidentity.ShownName(user.DisplayName, email)
}
