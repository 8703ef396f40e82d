package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/portico-id/portico/api/openapi"
)

// notes is what the access log says of a request beside its outline.
type notes struct {
	requestID string
	userID    string
	admin     string // the name of the token that the request was made with
	code      code
	logged    bool
	audited   bool
}

// note returns the notes of the request.
func note(c echo.Context) *notes {
	if call, ok := c.(*call); ok {
		return &call.notes
	}
	return &notes{} // of nobody: see identify
}

// identify names the request, and makes it the call that all of the middleware
// and the handler are given. A name that came with it counts only from a
// trusted proxy: anyone else could forge the log's.
func (a *API) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !wellFormedRequestID(id) || !a.proxies.trusts(c.Request().RemoteAddr) {
			id = newRequestID()
		}
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		one, ok := calls.Get().(*call)
		if !ok {
			one = new(call)
		}
		one.Context, one.notes.requestID = c, id
		err := next(one)
		*one = call{} // nothing of whom it was is to be kept
		calls.Put(one)
		return err
	}
}

// calls are calls that have been answered, as Echo keeps its contexts: nothing
// may hold one beyond its handler.
//
//nolint:gochecknoglobals // memory to use again
var calls sync.Pool

func newRequestID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:])
	var text [2 * len(raw)]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

func wellFormedRequestID(id string) bool {
	return len(id) >= 8 && len(id) <= 128 && strings.Trim(id,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// harden sets the headers that every answer has. Answers are JSON and
// redirects, so the policy forbids everything (ASVS 3.4).
func (a *API) harden() echo.MiddlewareFunc {
	type header struct {
		name   string
		values []string // which all answers share: what adds to one makes a copy of its own
	}
	always := []header{
		{"Cache-Control", []string{"no-store"}},
		{"X-Content-Type-Options", []string{"nosniff"}},
		{"Referrer-Policy", []string{"no-referrer"}},
		{"Content-Security-Policy", []string{"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"}},
		{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
		{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
	}
	if !a.config.InsecureLocalhost {
		always = append(always, header{"Strict-Transport-Security", []string{"max-age=63072000; includeSubDomains"}})
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			h := c.Response().Header()
			if readsNoMore(c.Request()) {
				h.Set("Connection", "close")
			}
			for _, one := range always {
				h[one.name] = one.values
			}
			return next(c)
		}
	}
}

// readsNoMore reports whether a connection ends with the answer to this request.
//
// Beside a Transfer-Encoding net/http forgets a Content-Length, by which a proxy
// may have gone that let through what we would take for a request of its own
// (smuggling, RFC 9112 §6.1). And what is too long to be read, net/http would
// wait for before it sends the answer.
func readsNoMore(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || r.ContentLength > maxBody
}

// log writes one line a request, and tells who watches. Paths and queries carry
// receipts and codes, so the line has the route's pattern instead.
func (a *API) log(by watchers) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := a.config.Now()
			alone := a.underWay.Add(1) == 1
			defer a.underWay.Add(-1)
			if call, ok := c.(*call); ok {
				call.alone = alone
			}
			watch := by.of(c.Request().Method, c.Path())
			ctx := c.Request().Context()
			if watch != nil {
				if within := watch.Begin(c.Request()); within != ctx {
					ctx = within
					c.SetRequest(c.Request().WithContext(ctx))
				}
			}
			if err := next(c); err != nil {
				a.answerError(err, c) // so that the status below is the one sent
			}
			end := a.config.Now()
			took := end.Sub(start)
			if watch != nil {
				n := note(c)
				watch.End(ctx, c.Response().Status, string(n.code), n.requestID, took)
			}
			a.letGo(c.Response())
			a.logRequest(ctx, c, end, took)
			return nil
		}
	}
}

// letGo sends an answer that is whole, so that nobody waits for its line in the
// log: if no other request is under way. Among many, their time is better spent
// on the next than on who has an answer already, and fewer look-ups would be
// gathered. An answer that does not say how long it is would go out in chunks.
func (a *API) letGo(r *echo.Response) {
	if a.underWay.Load() > 1 || len(r.Header()[echo.HeaderContentLength]) == 0 {
		return
	}
	if answer, ok := r.Writer.(http.Flusher); ok {
		answer.Flush()
	}
}

// logRequest writes the line, past the logger, which would look at the clock
// once more and for the line of the code that called it.
func (a *API) logRequest(ctx context.Context, c echo.Context, end time.Time, took time.Duration) {
	if !a.config.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	n := note(c)
	attrs := append(
		make([]slog.Attr, 0, 10), // as many as there can be, so that none is moved
		slog.String("request_id", n.requestID),
		slog.String("method", c.Request().Method),
		slog.String("route", c.Path()),
		slog.Int("status", c.Response().Status),
		slog.Int64("bytes", c.Response().Size),
		slog.Int64("duration_us", took.Microseconds()), // whole: slog has encoding/json write what is not
		slog.String("client_ip", c.RealIP()),
	)
	if n.code != "" {
		attrs = append(attrs, slog.String("code", string(n.code)))
	}
	if n.userID != "" {
		attrs = append(attrs, slog.String("user_id", n.userID))
	}
	if n.admin != "" {
		attrs = append(attrs, slog.String("admin", n.admin))
	}
	record := slog.NewRecord(end, slog.LevelInfo, "request", 0)
	record.AddAttrs(attrs...)
	_ = a.config.Log.Handler().Handle(ctx, record)
}

