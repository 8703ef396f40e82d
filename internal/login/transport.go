package login

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxBody    = 1 << 20  // of any answer, decompressed
	maxHeaders = 64 << 10 // of any answer

	// How often the key set may be fetched: one rotation in the middle of a
	// login costs one, so these are far more than an honest provider needs.
	// The pause is also how long a rotation can go unnoticed in a flood.
	keyFetches      = 5
	keyFetchesEvery = 5 * time.Second
)

var errBodyTooLarge = errors.New("answer is larger than 1 MiB")

// tooSoonError is a fetch of the key set that was not made.
type tooSoonError struct{ wait time.Duration }

func (e tooSoonError) Error() string { return "key set was fetched too often" }

// newTransport returns a transport of our own, so that nobody else's changes
// to the default one reach the provider's credentials. It is HTTP/1.1 and
// HTTP/2, with every phase bounded.
func newTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    64,
		MaxConnsPerHost:        128, // a provider that hangs must not cost a socket for each login
		MaxResponseHeaderBytes: maxHeaders,
	}
}

// newClient returns a client that follows no redirects and reads no more than
// maxBody: a redirect from the token endpoint would carry the code and our
// credentials to wherever it points (RFC 9700 §4.12).
func newClient(transport http.RoundTripper, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport:     capped{transport},
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// capped bounds the bodies of answers, because go-oidc reads them to the end.
type capped struct{ next http.RoundTripper }

func (c capped) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, left: maxBody}
	return resp, nil
}

// CloseIdleConnections lets http.Client's method of that name through.
func (c capped) CloseIdleConnections() { closeIdle(c.next) }

type cappedBody struct {
	io.ReadCloser

	left int
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, errBodyTooLarge
	}
	b.left -= n
	return n, err
}

// meter limits how often the key set is fetched. A token with an unknown key id
// costs a fetch, and whoever can have us look at tokens could have us flood
// the provider.
type meter struct {
	next  http.RoundTripper
	limit *rate.Limiter
	now   func() time.Time
}

func newMeter(next http.RoundTripper, now func() time.Time) meter {
	return meter{next: next, limit: rate.NewLimiter(rate.Every(keyFetchesEvery), keyFetches), now: now}
}

func (m meter) RoundTrip(req *http.Request) (*http.Response, error) {
	now := m.now()
	turn := m.limit.ReserveN(now, 1)
	if wait := turn.DelayFrom(now); wait > 0 {
		turn.CancelAt(now)
		return nil, tooSoonError{wait}
	}
	return m.next.RoundTrip(req)
}

// CloseIdleConnections lets http.Client's method of that name through.
func (m meter) CloseIdleConnections() { closeIdle(m.next) }

func closeIdle(transport http.RoundTripper) {
	if t, ok := transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// statusError is an answer whose status alone says that it is of no use.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }
