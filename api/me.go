package api

import (
	"errors"
	"net/http"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/session"
)

// getMe says who is signed in: GET /me.
func (a *API) getMe(c *call) error {
	u, s := user(c.caller.user), c.caller.session
	return c.answer(http.StatusOK, openapi.Me{
		ID:          u.ID,
		ExternalID:  u.ExternalID,
		InternalID:  u.InternalID,
		Email:       u.Email,
		DisplayName: u.DisplayName,
		Status:      u.Status,
		CreatedAt:   u.CreatedAt,
		Sync:        u.Sync,
		Session: openapi.Session{
			ID:            string(s.ID),
			Client:        openapi.ClientKind(s.Client),
			CreatedAt:     s.CreatedAt,
			LastSeenAt:    s.LastSeenAt,
			IdleExpiresAt: s.IdleExpiresAt,
			ExpiresAt:     s.ExpiresAt,
		},
	})
}

// logOut ends the session: POST /logout. It says so only if it did.
func (a *API) logOut(c *call) error {
	err := a.config.Sessions.End(c.r.Context(), c.caller.token)
	// Another request has ended it just now: it is as gone as it can be.
	if err != nil && !errors.Is(err, session.ErrUnknown) {
		return err
	}
	if c.caller.session.Client == session.Browser {
		a.cookies.dropAll(c.w, c.r)
		// Not "cookies": that would reach those of every sibling domain.
		c.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	}
	return c.answer(http.StatusOK, openapi.LoggedOut{LogoutURL: a.config.Login.LogoutURL()})
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

func identityOf(i login.Identity) directory.Identity {
	return directory.Identity{
		Issuer:     i.Issuer,
		Subject:    i.Subject,
		ExternalID: i.ExternalID,
		InternalID: i.InternalID,
	}
}
