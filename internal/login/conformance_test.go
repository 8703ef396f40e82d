package login_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

// TestIDTokenConformance has the modules of the OpenID Foundation's relying
// party suite that are about one ID token. What is refused is refused before
// UserInfo is asked.
func TestIDTokenConformance(t *testing.T) {
	const ok, refused = true, false
	for _, c := range []struct {
		module string
		change func(*world)
		passes bool
	}{
		{"oidcc-client-test-invalid-iss", set("iss", "https://evil.example"), refused},
		{"oidcc-client-test-missing-sub", set("sub", nil), refused},
		{"oidcc-client-test-invalid-aud", set("aud", "somebody else"), refused},
		{"oidcc-client-test-missing-aud", set("aud", nil), refused},
		{"oidcc-client-test-missing-iat", set("iat", nil), refused},
		{"oidcc-client-test-kid-absent-single-jwks", head("kid", nil), ok},
		{"oidcc-client-test-kid-absent-multiple-jwks", func(w *world) {
			w.provider.Signing.ID = ""
			w.provider.JWKS = jwks(
				hostile.JWK("two", hostile.TestKeys().OtherRSA.Public()),
				hostile.JWK("one", hostile.TestKeys().RSA.Public()),
			)
		}, ok},
		{"oidcc-client-test-idtoken-sig-rs256", func(*world) {}, ok},
		{"oidcc-client-test-idtoken-sig-none", func(w *world) {
			w.provider.IDToken = func(signed string) any {
				return unpadded(`{"alg":"none"}`) + "." + strings.Split(signed, ".")[1] + "."
			}
		}, refused},
		{"oidcc-client-test-invalid-sig-rs256", func(w *world) { w.provider.Signing.Key = hostile.TestKeys().OtherRSA }, refused},
		{"oidcc-client-test-invalid-sig-es256", func(w *world) {
			w.signES256()
			w.provider.Signing.Key = hostile.TestKeys().OtherP256
		}, refused},
		{"oidcc-client-test-invalid-sig-hs256", func(w *world) {
			w.provider.Signing = hostile.Signing{Algorithm: "HS256", Key: []byte("another secret"), ID: "one"}
		}, refused},
		{"oidcc-client-test-nonce-invalid", set("nonce", "another"), refused},
		{"oidcc-client-test-invalid-athash", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), refused},
	} {
		t.Run(c.module, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			c.change(w)
			w.wants(c.passes)
		})
	}
	t.Run("an ES256 signature passes", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.signES256()
		w.wants(ok)
	})
}

// wants logs in. If that must not pass, it wants a rejected identity, no
// request to UserInfo, and no second use of the flow.
func (w *world) wants(passes bool) {
	w.Helper()
	answer := w.answered(login.Browser)
	_, err := w.rp.Finish(w.Context(), answer)
	if passes {
		if err != nil {
			w.Errorf("refused: %v", err)
		}
		return
	}
	if !errors.Is(err, login.ErrIdentityRejected) {
		w.Errorf("Finish = %v, want ErrIdentityRejected", err)
	}
	if w.provider.Count(hostile.PathUserInfo) != 0 {
		w.Error("the access token was used all the same")
	}
	if _, err := w.rp.Finish(w.Context(), answer); !errors.Is(err, login.ErrFlowUsed) {
		w.Errorf("the flow is tried again: %v", err)
	}
	if asked := w.provider.Count(hostile.PathToken); asked != 1 {
		w.Errorf("the code was sent %d times", asked)
	}
}

