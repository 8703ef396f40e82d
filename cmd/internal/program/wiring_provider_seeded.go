//go:build gauntlet

package program

import (
	"context"
	"errors"

	"github.com/portico-id/portico/internal/beyondidentity"
)

// FindUserByEmail is there for a bug that the gauntlet has to find.
func (w watchedProvider) FindUserByEmail(ctx context.Context, email string) (beyondidentity.User, error) {
	byEmail, ok := w.next.(interface {
		FindUserByEmail(ctx context.Context, email string) (beyondidentity.User, error)
	})
	if !ok {
		return beyondidentity.User{}, errors.New("users cannot be found by address")
	}
	return byEmail.FindUserByEmail(ctx, email)
}
