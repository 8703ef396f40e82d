package store

import (
	"context"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// FindSession looks one session up, as a look-up that is not gathered with
// others does.
func (s *Store) FindSession(ctx context.Context, hash session.Hash, client session.Client) (directory.User, session.Session, error) {
	found, err := s.FindSessions(ctx, []session.Hash{hash})
	if err != nil {
		return directory.User{}, session.Session{}, err
	}
	for _, f := range found {
		if f.Hash == hash && f.Session.Client == client {
			return f.User, f.Session, nil
		}
	}
	return directory.User{}, session.Session{}, session.ErrUnknown
}
