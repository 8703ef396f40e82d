package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// baked is a line of Set-Cookie, read here as RFC 6265 §5.2 reads it: whatever
// comes last counts, and nothing else does.
type baked struct {
	what, name, value string
	attributes        map[string][]string // by their names in small letters
}

func bake(what, line string) baked {
	parts := strings.Split(line, ";")
	name, value, _ := strings.Cut(parts[0], "=")
	cookie := baked{what, strings.TrimSpace(name), strings.TrimSpace(value), map[string][]string{}}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		cookie.attributes[name] = append(cookie.attributes[name], strings.TrimSpace(value))
	}
	return cookie
}

// has reports whether the attribute is there once, with this value.
func (c baked) has(name, value string) bool {
	values := c.attributes[name]
	return len(values) == 1 && values[0] == value
}

func cookiesOf(t *testing.T, all []gift) {
	t.Helper()
	const session, flow = "__Host-Http-portico", "__Host-Http-portico-flow-"
	var cookies []baked
	tokens := make(map[string]bool)
	set, dropped := map[string]int{}, map[string]int{}
	for _, a := range all {
		for _, line := range a.header.Values("Set-Cookie") {
			c := bake(a.what, line)
			kind := session
			if strings.HasPrefix(c.name, flow) {
				kind = flow
			}
			if c.value == "" {
				dropped[kind]++
			} else {
				set[kind]++
				tokens[c.value] = true
			}
			cookies = append(cookies, c)
		}
	}
	rows := []struct {
		name  string
		right func(c baked) bool
	}{
		{"BBA-03 ASVS-3.3.1 each is Secure", func(c baked) bool { return c.has("secure", "") }},
		{"BBA-04 each is HttpOnly", func(c baked) bool { return c.has("httponly", "") }},
		{"BBA-05 ASVS-3.3.2 the session's is Strict, a flow's is Lax", func(c baked) bool {
			return c.has("samesite", map[bool]string{true: "Strict", false: "Lax"}[c.name == session])
		}},
		{"BBA-06 each is for all paths", func(c baked) bool { return c.has("path", "/") }},
		{"BBA-07 none has a domain", func(c baked) bool { return c.attributes["domain"] == nil }},
		{"BBA-08 ASVS-3.3.3 each has the prefix", func(c baked) bool {
			return c.name == session || strings.HasPrefix(c.name, flow) && len(c.name) > len(flow)
		}},
		{"ASVS-3.3.5 none is longer than browsers keep", func(c baked) bool { return len(c.name)+len(c.value) < 4096 }},
		{"each ends, at once where it is dropped", func(c baked) bool {
			ages := c.attributes["max-age"]
			return len(ages) == 1 && (ages[0] == "0") == (c.value == "") && c.attributes["expires"] == nil
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{session, flow} {
				if set[kind] < 2 || dropped[kind] < 1 {
					t.Errorf("%s is set %d times and dropped %d times", kind, set[kind], dropped[kind])
				}
			}
			for _, c := range cookies {
				if !row.right(c) {
					t.Errorf("%s sets %q with %v", c.what, c.name, c.attributes)
				}
			}
		})
	}
	each(t, "none is set twice in one answer", all, func(a gift) bool {
		seen := make(map[string]bool)
		for _, line := range a.header.Values("Set-Cookie") {
			name := bake("", line).name
			if seen[name] {
				return true
			}
			seen[name] = true
		}
		return false
	})
	each(t, "ASVS-3.3.4 what a cookie holds is nowhere else", all, func(a gift) bool {
		elsewhere := a.header.Clone()
		elsewhere.Del("Set-Cookie")
		var rest strings.Builder
		_ = elsewhere.Write(&rest)
		for token := range tokens {
			if strings.Contains(a.body, token) || strings.Contains(rest.String(), token) {
				return true
			}
		}
		return false
	})
}

func TestCookiesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{secure: true})
	step(t, "those of other names count for nothing", func(t *testing.T) {
		stranger, token := w.browser().in(t), b.session()
		for _, name := range []string{
			"portico", "__Host-portico", "__Secure-portico", "__Http-portico", "__host-http-portico", "__HOST-HTTP-PORTICO", "__Host-Http-Portico",
			"__Host-Http-portico2", "__Host-Http-porticо", "session", "SESSIONID", "X-__Host-Http-portico", "__Host-Http-portico.", "__Host-Http-portico-flow-",
		} {
			stranger.get("/me", header{"Cookie", name + "=" + token}).unauthorized("not_authenticated")
		}
		b := b.in(t)
		many := strings.Repeat("other=1; portico=planted; __Host-portico=planted; ", 20) + "__Host-Http-portico=" + token
		stranger.get("/me", header{"Cookie", many}).is(http.StatusOK)
		b.get("/me").is(http.StatusOK)
	})
	step(t, "two sessions are refused, however they are sent", func(t *testing.T) {
		stranger, token := w.browser().in(t), b.session()
		const name = "__Host-Http-portico="
		for _, lines := range [][]string{
			{name + token + "; " + name + token},
			{name + token, name + token},
			{name + strings.Repeat("A", 43) + "; " + name + token},
			{name + "; " + name + token},
			{name + token + ";" + name + token},
		} {
			r := stranger.request(http.MethodGet, "/me", "")
			r.Header["Cookie"] = lines
			stranger.send(r, false).is(http.StatusBadRequest, "credentials_conflict")
		}
	})
	step(t, "a flow that comes twice is dropped once", func(t *testing.T) {
		stranger := w.browser().in(t)
		const name = "__Host-Http-portico-flow-"
		a := stranger.get("/login", header{"Cookie", name + "x=1; " + name + "x=2; " + name + "y=3"}).is(http.StatusSeeOther)
		if lines := a.header.Values("Set-Cookie"); len(lines) != 3 { // x and y are dropped, the new one is set
			t.Errorf("the answer sets %q", lines)
		}
	})
}

// TestFlowsStayWithinARequestsHeader begins the longest logins there can be: a
// browser sends all of their cookies with each request, which servers and
// proxies cut at 32 KiB.
func TestFlowsStayWithinARequestsHeader(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{secure: true})
	system := newSystemLogin()
	system.state = strings.Repeat("s", 256)
	for _, query := range []string{"?return_to=/" + strings.Repeat("a", 2048-len(home)), system.query()} {
		for range 12 {
			b.get("/login" + query).is(http.StatusSeeOther)
		}
		if n := len(b.flows()); n != 8 {
			t.Errorf("there are %d flows", n)
		}
		size := 0
		for _, cookie := range b.cookies {
			size += len(cookie.Name) + len("=") + len(cookie.Value) + len("; ")
		}
		if size > 30<<10 {
			t.Errorf("a browser with %d cookies sends %d bytes", len(b.cookies), size)
		}
	}
	step(t, "and an error clears its own", func(t *testing.T) {
		b := b.in(t)
		before := b.flows()
		callback := b.authorize("?prompt=none")
		if len(b.flows()) != 8 {
			t.Fatalf("flows are %q", b.flows())
		}
		b.returns(change(t, callback, "code", "", "error", "login_required")).leadsTo(home + "?error=login_required")
		for _, name := range b.flows() {
			if strings.HasSuffix(name, handleOf(parameter(t, callback, "state"))) || len(b.flows()) != 7 {
				t.Errorf("flows are %q, and were %q", b.flows(), before)
			}
		}
	})
	w.secrets.keep(b.session())
}
