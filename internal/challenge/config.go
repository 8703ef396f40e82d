package challenge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// DefaultTimeout bounds a call where Config says nothing: somebody is waiting
// for their sign-up to be accepted.
const DefaultTimeout = 5 * time.Second

const (
	maxConns    = 64       // open at once; further calls wait for one, within their time
	maxHeader   = 64 << 10 // of an answer, in bytes
	idleTimeout = 30 * time.Second
)

// Config says which service to ask, and as whom.
type Config struct {
	// URL is the service's siteverify address: https, or http to this machine.
	URL string
	// Secret returns the secret that belongs to the app's site key. It is
	// asked before each call, so that the secret can be replaced on disk.
	Secret func() (string, error)
	// Hostnames are where the app is, e.g. "app.example.com". A challenge that
	// was passed elsewhere is refused: otherwise whoever copies our site key
	// into a page of their own collects tokens for us. Empty leaves that to
	// the service.
	Hostnames []string
	// Timeout bounds a whole call. Zero means DefaultTimeout.
	Timeout time.Duration
}

// LogValue returns the settings without the secret.
func (c Config) LogValue() slog.Value {
	address := "[invalid]"
	if u, err := parseURL(c.URL); err == nil {
		address = u.String()
	}
	return slog.GroupValue(
		slog.String("url", address),
		slog.String("hostnames", strings.Join(c.Hostnames, ",")),
		slog.Duration("timeout", c.Timeout),
	)
}

// New returns a verifier for c. It returns an error that says which setting is
// missing or malformed; it calls nobody.
func New(c Config) (*Verifier, error) {
	u, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Secret == nil {
		return nil, errors.New("challenge: no source of the secret")
	}
	if c.Timeout < 0 {
		return nil, errors.New("challenge: the timeout must not be negative")
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	hostnames, err := parseHostnames(c.Hostnames)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(u, c.Timeout)
	if err != nil {
		return nil, err
	}
	return &Verifier{
		url:       u,
		secret:    c.Secret,
		hostnames: hostnames,
		timeout:   c.Timeout,
		transport: transport,
		http: &http.Client{
			Transport: transport,
			// A redirect that repeats the POST would carry the secret to
			// wherever it points (RFC 9110 §15.4.8).
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// parseURL reads the service's address. Its errors do not repeat it: it may
// hold the secret by mistake.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, errors.New("challenge: the URL is not an absolute https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("challenge: the URL may hold a scheme, a host and a path, nothing else")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("challenge: plain http to %s would send the secret unencrypted", u.Hostname())
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

// parseHostnames returns the names in lower case.
func parseHostnames(names []string) ([]string, error) {
	var hostnames []string
	for _, name := range names {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		folded, ok := foldHostname(name)
		if !ok {
			return nil, fmt.Errorf("challenge: %q is not a hostname: no scheme, port or path, and international names as xn--…", name)
		}
		hostnames = append(hostnames, folded)
	}
	slices.Sort(hostnames)
	return slices.Compact(hostnames), nil
}

// foldHostname returns a name as names are compared: by ASCII letters without
// their case (RFC 4343). Unicode's case folding would make a "k" of the Kelvin
// sign, and so two names one. It reports false for what is no name.
func foldHostname(name string) (string, bool) {
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.', r == '_':
		default:
			return "", false
		}
	}
	return strings.ToLower(name), name != "" && len(name) <= 253
}

// newTransport returns a transport of the verifier's own: the process's
// default has no bounds, and anyone may change it. The proxy is found once: a
// proxy setting that is malformed would otherwise appear in each call's error,
// password included.
func newTransport(u *url.URL, timeout time.Duration) (*http.Transport, error) {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil {
		return nil, errors.New("challenge: the proxy that the environment names is not a URL")
	}
	return &http.Transport{
		Proxy:                  http.ProxyURL(proxy),
		DialContext:            (&net.Dialer{Timeout: timeout, KeepAlive: idleTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		IdleConnTimeout:        idleTimeout,
		MaxConnsPerHost:        maxConns,
		MaxIdleConns:           maxConns,
		MaxIdleConnsPerHost:    maxConns,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // answers are small; none may unfold into a large one
	}, nil
}
