package account

import (
	"context"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

// Close ends the user's sessions at once, has them deleted when the grace
// period is over, and tells them when that is, where there is a mail server. It
// returns ErrNotFound, a *StatusError or directory.ErrUnavailable.
func (s *Service) Close(ctx context.Context, user directory.UserID) (directory.User, error) {
	now := s.now()
	deletion := Deletion{At: now, After: now.Add(max(s.Grace, 0)), Tell: s.Mailer != nil}
	return s.Store.DeleteUser(ctx, user, deletion, AnyVersion)
}

// Export returns everything that is held about the user. It returns ErrNotFound
// or directory.ErrUnavailable.
func (s *Service) Export(ctx context.Context, user directory.UserID) (Export, error) {
	held, err := s.Store.ExportUser(ctx, user)
	held.At = s.now()
	return held, err
}

// Held is a row that is held about a user, by the names of its columns. Values
// are texts, whole numbers, truth values and times; a column that holds nothing
// is not there.
type Held map[string]any

// Keep adds a column's value, if it holds one.
func (h Held) Keep(column string, value any) {
	if value != nil {
		h[column] = value
	}
}

// Export is everything that is held about a user. What is no use to them is not
// in it: hashes of secrets, and where the program itself has come to.
type Export struct {
	At          time.Time
	User        Held
	Sessions    []Held
	Signups     []Held
	Invitations []Held // that they have used
	EmailChange Held   // nil without one
	Letters     []Held // that are about to be sent
	Audit       []Held
}
