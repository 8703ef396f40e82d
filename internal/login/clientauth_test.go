package login_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-id/portico/internal/clientkey"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func clientKey(t *testing.T) *clientkey.Key {
	t.Helper()
	text, err := clientkey.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	key, err := clientkey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// byKey configures a relying party to authenticate with key.
func byKey(key login.Asserter) func(*login.Config) {
	return func(c *login.Config) {
		c.ClientAuth, c.ClientSecret = login.AuthPrivateKey, nil
		c.ClientKey = func() (login.Asserter, error) { return key, nil }
	}
}

// byAssertion authenticates as a strict provider does: the client's key, this
// provider's token endpoint, soon to end, never seen before, and no other
// credentials beside it (RFC 7521 §4.2, RFC 7523 §3).
func byAssertion(w *world, public []byte) func(*http.Request) bool {
	seen := map[string]bool{}
	return func(r *http.Request) bool {
		var set jose.JSONWebKeySet
		signed, err := jose.ParseSignedCompact(r.PostForm.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256})
		if err != nil || json.Unmarshal(public, &set) != nil || len(set.Keys) != 1 {
			return false
		}
		payload, err := signed.Verify(set.Keys[0].Key)
		var claims struct {
			Issuer   string  `json:"iss"`
			Subject  string  `json:"sub"`
			Audience any     `json:"aud"`
			ID       string  `json:"jti"`
			Expires  float64 `json:"exp"`
		}
		if err != nil || json.Unmarshal(payload, &claims) != nil || seen[claims.ID] || claims.ID == "" {
			return false
		}
		seen[claims.ID] = true
		left := time.Unix(int64(claims.Expires), 0).Sub(w.clock.now())
		return claims.Issuer == clientID && claims.Subject == clientID &&
			claims.Audience == w.provider.Issuer+hostile.PathToken &&
			left > 0 && left <= 5*time.Minute &&
			r.PostForm.Get("client_assertion_type") == assertionType &&
			!r.PostForm.Has("client_secret") && r.Header.Get("Authorization") == ""
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Run("oidcc-client-test-client-secret-basic", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		if _, err := w.logIn(); err != nil {
			t.Fatalf("Finish = %v", err)
		}
		form := w.provider.Requests(hostile.PathToken)[0].Form
		for name := range form {
			if strings.HasPrefix(name, "client_") {
				t.Errorf("%s is in the body too", name)
			}
		}
	})
	t.Run("BBA-01 client_secret_post", func(t *testing.T) {
		w := newWorld(t, func(c *login.Config) { c.ClientAuth = login.AuthPost })
		w.provider.Auth = hostile.Post(clientID, clientSecret)
		w.discover()
		if _, err := w.logIn(); err != nil {
			t.Fatalf("Finish = %v", err)
		}
		if w.provider.Requests(hostile.PathToken)[0].Header.Get("Authorization") != "" {
			t.Error("credentials are in the header too")
		}
	})
	t.Run("S-15 BBA-26 ASVS-10.4.16 private_key_jwt", func(t *testing.T) {
		key := clientKey(t)
		w := newWorld(t, byKey(key))
		w.provider.Auth = byAssertion(w, key.Public())
		w.discover()
		for range 3 { // each with an assertion of its own
			if _, err := w.logIn(); err != nil {
				t.Fatalf("Finish = %v", err)
			}
		}
	})
	t.Run("an assertion of another key is not taken", func(t *testing.T) {
		w := newWorld(t, byKey(clientKey(t)))
		w.provider.Auth = byAssertion(w, clientKey(t).Public())
		w.discover()
		if _, err := w.logIn(); !errors.Is(err, login.ErrClientRefused) {
			t.Errorf("Finish = %v, want ErrClientRefused", err)
		}
	})
	for _, way := range []string{login.AuthBasic, login.AuthPost, login.AuthPrivateKey} {
		t.Run("no other way is tried after "+way, func(t *testing.T) {
			w := newWorld(t, byKey(clientKey(t)))
			if way != login.AuthPrivateKey {
				w = newWorld(t, func(c *login.Config) { c.ClientAuth = way })
			}
			w.provider.Auth = func(*http.Request) bool { return false }
			w.discover()
			if _, err := w.logIn(); !errors.Is(err, login.ErrClientRefused) {
				t.Errorf("Finish = %v, want ErrClientRefused", err)
			}
			if n := w.provider.Count(hostile.PathToken); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
		})
	}
}

