package api

import (
	"net/url"
	"strings"
)

// maxReturnTo is the longest return target, in bytes.
const maxReturnTo = 2048

// returnTargets decides where a login may send the browser.
type returnTargets struct {
	fallback *url.URL // absolute, at one of origins
	origins  map[string]bool
}

// resolve returns the absolute URL that a wish to return stands for: a path at
// the default target's origin, or an absolute URL at one of the configured
// ones. Anything else would make us an open redirector (RFC 9700 §4.11.1).
//
// Browsers read "\" as "/", skip tabs and newlines, and take "//host" as a
// host, so a wish with any of these is refused rather than mended.
func (t returnTargets) resolve(wish string) (string, bool) {
	if wish == "" {
		return t.fallback.String(), true
	}
	if len(wish) > maxReturnTo || strings.ContainsFunc(wish, func(r rune) bool {
		return r <= ' ' || r == '\\' || r == 0x7f || r == '\ufffd'
	}) {
		return "", false
	}
	target, err := url.Parse(wish)
	if err != nil || target.User != nil || target.Opaque != "" {
		return "", false
	}
	if strings.HasPrefix(wish, "/") && !strings.HasPrefix(wish, "//") {
		if target.Host != "" || strings.HasPrefix(target.Path, "//") || strings.Contains(target.Path, "\\") {
			return "", false
		}
		target.Scheme, target.Host = t.fallback.Scheme, t.fallback.Host
		return target.String(), true
	}
	if !t.origins[target.Scheme+"://"+target.Host] {
		return "", false
	}
	return target.String(), true
}

// withError adds our code to a return target.
func withError(target string, c code) string {
	u, err := url.Parse(target)
	if err != nil {
		return target
	}
	query := u.Query()
	query.Set("error", string(c))
	u.RawQuery = query.Encode()
	return u.String()
}
