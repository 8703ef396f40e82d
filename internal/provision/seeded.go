//go:build gauntlet

package provision

import (
	"context"

	"github.com/portico-id/portico/internal/beyondidentity"
)

// findByEmail is a bug for the gauntlet to find: it takes whoever has the
// address for ours.
func (s *Service) findByEmail(ctx context.Context, subject Subject) (beyondidentity.User, bool) {
	byEmail, ok := s.Lookup.(interface {
		FindUserByEmail(ctx context.Context, email string) (beyondidentity.User, error)
	})
	if !ok {
		return beyondidentity.User{}, false
	}
	found, err := byEmail.FindUserByEmail(ctx, subject.User.Email.String())
	return found, err == nil
}
