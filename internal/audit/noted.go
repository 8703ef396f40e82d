package audit

import (
	"errors"

	"github.com/portico-id/portico/internal/directory"
)

// knownError is an error of which more is known than its text says.
type knownError struct {
	cause error
	user  directory.UserID
	noted bool
}

func (e *knownError) Error() string { return e.cause.Error() }

func (e *knownError) Unwrap() error { return e.cause }

// About returns err as one about the user, for its event to say so.
func About(err error, user directory.UserID) error {
	if err == nil {
		return nil
	}
	return &knownError{cause: err, user: user}
}

// UserOf returns whom err is about, or nobody.
func UserOf(err error) directory.UserID {
	if known, ok := errors.AsType[*knownError](err); ok {
		return known.user
	}
	return ""
}

// Noted returns err as one whose event was written where it was decided, with
// all that was known there. Whoever meets it writes none.
func Noted(err error) error {
	if err == nil {
		return nil
	}
	return &knownError{cause: err, user: UserOf(err), noted: true}
}

// IsNoted reports whether the event of err is written.
func IsNoted(err error) bool {
	known, ok := errors.AsType[*knownError](err)
	return ok && known.noted
}
