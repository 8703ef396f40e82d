package api

import (
	"net/http"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
)

// getMe says who is signed in: GET /me.
func (a *API) getMe(c *call) error {
	u, s := user(c.caller.user), c.caller.session
	return c.answer(http.StatusOK, &openapi.Me{
		ID:          u.ID,
		ExternalID:  u.ExternalID,
		InternalID:  u.InternalID,
		Email:       u.Email,
		DisplayName: u.DisplayName,
		Status:      u.Status,
		CreatedAt:   u.CreatedAt,
		Sync:        u.Sync,
		Session:     a.session(s, s.ID),
	})
}

// user is a user as the contract shows them.
func user(u directory.User) openapi.User {
	shown := openapi.User{
		ID:          string(u.ID),
		ExternalID:  string(u.ExternalID),
		Email:       u.Email.String(),
		DisplayName: u.DisplayName,
		Status:      openapi.UserStatus(u.Status),
		CreatedAt:   u.CreatedAt,
		Sync:        openapi.SyncStatusPending,
	}
	if u.InternalID != "" {
		internal := string(u.InternalID)
		shown.InternalID = &internal
		shown.Sync = openapi.SyncStatusSynced
	}
	return shown
}