// recoverPanics turns a panic into a 500. It lets the server's own
// abort-this-connection panic through.
func (a *API) recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				err = &problem{
					code:  openapi.ProblemCodeInternalError,
					cause: fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
				}
			}
		}()
		return next(c)
	}
}

// cors lets pages of exactly the configured origins read answers.
func (a *API) cors() echo.MiddlewareFunc {
	check := middleware.CORSWithConfig(middleware.CORSConfig{
		// A function, since Echo reads a list as patterns.
		AllowOriginFunc: func(origin string) (bool, error) { return a.origins.trusted[origin], nil },
		AllowMethods:    []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowHeaders: []string{
			echo.HeaderContentType, echo.HeaderAuthorization, "X-CSRF", "Idempotency-Key", "Prefer", "If-None-Match",
		},
		ExposeHeaders: []string{
			echo.HeaderXRequestID, echo.HeaderLocation, echo.HeaderRetryAfter, echo.HeaderContentDisposition, "ETag", "Idempotency-Replayed",
			"Preference-Applied", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
		},
		AllowCredentials: true,
		MaxAge:           600,
	})
	vary := []string{echo.HeaderOrigin}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		checked := check(next)
		return func(c echo.Context) error {
			if r := c.Request(); r.Method != http.MethodOptions && len(r.Header[echo.HeaderOrigin]) == 0 {
				c.Response().Header()[echo.HeaderVary] = vary // nothing else depends on an origin that there is not
				return next(c)
			}
			return checked(c)
		}
	}
}

// answerError answers with the problem document that err stands for.
func (a *API) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := asProblem(echoProblem(err))
	n := note(c)
	n.code = p.code
	if p.status() >= http.StatusInternalServerError {
		a.logRefusal(c, p)
	}
	raw, err := json.Marshal(p.document(c.Request().URL.EscapedPath(), n.requestID))
	if err != nil {
		c.Response().WriteHeader(http.StatusInternalServerError)
		return
	}
	h := c.Response().Header()
	if p.retryAfter > 0 {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(max(1, int(p.retryAfter.Round(time.Second).Seconds()))))
	}
	announce(h, p.limit.Quota)
	if p.status() == http.StatusUnauthorized || p.scope != "" {
		h.Set(echo.HeaderWWWAuthenticate, challengeOf(p))
	}
	if c.Request().Method == http.MethodHead {
		_ = c.NoContent(p.status())
		return
	}
	_ = c.Blob(p.status(), "application/problem+json; charset=utf-8", append(raw, '\n'))
}

// challengeOf says how to be let in (RFC 6750 §3). Where a session is not the
// point but its login's age, RFC 9470 §3 has the words.
func challengeOf(p *problem) string {
	challenge := `Bearer realm="portico"`
	switch {
	case p.code == openapi.ProblemCodeAdminTokenInvalid:
		return `Bearer realm="portico admin", error="invalid_token"`
	case p.scope != "":
		return `Bearer realm="portico admin", error="insufficient_scope", scope="` + string(p.scope) + `"`
	case p.code == openapi.ProblemCodeRecentLoginRequired:
		challenge += `, error="insufficient_user_authentication", max_age="` + strconv.Itoa(int(p.maxAge.Seconds())) + `"`
	}
	return challenge
}

// logRefusal logs why a request was refused, once. The answer says less.
func (a *API) logRefusal(c echo.Context, p *problem) {
	n := note(c)
	if n.logged {
		return
	}
	n.logged = true
	level := slog.LevelInfo
	switch {
	case p.status() == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case p.status() >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	a.config.Log.LogAttrs(c.Request().Context(), level, "request was refused",
		slog.String("request_id", n.requestID), slog.String("code", string(p.code)), slog.Any("error", p.cause))
}

// echoProblem returns what Echo's own errors stand for.
func echoProblem(err error) error {
	if e, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch e.Code {
		case http.StatusNotFound:
			return refuse(openapi.ProblemCodeNotFound)
		case http.StatusMethodNotAllowed:
			return refuse(openapi.ProblemCodeMethodNotAllowed)
		}
	}
	return err
}

// proxies are the peers whose X-Forwarded-For counts.
type proxies []netip.Prefix

// extractor returns how a client's address is found. Without trusted proxies
// it is the peer's, whatever headers say.
func (p proxies) extractor() echo.IPExtractor {
	if len(p) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, prefix := range p {
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP:   prefix.Addr().AsSlice(),
			Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

func (p proxies) trusts(remoteAddr string) bool {
	peer, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return false
	}
	for _, prefix := range p {
		if prefix.Contains(peer.Addr().Unmap()) {
			return true
		}
	}
	return false
}
