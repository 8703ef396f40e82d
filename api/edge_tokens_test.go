package api_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/portico-id/portico/internal/login/hostile"
)

// TestTheProvidersTokensOpenNothing has the very tokens that a login ended in
// come back in place of the session's.
func TestTheProvidersTokensOpenNothing(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	tokens := make(map[string]string)
	w.hostile.Change(func(of *hostile.Behaviour) {
		of.Answer = func(answer hostile.Object) {
			for _, name := range []string{"access_token", "id_token"} {
				tokens[name], _ = answer[name].(string)
			}
		}
	})
	b.logIn().leadsTo(home)
	b.get("/me").is(http.StatusOK)
	for name, token := range tokens {
		if token == "" {
			t.Fatalf("the login had no %s", name)
		}
		step(t, "ASVS-10.3.1 the "+name+" as a bearer token", func(t *testing.T) {
			w.browser().in(t).get("/me", header{"Authorization", "Bearer " + token}).unauthorized("session_invalid")
		})
		step(t, "ASVS-10.3.1 the "+name+" with a session's prefix", func(t *testing.T) {
			w.browser().in(t).get("/me", header{"Authorization", "Bearer pts_" + token}).unauthorized("session_invalid")
		})
		step(t, "ASVS-10.3.1 the "+name+" as a cookie", func(t *testing.T) {
			w.browser().in(t).get("/me", header{"Cookie", "portico=" + token}).unauthorized("session_invalid")
		})
	}
	if len(tokens) != 2 {
		t.Errorf("the login had %d tokens", len(tokens))
	}
}

// TestPlainHTTPIsNotRedirected has a proxy say that the client came in the
// clear: an answer that leads to https would let that go unnoticed.
func TestPlainHTTPIsNotRedirected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for _, path := range []string{"/", "/me", "/signup/x", "/nothing"} {
		step(t, "ASVS-4.1.2 GET "+path, func(t *testing.T) {
			a := w.browser().in(t).get(path, header{"X-Forwarded-Proto", "http"})
			if a.status < 400 || a.header.Get("Location") != "" {
				t.Errorf("answered %d and leads to %q", a.status, a.header.Get("Location"))
			}
		})
	}
}
