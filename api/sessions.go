package api

import (
	"errors"
	"net/http"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/session"
)

// listSessions says where the user is signed in: GET /me/sessions.
func (a *API) listSessions(c *call) error {
	found, err := a.config.Sessions.List(c.r.Context(), c.caller.user.ID)
	if err != nil {
		return err
	}
	list := openapi.SessionList{Sessions: make([]openapi.Session, len(found))}
	for i, s := range found {
		list.Sessions[i] = a.session(s, c.caller.session.ID)
	}
	return c.answer(http.StatusOK, list)
}

// endOtherSessions signs the user out everywhere else: DELETE /me/sessions.
func (a *API) endOtherSessions(c *call) error {
	if _, err := a.config.Sessions.EndOthers(c.r.Context(), c.caller.user.ID, c.caller.session.ID); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// endSession signs the user out somewhere: DELETE /me/sessions/{session_id}.
// Somebody else's session is as unknown as none (ASVS 8.2.2).
func (a *API) endSession(c *call) error {
	id := session.ID(c.Param("session_id"))
	err := a.config.Sessions.EndByID(c.r.Context(), c.caller.user.ID, id)
	if errors.Is(err, session.ErrUnknown) {
		return refuse(openapi.ProblemCodeSessionNotFound)
	}
	if err != nil {
		return err
	}
	if id == c.caller.session.ID && c.caller.session.Client == session.Browser {
		a.cookies.dropAll(c.w, c.r)
	}
	return c.NoContent(http.StatusNoContent)
}

// session is a session as the contract shows it.
func (a *API) session(s session.Session, current session.ID) openapi.Session {
	return openapi.Session{
		ID:               string(s.ID),
		Client:           openapi.ClientKind(s.Client),
		Current:          s.ID == current,
		CreatedAt:        s.CreatedAt,
		LastSeenAt:       s.LastSeenAt,
		IdleExpiresAt:    s.IdleExpiresAt,
		ExpiresAt:        s.ExpiresAt,
		AuthTime:         s.AuthTime,
		RecentLoginUntil: a.config.Sessions.RecentUntil(s),
		Acr:              s.ACR,
		Amr:              s.AMR,
		Device:           s.UserAgent,
		Address:          s.Address,
	}
}
