package audit

import "errors"

// notedError is an error whose event is kept already.
type notedError struct{ cause error }

func (e *notedError) Error() string { return e.cause.Error() }

func (e *notedError) Unwrap() error { return e.cause }

// Noted returns err as one whose event was written where it was decided, with
// all that was known there. Whoever meets it writes none.
func Noted(err error) error {
	if err == nil {
		return nil
	}
	return &notedError{err}
}

// IsNoted reports whether the event of err is written.
func IsNoted(err error) bool {
	_, ok := errors.AsType[*notedError](err)
	return ok
}
