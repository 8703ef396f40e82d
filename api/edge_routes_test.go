package api_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/api"
)

// methodsOf are the methods of each path, as the table has them.
func methodsOf() map[string][]string {
	methods := make(map[string][]string)
	for _, o := range api.Operations() {
		path, _ := sample(o)
		methods[path] = append(methods[path], o.Method)
	}
	return methods
}

// TestMethodsThatARouteDoesNotTake asks every path by every other method, as a
// stranger and as who is signed in. The contract's check, which every answer
// passes, compares Allow.
func TestMethodsThatARouteDoesNotTake(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	stranger := w.browser()
	all := []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "MKCOL", "COPY", "LOCK", "QUERY", "PURGE", "DEBUG", "TRACK",
		"get", "Post", "delete", "FOO", "X-HTTP", "GET1", "*", "!#$%&'+-.^_`|~",
	}
	for path, methods := range methodsOf() {
		step(t, "ASVS-4.1.4 ASVS-13.4.4 BBA-14 "+path, func(t *testing.T) {
			w.unchanged(t, func() {
				for _, method := range all {
					if slices.Contains(methods, method) {
						continue
					}
					for _, b := range []*browser{stranger.in(t), b.in(t)} {
						a := b.send(b.request(method, path, "", header{"X-Canary", "canary"}), false)
						a.is(http.StatusMethodNotAllowed)
						if method == http.MethodHead && a.body != "" || strings.Contains(a.body, "canary") {
							t.Errorf("%s is answered with %s", method, a.body)
						}
						allowed := strings.Split(strings.ReplaceAll(a.header.Get("Allow"), " ", ""), ",")
						slices.Sort(allowed)
						want := append([]string{"OPTIONS"}, methods...)
						slices.Sort(want)
						if !slices.Equal(allowed, want) {
							t.Errorf("%s is answered with Allow: %q, not %q", method, allowed, want)
						}
					}
				}
			})
		})
	}
	step(t, "ASVS-4.1.4 a method in a header, a parameter or a form counts for nothing", func(t *testing.T) {
		b := b.in(t)
		w.unchanged(t, func() {
			for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"} {
				b.get("/logout?_method=POST", header{name, "POST"}).is(http.StatusMethodNotAllowed, "method_not_allowed")
				b.get("/me/sessions", header{name, "DELETE"}).is(http.StatusOK)
				b.post("/me/sessions", `{"_method":"DELETE"}`, header{name, "DELETE"}).is(http.StatusMethodNotAllowed, "method_not_allowed")
			}
			b.post("/me", "_method=GET", header{"Content-Type", "application/x-www-form-urlencoded"}).is(http.StatusMethodNotAllowed, "method_not_allowed")
		})
	})
}

// TestOriginsOnEveryRoute asks every path, and one that is not there, as pages
// of other origins would.
func TestOriginsOnEveryRoute(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	granted := func(a answer) []string {
		var names []string
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				names = append(names, name)
			}
		}
		return names
	}
	paths := methodsOf()
	paths["/nothing"] = nil
	for path := range paths {
		step(t, "ASVS-3.4.2 BBA-12 "+path, func(t *testing.T) {
			b, stranger := b.in(t), w.browser().in(t)
			w.unchanged(t, func() {
				for _, origin := range []string{"https://evil.example", "null", "https://evil.app.example", w.url, "*"} {
					for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
						preflight := stranger.send(stranger.request(http.MethodOptions, path, "", header{"X-CSRF", ""}, header{"Origin", origin},
							header{"Access-Control-Request-Method", method}, header{"Access-Control-Request-Headers", "x-csrf, authorization, content-type"},
							header{"Access-Control-Request-Private-Network", "true"}), false)
						if names := granted(preflight); preflight.status != http.StatusNoContent || len(names) > 0 {
							t.Errorf("%s may %s: %d %q", origin, method, preflight.status, names)
						}
					}
					a := b.send(b.request(http.MethodPatch, path, "", header{"Origin", origin}), false)
					if names := granted(a); len(names) > 0 {
						t.Errorf("%s may read what it gets: %q", origin, names)
					}
				}
				own := stranger.send(stranger.request(http.MethodOptions, path, "", header{"X-CSRF", ""}, header{"Origin", appOrigin},
					header{"Access-Control-Request-Method", http.MethodDelete}, header{"Access-Control-Request-Headers", "x-csrf, x-other"},
					header{"Access-Control-Request-Private-Network", "true"}), false).is(http.StatusNoContent)
				if !own.only("Access-Control-Allow-Origin", appOrigin) || !own.only("Access-Control-Allow-Credentials", "true") ||
					!own.only("Access-Control-Allow-Methods", "GET,POST,PATCH,DELETE") ||
					strings.Contains(strings.ToLower(own.header.Get("Access-Control-Allow-Headers")), "x-other") ||
					own.header.Get("Access-Control-Allow-Private-Network") != "" {
					t.Errorf("the app is granted %v", own.header)
				}
				for _, a := range []answer{own, b.send(b.request(http.MethodPatch, path, ""), false)} {
					if vary := strings.Join(a.header.Values("Vary"), ","); !strings.Contains(vary, "Origin") {
						t.Errorf("an answer varies by %q", vary)
					}
				}
			})
		})
	}
}

