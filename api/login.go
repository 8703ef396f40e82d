package api

import (
	"net/http"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/session"
)

// startLogin sends the browser to the provider: GET /login.
func (a *API) startLogin(c *call) error {
	if err := a.origins.navigation(c.r); err != nil {
		return err
	}
	query, err := parameters(c.r, "return_to", "login_hint", "prompt")
	if err != nil {
		return err
	}
	target, ok := a.returns.resolve(query["return_to"])
	if !ok {
		return invalidParameter("return_to", openapi.FieldErrorCodeReturnToRefused, "neither a path nor at an origin of this app")
	}
	if prompt := query["prompt"]; prompt != "" && !openapi.StartLoginParamsPrompt(prompt).Valid() {
		return invalidParameter("prompt", openapi.FieldErrorCodeInvalidValue, "not a prompt of OpenID Connect")
	}
	if len(query["login_hint"]) > maxLoginHint {
		return invalidParameter("login_hint", openapi.FieldErrorCodeTooLong, "longer than an address")
	}
	begun, err := a.begin(c, login.Begin{
		Client:    login.Browser,
		ReturnTo:  target,
		LoginHint: query["login_hint"],
		Prompt:    query["prompt"],
	})
	if err != nil {
		return err
	}
	return c.seeOther(begun.AuthorizationURL)
}

// maxLoginHint is the longest address, in bytes.
const maxLoginHint = 254

// startLoginByCode answers with the provider's address: POST /login.
func (a *API) startLoginByCode(c *call) error {
	body, err := decode[openapi.LoginRequest](c.w, c.r)
	if err != nil {
		return err
	}
	target, ok := a.returns.resolve(body.ReturnTo)
	if !ok {
		return invalidField("/return_to", openapi.FieldErrorCodeReturnToRefused, "neither a path nor at an origin of this app")
	}
	begun, err := a.begin(c, login.Begin{Client: login.Client(body.Client), ReturnTo: target})
	if err != nil {
		return err
	}
	flow := begun.Sealed
	if body.Client == openapi.ClientKindBrowser {
		// The flow itself is in the cookie, so that only this browser has it.
		flow = begun.FlowID
	}
	return c.answer(http.StatusOK, openapi.LoginStarted{
		AuthorizationURL: begun.AuthorizationURL,
		Flow:             flow,
		ExpiresAt:        begun.ExpiresAt,
	})
}

// begin starts a flow and, for a browser, sets its cookie.
//
// The session that the caller has now travels along, sealed: the provider's
// redirect comes from another site, so the Strict cookie does not.
func (a *API) begin(c *call, wish login.Begin) (login.Begun, error) {
	if replaced := a.presented(c.r); len(replaced) > 0 {
		wish.ReplacesSession = replaced[0][:]
	}
	begun, err := a.config.Login.Begin(c.r.Context(), wish)
	if err != nil || wish.Client != login.Browser {
		return begun, err
	}
	now := a.config.Now()
	a.cookies.makeRoom(c.w, c.r, a.peek, now)
	a.cookies.setFlow(c.w, begun, now)
	return begun, nil
}

func (a *API) peek(sealed string) (login.FlowInfo, error) {
	return a.config.Login.Peek(sealed, login.Browser)
}

// finishLogin takes the provider's answer by redirect: GET /callback.
func (a *API) finishLogin(c *call) error {
	query, err := parameters(c.r, "code", "state", "iss", "error", "error_description")
	if err != nil {
		return err
	}
	_, hasIssuer := query["iss"]
	answer := login.Answer{
		Client:    login.Browser,
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
	target, opens := a.config.Login.ReturnTo(answer.Sealed, login.Browser)
	if !opens {
		return login.ErrFlowInvalid
	}
	opened, err := a.finish(c, answer)
	if err != nil {
		return a.returnWithError(c, target, err)
	}
	a.cookies.setSession(c.w, opened.Token, a.config.Sessions.Absolute)
	return c.seeOther(target)
}

// returnWithError sends the browser back to the app, which alone can show
// what went wrong. Nothing of the provider's text goes with it.
func (a *API) returnWithError(c *call, target string, err error) error {
	p := asProblem(err)
	note(c).code = p.code
	return c.seeOther(withError(target, p.code))
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
	signedIn := openapi.SignedIn{User: user(opened.User)}
	if answer.Client == login.Browser {
		a.cookies.setSession(c.w, opened.Token, a.config.Sessions.Absolute)
	} else {
		signedIn.SessionToken = opened.Token.Reveal()
		signedIn.ExpiresAt = &opened.Session.ExpiresAt
	}
	return c.answer(http.StatusOK, signedIn)
}

// flowIDLength tells a browser's flow, which is a name, from a native one,
// which is sealed and far longer.
const flowIDLength = 16

// finish finishes the flow and opens the session. Why a login failed is logged
// here: an operator looks for it even where the status is no server error.
func (a *API) finish(c *call, answer login.Answer) (opened session.Opened, err error) {
	defer func() {
		if err != nil {
			a.logRefusal(c, asProblem(err))
		}
	}()
	finished, err := a.config.Login.Finish(c.r.Context(), answer)
	if err != nil {
		return session.Opened{}, err
	}
	replaces := a.presented(c.r)
	if hash := finished.ReplacesSession; len(hash) == len(session.Hash{}) {
		replaces = append(replaces, session.Hash(hash))
	}
	opened, err = a.config.Sessions.Open(c.r.Context(), session.Client(finished.Client), identityOf(finished.Identity), replaces...)
	if err != nil {
		return session.Opened{}, err
	}
	note(c).userID = string(opened.User.ID)
	return opened, nil
}
