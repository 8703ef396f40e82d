package provision

import (
	"context"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/signup"
)

// meet does what is right for a sign-up with an address that is registered.
// Its receipt must move as a new one's would, so that it, too, calls the
// provider, waits when that is away, and is done no sooner.
func (s *Service) meet(ctx context.Context, subject Subject) (time.Duration, error) {
	switch subject.User.Status {
	case directory.Received, directory.Provisioning:
		// The mail to come is for this sign-up too.
		age := s.Now().Sub(subject.AcceptedAt)
		return min(max(age/4, firstRetry), lookRetry*3), nil
	case directory.Failed, directory.Conflict:
		return 0, nil
	case directory.Invited:
		return s.remind(ctx, subject, gate.Signup)
	case directory.Active, directory.Suspended, directory.Deleting, directory.Deleted:
	}
	return s.tell(ctx, subject, gate.Signup)
}

// Resend carries the wish for another mail out. It returns as Carry does.
func (s *Service) Resend(ctx context.Context, id signup.ID) (time.Duration, error) {
	subject, err := s.Store.FindSubject(ctx, id)
	if err != nil {
		return 0, err
	}
	switch subject.User.Status {
	case directory.Invited:
		return s.remind(ctx, subject, gate.Resend)
	case directory.Active, directory.Suspended:
		return s.tell(ctx, subject, gate.Resend)
	case directory.Received, directory.Provisioning, directory.Failed, directory.Conflict,
		directory.Deleting, directory.Deleted:
	}
	return 0, nil
}

// remind sends the enrolment mail of an invited user again, unless they had
// one just now. Where users can be looked up it first makes sure that there is
// no passkey yet: sending the mail again may cost its user those there are.
func (s *Service) remind(ctx context.Context, subject Subject, lane gate.Lane) (time.Duration, error) {
	if s.Lookup != nil {
		again, found, err := s.glance(ctx, subject, lane)
		if err != nil || again > 0 || !found {
			return again, err
		}
	}
	permit, closed, err := s.admit(ctx, lane)
	if err != nil || closed > 0 {
		return closed, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond)
	last := now.Add(-s.MailPause)
	if !subject.Wished.IsZero() && !last.Before(subject.Wished) {
		// One that was claimed since meets the wish, and has met it if we are
		// here again because its worker died.
		last = subject.Wished.Add(-time.Microsecond)
	}
	claimed, err := s.Store.ClaimEnrolmentMail(ctx, subject, now, last)
	if err != nil || !claimed {
		permit.Unused(ctx)
		return 0, err
	}
	failpoint.Here("recover.before")
	_, err = s.Provider.RecoverUser(ctx, subject.User.ExternalID)
	failpoint.Here("recover.after")
	ctx = context.WithoutCancel(ctx)
	s.done(ctx, permit, err)
	switch class := beyondidentity.ClassOf(err); class {
	case "":
		s.Log.InfoContext(ctx, "enrolment mail is sent again", s.about(subject)...)
		return 0, nil
	case beyondidentity.Unreachable, beyondidentity.Unauthorized, beyondidentity.Misconfigured, beyondidentity.RateLimited:
		// Surely none went out, and this wish may have its mail yet.
		return firstRetry, s.Store.ReleaseEnrolmentMail(ctx, subject, now, last)
	default:
		// It may have gone out; the person can wish again.
		s.Log.WarnContext(ctx, "enrolment mail may not have been sent again", append(s.about(subject), slog.Any("error", err))...)
		return 0, nil
	}
}

// tell lets the owner of a registered address know of the sign-up, by a mail
// of our own, once a day.
func (s *Service) tell(ctx context.Context, subject Subject, lane gate.Lane) (time.Duration, error) {
	if s.Mailer != nil && told(subject.User.Status) {
		now := s.Now().UTC()
		if _, err := s.Store.ClaimNotice(ctx, subject, now, now.Add(-noticePause)); err != nil {
			return 0, err
		}
	}
	again, _, err := s.glance(ctx, subject, lane)
	return again, err
}

// glance looks the user up at the provider, which is what takes a duplicate
// sign-up its time, and notes what it sees. It reports whether there is a user
// who is still to enrol, or when to look again.
func (s *Service) glance(ctx context.Context, subject Subject, lane gate.Lane) (again time.Duration, waiting bool, err error) {
	permit, closed, err := s.admit(ctx, lane)
	if err != nil || closed > 0 {
		return closed, false, err
	}
	if s.Lookup == nil {
		permit.Unused(ctx)
		return 0, false, nil
	}
	found, err := s.Lookup.FindUser(ctx, subject.User.ExternalID)
	s.done(ctx, permit, err)
	switch beyondidentity.ClassOf(err) {
	case "", beyondidentity.NotFound:
		return 0, err == nil && !found.HasActivePasskey, s.note(ctx, subject.User, found, err == nil)
	case beyondidentity.Rejected, beyondidentity.Duplicate, beyondidentity.Conflict:
		return 0, false, nil // an answer; the reconciler says what it thinks of it
	default:
		return lookRetry, false, nil
	}
}
