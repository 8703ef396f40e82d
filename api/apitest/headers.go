package apitest

import (
	"net/http"
	"strings"
)

// maxCookie is what a browser keeps of one cookie, name and value together
// (RFC 6265 §6.1, ASVS 3.3.5). A longer one is dropped without a word.
const maxCookie = 4096

// headers checks what every answer has and what none has.
func (c *complaints) headers(response *http.Response) {
	h := response.Header
	for name, want := range map[string]string{
		"Cache-Control":                "no-store",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := h.Values(name); len(got) != 1 || got[0] != want {
			c.add("%s is %q, not %q", name, got, want)
		}
	}
	if ids := h.Values("X-Request-Id"); len(ids) != 1 || len(ids[0]) < 8 || len(ids[0]) > 128 {
		c.add("X-Request-Id is %q", ids)
	}
	policy := h.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, directive) {
			c.add("Content-Security-Policy does not say %s", directive)
		}
	}
	for _, name := range []string{"Server", "X-Powered-By"} {
		if h.Get(name) != "" {
			c.add("%s tells what runs here", name)
		}
	}
	if h.Get("Access-Control-Allow-Origin") == "*" {
		c.add("every origin may read the answer")
	}
}

// The names of the contract's cookies, without the prefix.
const (
	cookiePrefix  = "__Host-Http-"
	sessionCookie = "portico"
	flowCookie    = "portico-flow-"
)

// cookies checks the attributes of every cookie that is set or dropped.
func (c *complaints) cookies(response *http.Response, secure bool) {
	seen := make(map[string]bool)
	for _, line := range response.Header.Values("Set-Cookie") {
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			c.add("Set-Cookie cannot be read: %v", err)
			continue
		}
		if seen[cookie.Name] {
			c.add("the cookie %s is set twice", cookie.Name)
		}
		seen[cookie.Name] = true
		c.cookie(cookie, secure)
	}
}

func (c *complaints) cookie(cookie *http.Cookie, secure bool) {
	bare, prefixed := strings.CutPrefix(cookie.Name, cookiePrefix)
	want := http.SameSiteDefaultMode
	switch {
	case bare == sessionCookie:
		want = http.SameSiteStrictMode
	case strings.HasPrefix(bare, flowCookie):
		want = http.SameSiteLaxMode
	default:
		c.add("the contract has no cookie %s", cookie.Name)
	}
	if cookie.SameSite != want {
		c.add("the cookie %s has another SameSite than it should", cookie.Name)
	}
	if prefixed != secure || cookie.Secure != secure {
		c.add("the cookie %s: prefix %t, Secure %t over a connection that is secure: %t", cookie.Name, prefixed, cookie.Secure, secure)
	}
	if !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" || cookie.Partitioned {
		c.add("the cookie %s is not HttpOnly, with Path=/ and without Domain", cookie.Name)
	}
	if cookie.MaxAge == 0 || (cookie.MaxAge < 0) != (cookie.Value == "") {
		c.add("the cookie %s has Max-Age %d and %d characters", cookie.Name, cookie.MaxAge, len(cookie.Value))
	}
	if len(cookie.Name)+len(cookie.Value) >= maxCookie {
		c.add("the cookie %s is longer than browsers keep", cookie.Name)
	}
}
