package api_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/api/apitest"
)

func TestRequestsThatFitNoRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	step(t, "a path that is not there", func(t *testing.T) {
		b := b.in(t)
		for _, path := range []string{
			"/", "/nothing", "/me/", "/ME", "/signup/", "/signup/a/b", "/signup//", "//me", "/./me", "/me/..", "/admin",
			"/signup/a/resend/", "/signup/resend/b", "/signup/a/RESEND", "/me/sessions/", "/me/sessions/a/b", "/logout/", "/logout/callback/",
			"/.git/config", "/.env", "/.well-known/openid-configuration", "/favicon.ico", "/robots.txt", "/backup.zip", "/me.json", "/me~",
			"/me;x=1", "/me%2f", "/%6de/x", "/me%00", "/login/%2e%2e/me/x", "/" + strings.Repeat("a", 8000),
		} {
			b.get(path).is(http.StatusNotFound, "not_found")
		}
		b.post("/nothing", `{}`).is(http.StatusNotFound, "not_found")
		b.send(b.request(http.MethodPut, "/signup/a/b", ""), false).is(http.StatusNotFound, "not_found")
	})
	step(t, "ASVS-13.4.2 nothing for debugging", func(t *testing.T) {
		b := b.in(t)
		for _, path := range []string{
			"/debug", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/debug/requests", "/debug/events",
			"/trace", "/console", "/status", "/info", "/env", "/actuator", "/test", "/sim/users", "/sim/mailbox",
		} {
			b.get(path).is(http.StatusNotFound, "not_found")
		}
	})
	step(t, "ASVS-13.4.5 neither metrics nor documentation nor probes", func(t *testing.T) {
		b := b.in(t)
		for _, path := range []string{
			"/metrics", "/livez", "/readyz", "/healthz", "/health", "/openapi.yaml", "/openapi.json", "/docs", "/docs/", "/swagger", "/swagger-ui/", "/redoc",
		} {
			b.get(path).is(http.StatusNotFound, "not_found")
		}
	})
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	t.Run("ASVS-3.4.1 over https browsers are told to stay there", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{secure: true})
		for _, path := range []string{"/me", "/nothing", "/login"} {
			a := w.browser().in(t).get(path)
			if got := a.header.Get("Strict-Transport-Security"); got != "max-age=63072000; includeSubDomains" {
				t.Errorf("%s: Strict-Transport-Security is %q", path, got)
			}
		}
	})
	t.Run("on http localhost they are not", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{})
		if got := w.browser().in(t).get("/me").header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("Strict-Transport-Security is %q", got)
		}
	})
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	const given = "proxy-made-request-id-1"
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	t.Run("ASVS-15.3.4 S-19 a stranger's is replaced", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		b := w.browser().in(t)
		first := b.get("/me", header{"X-Request-Id", given}).header.Get("X-Request-Id")
		second := b.get("/me", header{"X-Request-Id", given}).header.Get("X-Request-Id")
		if first == given || first == second || len(first) != 32 {
			t.Errorf("request ids are %q and %q", first, second)
		}
	})
	t.Run("a trusted proxy's is kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{proxies: loopback})
		b := w.browser().in(t)
		if got := b.get("/me", header{"X-Request-Id", given}).header.Get("X-Request-Id"); got != given {
			t.Errorf("the request id is %q", got)
		}
		for _, malformed := range []string{"short", strings.Repeat("a", 129), "with space in it", `quote"quote`, "<script>alert</script>", "line%0abreak"} {
			if got := b.get("/me", header{"X-Request-Id", malformed}).header.Get("X-Request-Id"); got == malformed {
				t.Errorf("the request id %q was kept", malformed)
			}
		}
	})
}

func TestClientAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		proxies []netip.Prefix
		xff     []header
		want    string
	}{
		{"ASVS-15.3.4 nobody is trusted", nil, []header{{"X-Forwarded-For", "203.0.113.9"}}, "127.0.0.1"},
		{"S-19 nor by other headers", nil, []header{{"X-Real-Ip", "203.0.113.9"}, {"Forwarded", "for=203.0.113.9"}, {"True-Client-Ip", "203.0.113.9"}}, "127.0.0.1"},
		{
			"S-19 another network is trusted",
			[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			[]header{{"X-Forwarded-For", "203.0.113.9"}},
			"127.0.0.1",
		},
		{
			"the proxy is trusted",
			[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			[]header{{"X-Forwarded-For", "203.0.113.9"}},
			"203.0.113.9",
		},
		{
			"what the client forged before the proxy counts for nothing",
			[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			[]header{{"X-Forwarded-For", "198.51.100.1, 203.0.113.9"}},
			"203.0.113.9",
		},
		{
			"private addresses are not trusted of themselves",
			[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			[]header{{"X-Forwarded-For", "203.0.113.9, 10.1.2.3"}},
			"10.1.2.3",
		},
		{
			"two proxies in a row",
			[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")},
			[]header{{"X-Forwarded-For", "203.0.113.9, 10.1.2.3"}},
			"203.0.113.9",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{proxies: test.proxies})
			w.browser().in(t).get("/me", test.xff...)
			entries := w.log.entries(t, "request")
			if len(entries) != 1 || entries[0]["client_ip"] != test.want {
				t.Errorf("the log says %v", entries)
			}
		})
	}
}

func TestOriginsThatMayReadAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	step(t, "ASVS-3.4.2 the app's", func(t *testing.T) {
		b := b.in(t)
		for _, path := range []string{"/me", "/nothing", "/signup/x"} {
			a := b.get(path, header{"Origin", appOrigin})
			if a.header.Get("Access-Control-Allow-Origin") != appOrigin || a.header.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("%s: the app may not read the answer: %v", path, a.header)
			}
			for _, name := range []string{
				"X-Request-Id", "Location", "Retry-After", "ETag", "Idempotency-Replayed", "Preference-Applied",
				"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
			} {
				if !slices.Contains(strings.Split(a.header.Get("Access-Control-Expose-Headers"), ","), name) {
					t.Errorf("%s: the app may not read %s", path, name)
				}
			}
			if !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s: a cache would hand the answer to other origins", path)
			}
		}
	})
	for _, origin := range []string{
		"https://evil.example", "null", "*", appOrigin + ".evil.example", "https://evil-app.example", "https://evil.app.example",
		"http://app.example", "https://app.example:8443", "https://app.example:443", "https://APP.example", "https://app.example/", "https://app.example.",
		"https://appxexample", "https://app.example@evil.example", " " + appOrigin, appOrigin + ", https://evil.example", "file://", "https://",
	} {
		step(t, "ASVS-3.4.2 BBA-12 not that of "+origin, func(t *testing.T) {
			b := b.in(t)
			simple := b.get("/me", header{"Origin", origin})
			preflight := b.send(b.request(http.MethodOptions, "/me", "", header{"X-CSRF", ""}, header{"Origin", origin},
				header{"Access-Control-Request-Method", "GET"}, header{"Access-Control-Request-Headers", "x-csrf"}), false)
			for _, a := range []answer{simple, preflight} {
				for name := range a.header {
					// A space around a header's value is not part of it.
					if strings.HasPrefix(name, "Access-Control-") && strings.TrimSpace(origin) != appOrigin {
						t.Errorf("%s is %q", name, a.header.Get(name))
					}
				}
			}
		})
	}
	step(t, "BBA-12 the app's preflight", func(t *testing.T) {
		b := b.in(t)
		for _, path := range []string{"/me", "/signup", "/signup/x", "/signup/x/resend", "/login", "/callback", "/logout"} {
			a := b.send(b.request(http.MethodOptions, path, "", header{"X-CSRF", ""}, header{"Origin", appOrigin},
				header{"Access-Control-Request-Method", "POST"},
				header{"Access-Control-Request-Headers", "x-csrf,content-type,idempotency-key,prefer,if-none-match"}), false)
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin":      appOrigin,
				"Access-Control-Allow-Credentials": "true",
				"Access-Control-Allow-Methods":     "GET,POST,PATCH,DELETE",
				"Access-Control-Allow-Headers":     "Content-Type,Authorization,X-CSRF,Idempotency-Key,Prefer,If-None-Match",
				"Access-Control-Max-Age":           "600",
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: %s is %q, not %q", path, name, got, want)
				}
			}
		}
	})
	step(t, "a preflight needs no session and says nothing of one", func(t *testing.T) {
		b := b.in(t)
		a := b.send(b.request(http.MethodOptions, "/me", ""), false).is(http.StatusNoContent)
		if a.header.Get("Www-Authenticate") != "" {
			t.Error("it asks for a session")
		}
	})
}

// TestTheTransportIsWhatChecks guards the guard: without the transport every
// other test here would hold answers against nothing.
func TestTheTransportIsWhatChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	if _, ok := w.browser().client.Transport.(apitest.Transport); !ok {
		t.Error("answers are not held against the contract")
	}
}