// TestRequestConformance has the modules that are about what we ask.
func TestRequestConformance(t *testing.T) {
	t.Run("oidcc-client-test", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		finished, err := w.logIn()
		if err != nil || finished.Identity.Subject != "user-1" {
			t.Fatalf("Finish = %+v, %v", finished, err)
		}
		for path, want := range map[string]int{hostile.PathToken: 1, hostile.PathUserInfo: 1, hostile.PathJWKS: 1} {
			if got := w.provider.Count(path); got != want {
				t.Errorf("%s was asked %d times, want %d", path, got, want)
			}
		}
	})
	t.Run("oidcc-client-test-nonce-unless-code-flow", func(t *testing.T) {
		for _, require := range []bool{true, false} {
			w := newWorld(t, func(c *login.Config) { c.RequireNonce = require })
			w.discover()
			if query := parsed(t, w.begin(login.Browser).AuthorizationURL).Query(); len(query.Get("nonce")) != 43 {
				t.Errorf("nonce required %v: the request has nonce %q", require, query.Get("nonce"))
			}
		}
	})
	t.Run("oidcc-client-test-scope-userinfo-claims ASVS-10.2.3", func(t *testing.T) {
		scopes := []string{"openid", "profile", "email", "address", "phone"}
		w := newWorld(t, func(c *login.Config) { c.Scopes, c.ExternalIDClaim = scopes, "preferred_username" })
		w.discover()
		if got := parsed(t, w.begin(login.Browser).AuthorizationURL).Query().Get("scope"); got != strings.Join(scopes, " ") {
			t.Errorf("scope = %q", got)
		}
		if finished, err := w.logIn(); err != nil || finished.Identity.ExternalID != "user-1" {
			t.Errorf("Finish = %+v, %v", finished.Identity, err)
		}
	})
	t.Run("oidcc-client-test-userinfo-bearer-header S-11 the access token is in no URL and no form", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		var access string
		w.provider.Answer = func(a object) { access, _ = a["access_token"].(string) }
		if _, err := w.logIn(); err != nil {
			t.Fatal(err)
		}
		asked := w.provider.Requests(hostile.PathUserInfo)
		if len(asked) != 1 || asked[0].Method != http.MethodGet || asked[0].Header.Get("Authorization") != "Bearer "+access {
			t.Errorf("UserInfo was asked %+v", asked)
		}
		for _, path := range []string{hostile.PathMetadata, hostile.PathJWKS, hostile.PathToken, hostile.PathUserInfo} {
			for _, request := range w.provider.Requests(path) {
				if request.Query.Encode() != "" || strings.Contains(request.Form.Encode(), url.QueryEscape(access)) {
					t.Errorf("%s was asked with %v", path, request.Form)
				}
			}
		}
	})
	t.Run("oidcc-client-test-userinfo-invalid-sub", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.provider.UserInfo = func(u object) { u["sub"] = "user-2" }
		if finished, err := w.logIn(); !errors.Is(err, login.ErrIdentityRejected) || finished.Identity.Subject != "" {
			t.Errorf("Finish = %+v, %v, want ErrIdentityRejected and nobody", finished, err)
		}
	})
}

