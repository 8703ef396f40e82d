//go:build gauntlet

package beyondidentity

import (
	"context"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"

	"github.com/portico-id/portico/internal/directory"
)

// FindUserByEmail is for a bug that the gauntlet has to find. Nothing else may
// match a user by address.
func (c *Client) FindUserByEmail(ctx context.Context, email string) (User, error) {
	x, answer, err := c.do(ctx, request{
		op: opFind, method: http.MethodGet, path: "/v2/users",
		query: url.Values{"filter": {`email_address eq "` + email + `"`}, "page_size": {"1"}},
	})
	if err != nil {
		return User{}, err
	}
	var list struct {
		Users []workforceUser `json:"users"`
	}
	if err := json.Unmarshal(answer, &list); err != nil || len(list.Users) == 0 {
		return User{}, x.fail(NotFound, errNoUser)
	}
	return User{InternalID: directory.InternalID(list.Users[0].ID)}, nil
}
