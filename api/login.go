package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/session"
)

// Limits decides how often a client may begin logins, send logout tokens, and
// so on.
// ratelimit.Limiter does.
type Limits interface {
	Login(ctx context.Context, client netip.Addr) (ratelimit.Decision, error)
	Logout(ctx context.Context, client netip.Addr) (ratelimit.Decision, error)
	// AdminFailure is about being told that an administrator's token is none.
	AdminFailure(ctx context.Context, client netip.Addr) (ratelimit.Decision, error)
}

// loginWish is what a request to begin a login asks for, by query or by body.
type loginWish struct {
	client   openapi.ClientKind
	returnTo string
	hint     string
	prompt   openapi.Prompt
	maxAge   *int // seconds
	app      login.App
}

// fault says what of a wish is not acceptable: in a query or in a body, which
// name fields differently.
type fault func(field string, c openapi.FieldErrorCode, detail string) *problem

func inQuery(field string, c openapi.FieldErrorCode, detail string) *problem {
	return invalidParameter(field, c, detail)
}

func inBody(field string, c openapi.FieldErrorCode, detail string) *problem {
	return invalidField("/"+field, c, detail)
}

// startLogin sends the browser to the provider: GET /login.
func (a *API) startLogin(c *call) error {
	if err := a.origins.navigation(c.r); err != nil {
		return err
	}
	wish, err := wishOfQuery(c.r)
	if err != nil {
		return err
	}
	begin, err := a.check(wish, inQuery)
	if err != nil {
		return err
	}
	begun, err := a.begin(c, begin, inQuery)
	if err != nil {
		return err
	}
	return c.seeOther(begun.AuthorizationURL)
}

// Bounds of GET /login, which the contract states and no model carries.
const (
	maxLoginHint = 254 // bytes: the longest address
	maxAppState  = 256 // bytes
	maxMaxAge    = 31536000
)

// wishOfQuery reads what GET /login is asked for.
func wishOfQuery(r *http.Request) (loginWish, error) {
	query, err := parameters(r, "return_to", "login_hint", "prompt", "max_age",
		"client", "redirect_uri", "code_challenge", "code_challenge_method", "state")
	if err != nil {
		return loginWish{}, err
	}
	wish := loginWish{
		client:   openapi.ClientKind(query["client"]),
		returnTo: query["return_to"],
		hint:     query["login_hint"],
		prompt:   openapi.Prompt(query["prompt"]),
		app:      login.App{RedirectURI: query["redirect_uri"], CodeChallenge: query["code_challenge"], State: query["state"]},
	}
	if wish.client == "" {
		wish.client = openapi.ClientKindBrowser
	}
	if !wish.client.Valid() {
		return loginWish{}, invalidParameter("client", openapi.FieldErrorCodeInvalidValue, "neither browser nor native")
	}
	if wish.prompt != "" && !wish.prompt.Valid() {
		return loginWish{}, invalidParameter("prompt", openapi.FieldErrorCodeInvalidValue, "not a prompt of OpenID Connect")
	}
	if len(wish.hint) > maxLoginHint {
		return loginWish{}, invalidParameter("login_hint", openapi.FieldErrorCodeTooLong, "longer than an address")
	}
	if text := query["max_age"]; text != "" {
		seconds, err := strconv.ParseUint(text, 10, 32)
		if err != nil || seconds > maxMaxAge {
			return loginWish{}, invalidParameter("max_age", openapi.FieldErrorCodeInvalidValue, "not a number of seconds up to a year")
		}
		age := int(seconds)
		wish.maxAge = &age
	}
	// "plain" would let whoever sees the address redeem the code (RFC 7636 §7.2).
	if method := query["code_challenge_method"]; method != "" && method != "S256" {
		return loginWish{}, invalidParameter("code_challenge_method", openapi.FieldErrorCodeInvalidValue, "only S256")
	}
	if wish.client == openapi.ClientKindNative && wish.app.RedirectURI == "" {
		return loginWish{}, invalidParameter("redirect_uri", openapi.FieldErrorCodeRequired, "a native app has to say where it is")
	}
	return wish, nil
}

