package beyondidentity

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/portico-id/portico/internal/directory"
)

// Bounds on what is read of an answer, in bytes.
const (
	maxBody    = 1 << 20
	maxDrain   = 4 << 10 // beyond this a new connection is cheaper than the rest of the body
	maxText    = 300     // of the vendor's text in an error
	maxIDChars = 128     // of the vendor's request id and code
)

var (
	errNotJSON  = errors.New("the answer is not JSON")
	errTooLarge = errors.New("the answer is larger than any that is due")
)

// Client calls the management APIs. It is safe for concurrent use, and retries
// nothing but what a token that ended in between was refused for.
type Client struct {
	base        *url.URL
	token       TokenSource // nil with credentials
	credentials Credentials
	grants      *grants // nil without
	timeout     time.Duration
	userAgent   string
	transport   *http.Transport
	http        *http.Client
	now         func() time.Time
}

// CloseIdle closes the connections that are not in use.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }

// String returns the address that the client calls.
func (c *Client) String() string { return "beyondidentity client of " + c.base.String() }

// GoString returns the same text as String.
func (c *Client) GoString() string { return c.String() }

// LogValue returns the client's settings without the token.
func (c *Client) LogValue() slog.Value {
	config := Config{
		BaseURL:   c.base.String(),
		Timeout:   c.timeout,
		UserAgent: c.userAgent,
		MaxConns:  c.transport.MaxConnsPerHost,
	}
	if c.grants != nil {
		config.Credentials = &c.credentials
	}
	return config.LogValue()
}

// request is a call before it is sent.
type request struct {
	op     string
	method string
	path   string
	query  url.Values
	body   []byte               // JSON if kind does not say otherwise, or nil
	kind   string               // the body's media type
	name   string               // the user's, which the answer may repeat
	id     directory.InternalID // the user's, if the path names one
	limit  int                  // of the body of a success, in bytes; zero means maxBody
	empty  bool                 // the body of a success is empty, and need not be JSON
}

// exchange is one call under way and what is known of its answer.
type exchange struct {
	op         string
	name       string
	connected  atomic.Bool
	status     int
	requestID  string
	retryAfter time.Duration

	authorization string   // the header
	hidden        []string // the secrets in it, in every form
}

// hide keeps texts out of what is shown of the answer.
func (x *exchange) hide(texts ...string) { x.hidden = append(x.hidden, texts...) }

// fail returns the exchange's failure. Text from outside passes through safe.
func (x *exchange) fail(class Class, err error) *Error {
	return &Error{
		Op:         x.op,
		Class:      class,
		Status:     x.status,
		RequestID:  x.requestID,
		RetryAfter: x.retryAfter,
		Err:        &cause{text: x.safe(err.Error(), maxText), original: err},
	}
}

// address is text that looks like an e-mail address.
var address = regexp.MustCompile(`[^\s"'<>(),;:]+@[^\s"'<>(),;:]+`)

// safe returns text as it may be logged: no control or invisible characters,
// which forge log lines (CWE-117), no secret that a server sent back, no
// address, not the user's name, and not more than limit bytes. What is hidden
// goes before the cut, which could otherwise leave half of it.
func (x *exchange) safe(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, text)
	for _, secret := range x.hidden {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	text = address.ReplaceAllLiteralString(text, "[address]")
	if x.name != "" {
		text = strings.ReplaceAll(text, x.name, "[name]")
	}
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.ToValidUTF8(text, "")
}

// do sends r and returns the exchange with the body of a success. Its errors
// are *Error. With a token that the client has fetched, a call that the API
// refuses to let in is made once more, with a newer one: that refusal is the
// one failure which proves that nothing has been done.
func (c *Client) do(ctx context.Context, r request) (*exchange, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	token, held, err := c.authorize(ctx, r.op)
	if err != nil {
		return nil, nil, err
	}
	x, body, err := c.try(ctx, r, token)
	if held == nil {
		return x, body, err
	}
	switch ClassOf(err) {
	case "", NotFound, Conflict:
		c.grants.accept(held)
		return x, body, err
	case Unauthorized:
	default:
		return x, body, err
	}
	fresh, failed := c.grants.replace(ctx, held)
	switch {
	case failed != nil:
		return nil, nil, withoutToken(r.op, failed)
	case fresh == nil:
		return nil, nil, err
	}
	if token, failed = fresh.token.header(); failed != nil {
		return nil, nil, withoutToken(r.op, failed)
	}
	x, body, err = c.try(ctx, r, token)
	if err == nil {
		c.grants.accept(fresh)
	}
	return x, body, err
}

