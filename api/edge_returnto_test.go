package api_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/idna"

	"github.com/portico-id/portico/api"
)

// where returns the origin that a browser is at after it has followed a
// Location from base, or what kept it from going anywhere. It is written after
// the URL standard's parser (https://url.spec.whatwg.org/#url-parsing), state by
// state, and shares nothing with how return targets are decided.
func where(base, location string) string {
	text := strings.Trim(location, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	text = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(text)
	here, err := url.Parse(base)
	if err != nil {
		return "no base"
	}
	scheme, rest, absolute := schemeOf(text)
	special := scheme == "http" || scheme == "https" || scheme == "ws" || scheme == "wss" || scheme == "ftp"
	switch {
	case absolute && !special:
		return scheme + ": leaves the web"
	case absolute && scheme == here.Scheme && !startsWithSlashes(rest, 2):
		// "https:x" is relative to a base of the same scheme.
		absolute = false
		text = rest
	}
	if !absolute {
		scheme = here.Scheme
		if !startsWithSlashes(text, 2) {
			return here.Scheme + "://" + here.Host
		}
		rest = text
	}
	rest = strings.TrimLeft(rest, `/\`)
	authority := rest
	if end := strings.IndexAny(rest, `/\?#`); end >= 0 {
		authority = rest[:end]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	return scheme + "://" + hostOf(scheme, authority)
}

func startsWithSlashes(text string, count int) bool {
	return len(text) >= count && strings.Trim(text[:count], `/\`) == ""
}

// schemeOf splits what begins like a scheme.
func schemeOf(text string) (scheme, rest string, ok bool) {
	for i := range len(text) {
		letter := 'a' <= text[i]|0x20 && text[i]|0x20 <= 'z'
		switch {
		case text[i] == ':' && i > 0:
			return strings.ToLower(text[:i]), text[i+1:], true
		case letter, i > 0 && ('0' <= text[i] && text[i] <= '9' || strings.IndexByte("+-.", text[i]) >= 0):
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// hostOf is the host and port as browsers compare them: decoded, in ASCII, in
// small letters, without the scheme's own port.
func hostOf(scheme, authority string) string {
	host, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		host, port = authority[:colon], authority[colon+1:]
	}
	if decoded, err := url.PathUnescape(host); err == nil {
		host = decoded
	}
	if address, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		host = address.String()
	} else if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	} else {
		return "no host"
	}
	if port == "" || port == map[string]string{"https": "443", "http": "80"}[scheme] {
		return host
	}
	return host + ":" + port
}

// corpus are wishes that an attacker would have, each of which leads elsewhere
// for some reader.
func corpus() []string {
	const evil = "evil.example"
	wishes := []string{
		"", "/", "//" + evil, "///" + evil, "////" + evil, "/\\" + evil, "\\\\" + evil, "\\/" + evil, "/\\/" + evil, "//" + evil + "@app.example",
		"/\t/" + evil, "\t//" + evil, "/\n/" + evil, "/\r/" + evil, " //" + evil, "\x00//" + evil, "\x0b//" + evil, "/\x00/" + evil, "/ /" + evil,
		"/%09/" + evil, "/%5c" + evil, "/%5C/" + evil, "/%2f" + evil, "/%2F%2F" + evil, "%2f%2f" + evil, "/..//" + evil, "/../..//" + evil, "/.//" + evil,
		"/;//" + evil, "/%2e%2e//" + evil, "/?//" + evil, "/#//" + evil, "/@" + evil, "/:80@" + evil, "//", "///", "/\u3000/" + evil, "/\u00a0/" + evil,
		"https:" + evil, "https:/" + evil, "https://" + evil, "https:///" + evil, "https:\\\\" + evil, "https:/\\" + evil, "https:\\" + evil,
		"HTTPS://" + evil, "hTtPs://" + evil, "http://app.example", "http:app.example", "http:/" + evil, "ftp://app.example", "ws://app.example",
		"javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)", "javascript://app.example/%0aalert(1)",
		"javascript:https://app.example", "data:text/html,<script>alert(1)</script>", "vbscript:x", "blob:https://app.example/x", "file:///etc/passwd",
		"filesystem:https://app.example/x", "about:blank", "intent://app.example#Intent;end", "mailto:ada@example.com", "tel:1", "view-source:https://app.example",
		"https://app.example@" + evil, "https://app.example:443@" + evil, "https://app.example%40" + evil, "https://app.example%2f@" + evil,
		"https://app.example\\@" + evil, "https://" + evil + "\\@app.example", "https://" + evil + "#@app.example", "https://" + evil + "?@app.example",
		"https://" + evil + "/@app.example", "https://app.example:x@" + evil, "https://user:pass@app.example", "https://@app.example", "https://:@app.example",
		"https://app.example." + evil, "https://app.example-" + evil, "https://" + evil + ".app.example", "https://evilapp.example", "https://app.example.",
		"https://app.example..", "https://app.example:443", "https://app.example:80", "https://app.example:", "https://app.example:0443", "https://app.example:8443",
		"https://app.example%00." + evil, "https://app.example%09." + evil, "https://app.example%23." + evil, "https://app.example%5c." + evil,
		"https://app%2eexample", "https://%61pp.example", "https://app。example", "https://app．example", "https://app｡example", "https://ａｐｐ.example",
		"https://аpp.example", "https://app.exаmple", "https://app.example\u200b", "https://app\u00ad.example", "https://xn--pp-8kc.example", "https://ⓐpp.example",
		"https://[::1]", "https://127.0.0.1", "https://2130706433", "https://0x7f000001", "https://localhost", "https://[app.example]", "https://",
		"https://app.example\r\nSet-Cookie: portico=x", "/\r\nSet-Cookie: portico=x", "/x\r\n\r\n<script>", "/%0d%0aSet-Cookie:%20portico=x",
		"/\u560d\u560aSet-Cookie:x",
		"/" + strings.Repeat("a", 3000), "https://app.example/" + strings.Repeat("é", 1000),
		"/" + strings.Repeat("../", 500) + "/" + evil, "//" + strings.Repeat("a", 3000),
		evil, "." + evil, "./" + evil, "../" + evil, "?next=//" + evil, "#//" + evil, "*", "null",
		"undefined", "\xff\xfe", "/\xff", "/\xc0\xaf" + evil, "/\u2028" + evil,
		"/\u202e" + evil, "/%u002f" + evil, "/&#47;" + evil, "/profile", "/profile?next=//" + evil, "/a//b", "https://app.example/profile",
	}
	for _, from := range wishes[1:60] { // and encoded once more
		wishes = append(wishes, url.QueryEscape(from))
	}
	return wishes
}

// follow begins a login with each wish and returns where it ends, the others
// having been refused.
func follow(t *testing.T, begin func(wish string) (started string, refused bool), end func(started string) (callback string, landed answer)) {
	t.Helper()
	fulfilled := 0
	for _, wish := range corpus() {
		started, refused := begin(wish)
		if refused {
			continue
		}
		fulfilled++
		callback, landed := end(started)
		if to := landed.is(http.StatusSeeOther).header.Values("Location"); len(to) != 1 || where(callback, to[0]) != appOrigin {
			t.Errorf("%q leads to %q", wish, to)
		}
	}
	if fulfilled < 10 || fulfilled > len(corpus())/2 {
		t.Errorf("of %d wishes %d were fulfilled", len(corpus()), fulfilled)
	}
}

// TestNoWishLeadsOutOfTheConfiguredOrigins asks at every place that takes a
// wish, and follows those that are taken to their end as a browser would.
func TestNoWishLeadsOutOfTheConfiguredOrigins(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	byQuery := func(t *testing.T, b *browser) func(wish string) (string, bool) {
		t.Helper()
		return func(wish string) (string, bool) {
			a := b.get("/login?return_to=" + url.QueryEscape(wish))
			if a.status == http.StatusBadRequest {
				a.is(http.StatusBadRequest, "invalid_query").field("?return_to", a.fault())
				return "", true
			}
			if !strings.HasPrefix(a.header.Get("Location"), w.sim.Issuer()+"/") {
				t.Fatalf("%q begins at %q", wish, a.header.Get("Location"))
			}
			return a.header.Get("Location"), false
		}
	}
	succeeds := func(b *browser) func(string) (string, answer) {
		return func(started string) (string, answer) {
			callback := b.provider(http.MethodGet, started)
			return callback, b.returns(callback)
		}
	}
	fails := func(t *testing.T, b *browser) func(string) (string, answer) {
		t.Helper()
		return func(started string) (string, answer) {
			callback := change(t, b.provider(http.MethodGet, started), "code", "", "error", "access_denied")
			landed := b.returns(callback)
			if parameter(t, landed.header.Get("Location"), "error") != "access_denied" {
				t.Errorf("a login that fails ends at %q", landed.header.Get("Location"))
			}
			return callback, landed
		}
	}
	step(t, "S-01 ASVS-3.7.2 ASVS-1.1.1 GET /login, to the end of the login", func(t *testing.T) {
		b := b.in(t)
		follow(t, byQuery(t, b), succeeds(b))
	})
	step(t, "S-01 ASVS-3.7.2 GET /login, to a login that fails", func(t *testing.T) {
		b := b.in(t)
		follow(t, byQuery(t, b), fails(t, b))
	})
	step(t, "S-01 ASVS-3.7.2 POST /login", func(t *testing.T) {
		b := b.in(t)
		follow(t, func(wish string) (string, bool) {
			a := b.post("/login", `{"client":"browser","return_to":`+quoted(wish)+`}`)
			if a.status == http.StatusUnprocessableEntity || a.status == http.StatusBadRequest { // or no text at all
				return "", true
			}
			return a.is(http.StatusOK).json("authorization_url"), false
		}, fails(t, b))
	})
}

// fault is the code of the first field that a problem is about.
func (a answer) fault() string {
	a.t.Helper()
	var problem struct {
		Errors []struct{ Code string }
	}
	a.into(&problem)
	if len(problem.Errors) == 0 {
		a.t.Fatalf("the problem names no field: %s", a.body)
	}
	return problem.Errors[0].Code
}

func TestNoLogoutLeadsOutOfTheConfiguredOrigins(t *testing.T) {
	t.Parallel()
	w, b := withLogoutPage(t)
	step(t, "S-01 ASVS-3.7.2 POST /logout, through the provider's page and back", func(t *testing.T) {
		b := b.in(t)
		follow(t, func(wish string) (string, bool) {
			query := "?return_to=" + url.QueryEscape(wish)
			if a := b.post("/logout"+query, "", header{"X-CSRF", ""}); a.status != http.StatusForbidden {
				t.Fatalf("%q got by without our header: %d", wish, a.status)
			}
			return query, !w.allows(wish)
		}, func(query string) (string, answer) {
			back := b.leaves(query)
			landed := b.returns(back)
			b.logIn().leadsTo(home)
			return back, landed
		})
		for _, wish := range corpus() {
			if !w.allows(wish) {
				b.post("/logout?return_to="+url.QueryEscape(wish), "").is(http.StatusBadRequest, "invalid_query")
			}
		}
		b.get("/me").is(http.StatusOK) // no wish that is refused has logged anybody out
	})
	step(t, "S-01 ASVS-3.7.2 GET /logout/callback, with anything for a state", func(t *testing.T) {
		b := b.in(t)
		for _, state := range corpus() {
			b.get("/logout/callback?state=" + url.QueryEscape(state)).leadsTo(home)
		}
	})
}

// allows reports whether a wish is fulfilled, so that only those log out.
func (w *world) allows(wish string) bool {
	_, ok := api.ReturnTarget(home, []string{appOrigin}, wish)
	return ok
}

// quoted writes bytes as JSON does, even those that are no text.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(text) {
		if c < ' ' || c == '"' || c == '\\' {
			b.WriteString(`\u00` + hex(c))
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// FuzzS01ReturnTargets holds what is decided of a wish against where browsers
// go, from the provider's redirect back.
func FuzzS01ReturnTargets(f *testing.F) {
	for _, wish := range corpus() {
		f.Add(wish)
	}
	f.Fuzz(func(t *testing.T, wish string) {
		target, ok := api.ReturnTarget(home, []string{appOrigin, "https://other.example:8443"}, wish)
		if !ok {
			return
		}
		for _, base := range []string{"https://api.example/callback", "http://localhost:8080/callback"} {
			if got := where(base, target); got != appOrigin && got != "https://other.example:8443" {
				t.Errorf("%q leads to %q, at %q", wish, target, got)
			}
		}
		if again, ok := api.ReturnTarget(home, []string{appOrigin, "https://other.example:8443"}, target); !ok || where(home, again) != where(home, target) {
			t.Errorf("%q leads to %q, and that to %q, %t", wish, target, again, ok)
		}
	})
}

// TestWhereABrowserGoes holds the oracle against what browsers are known to do.
func TestWhereABrowserGoes(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"https://app.example/x": "https://app.example", "HTTPS://APP.example:443": "https://app.example", "/x": "https://api.example",
		"//evil.example": "https://evil.example", "\\\\evil.example": "https://evil.example", "/\\evil.example": "https://evil.example",
		"/\t/evil.example": "https://evil.example", "\x0c\x00//evil.example": "https://evil.example", "https:evil.example": "https://api.example",
		"https:/evil.example": "https://api.example", "https:///evil.example": "https://evil.example", "http:evil.example": "http://evil.example",
		"https:\\\\evil.example": "https://evil.example", "https://app.example@evil.example": "https://evil.example",
		"https://evil.example\\@app.example": "https://evil.example", "https://app.example\\evil.example": "https://app.example",
		"https://%61pp.example": "https://app.example", "https://app．example": "https://app.example", "https://app.example:8443": "https://app.example:8443",
		"javascript:alert(1)": "javascript: leaves the web", "java\nscript:x": "javascript: leaves the web", "x": "https://api.example",
		"https://[::1]:1/": "https://::1:1",
	} {
		if got := where("https://api.example/callback", location); got != want {
			t.Errorf("%q goes to %q, not to %q", location, got, want)
		}
	}
}