// TestDiscoveryConformance has the modules of the suite's Config plan.
func TestDiscoveryConformance(t *testing.T) {
	t.Run("oidcc-client-test-discovery-openid-config S-16", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Metadata = func(m object) {
			m["token_endpoint"] = w.provider.Issuer + "/elsewhere/token"
			m["authorization_endpoint"] = "https://login.example/authorize"
		}
		w.provider.Handlers["/elsewhere/token"] = hostile.Reply(http.StatusBadRequest, "application/json", `{"error":"invalid_grant"}`)
		w.discover()
		begun := w.begin(login.Browser)
		if !strings.HasPrefix(begun.AuthorizationURL, "https://login.example/authorize?") {
			t.Errorf("the user is sent to %s", begun.AuthorizationURL)
		}
		if _, err := w.logIn(); !errors.Is(err, login.ErrCodeRefused) || w.provider.Count("/elsewhere/token") != 1 {
			t.Errorf("Finish = %v after %d requests", err, w.provider.Count("/elsewhere/token"))
		}
	})
	t.Run("oidcc-client-test-discovery-jwks-uri-keys", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Metadata = func(m object) { m["jwks_uri"] = w.provider.Issuer + "/keys/of/today" }
		w.provider.Handlers["/keys/of/today"] = func(rw http.ResponseWriter, _ *http.Request) {
			hostile.Write(rw, http.StatusOK, object{"keys": w.provider.JWKS()})
		}
		w.discover()
		w.wants(true)
		w.provider.Metadata = func(m object) { m["jwks_uri"] = w.provider.Issuer + "/keys/of/tomorrow" }
		w.provider.Handlers["/keys/of/tomorrow"] = func(rw http.ResponseWriter, _ *http.Request) {
			hostile.Write(rw, http.StatusOK, object{"keys": []object{hostile.JWK("two", hostile.TestKeys().OtherRSA.Public())}})
		}
		w.discover()
		w.provider.Signing = hostile.Signing{Algorithm: "RS256", Key: hostile.TestKeys().OtherRSA, ID: "two"}
		w.wants(true)
		if w.provider.Count(hostile.PathJWKS) != 0 || w.provider.Count("/keys/of/today") != 1 || w.provider.Count("/keys/of/tomorrow") != 1 {
			t.Error("keys were fetched from somewhere else")
		}
	})
	t.Run("oidcc-client-test-discovery-issuer-mismatch ASVS-10.5.3 S-16", func(t *testing.T) {
		for name, wrong := range map[string]func(string) string{
			"another":               func(string) string { return "https://evil.example" },
			"a slash more":          func(issuer string) string { return issuer + "/" },
			"a path more":           func(issuer string) string { return issuer + "/v2" },
			"in capitals":           strings.ToUpper,
			"another scheme":        func(issuer string) string { return strings.Replace(issuer, "http:", "https:", 1) },
			"without its port":      func(issuer string) string { return issuer[:strings.LastIndex(issuer, ":")] },
			"a space more":          func(issuer string) string { return issuer + " " },
			"by its other name":     func(issuer string) string { return strings.Replace(issuer, "127.0.0.1", "localhost", 1) },
			"with escaped letters":  func(issuer string) string { return strings.Replace(issuer, "1", "%31", 1) },
			"none":                  func(string) string { return "" },
			"with an empty segment": func(issuer string) string { return issuer + "/." },
		} {
			w := newWorld(t, nil)
			w.provider.Metadata = func(m object) { m["issuer"] = wrong(w.provider.Issuer) }
			if _, err := w.rp.Discover(t.Context()); !errors.Is(err, login.ErrIssuerMismatch) {
				t.Errorf("%s: Discover = %v, want ErrIssuerMismatch", name, err)
			}
			if _, err := w.rp.Begin(t.Context(), login.Begin{Client: login.Browser}); !errors.Is(err, login.ErrProviderUnavailable) {
				t.Errorf("%s: Begin = %v: users are sent there", name, err)
			}
		}
	})
	t.Run("oidcc-client-test-signing-key-rotation", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.wants(true)
		w.rotate()
		w.clock.advance(time.Minute)
		w.wants(true)
		if fetched := w.provider.Count(hostile.PathJWKS); fetched != 2 {
			t.Errorf("the key set was fetched %d times, want 2", fetched)
		}
	})
	t.Run("oidcc-client-test-signing-key-rotation-just-before-signing", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.wants(true)
		answer := w.answered(login.Browser)
		w.rotate()
		if _, err := w.rp.Finish(t.Context(), answer); err != nil {
			t.Errorf("Finish = %v", err)
		}
	})
}

// rotate replaces the provider's key by another.
func (w *world) rotate() {
	w.provider.Change(func(b *hostile.Behaviour) {
		b.Signing = hostile.Signing{Algorithm: "RS256", Key: hostile.TestKeys().OtherRSA, ID: "two"}
		b.JWKS = jwks(hostile.JWK("two", hostile.TestKeys().OtherRSA.Public()))
	})
}

func (w *world) signES256() {
	w.provider.Signing = hostile.Signing{Algorithm: "ES256", Key: hostile.TestKeys().P256, ID: "curve"}
	w.provider.JWKS = jwks(
		hostile.JWK("one", hostile.TestKeys().RSA.Public()),
		hostile.JWK("curve", hostile.TestKeys().P256.Public()),
	)
}

func jwks(keys ...object) func() []object {
	return func() []object { return append([]object{}, keys...) } // not null without one
}

func parsed(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