// startLoginByCode answers with the address to open: POST /login.
func (a *API) startLoginByCode(c *call) error {
	body, err := decode[openapi.LoginRequest](c.w, c.r)
	if err != nil {
		return err
	}
	wish := loginWish{
		client: body.Client, returnTo: body.ReturnTo, hint: body.LoginHint, prompt: body.Prompt, maxAge: body.MaxAge,
		app: login.App{RedirectURI: body.RedirectURI, CodeChallenge: body.CodeChallenge, State: body.State},
	}
	begin, err := a.check(wish, inBody)
	if err != nil {
		return err
	}
	if begin.Client == login.System {
		return a.answerSystemLogin(c, wish, begin)
	}
	begun, err := a.begin(c, begin, inBody)
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

// systemLoginLifetime is how long a native app may keep the address of a login
// before it opens it. Nothing depends on it yet: the flow begins when it does.
const systemLoginLifetime = 10 * time.Minute

// answerSystemLogin answers with our own GET /login: the flow has to begin in
// the browser that ends it, or a login begun by one could be ended by another
// (login CSRF, RFC 9700 §4.7).
func (a *API) answerSystemLogin(c *call, wish loginWish, begin login.Begin) error {
	if err := a.limitLogin(c); err != nil {
		return err
	}
	// What cannot begin now is better said to the app than shown to its user.
	if _, err := a.config.Login.Begin(c.r.Context(), begin); err != nil {
		return refusedWish(err, inBody)
	}
	query := url.Values{
		"client":         {string(openapi.ClientKindNative)},
		"redirect_uri":   {wish.app.RedirectURI},
		"code_challenge": {wish.app.CodeChallenge},
	}
	for name, value := range map[string]string{"state": wish.app.State, "login_hint": wish.hint, "prompt": string(wish.prompt)} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if wish.maxAge != nil {
		query.Set("max_age", strconv.Itoa(*wish.maxAge))
	}
	return c.answer(http.StatusOK, openapi.LoginStarted{
		AuthorizationURL: a.config.PublicURL + "/login?" + query.Encode(),
		ExpiresAt:        a.config.Now().Add(systemLoginLifetime).UTC().Truncate(time.Second),
	})
}

// check returns what to begin, or what of the wish is not acceptable.
func (a *API) check(wish loginWish, bad fault) (login.Begin, error) {
	begin := login.Begin{Client: login.Client(wish.client), LoginHint: wish.hint, Prompt: string(wish.prompt)}
	if wish.maxAge != nil {
		age := time.Duration(*wish.maxAge) * time.Second
		begin.MaxAge = &age
	}
	if wish.app != (login.App{}) {
		begin.Client, begin.App = login.System, wish.app
		return begin, a.checkApp(wish, bad)
	}
	target, ok := a.returns.resolve(wish.returnTo)
	if !ok {
		return login.Begin{}, bad("return_to", openapi.FieldErrorCodeReturnToRefused, "neither a path nor at an origin of this app")
	}
	begin.ReturnTo = target
	return begin, nil
}

// checkApp refuses what cannot end at a native app.
func (a *API) checkApp(wish loginWish, bad fault) error {
	_, err := session.ParseChallenge(wish.app.CodeChallenge)
	switch {
	case wish.client != openapi.ClientKindNative:
		return bad("client", openapi.FieldErrorCodeInvalidValue, "only a native app has redirect_uri, code_challenge and state")
	case wish.returnTo != "":
		return bad("return_to", openapi.FieldErrorCodeInvalidValue, "the login ends at redirect_uri")
	// Anything looser than the configured text hands codes to strangers (RFC
	// 8252 §8.10, BBA-20).
	case !a.config.NativeRedirects.Allows(wish.app.RedirectURI):
		return bad("redirect_uri", openapi.FieldErrorCodeRedirectURIRefused, "not one that is configured")
	case err != nil:
		return bad("code_challenge", openapi.FieldErrorCodeCodeChallengeInvalid, "not a challenge by S256")
	case len(wish.app.State) > maxAppState || !visibleASCII(wish.app.State):
		return bad("state", openapi.FieldErrorCodeInvalidValue, "longer than 256 bytes, or not printable ASCII")
	}
	return nil
}

func visibleASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// begin starts a flow and, unless an app keeps it, sets its cookie.
//
// The session that a browser has now travels along, sealed: the provider's
// redirect comes from another site, so the Strict cookie does not. A native
// app's login through that browser is none of its session's business.
func (a *API) begin(c *call, wish login.Begin, bad fault) (login.Begun, error) {
	if err := a.limitLogin(c); err != nil {
		return login.Begun{}, err
	}
	if replaced := a.presented(c.r); len(replaced) > 0 && wish.Client != login.System {
		wish.ReplacesSession = replaced[0][:]
	}
	// A login that is too old for a session is better asked for anew at once.
	if limit := a.config.Sessions.ProviderAge; limit > 0 && (wish.MaxAge == nil || *wish.MaxAge > limit) {
		wish.MaxAge = &limit
	}
	begun, err := a.config.Login.Begin(c.r.Context(), wish)
	if err != nil || wish.Client == login.Native {
		return begun, refusedWish(err, bad)
	}
	now := a.config.Now()
	a.cookies.makeRoom(c.w, c.r, a.peek, now)
	a.cookies.setFlow(c.w, begun, now)
	return begun, nil
}

// refusedWish says which part of a wish the provider cannot fulfil. What this
// package checks by itself has been checked before.
func refusedWish(err error, bad fault) error {
	if errors.Is(err, login.ErrBeginInvalid) {
		return bad("prompt", openapi.FieldErrorCodeInvalidValue, "the provider does not know this prompt")
	}
	return err
}

// limitLogin refuses a client that begins too many logins, each of which costs
// the provider something.
func (a *API) limitLogin(c *call) error {
	if a.config.Limits == nil {
		return nil
	}
	return limited(a.config.Limits.Login(c.r.Context(), c.client()))
}

// limited is the problem of a decision that refuses.
func limited(d ratelimit.Decision, err error) error {
	if err == nil && !d.Allowed {
		err = &problem{code: openapi.ProblemCodeTooManyRequests, limit: d, retryAfter: d.RetryAfter}
	}
	return err
}

// peek opens a flow that lies in a cookie, of either kind.
func (a *API) peek(sealed string) (login.FlowInfo, login.Client, error) {
	info, err := a.config.Login.Peek(sealed, login.Browser)
	if err == nil {
		return info, login.Browser, nil
	}
	info, err = a.config.Login.Peek(sealed, login.System)
	return info, login.System, err
}