// try makes a call with a token.
func (c *Client) try(ctx context.Context, r request, token string) (*exchange, []byte, error) {
	x := &exchange{op: r.op, name: r.name}
	x.useBearer(token)
	body, err := c.send(ctx, r, x)
	if err != nil {
		return nil, nil, err
	}
	return x, body, nil
}

// send makes the exchange and returns the body of a success. Its errors are
// *Error.
func (c *Client) send(ctx context.Context, r request, x *exchange) ([]byte, error) {
	req, err := c.newRequest(ctx, r, x)
	if err != nil {
		return nil, x.fail(Rejected, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, x.fail(x.classOfTransport(), withoutURL(err))
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// Nobody asked for it. The body is the bare connection now, and reading
		// it would not end with ctx.
		_ = resp.Body.Close()
		resp.Body = http.NoBody
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
		_ = resp.Body.Close()
	}()
	x.status = resp.StatusCode
	x.requestID = x.safe(firstOf(resp.Header, "X-Request-Id", "Request-Id", "X-Correlation-Id"), maxIDChars)
	if resp.StatusCode/100 != 2 {
		x.retryAfter = retryAfter(resp.StatusCode, resp.Header, c.now())
		return nil, x.refused(r, resp)
	}
	body, err := r.read(resp)
	if err != nil {
		return nil, x.fail(Ambiguous, err)
	}
	return body, nil
}

// newRequest prepares r for sending and lets x see whether it gets a
// connection.
func (c *Client) newRequest(ctx context.Context, r request, x *exchange) (*http.Request, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { x.connected.Store(true) },
	})
	u := c.base.JoinPath(r.path)
	// A "+" for a space is a form's habit, which not every gateway knows.
	u.RawQuery = strings.ReplaceAll(r.query.Encode(), "+", "%20")
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, withoutURL(err)
	}
	// A body that cannot be rewound is never sent twice: with GetBody, the
	// transport repeats a POST by itself when a kept connection turns out to
	// be closed, and each create that arrives sends a mail. For the same
	// reason no Idempotency-Key is sent: net/http takes it as leave to repeat,
	// and the vendor does not document it.
	req.GetBody = nil
	req.Header.Set("Authorization", x.authorization)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	switch {
	case r.body == nil:
	case r.kind != "":
		req.Header.Set("Content-Type", r.kind)
	default:
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// classOfTransport says what a call without an answer proves. Once there was
// a connection, bytes may have left; before that, none can have: TLS and a
// proxy's CONNECT are done by the time a connection is handed out. A failed
// dial after an earlier connection is ambiguous as well, as the flag stays.
func (x *exchange) classOfTransport() Class {
	if x.connected.Load() {
		return Ambiguous
	}
	return Unreachable
}

// refused returns the failure for an answer that is not a success.
func (x *exchange) refused(r request, resp *http.Response) *Error {
	e := &Error{
		Op:         x.op,
		Class:      classOfStatus(x.op, resp.StatusCode),
		Status:     x.status,
		RequestID:  x.requestID,
		RetryAfter: x.retryAfter,
	}
	body, err := readJSON(resp, maxBody)
	if err == nil {
		code, message := decodeProblem(body)
		e.Code, e.Message = x.safe(code, maxIDChars), x.safe(message, maxText)
	}
	if x.status == http.StatusNotFound && r.id != "" {
		e.Class = classOfMissing(body, err, r.id)
	}
	return e
}

// read returns the body of a success. It returns what readJSON does.
func (r request) read(resp *http.Response) ([]byte, error) {
	if r.empty {
		return readBody(resp, maxBody)
	}
	if r.limit > 0 {
		return readJSON(resp, r.limit)
	}
	return readJSON(resp, maxBody)
}

// readJSON returns the body of an answer that calls itself JSON. It returns
// errNotJSON, errTooLarge, or what the connection says.
func readJSON(resp *http.Response, limit int) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
	if err != nil || !isJSON || resp.Header.Get("Content-Encoding") != "" {
		return nil, errNotJSON
	}
	return readBody(resp, limit)
}

func readBody(resp *http.Response, limit int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > limit {
		return nil, errTooLarge
	}
	return body, nil
}

// withoutURL returns err without the *url.Error around it: the look-up's URL
// holds the user's external_id.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func firstOf(h http.Header, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}
