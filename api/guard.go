package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// guard says who may call a route. Its zero value lets nobody in, so that a
// route for which nobody has decided is closed.
type guard int

const (
	// anyone may call: nothing about the caller counts. A request that changes
	// something must still not come from a page of another origin.
	anyone guard = iota + 1
	// signedIn needs a session.
	signedIn
	// signedInRecently needs a session whose login was not long ago (ASVS
	// 7.5.1): a session that somebody else got hold of is not enough.
	signedInRecently
	// bySignedToken lets those through whom a signature vouches for, which the
	// handler checks. Cookies and origins play no part.
	bySignedToken
	// byAdminToken lets the holder of a token with the route's scope through,
	// on the operations listener. Cookies play no part.
	byAdminToken
)

// needsSession reports whether the route is for who is signed in.
func (g guard) needsSession() bool { return g == signedIn || g == signedInRecently }

// caller is who a request is from.
type caller struct {
	user    directory.User
	session session.Session
	token   session.Token
}

// originCheck refuses what pages of other origins cause.
type originCheck struct {
	protection *http.CrossOriginProtection
	trusted    map[string]bool
	own        string // where we are ourselves
}

func newOriginCheck(publicURL string, origins []string) (originCheck, error) {
	public, err := url.Parse(publicURL)
	if err != nil {
		return originCheck{}, err
	}
	check := originCheck{
		protection: http.NewCrossOriginProtection(),
		trusted:    make(map[string]bool),
		own:        public.Scheme + "://" + public.Host,
	}
	for _, origin := range origins {
		if err := check.protection.AddTrustedOrigin(origin); err != nil {
			return originCheck{}, err
		}
		check.trusted[origin] = true
	}
	return check, nil
}

// unsafe applies the standard library's check to methods that change something.
func (o originCheck) unsafe(r *http.Request) error {
	if o.protection.Check(r) != nil || !safe(r.Method) && o.foreign(r) {
		return refuse(openapi.ProblemCodeCrossOrigin)
	}
	return nil
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// foreign reports whether the request names an origin that is not one of ours.
// The library alone would take any with the host that the request itself
// names, over whatever scheme: after DNS rebinding that is the attacker's name,
// and a page of plain http is anybody's who sits on the line.
func (o originCheck) foreign(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		if origin != "" && origin != o.own && !o.trusted[origin] {
			return true
		}
	}
	return false
}

// withCookie checks a request that a cookie authenticates, GET included.
//
// Cross-site request forgery: another site can make a browser send our cookie,
// but neither this header, which needs a preflight that CORS refuses, nor a
// trusted Origin (RFC 10017 §6.1.3.3).
func (o originCheck) withCookie(r *http.Request) error {
	if header := r.Header.Values("X-Csrf"); len(header) != 1 || header[0] != "1" {
		return refuse(openapi.ProblemCodeCsrfRequired)
	}
	if o.foreign(r) {
		return refuse(openapi.ProblemCodeCrossOrigin)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" && !o.trusted[r.Header.Get("Origin")] {
		return refuse(openapi.ProblemCodeCrossOrigin)
	}
	return o.unsafe(r)
}

// navigation refuses what is not the browser going to a page: a page of
// another origin could begin flows with images and the like, and push those of
// the user out of the browser (ASVS 3.5.3). What tells nothing of itself, as
// old browsers and native apps do, may pass.
func (o originCheck) navigation(r *http.Request) error {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return refuse(openapi.ProblemCodeCrossOrigin)
	}
	// A frame navigates too, unseen and as often as its page likes.
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return refuse(openapi.ProblemCodeCrossOrigin)
	}
	// A browser that only guesses where the user goes next asks again when
	// they do; each guess would begin a flow.
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") || r.Header.Get("Purpose") == "prefetch" || r.Header.Get("X-Moz") == "prefetch" {
		return refuse(openapi.ProblemCodePrefetchRefused)
	}
	return nil
}

// credential returns the one token that the request carries. It refuses a
// request that carries several: which of them counts must not be a guess
// (session fixation by a planted second cookie).
func (a *API) credential(r *http.Request) (session.Token, error) {
	cookies := a.cookies.sessions(r)
	headers := r.Header.Values("Authorization")
	switch {
	case len(cookies)+len(headers) == 0:
		return session.Token{}, refuse(openapi.ProblemCodeNotAuthenticated)
	case len(cookies)+len(headers) > 1:
		return session.Token{}, refuse(openapi.ProblemCodeCredentialsConflict)
	case len(cookies) == 1:
		if err := a.origins.withCookie(r); err != nil {
			return session.Token{}, err
		}
		return session.ParseToken(session.Browser, cookies[0])
	default:
		scheme, token, _ := strings.Cut(headers[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return session.Token{}, refuse(openapi.ProblemCodeNotAuthenticated)
		}
		return session.ParseToken(session.Native, token)
	}
}

// recognise says into who is calling, or returns the problem that nobody is.
func (a *API) recognise(r *http.Request, into *caller) (err error) {
	if into.token, err = a.credential(r); err != nil {
		return err
	}
	into.user, into.session, err = a.config.Sessions.Recognise(r.Context(), into.token)
	return err
}

// requireRecentLogin refuses a session whose login was too long ago.
func (a *API) requireRecentLogin(who caller) error {
	if a.config.Sessions.Recent(who.session) {
		return nil
	}
	return &problem{code: openapi.ProblemCodeRecentLoginRequired, maxAge: a.config.Sessions.RecentLogin}
}

// presented returns the hashes of whatever session tokens the request carries,
// checked or not. A login ends those sessions.
func (a *API) presented(r *http.Request) []session.Hash {
	var hashes []session.Hash
	for _, value := range a.cookies.sessions(r) {
		if token, err := session.ParseToken(session.Browser, value); err == nil {
			hashes = append(hashes, token.Hash())
		}
	}
	for _, value := range r.Header.Values("Authorization") {
		_, text, _ := strings.Cut(value, " ")
		if token, err := session.ParseToken(session.Native, text); err == nil {
			hashes = append(hashes, token.Hash())
		}
	}
	return hashes
}
