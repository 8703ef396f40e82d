package api

import (
	"errors"
	"net/http"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/session"
)

// listSessionsOf says where a user is signed in:
// GET /admin/users/{user_id}/sessions.
func (a *API) listSessionsOf(c *call) error {
	user, err := a.config.Accounts.Get(c.r.Context(), c.userID())
	if err != nil {
		return err
	}
	found, err := a.config.Sessions.List(c.r.Context(), user.ID)
	if err != nil {
		return err
	}
	list := openapi.SessionList{Sessions: make([]openapi.Session, len(found))}
	for i, s := range found {
		list.Sessions[i] = a.session(s, "")
	}
	return c.answer(http.StatusOK, list)
}

// endSessionsOf signs a user out everywhere:
// DELETE /admin/users/{user_id}/sessions.
func (a *API) endSessionsOf(c *call) error {
	user, err := a.config.Accounts.Get(c.r.Context(), c.userID())
	if err != nil {
		return err
	}
	if _, err := a.config.Sessions.EndOthers(c.r.Context(), user.ID, ""); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// endSessionOf signs a user out somewhere:
// DELETE /admin/users/{user_id}/sessions/{session_id}.
func (a *API) endSessionOf(c *call) error {
	user, err := a.config.Accounts.Get(c.r.Context(), c.userID())
	if err != nil {
		return err
	}
	err = a.config.Sessions.EndByID(c.r.Context(), user.ID, session.ID(c.Param("session_id")))
	if errors.Is(err, session.ErrUnknown) {
		return refuse(openapi.ProblemCodeSessionNotFound)
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