// TestWhatProxiesSayCountsFromProxiesAlone sends what a caller may make up.
func TestWhatProxiesSayCountsFromProxiesAlone(t *testing.T) {
	t.Parallel()
	made := []header{
		{"X-Forwarded-Host", "evil.example"},
		{"X-Forwarded-Server", "evil.example"},
		{"X-Host", "evil.example"},
		{"X-Original-Host", "evil.example"},
		{"X-Forwarded-Proto", "gopher"},
		{"X-Forwarded-Scheme", "gopher"},
		{"X-Forwarded-Port", "666"},
		{"X-Forwarded-Prefix", "/evil.example"},
		{"Forwarded", "for=203.0.113.9;host=evil.example;proto=gopher"},
		{"X-Original-URL", "/evil.example"},
		{"X-Rewrite-URL", "/evil.example"},
		{"X-Forwarded-Uri", "/evil.example"},
		{"X-HTTP-Host-Override", "evil.example"},
		{"X_Forwarded_Host", "evil.example"},
		{"Base-Url", "https://evil.example"},
	}
	for name, proxies := range map[string][]netip.Prefix{
		"from anybody":           nil,
		"even from the proxy is": {netip.MustParsePrefix("127.0.0.0/8")},
	} {
		t.Run("BBA-20 S-19 ASVS-4.1.3 a foreign host "+name+" in no address", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{proxies: proxies})
			b := w.browser().in(t)
			evil := func(method, path, body string) answer {
				r := b.request(method, path, body, made...)
				r.Host = "evil.example"
				a := b.send(r, false)
				for _, values := range a.header {
					if text := strings.Join(values, " "); strings.Contains(text, "evil") || strings.Contains(text, "gopher") {
						t.Errorf("%s %s is answered with %v", method, path, a.header)
					}
				}
				if strings.Contains(a.body, "evil") || strings.Contains(a.body, "gopher") {
					t.Errorf("%s %s is answered with %s", method, path, a.body)
				}
				return a
			}
			if got := parameter(t, evil("GET", "/login", "").is(http.StatusSeeOther).header.Get("Location"), "redirect_uri"); got != w.url+"/callback" {
				t.Errorf("redirect_uri is %q", got)
			}
			started := evil("POST", "/login", `{"client":"native"}`).is(http.StatusOK).json("authorization_url")
			if got := parameter(t, started, "redirect_uri"); got != w.url+"/callback" {
				t.Errorf("redirect_uri is %q", got)
			}
			system := newSystemLogin()
			started = evil("POST", "/login", `{"client":"native","redirect_uri":"`+nativeRedirect+`","code_challenge":"`+challengeOf(system.verifier)+`"}`).
				is(http.StatusOK).json("authorization_url")
			if !strings.HasPrefix(started, w.url+"/login?") {
				t.Errorf("authorization_url is %q", started)
			}
			accepted := evil("POST", "/signup", ada).is(http.StatusAccepted)
			if at := accepted.json("status_url"); !strings.HasPrefix(at, w.url+"/signup/") || accepted.header.Get("Location") != at {
				t.Errorf("status_url is %q", at)
			}
			for _, o := range api.Operations() {
				path, body := sample(o)
				if !o.Body {
					body = ""
				}
				evil(o.Method, path, body)
			}
			evil("GET", "/nothing", "")
		})
	}
	for _, test := range []struct {
		name, header, value, want string
		trusted                   bool
	}{
		{"an address that anybody says is not believed", "X-Forwarded-For", "203.0.113.9", "127.0.0.1", false},
		{"nor by the other spelling", "X_Forwarded_For", "203.0.113.9", "127.0.0.1", false},
		{"what the proxy says is", "X-Forwarded-For", "203.0.113.9", "203.0.113.9", true},
		{"but not by the other spelling, which a client gets past a proxy", "X_Forwarded_For", "203.0.113.9", "127.0.0.1", true},
		{"nor by another name", "X-Real-Ip", "203.0.113.9", "127.0.0.1", true},
		{"nor by its successor", "Forwarded", "for=203.0.113.9", "127.0.0.1", true},
		{"nor what is no address", "X-Forwarded-For", "evil", "127.0.0.1", true},
	} {
		t.Run("S-19 ASVS-4.1.3 ASVS-15.3.4 BBA-24 "+test.name, func(t *testing.T) {
			t.Parallel()
			o := options{}
			if test.trusted {
				o.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			}
			w := newWorld(t, o)
			r := w.browser().in(t).request(http.MethodGet, "/me", "")
			r.Header[test.header] = []string{test.value}
			w.browser().in(t).send(r, false).unauthorized("not_authenticated")
			if lines := w.log.entries(t, "request"); len(lines) != 1 || lines[0]["client_ip"] != test.want {
				t.Errorf("the log says %v", lines)
			}
		})
	}
}
