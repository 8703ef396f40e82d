package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
)

// getMe says who is signed in: GET /me.
func (a *API) getMe(c *call) error {
	me := a.me(&c.caller)
	return c.send(http.StatusOK, func(buffer []byte) ([]byte, error) { return appendMe(buffer, &me) })
}

// me is a caller as the contract shows them to themselves.
func (a *API) me(who *caller) openapi.Me {
	u, s := user(who.user), &who.session
	return openapi.Me{
		ID:          u.ID,
		ExternalID:  u.ExternalID,
		InternalID:  u.InternalID,
		Email:       u.Email,
		DisplayName: u.DisplayName,
		Status:      u.Status,
		CreatedAt:   u.CreatedAt,
		Sync:        u.Sync,
		Session:     a.session(*s, s.ID),
	}
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
		Sync:        openapi.SyncStatus(u.Synced()),
	}
	if u.InternalID != "" {
		internal := string(u.InternalID)
		shown.InternalID = &internal
	}
	return shown
}

// appendMe appends me as JSON. It writes what json.Marshal would, member by
// member: this is the one answer that is given all day long, and finding out
// again each time what an openapi.Me consists of took longer than to find the
// session.
func appendMe(b []byte, me *openapi.Me) ([]byte, error) {
	w := members{b: append(b, '{')}
	w.text("id", me.ID)
	w.text("external_id", me.ExternalID)
	if me.InternalID != nil {
		w.text("internal_id", *me.InternalID)
	} else {
		w.name("internal_id")
		w.b = append(w.b, "null"...)
	}
	w.text("email", me.Email)
	w.text("display_name", me.DisplayName)
	w.text("status", string(me.Status))
	w.time("created_at", me.CreatedAt)
	w.text("sync", string(me.Sync))
	w.name("session")
	w.session(&me.Session)
	w.b = append(w.b, '}')
	return w.b, w.err
}

// members writes the members of JSON objects.
type members struct {
	b   []byte
	err error
}

func (w *members) session(s *openapi.Session) {
	w.b = append(w.b, '{')
	w.text("id", s.ID)
	w.text("client", string(s.Client))
	w.name("current")
	w.b = strconv.AppendBool(w.b, s.Current)
	w.time("created_at", s.CreatedAt)
	w.time("last_seen_at", s.LastSeenAt)
	w.time("idle_expires_at", s.IdleExpiresAt)
	w.time("expires_at", s.ExpiresAt)
	w.time("auth_time", s.AuthTime)
	w.time("recent_login_until", s.RecentLoginUntil)
	if s.Acr != "" {
		w.text("acr", s.Acr)
	}
	if len(s.Amr) > 0 {
		w.name("amr")
		w.texts(s.Amr)
	}
	w.text("device", s.Device)
	w.text("address", s.Address)
	w.b = append(w.b, '}')
}

// name begins a member. Names are ours: none needs to be escaped.
func (w *members) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), name...), `":`...)
}

func (w *members) text(name, value string) {
	w.name(name)
	w.quote(value)
}

func (w *members) texts(values []string) {
	for i, value := range values {
		w.b = append(w.b, "[,"[min(i, 1)])
		w.quote(value)
	}
	w.b = append(w.b, ']')
}

func (w *members) quote(value string) {
	quoted, err := jsontext.AppendQuote(w.b, value)
	if err != nil {
		w.err = errors.Join(w.err, err)
		return
	}
	w.b = quoted
}

func (w *members) time(name string, value time.Time) {
	w.name(name)
	w.b = append(value.AppendFormat(append(w.b, '"'), time.RFC3339Nano), '"')
}