// TestCredentialsAreEncoded has what a plain Basic header would take apart
// wrongly (RFC 6749 §2.3.1).
func TestCredentialsAreEncoded(t *testing.T) {
	for name, c := range map[string]struct{ id, secret string }{
		"a colon in the id":       {"https://app.example:8080/", "secret"},
		"a colon in the secret":   {"id", "a:b:c"},
		"a percent sign":          {"id%20", "50%25"},
		"a plus and a space":      {"a+b c", "d e+f"},
		"letters beyond ASCII":    {"é", "ß€𝄞"},
		"what separates a form":   {"a&b=c", "d&client_id=e"},
		"what base64 would break": {"id", strings.Repeat("~", 200)},
	} {
		for way, auth := range map[string]func(string, string) func(*http.Request) bool{
			login.AuthBasic: hostile.Basic, login.AuthPost: hostile.Post,
		} {
			t.Run(name+" by "+way, func(t *testing.T) {
				w := newWorld(t, func(cfg *login.Config) {
					cfg.ClientAuth, cfg.ClientID, cfg.ClientSecret, cfg.Revoke = way, c.id, secret(login.Secret(c.secret)), true
				})
				w.provider.ClientID, w.provider.Auth = c.id, auth(c.id, c.secret)
				revoked := w.revocations()
				w.discover()
				if _, err := w.logIn(); err != nil {
					t.Errorf("Finish = %v", err)
				}
				if got := <-revoked; !got.authenticated {
					t.Error("the revocation is not authenticated")
				}
			})
		}
	}
}

func TestASecretCountsAsSoonAsItIsReplaced(t *testing.T) {
	now := login.Secret(clientSecret)
	w := newWorld(t, func(c *login.Config) { c.ClientSecret = func() (login.Secret, error) { return now, nil } })
	w.discover()
	if _, err := w.logIn(); err != nil {
		t.Fatalf("Finish = %v", err)
	}
	w.provider.Auth = hostile.Basic(clientID, "the next one")
	if _, err := w.logIn(); !errors.Is(err, login.ErrClientRefused) {
		t.Errorf("Finish with the old one = %v, want ErrClientRefused", err)
	}
	now = "the next one"
	if _, err := w.logIn(); err != nil {
		t.Errorf("Finish with the next one = %v", err)
	}
}

func TestAKeyCountsAsSoonAsItIsReplaced(t *testing.T) {
	old, next := clientKey(t), clientKey(t)
	now := old
	w := newWorld(t, func(c *login.Config) {
		c.ClientAuth, c.ClientKey = login.AuthPrivateKey, func() (login.Asserter, error) { return now, nil }
	})
	w.provider.Auth = byAssertion(w, next.Public())
	w.discover()
	if _, err := w.logIn(); !errors.Is(err, login.ErrClientRefused) {
		t.Errorf("Finish with the old one = %v, want ErrClientRefused", err)
	}
	now = next
	if _, err := w.logIn(); err != nil {
		t.Errorf("Finish with the next one = %v", err)
	}
}

func TestAFlowOutlivesASecretThatCannotBeRead(t *testing.T) {
	broken := errors.New("no such file")
	for name, source := range map[string]func() (login.Secret, error){
		"a file that is gone":     func() (login.Secret, error) { return "", broken },
		"a file that is half-way": func() (login.Secret, error) { return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			use := secret(clientSecret)
			w := newWorld(t, func(c *login.Config) { c.ClientSecret = func() (login.Secret, error) { return use() } })
			w.discover()
			answer := w.answered(login.Browser)
			use = source
			_, err := w.rp.Finish(t.Context(), answer)
			if err == nil || errors.Is(err, login.ErrProviderUnavailable) || errors.Is(err, login.ErrClientRefused) {
				t.Errorf("Finish = %v, want an error that blames nobody else", err)
			}
			if w.flows.count() != 0 || w.provider.Count(hostile.PathToken) != 0 {
				t.Error("the flow was spent")
			}
			use = secret(clientSecret)
			if _, err := w.rp.Finish(t.Context(), answer); err != nil {
				t.Errorf("Finish afterwards = %v", err)
			}
		})
	}
}

