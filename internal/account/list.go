package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portico-id/portico/internal/directory"
)

// MaxPage is how many users one page has at most.
const MaxPage = 200

// Query asks for users, those made last first; where it asks by the time of the
// last change, those changed last first. What is zero does not filter.
type Query struct {
	Status directory.Status
	Sync   directory.Sync // as it is shown: see [directory.User.Synced]
	Domain string         // of the address

	CreatedAfter  time.Time // at or after
	CreatedBefore time.Time // earlier than
	UpdatedAfter  time.Time
	UpdatedBefore time.Time

	Email      string // however it is typed
	ExternalID directory.ExternalID
	InternalID directory.InternalID
	ID         directory.UserID

	Limit int    // up to MaxPage
	After Cursor // the page before
}

// Cursor is where a page ends: its last user, by the time that orders the list.
// The zero value is before the first page.
type Cursor struct {
	At time.Time
	ID directory.UserID
}

// Page is some of the users that were asked for.
type Page struct {
	Users []directory.User
	Next  Cursor // zero if these were the last
}

// QueryError says which part of a query is none, by the name that the contract
// has for it.
type QueryError struct{ Parameter, Reason string }

// Error names the part.
func (e *QueryError) Error() string { return fmt.Sprintf("%s: %s", e.Parameter, e.Reason) }

// Listing finds users.
type Listing interface {
	// ListUsers returns up to q.Limit users behind q.After in the order that q
	// asks for. Its address and domain are canonical. It may return
	// directory.ErrUnavailable.
	ListUsers(ctx context.Context, q Query) ([]directory.User, error)
}

// List returns a page of users, tombstones included. It returns a *QueryError
// or directory.ErrUnavailable.
func (s *Service) List(ctx context.Context, q Query) (Page, error) {
	if err := q.check(); err != nil {
		return Page{}, err
	}
	if err := s.canonical(&q); err != nil {
		return Page{}, err
	}
	limit := q.Limit
	q.Limit++ // whether there is more is then known without counting
	users, err := s.Store.ListUsers(ctx, q)
	if err != nil || len(users) <= limit {
		return Page{Users: users}, err
	}
	users = users[:limit]
	return Page{Users: users, Next: q.cursor(users[limit-1])}, nil
}

// ByUpdate reports whether the list is in the order of the users' last changes.
// In the order of their making, a range of those could be anywhere in it.
func (q Query) ByUpdate() bool { return !q.UpdatedAfter.IsZero() || !q.UpdatedBefore.IsZero() }

func (q Query) cursor(last directory.User) Cursor {
	if q.ByUpdate() {
		return Cursor{last.UpdatedAt, last.ID}
	}
	return Cursor{last.CreatedAt, last.ID}
}

// longestKey bounds an id of somebody else's, in bytes.
const longestKey = 255

// check returns a *QueryError.
func (q Query) check() error {
	for _, part := range []struct {
		name string
		fits bool
		want string
	}{
		{"limit", q.Limit >= 1 && q.Limit <= MaxPage, fmt.Sprintf("not a number from 1 to %d", MaxPage)},
		{"status", q.Status == "" || slices.Contains(directory.Statuses(), q.Status), "no status"},
		{"sync", slices.Contains([]directory.Sync{"", directory.SyncPending, directory.SyncSynced, directory.SyncFailed}, q.Sync), "not pending, synced or failed"},
		{"created_after", before(q.CreatedAfter, q.CreatedBefore), "not before created_before"},
		{"updated_after", before(q.UpdatedAfter, q.UpdatedBefore), "not before updated_before"},
		{"id", q.ID == "" || known(q.ID), "not a UUID in its canonical form"},
		{"external_id", isKey(string(q.ExternalID)), "no text that an id can be"},
		{"internal_id", isKey(string(q.InternalID)), "no text that an id can be"},
		{"page_token", q.After == Cursor{} || !q.After.At.IsZero() && known(q.After.ID), "names no page"},
	} {
		if !part.fits {
			return &QueryError{part.name, part.want}
		}
	}
	return nil
}

// before reports whether the range is one, as far as it has ends.
func before(from, to time.Time) bool { return from.IsZero() || to.IsZero() || from.Before(to) }

func isKey(text string) bool {
	return len(text) <= longestKey && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

// canonical brings the address and the domain into the form in which they are
// kept. It returns a *QueryError.
func (s *Service) canonical(q *Query) error {
	if q.Email != "" {
		email, err := s.Policy.Parse(q.Email)
		if err != nil {
			// Who is in the directory may have come before the policy.
			email, err = directory.ParseEmail(q.Email)
		}
		if err != nil {
			return &QueryError{"email", "not an e-mail address"}
		}
		q.Email = email.Canonical()
	}
	if q.Domain != "" {
		email, err := directory.ParseEmail("a@" + q.Domain)
		if err != nil {
			return &QueryError{"domain", "not the domain of an e-mail address"}
		}
		q.Domain = email.Domain()
	}
	return nil
}
