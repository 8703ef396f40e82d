package provision

import (
	"context"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/mail"
	"github.com/portico-id/portico/internal/signup"
)

// Mailer sends mails of our own. Its errors are *mail.SendError.
type Mailer interface {
	Send(ctx context.Context, n mail.Notice) error
}

// The times between two tries of a mail.
const (
	mailRetry         = 30 * time.Second
	mailOperatorRetry = 5 * time.Minute
)

// Notify tells the owner of the sign-up's address of it, once. It returns as
// Carry does.
func (s *Service) Notify(ctx context.Context, id signup.ID) (time.Duration, error) {
	subject, err := s.Store.FindSubject(ctx, id)
	if err != nil || s.Mailer == nil || !told(subject.User.Status) {
		return 0, err
	}
	// Marked before it is sent: if we die right after, the owner has missed a
	// mail rather than got two.
	due, err := s.Store.BeginNotice(ctx, subject.User.ID)
	if err != nil || !due {
		return 0, err
	}
	failpoint.Here("mail.before")
	err = s.Mailer.Send(ctx, mail.Notice{
		ID:     string(subject.Signup),
		To:     subject.User.Email.String(),
		Name:   subject.User.DisplayName,
		Locale: subject.Locale,
	})
	failpoint.Here("mail.after")
	ctx = context.WithoutCancel(ctx)
	switch class := mail.ClassOf(err); class {
	case "":
		s.Log.InfoContext(ctx, "owner is told of a sign-up", s.about(subject)...)
		return 0, nil
	case mail.Unreachable, mail.Temporary, mail.Misconfigured:
		again, level := mailRetry, slog.LevelWarn
		if class == mail.Misconfigured {
			again, level = mailOperatorRetry, slog.LevelError
		}
		s.Log.Log(ctx, level, "mail is postponed", append(s.about(subject), slog.Any("error", err))...)
		return again, s.Store.UndoNotice(ctx, subject.User.ID)
	case mail.Refused, mail.Ambiguous:
	}
	s.Log.WarnContext(ctx, "owner may not have been told of a sign-up", append(s.about(subject), slog.Any("error", err))...)
	return 0, nil
}

// told reports whether users of the status are told of sign-ups with their
// address.
func told(status directory.Status) bool {
	return status == directory.Active || status == directory.Suspended
}
