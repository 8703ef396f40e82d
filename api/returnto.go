package api

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxReturnTo is the longest return target, in bytes, as asked for and as
// resolved.
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
	if len(wish) > maxReturnTo || strings.ContainsFunc(wish, ambiguous) {
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
	} else if !t.origins[target.Scheme+"://"+target.Host] {
		return "", false
	}
	target.RawQuery = escapeNonASCII(target.RawQuery)
	resolved := target.String()
	// Escaping makes it longer than the wish, and it has to fit the flow.
	return resolved, len(resolved) <= maxReturnTo
}

// ambiguous reports whether browsers read the character otherwise than net/url
// does, or not at all.
func ambiguous(r rune) bool {
	return r <= ' ' || r == '\\' || r == 0x7f || r == utf8.RuneError
}

// queryEscape writes a value as the query of any address may carry it.
func queryEscape(value string) string {
	// A "+" for a space is the form's way, which apps' own parsers may not know.
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// escapeNonASCII writes a query as a header may carry it (RFC 3986 §2.1);
// net/url does so with paths and fragments by itself.
func escapeNonASCII(query string) string {
	if !strings.ContainsFunc(query, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return query
	}
	var escaped strings.Builder
	for _, b := range []byte(query) {
		if b < utf8.RuneSelf {
			escaped.WriteByte(b)
		} else {
			fmt.Fprintf(&escaped, "%%%02X", b)
		}
	}
	return escaped.String()
}

// withError adds our code to a return target.
func withError(target string, c code) string {
	u, err := url.Parse(target)
	if err != nil {
		return target
	}
	// The app's own parameters go back as they came, whatever it makes of them.
	parameters := slices.DeleteFunc(strings.Split(u.RawQuery, "&"), func(p string) bool {
		name, _, _ := strings.Cut(p, "=")
		name, err := url.QueryUnescape(name)
		return p == "" || err == nil && name == "error"
	})
	u.RawQuery = strings.Join(append(parameters, "error="+string(c)), "&")
	return u.String()
}
