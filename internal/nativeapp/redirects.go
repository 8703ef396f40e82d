package nativeapp

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// MaxRedirectURI is the longest address, in bytes.
const MaxRedirectURI = 512

// ErrRedirectURI says that an address cannot be configured. The error that
// wraps it says why.
var ErrRedirectURI = errors.New("not a redirect address of a native app")

// Redirects are the configured addresses. The zero value allows none.
type Redirects struct {
	exact    map[string]bool
	loopback map[string]bool // without their ports
}

// ParseRedirects reads configured addresses. It returns ErrRedirectURI for one
// that is not absolute, has a fragment or credentials, is plain http to
// anything but the loopback, or has a scheme that no domain's owner can have
// chosen (RFC 8252 §7.1).
func ParseRedirects(texts []string) (Redirects, error) {
	r := Redirects{exact: make(map[string]bool), loopback: make(map[string]bool)}
	for _, text := range texts {
		u, err := parse(text)
		if err != nil {
			return Redirects{}, fmt.Errorf("%w: %q %w", ErrRedirectURI, text, err)
		}
		if isLoopback(u) {
			r.loopback[withoutPort(u)] = true
		} else {
			r.exact[text] = true
		}
	}
	return r, nil
}

// Allows reports whether a login may end at that address. Anything but the
// comparison of whole texts has let attackers in (RFC 9700 §4.1.3); of a
// loopback address the port alone is free, since the app takes whichever the
// system gives it (RFC 8252 §7.3).
func (r Redirects) Allows(text string) bool {
	if r.exact[text] {
		return true
	}
	u, err := parse(text)
	return err == nil && isLoopback(u) && r.loopback[withoutPort(u)]
}

func parse(text string) (*url.URL, error) {
	if len(text) > MaxRedirectURI {
		return nil, fmt.Errorf("is longer than %d bytes", MaxRedirectURI)
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) {
		return nil, errors.New("has characters that an address has to escape")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "":
		return nil, errors.New("is not an absolute address")
	case u.User != nil:
		return nil, errors.New("has credentials in it")
	case strings.Contains(text, "#"):
		return nil, errors.New("has a fragment") // RFC 6749 §3.1.2
	}
	return u, checkScheme(u)
}

func checkScheme(u *url.URL) error {
	switch {
	case u.Scheme == "https":
		if u.Hostname() == "" {
			return errors.New("has no host")
		}
	case u.Scheme == "http":
		if !isLoopback(u) {
			return errors.New("is plain http, which only a loopback address may be")
		}
	case !strings.Contains(u.Scheme, "."):
		// Also keeps javascript:, data: and file: out.
		return errors.New("has a scheme that is not a domain in reverse, such as com.example.app")
	case u.Opaque != "":
		return errors.New("has no path: write com.example.app:/path")
	}
	return nil
}

// isLoopback reports whether the address is of this machine. A name such as
// localhost may be made to mean another one, and is taken all the same where
// it is configured: many desktop apps know no better (RFC 8252 §8.3).
func isLoopback(u *url.URL) bool {
	if u.Scheme != "http" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// withoutPort is the address as it is compared: as it was written, but for its
// port.
func withoutPort(u *url.URL) string {
	bare := *u
	bare.Host = u.Hostname()
	if strings.Contains(bare.Host, ":") {
		bare.Host = "[" + bare.Host + "]"
	}
	return bare.String()
}
