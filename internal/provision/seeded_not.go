//go:build !gauntlet

package provision

import (
	"context"

	"github.com/portico-id/portico/internal/beyondidentity"
)

// findByEmail finds nobody: users are matched by external_id, never by their
// address.
func (*Service) findByEmail(context.Context, Subject) (beyondidentity.User, bool) {
	return beyondidentity.User{}, false
}
