package sender

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/portico-id/portico/internal/webhook"
)

const (
	// DefaultTimeout is within what the specification recommends (15 to 30 s).
	DefaultTimeout = 20 * time.Second
	// maxAnswer is what is read of an answer, in bytes, so that the connection
	// can be used again. What is longer costs the connection.
	maxAnswer  = 4 << 10
	maxHeaders = 16 << 10
	maxIdle    = 4 // connections to one endpoint
	idleFor    = 30 * time.Second
)

// Config is what a Sender is made of.
type Config struct {
	UserAgent string
	Timeout   time.Duration // of a request, from the name's resolution to the answer
	Loopback  bool          // this machine may be reached
	Private   bool          // networks that are not the internet may be reached

	Roots    *x509.CertPool // nil for the system's
	Resolver *net.Resolver  // nil for the system's
}

// Sender makes requests. It is safe for concurrent use, and retries nothing.
type Sender struct {
	userAgent string
	timeout   time.Duration
	transport *http.Transport
}

// New returns a Sender. It opens nothing yet.
func New(c Config) *Sender {
	dialer := &net.Dialer{Resolver: c.Resolver, ControlContext: newGuard(c).control}
	return &Sender{
		userAgent: c.UserAgent,
		timeout:   c.Timeout,
		transport: &http.Transport{
			Proxy:                  nil, // not even what the environment says
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // nothing of an answer is worth to be unpacked
			MaxResponseHeaderBytes: maxHeaders,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleFor,
		},
	}
}

// CloseIdle closes the connections that are not in use.
func (s *Sender) CloseIdle() { s.transport.CloseIdleConnections() }

// Send makes one request. It goes through the transport itself: a client would
// follow redirects, and turn what stands before an @ into credentials.
func (s *Sender) Send(ctx context.Context, r webhook.Request) webhook.Answer {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(ctx, r)
	if err != nil {
		return webhook.Answer{Class: webhook.ClassAddress}
	}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return webhook.Answer{Class: classOf(ctx, err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// Nobody asked for it. The body is the bare connection now, and reading
		// it would not end with ctx.
		return webhook.Answer{Status: resp.StatusCode, Class: webhook.ClassBroken}
	}
	// The status has been said: how the rest ends makes no difference.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return webhook.Answer{
		Status: resp.StatusCode, Class: classOfStatus(resp.StatusCode),
		RetryAfter: retryAfter(resp.StatusCode, resp.Header, time.Now()),
	}
}

func (s *Sender) request(ctx context.Context, r webhook.Request) (*http.Request, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" {
		ctx = context.WithValue(ctx, plainKey{}, true)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	if req.URL.User != nil {
		return nil, errAddress
	}
	req.Header = http.Header{
		"Content-Type":      {"application/json"},
		"User-Agent":        {s.userAgent},
		"Webhook-Id":        {r.Message},
		"Webhook-Timestamp": {strconv.FormatInt(r.At.Unix(), 10)},
		"Webhook-Signature": {r.Signature},
	}
	return req, nil
}

// classOf says why there was no answer.
func classOf(ctx context.Context, err error) webhook.Class {
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var network net.Error
	switch {
	case errors.Is(err, errAddress):
		return webhook.ClassAddress
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert):
		return webhook.ClassTLS
	case ctx.Err() != nil, errors.As(err, &network) && network.Timeout():
		return webhook.ClassTimeout
	case errors.As(err, &dns), errors.As(err, &op) && op.Op == "dial":
		return webhook.ClassUnreachable
	default:
		return webhook.ClassBroken
	}
}

func classOfStatus(status int) webhook.Class {
	switch {
	case status/100 == 2:
		return ""
	case status/100 == 3:
		return webhook.ClassRedirect
	case status == http.StatusGone:
		return webhook.ClassGone
	case status == http.StatusTooManyRequests:
		return webhook.ClassThrottled
	case status/100 == 4:
		return webhook.ClassRefused
	case status/100 == 5:
		return webhook.ClassServer
	default:
		return webhook.ClassBroken
	}
}

// retryAfter returns how long an answer that puts off asks to wait (RFC 9110
// §10.2.3), and zero where it does not say. Its bound is the schedule's matter.
func retryAfter(status int, h http.Header, now time.Time) time.Duration {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	value := h.Get("Retry-After")
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
