package beyondidentity

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// What New uses where Config says nothing.
const (
	DefaultTimeout   = 10 * time.Second
	DefaultMaxConns  = 16
	DefaultUserAgent = "portico"
)

// Shorter than the minute after which load balancers commonly close an idle
// connection: a POST that meets such a close is ambiguous, and costs its user
// the whole quarantine.
const idleTimeout = 30 * time.Second

// maxHeader bounds an answer's header, in bytes.
const maxHeader = 64 << 10

// Config says which API to call, and as whom.
type Config struct {
	// BaseURL is the API's address without the paths that the documentation
	// gives, e.g. "https://api.byndid.com". Plain http is for loopback
	// addresses, see AllowPlainHTTP.
	BaseURL string
	// AllowPlainHTTP permits http to a host that is not a loopback address,
	// say a simulator in another container. The token then crosses the
	// network readable (RFC 6750 §5.3).
	AllowPlainHTTP bool
	// Token returns the bearer token.
	Token TokenSource
	// Credentials are what tokens are fetched with, in place of Token.
	Credentials *Credentials
	// Timeout bounds a whole call, from the wait for a connection to the last
	// byte of the answer. Zero means DefaultTimeout.
	Timeout time.Duration
	// UserAgent is sent with each call. Empty means DefaultUserAgent.
	UserAgent string
	// MaxConns bounds the connections, open and idle: as many as there are
	// workers. Zero means DefaultMaxConns.
	MaxConns int
}

// LogValue returns the settings without the token or the client secret.
func (c Config) LogValue() slog.Value {
	base := "[invalid]"
	if u, err := parseBaseURL(c.BaseURL, true); err == nil {
		base = u.String()
	}
	as := slog.String("token", redacted)
	if c.Credentials != nil {
		as = slog.String("client_id", c.Credentials.ClientID)
	}
	return slog.GroupValue(
		slog.String("base_url", base),
		as,
		slog.Duration("timeout", c.Timeout),
		slog.String("user_agent", c.UserAgent),
		slog.Int("max_conns", c.MaxConns),
	)
}

// New returns a client for c. It returns an error that names the setting
// which is missing or malformed; it calls nobody.
func New(c Config) (*Client, error) {
	base, err := parseBaseURL(c.BaseURL, c.AllowPlainHTTP)
	if err != nil {
		return nil, err
	}
	if err := c.checkAuthentication(); err != nil {
		return nil, err
	}
	if c.Timeout < 0 || c.MaxConns < 0 {
		return nil, errors.New("beyondidentity: the timeout and the number of connections must not be negative")
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxConns == 0 {
		c.MaxConns = DefaultMaxConns
	}
	if c.UserAgent == "" {
		c.UserAgent = DefaultUserAgent
	}
	if strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errors.New("beyondidentity: the user agent holds characters that a header cannot carry")
	}
	transport, err := newTransport(base, c.Timeout, c.MaxConns)
	if err != nil {
		return nil, err
	}
	client := &Client{
		base:      base,
		token:     c.Token,
		timeout:   c.Timeout,
		userAgent: c.UserAgent,
		transport: transport,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		now: time.Now,
	}
	if c.Credentials != nil {
		client.credentials = *c.Credentials
		client.grants = &grants{get: client.fetchToken, now: time.Now}
	}
	return client, nil
}

// checkAuthentication returns an error unless there is one way to get a token.
func (c Config) checkAuthentication() error {
	switch {
	case c.Token != nil && c.Credentials != nil:
		return errors.New("beyondidentity: both a token source and client credentials")
	case c.Credentials != nil && (c.Credentials.ClientID == "" || c.Credentials.Secret == nil):
		return errors.New("beyondidentity: client credentials need an id and a source of the secret")
	case c.Token == nil && c.Credentials == nil:
		return errors.New("beyondidentity: no token source")
	}
	return nil
}

// parseBaseURL reads an address that paths can be joined to. Its errors do
// not repeat the address, which may hold a password by mistake.
func parseBaseURL(text string, allowPlain bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, errors.New("beyondidentity: the base URL is not an absolute http or https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("beyondidentity: the base URL may hold a scheme, a host and a path, nothing else")
	case u.Scheme == "http" && !allowPlain && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("beyondidentity: plain http to %s would send the token unencrypted", u.Hostname())
	}
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// newTransport returns a transport of the client's own: http.DefaultTransport
// is shared with the whole process, and anyone may change it.
//
// It speaks HTTP/1.1 only. There a connection carries one call at a time; on
// HTTP/2 one lost connection would make every create under way ambiguous at
// once, and the transport may send a request again after a GOAWAY.
//
// The proxy is found once: the address never changes, and a proxy setting
// that is malformed would otherwise appear in each call's error, password
// included.
func newTransport(base *url.URL, timeout time.Duration, maxConns int) (*http.Transport, error) {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: base})
	if err != nil {
		return nil, errors.New("beyondidentity: the proxy that the environment names is not a URL")
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyURL(proxy),
		DialContext:            (&net.Dialer{Timeout: timeout, KeepAlive: idleTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		IdleConnTimeout:        idleTimeout,
		MaxConnsPerHost:        maxConns,
		MaxIdleConns:           maxConns,
		MaxIdleConnsPerHost:    maxConns,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // answers are small; none may unfold into a large one
		Protocols:              &protocols,
	}, nil
}
