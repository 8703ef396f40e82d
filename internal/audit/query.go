package audit

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// ErrQuery says that a filter is none.
var ErrQuery = errors.New("not a query of the audit")

// MaxPage is how many events one page has at most.
const MaxPage = 200

// maxPrefix bounds ActionPrefix, in bytes.
const maxPrefix = 64

// Cursor is where a page ends. The zero value is before the newest event.
type Cursor struct {
	At time.Time
	ID string
}

// Query asks for events, newest first. What is zero does not filter.
type Query struct {
	UserID       directory.UserID
	Actor        string
	ActionPrefix string // "user.suspended", or "user" for all that begin with that word
	Outcome      Outcome
	After        time.Time // at or after
	Before       time.Time // earlier than
	Limit        int       // up to MaxPage
	Cursor       Cursor    // of the last event of the page before
}

// Cursor returns where the page ends of which e is the last.
func (e Event) Cursor() Cursor { return Cursor{At: e.At, ID: e.ID} }

// Check returns ErrQuery, with what is wrong.
func (q Query) Check() error {
	var wrong string
	switch {
	case q.Limit < 1 || q.Limit > MaxPage:
		wrong = "limit"
	case q.UserID != "" && !isUUID(string(q.UserID)):
		wrong = "user"
	case q.Cursor != (Cursor{}) && (q.Cursor.At.IsZero() || !isUUID(q.Cursor.ID)):
		wrong = "cursor"
	case len(q.ActionPrefix) > maxPrefix || strings.Trim(q.ActionPrefix, "abcdefghijklmnopqrstuvwxyz._") != "":
		wrong = "action"
	case !utf8.ValidString(q.Actor) || strings.ContainsRune(q.Actor, 0):
		wrong = "actor"
	case !q.Outcome.filters():
		wrong = "outcome"
	case q.endsFirst():
		wrong = "times"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrQuery, wrong)
}

// filters reports whether a query may have the outcome: one that events have,
// or none.
func (o Outcome) filters() bool {
	return o == "" || o == Success || o == Refused || o == Failed
}

// endsFirst reports whether the query's times are the wrong way about, so that
// no event is between them.
func (q Query) endsFirst() bool {
	return !q.After.IsZero() && !q.Before.IsZero() && !q.After.Before(q.Before)
}

func isUUID(text string) bool {
	parsed, err := uuid.Parse(text)
	return err == nil && parsed.String() == text
}
