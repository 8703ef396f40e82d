package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/audit"
)

// Auditor has written down what is refused, without anybody's waiting for it.
// audit.Recorder does.
type Auditor interface {
	Record(ctx context.Context, event audit.Event)
}

// origin is on whose behalf, and from where, the request is.
func (c *call) origin() audit.Origin {
	origin := audit.Origin{Actor: audit.Anyone, RequestID: note(c).requestID}
	if address := c.client(); address.IsValid() {
		origin.Address = address.Unmap().WithZone("").String()
	}
	switch {
	case c.admin.Name != "":
		origin.Actor = audit.Admin(c.admin.Name)
	case c.caller.user.ID != "":
		origin.Actor = audit.User(c.caller.user.ID)
		origin.SessionID = string(c.caller.session.ID)
	}
	return origin
}

// writeDown has an event written under the request's origin.
func (a *API) writeDown(c *call, event audit.Event) {
	if a.config.Audit != nil {
		a.config.Audit.Record(audit.With(c.r.Context(), c.origin()), event)
	}
}

// refused writes down that the caller may not, or cannot prove that they may.
// That nobody is signed in is no refusal of anything: browsers ask all day long.
func (a *API) refused(c *call, r route, err error) {
	code := asProblem(err).code
	event := audit.Event{
		Action: audit.RequestRefused, Outcome: audit.Refused, Reason: string(code), UserID: c.caller.user.ID,
		Target: audit.Target{Kind: audit.TargetRoute, ID: r.method + " " + r.path},
	}
	switch code {
	case openapi.ProblemCodeCsrfRequired, openapi.ProblemCodeCrossOrigin, openapi.ProblemCodeRecentLoginRequired,
		openapi.ProblemCodeAdminTokenInvalid, openapi.ProblemCodeScopeMissing:
	case openapi.ProblemCodeTooManyRequests:
		if !r.limitsGuessing() {
			return
		}
	case openapi.ProblemCodeSessionNotFound:
		if !r.guard.needsSession() {
			return
		}
		// Which it was, if it can have been one: the rest is whatever was typed.
		if id := c.Param("session_id"); uuid.Validate(id) == nil {
			event.Target = audit.Target{Kind: audit.TargetSession, ID: id}
		}
	case openapi.ProblemCodeLoginCodeInvalid:
		if audit.IsNoted(err) {
			return // with its user, where the code was spent
		}
		event.Action, event.Target = audit.LoginCodeRefused, audit.Target{}
	case openapi.ProblemCodeLogoutTokenInvalid:
		event.Action, event.Target = audit.LogoutTokenRefused, audit.Target{}
	default:
		if r.path == callbackPath && !saysNothingOfALogin(code) {
			a.loginFailed(c, err)
		}
		return
	}
	a.writeDown(c, event)
}

// limitsGuessing reports whether the route's limit keeps somebody from trying
// logins, codes, tokens or proofs one after the other.
func (r route) limitsGuessing() bool {
	return r.guard != anyone || r.path == "/login" || r.path == "/sessions"
}

const callbackPath = "/callback"

// saysNothingOfALogin are the problems of requests that are no provider's
// answer.
func saysNothingOfALogin(code code) bool {
	return kinds[code].status == http.StatusRequestEntityTooLarge || kinds[code].status == http.StatusUnsupportedMediaType ||
		code == openapi.ProblemCodeInvalidQuery || code == openapi.ProblemCodeMalformedBody || code == openapi.ProblemCodeInvalidFields
}

// loginFailed writes down why a login came to nothing, once for a request, and
// nothing of what the provider has said of it.
func (a *API) loginFailed(c *call, err error) {
	n := note(c)
	if n.audited {
		return
	}
	n.audited = true
	p := asProblem(err)
	event := audit.Event{Action: audit.LoginRefused, Outcome: audit.Refused, Reason: string(p.code), UserID: audit.UserOf(err)}
	// An answer that was not acceptable is a refusal of ours, whatever the status.
	if p.status() >= http.StatusInternalServerError && p.code != openapi.ProblemCodeIdentityRejected {
		event.Action, event.Outcome = audit.LoginFailed, audit.Failed
	}
	a.writeDown(c, event)
}

// byProvider is the request's context for what a logout token says, whose
// sender has proved who they are.
func byProvider(c *call) context.Context {
	origin := c.origin()
	origin.Actor = audit.Provider
	return audit.With(c.r.Context(), origin)
}