func TestAKeyThatDoesNotSignSpendsNoFlow(t *testing.T) {
	w := newWorld(t, byKey(brokenKey{}))
	w.discover()
	if _, err := w.logIn(); !errors.Is(err, errHSM) {
		t.Errorf("Finish = %v, want its cause", err)
	}
	if w.flows.count() != 0 || w.provider.Count(hostile.PathToken) != 0 {
		t.Error("the flow was spent")
	}
}

var errHSM = errors.New("the key is in a module that is away")

type brokenKey struct{}

func (brokenKey) Assertion(string, string, time.Time) (string, error) { return "", errHSM }

// TestWhatAnOperatorIsWarnedOf has the words that a warning must hold; logins
// go on in each case.
func TestWhatAnOperatorIsWarnedOf(t *testing.T) {
	for _, c := range []struct {
		name, way string
		metadata  object
		want      []string
	}{
		{"nothing announced", login.AuthBasic, object{"code_challenge_methods_supported": nil}, nil},
		{"everything announced", login.AuthPost, object{
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
			"end_session_endpoint":                  "https://op.example/logout", "revocation_endpoint": "https://op.example/revoke",
		}, nil},
		{"another way than ours", login.AuthBasic, object{
			"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
		}, []string{"client_secret_basic"}},
		{"no way at all", login.AuthPost, object{"token_endpoint_auth_methods_supported": []string{}}, []string{"client_secret_post"}},
		{"our name for it and not theirs", login.AuthPost, object{
			"token_endpoint_auth_methods_supported": []string{"post"},
		}, []string{"client_secret_post"}},
		{"no key", login.AuthPrivateKey, object{
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
		}, []string{"private_key_jwt"}},
		{"no hashed challenge", login.AuthBasic, object{"code_challenge_methods_supported": []string{"plain"}}, []string{"S256"}},
		{"endpoints of no use", login.AuthBasic, object{
			"end_session_endpoint": "javascript:alert(1)", "revocation_endpoint": "/revoke",
		}, []string{"end_session_endpoint", "revocation_endpoint"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *login.Config) {
				if c.way == login.AuthPrivateKey {
					byKey(clientKey(t))(cfg)
				}
				cfg.ClientAuth = c.way
			})
			w.provider.Metadata = func(m object) {
				maps.Copy(m, c.metadata)
			}
			meta, err := w.rp.Discover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := meta.Warnings()
			if len(got) != len(c.want) {
				t.Fatalf("warnings = %q, want some of %q", got, c.want)
			}
			for _, word := range c.want {
				if !slices.ContainsFunc(got, func(warning string) bool { return strings.Contains(warning, word) }) {
					t.Errorf("no warning of %s in %q", word, got)
				}
			}
			w.provider.Auth = func(r *http.Request) bool { return true }
			if _, err := w.logIn(); err != nil {
				t.Errorf("Finish = %v", err)
			}
		})
	}
}

func TestASVS_15_3_2_NoRedirectIsFollowed(t *testing.T) {
	for _, path := range []string{hostile.PathMetadata, hostile.PathJWKS, hostile.PathToken, hostile.PathUserInfo, hostile.PathRevoke} {
		for _, status := range []int{http.StatusMovedPermanently, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
			w := newWorld(t, func(c *login.Config) { c.Revoke = true })
			arrived := make(chan url.Values, 8)
			w.provider.Handlers[path] = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "/elsewhere", status)
				arrived <- r.Form
			}
			w.provider.Handlers["/elsewhere"] = func(http.ResponseWriter, *http.Request) {
				t.Errorf("%s: a redirect with %d was followed", path, status)
			}
			w.provider.Metadata = func(m object) { m["revocation_endpoint"] = w.provider.Issuer + hostile.PathRevoke }
			_, err := w.rp.Discover(t.Context())
			if path == hostile.PathMetadata {
				if !errors.Is(err, login.ErrProviderUnavailable) {
					t.Errorf("%s: Discover = %v, want ErrProviderUnavailable", path, err)
				}
				continue
			}
			if _, err = w.logIn(); path == hostile.PathRevoke && err != nil ||
				path != hostile.PathRevoke && !errors.Is(err, login.ErrProviderUnavailable) {
				t.Errorf("%s: Finish = %v after %d", path, err, status)
			}
			<-arrived
			w.stop()
		}
	}
}
