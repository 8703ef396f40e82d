package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-id/portico/api/docs"
	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/admintoken"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/nativeapp"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/webhook"
)

// Config says what the API serves, and to whom.
type Config struct {
	PublicURL         string   // where clients reach us, without a trailing slash
	FrontendOrigins   []string // of the apps, exactly as browsers send them
	DefaultReturnTo   string   // absolute, at one of FrontendOrigins
	InsecureLocalhost bool     // plain http: cookies without Secure and prefix
	TrustedProxies    []netip.Prefix
	// NativeRedirects are where logins through a system's browser may end.
	NativeRedirects nativeapp.Redirects
	// WithoutProviderLogout turns POST /backchannel-logout off.
	WithoutProviderLogout bool
	// Docs is the contract as a page; nil for none, also of its file.
	Docs *docs.Site

	// AdminTokens returns the tokens of administrators that are good now; nil
	// for none.
	AdminTokens func() *admintoken.Tokens
	Pages       Sealer // of lists
	Events      AuditLog
	Webhooks    *webhook.Service

	Accounts *account.Service
	Signups  *signup.Service
	Login    *login.RelyingParty
	Sessions *session.Service
	Limits   Limits       // nil for none
	Audit    Auditor      // nil for none
	Watch    Watch        // nil for nobody
	Metrics  http.Handler // of the operations listener; nil for none
	Now      func() time.Time
	Log      *slog.Logger
}

// API is the routes and what they share.
type API struct {
	config  Config
	cookies cookies
	origins originCheck
	returns returnTargets
	proxies proxies
	echo    *echo.Echo
	ops     *echo.Echo

	underWay atomic.Int64 // requests
}

// New returns the API. It returns an error when the configuration contradicts
// itself.
func New(config Config) (*API, error) {
	fallback, err := url.Parse(config.DefaultReturnTo)
	if err != nil {
		return nil, err
	}
	origins, err := newOriginCheck(config.PublicURL, config.FrontendOrigins)
	if err != nil {
		return nil, err
	}
	a := &API{
		config:  config,
		cookies: cookies{insecure: config.InsecureLocalhost},
		origins: origins,
		returns: returnTargets{fallback: fallback, origins: origins.trusted},
		proxies: proxies(config.TrustedProxies),
	}
	if _, ok := a.returns.resolve(config.DefaultReturnTo); !ok {
		return nil, errors.New("the default return target is not at a configured origin")
	}
	a.echo = a.newEcho(a.publicRoutes(), a.identify, a.harden(), a.log(a.watch(publicListener, a.publicRoutes())), a.recoverPanics, a.cors(), wholePath)
	a.ops = a.newOpsEcho()
	return a, nil
}

// newEcho registers routes behind their guards, and what surrounds them all,
// the outermost first.
func (a *API) newEcho(routes []route, around ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = a.answerError
	e.IPExtractor = a.proxies.extractor()
	e.Logger.SetOutput(discard{})
	e.Use(chain(around...))
	for _, route := range routes {
		e.Add(route.method, echoPath(route.path), a.guarded(route))
		if route.head {
			e.Add(http.MethodHead, echoPath(route.path), a.guarded(route))
		}
	}
	return e
}

// chain is all of the middleware as one, the first of it outermost. Echo by
// itself would put it together again for each request.
func chain(all ...echo.MiddlewareFunc) echo.MiddlewareFunc {
	whole := func(c echo.Context) error { return c.Handler()(c) }
	for _, m := range slices.Backward(all) {
		whole = m(whole)
	}
	return func(echo.HandlerFunc) echo.HandlerFunc { return whole }
}

// wholePath refuses paths with more segments than their route has: Echo's last
// parameter takes all that is left, slashes included.
func wholePath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if strings.Count(c.Request().URL.EscapedPath(), "/") != strings.Count(c.Path(), "/") {
			return refuse(openapi.ProblemCodeNotFound)
		}
		return next(c)
	}
}

// echoPath writes the contract's "{name}" as Echo's ":name".
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// answerLimit bounds the work for one request. Beyond it nobody waits for the
// answer, and a database or provider that hangs must not hold us with it. Who
// is calling is found within a bound of its own: see package session.
const answerLimit = 30 * time.Second

// guarded is the route's handler behind its guard.
func (a *API) guarded(r route) echo.HandlerFunc {
	return func(c echo.Context) error {
		call, ok := c.(*call)
		if !ok {
			return errors.New("the request has no name")
		}
		call.w, call.r = c.Response(), c.Request()
		err := a.admitted(call, r)
		if err == nil {
			err = handle(call, r)
		}
		if err != nil {
			a.refused(call, r, err)
		}
		return err
	}
}

// admitted lets the call pass the route's guard, or says why not.
func (a *API) admitted(c *call, r route) error {
	switch r.guard {
	case anyone:
		return a.origins.unsafe(c.r)
	case signedIn, signedInRecently:
		if err := a.recognise(c.r, &c.caller); err != nil {
			return err
		}
		note(c).userID = string(c.caller.user.ID)
		if r.guard == signedInRecently {
			return a.requireRecentLogin(c.caller)
		}
		return nil
	case byAdminToken:
		return a.admit(c, r.scope)
	case bySignedToken:
		return nil // the handler verifies the token before it does anything
	default:
		return errors.New("the route has no guard")
	}
}

// handle runs the route's handler, under the origin of whatever is written on
// the call's behalf.
func handle(c *call, r route) error {
	if r.knows {
		return r.handle(c)
	}
	ctx, cancel := context.WithTimeout(audit.With(c.r.Context(), c.origin()), answerLimit)
	defer cancel()
	c.r = c.r.WithContext(ctx)
	return r.handle(c)
}

// ServeHTTP serves one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.echo.ServeHTTP(w, r) }

// discard swallows Echo's own log, which knows no fields. What it would say
// comes as errors too.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
