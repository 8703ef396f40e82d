package api

import (
	"net/http"
	"strings"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/session"
)

// finishLogin takes the provider's answer by redirect: GET /callback.
func (a *API) finishLogin(c *call) error {
	query, err := parameters(c.r, "code", "state", "iss", "error", "error_description")
	if err != nil {
		return err
	}
	_, hasIssuer := query["iss"]
	answer := login.Answer{
		Code:      query["code"],
		State:     query["state"],
		Issuer:    query["iss"],
		HasIssuer: hasIssuer,
		Error:     query["error"],
	}
	id := login.HandleOf(answer.State)
	answer.Sealed = a.cookies.flow(c.r, id)
	if answer.Sealed == "" {
		return login.ErrFlowMissing
	}
	// Whatever comes of it, this flow is over.
	a.cookies.dropFlow(c.w, id)
	flow, client, err := a.peek(answer.Sealed)
	if err != nil {
		return err
	}
	answer.Client = client
	if client == login.System {
		return a.finishForApp(c, answer, flow)
	}
	opened, err := a.finish(c, answer)
	if err != nil {
		return a.returnWithError(c, flow.ReturnTo, err)
	}
	a.cookies.setSession(c.w, opened.Token, a.config.Sessions.Absolute)
	return c.seeOther(flow.ReturnTo)
}

// returnWithError sends the browser back to the app, which alone can show
// what went wrong. Nothing of the provider's text goes with it.
func (a *API) returnWithError(c *call, target string, err error) error {
	p := asProblem(err)
	note(c).code = p.code
	return c.seeOther(withError(target, p.code))
}

// finishForApp ends a login in the system's browser: with a code that only the
// app can use, which has the verifier (RFC 7636), or with an error.
func (a *API) finishForApp(c *call, answer login.Answer, flow login.FlowInfo) error {
	code, err := a.grant(c, answer)
	if err != nil {
		p := asProblem(err)
		note(c).code = p.code
		return c.seeOther(toApp(flow.App, "error", string(p.code)))
	}
	return c.seeOther(toApp(flow.App, "code", code.Reveal()))
}

// grant finishes the flow and leaves a code for its app.
func (a *API) grant(c *call, answer login.Answer) (code session.Code, err error) {
	defer func() { a.logFailure(c, err) }()
	finished, err := a.config.Login.Finish(c.r.Context(), answer)
	if err != nil {
		return session.Code{}, err
	}
	challenge, err := session.ParseChallenge(finished.App.CodeChallenge)
	if err != nil {
		return session.Code{}, err
	}
	return a.config.Sessions.Grant(c.r.Context(), loginOf(c, finished.Identity), challenge)
}

// toApp is the address of the app with what a login came to. It is the
// configured text with something behind it, and not taken apart and put
// together again: schemes of apps are no web addresses.
func toApp(app login.App, name, value string) string {
	separator := "?"
	if strings.Contains(app.RedirectURI, "?") {
		separator = "&"
	}
	target := app.RedirectURI + separator + name + "=" + queryEscape(value)
	if app.State != "" {
		target += "&state=" + queryEscape(app.State)
	}
	return target
}

// redeemCode trades an app's code for a session: POST /sessions.
func (a *API) redeemCode(c *call) error {
	body, err := decode[openapi.CodeRequest](c.w, c.r)
	if err != nil {
		return err
	}
	if err := a.limitLogin(c); err != nil {
		return err
	}
	code, err := session.ParseCode(body.Code)
	if err != nil {
		return err
	}
	opened, err := a.config.Sessions.Redeem(
		c.r.Context(), code, body.CodeVerifier, c.r.UserAgent(), c.RealIP(), a.presented(c.r)...)
	if err != nil {
		return err
	}
	note(c).userID = string(opened.User.ID)
	return c.answer(http.StatusCreated, signedInNative(opened))
}

// finishLoginByCode takes the provider's answer from code: POST /callback.
func (a *API) finishLoginByCode(c *call) error {
	body, err := decode[openapi.CallbackRequest](c.w, c.r)
	if err != nil {
		return err
	}
	answer := login.Answer{
		Client:    login.Native,
		Sealed:    body.Flow,
		Code:      body.Code,
		State:     body.State,
		Issuer:    body.Iss,
		HasIssuer: body.Iss != "",
	}
	if len(body.Flow) == flowIDLength {
		// A browser's flow is named here and lies in its cookie.
		answer.Client = login.Browser
		answer.Sealed = a.cookies.flow(c.r, body.Flow)
		if answer.Sealed != "" {
			a.cookies.dropFlow(c.w, body.Flow)
		}
	}
	opened, err := a.finish(c, answer)
	if err != nil {
		return err
	}
	if answer.Client == login.Browser {
		a.cookies.setSession(c.w, opened.Token, a.config.Sessions.Absolute)
		return c.answer(http.StatusOK, openapi.SignedIn{User: user(opened.User)})
	}
	return c.answer(http.StatusOK, signedInNative(opened))
}

// flowIDLength tells a browser's flow, which is a name, from a native one,
// which is sealed and far longer.
const flowIDLength = 16

func signedInNative(opened session.Opened) openapi.SignedIn {
	return openapi.SignedIn{
		SessionToken: opened.Token.Reveal(),
		ExpiresAt:    &opened.Session.ExpiresAt,
		User:         user(opened.User),
	}
}

// finish finishes the flow and opens the session.
func (a *API) finish(c *call, answer login.Answer) (opened session.Opened, err error) {
	defer func() { a.logFailure(c, err) }()
	finished, err := a.config.Login.Finish(c.r.Context(), answer)
	if err != nil {
		return session.Opened{}, err
	}
	replaces := a.presented(c.r)
	if hash := finished.ReplacesSession; len(hash) == len(session.Hash{}) {
		replaces = append(replaces, session.Hash(hash))
	}
	opened, err = a.config.Sessions.Open(c.r.Context(), session.Client(finished.Client), loginOf(c, finished.Identity), replaces...)
	if err != nil {
		return session.Opened{}, err
	}
	note(c).userID = string(opened.User.ID)
	return opened, nil
}

// logFailure logs and writes down why a login failed: an operator looks for it even where the
// status is no server error.
func (a *API) logFailure(c *call, err error) {
	if err != nil {
		a.logRefusal(c, asProblem(err))
		a.loginFailed(c, err)
	}
}

// loginOf is what the session keeps of a login.
func loginOf(c *call, i login.Identity) session.Login {
	return session.Login{
		Identity: directory.Identity{
			Issuer:     i.Issuer,
			Subject:    i.Subject,
			ExternalID: i.ExternalID,
			InternalID: i.InternalID,
		},
		AuthTime:        i.AuthTime,
		ACR:             i.ACR,
		AMR:             i.AMR,
		ProviderSession: i.SessionID,
		UserAgent:       c.r.UserAgent(),
		Address:         c.RealIP(),
	}
}
