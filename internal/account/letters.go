package account

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/mail"
)

// Mailer sends mails of our own. Its errors are *mail.SendError.
type Mailer interface {
	Send(ctx context.Context, n mail.Notice) error
	SendProof(ctx context.Context, p mail.Proof) error
	SendEmailChanged(ctx context.Context, c mail.EmailChanged) error
	SendClosing(ctx context.Context, c mail.Closing) error
}

// The times between two tries of a mail.
const (
	mailRetry         = 30 * time.Second
	mailOperatorRetry = 5 * time.Minute
)

const (
	// noticePause is the time between two notices to one user, whatever made
	// them due.
	noticePause = 24 * time.Hour
	// letterTime is how long a letter is of use: news of last week is none.
	letterTime = 3 * 24 * time.Hour
)

// LetterID names a letter: a UUIDv7.
type LetterID string

// LetterKind is what a letter tells.
type LetterKind string

// The kinds of letters that are kept until they are sent. Codes are not.
const (
	LetterEmailChanged LetterKind = "email_changed"
	LetterClosing      LetterKind = "closing"
)

// Letter is to be sent. Its address is its own: the user's may be another by
// then, or none.
type Letter struct {
	ID     LetterID
	User   directory.UserID
	Kind   LetterKind
	To     string
	Locale string
	When   time.Time // of what it announces; zero without one
	At     time.Time // of its making
}

// Letters keeps letters until they are sent. Every method may return
// directory.ErrUnavailable.
type Letters interface {
	// FindLetter returns ErrNotFound when the letter has been sent or dropped.
	FindLetter(ctx context.Context, id LetterID) (Letter, error)
	// DropLetter forgets the letter.
	DropLetter(ctx context.Context, id LetterID) error
	// BeginOwnerNotice marks the owner of an address as told of the wish for it,
	// unless they were told of another since before. It reports whether it did.
	BeginOwnerNotice(ctx context.Context, owner directory.UserID, wish, before time.Time) (bool, error)
	// UndoNotice takes the mark back: it is sure that nobody was told.
	UndoNotice(ctx context.Context, owner directory.UserID) error
}

// ProveEmail mails a code to the address that a user wants, or tells its owner
// if there is one: then there never is a code. It returns zero when nothing is
// left to do, else when to call again, or an error when the database could not
// be read or written.
func (s *Service) ProveEmail(ctx context.Context, id EmailChangeID) (again time.Duration, err error) {
	pending, err := s.Store.FindEmailChange(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil || s.Mailer == nil || !pending.Change.Open(s.now()) || pending.User.Status != directory.Active {
		return 0, err
	}
	if owner := pending.Owner; owner.ID != "" && owner.ID != pending.User.ID {
		return s.tellOwner(ctx, owner, pending.Change)
	}
	// Made anew for each try: nobody but the letter has it.
	code := newEmailCode()
	kept, err := s.Store.KeepCode(ctx, id, code.Hash(pending.User.ID, pending.Change.Email))
	if err != nil || !kept {
		return 0, err
	}
	return s.posted(ctx, pending.User.ID, "a code", s.Mailer.SendProof(ctx, mail.Proof{
		ID: string(id), To: pending.Change.Email.String(), Locale: pending.User.Locale,
		Code: code.Reveal(), Until: pending.Change.ExpiresAt,
	})), nil
}

// tellOwner tells the owner of an address that somebody wants it.
func (s *Service) tellOwner(ctx context.Context, owner directory.User, change EmailChange) (again time.Duration, err error) {
	if owner.Status != directory.Active && owner.Status != directory.Suspended {
		return 0, nil
	}
	due, err := s.Store.BeginOwnerNotice(ctx, owner.ID, change.At, s.now().Add(-noticePause))
	if err != nil || !due {
		return 0, err
	}
	again = s.posted(ctx, owner.ID, "a notice", s.Mailer.Send(ctx, mail.Notice{
		ID: string(change.ID), To: owner.Email.String(), Name: owner.DisplayName, Locale: owner.Locale,
	}))
	if again > 0 {
		return again, s.Store.UndoNotice(context.WithoutCancel(ctx), owner.ID)
	}
	return 0, nil
}

// SendLetter sends a letter and forgets it. If we die in between it is sent
// again, under the same Message-ID: that a reader misses one would be worse. It
// returns as ProveEmail does.
func (s *Service) SendLetter(ctx context.Context, id LetterID) (again time.Duration, err error) {
	letter, err := s.Store.FindLetter(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if s.Mailer != nil && s.now().Before(letter.At.Add(letterTime)) {
		if again = s.posted(ctx, letter.User, string(letter.Kind), s.post(ctx, letter)); again > 0 {
			return again, nil
		}
	}
	return 0, s.Store.DropLetter(context.WithoutCancel(ctx), id)
}

func (s *Service) post(ctx context.Context, l Letter) error {
	if l.Kind == LetterClosing {
		return s.Mailer.SendClosing(ctx, mail.Closing{ID: string(l.ID), To: l.To, Locale: l.Locale, After: l.When})
	}
	return s.Mailer.SendEmailChanged(ctx, mail.EmailChanged{ID: string(l.ID), To: l.To, Locale: l.Locale})
}

// posted logs what came of a letter. It returns when to try again, or zero when
// it was taken, may have been, or never will be.
func (s *Service) posted(ctx context.Context, user directory.UserID, what string, err error) (again time.Duration) {
	about := []any{slog.String("user_id", string(user)), slog.String("letter", what)}
	switch class := mail.ClassOf(err); class {
	case "":
		s.Log.InfoContext(ctx, "letter is sent", about...)
		return 0
	case mail.Unreachable, mail.Temporary, mail.Misconfigured:
		again, level := mailRetry, slog.LevelWarn
		if class == mail.Misconfigured {
			again, level = mailOperatorRetry, slog.LevelError
		}
		s.Log.Log(ctx, level, "letter is postponed", append(about, slog.Any("error", err))...)
		return again
	case mail.Refused, mail.Ambiguous:
	}
	s.Log.WarnContext(ctx, "letter may not have arrived", append(about, slog.Any("error", err))...)
	return 0
}
