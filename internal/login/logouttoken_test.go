package login_test

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

func TestLogoutTokens(t *testing.T) {
	t.Parallel()
	cases := logoutCases()
	if len(cases) < 100 {
		t.Errorf("there are %d tokens", len(cases))
	}
	for mode, from := range map[string]strictness{login.LogoutStrict: anywhere, login.LogoutCompat: inCompat} {
		for _, c := range cases {
			t.Run(c.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(cfg *login.Config) { cfg.LogoutTokens = mode })
				var token string
				switch {
				case c.make != nil:
					token = c.make(w)
				case c.change != nil:
					token = w.provider.LogoutToken("user-1", "session-1", func(h, cl object) { c.change(w, h, cl) })
				default:
					token = good(w)
				}
				w.discover()
				logout, err := w.rp.VerifyLogoutToken(t.Context(), token)
				if c.want < from {
					if !errors.Is(err, login.ErrLogoutToken) || logout != (login.LogoutToken{}) {
						t.Errorf("VerifyLogoutToken = %+v, %v, want ErrLogoutToken", logout, err)
					}
					return
				}
				if err != nil || logout.Issuer != w.provider.Issuer || logout.ID == "" || logout.IssuedAt.IsZero() ||
					logout.Subject == "" && logout.SessionID == "" {
					t.Errorf("VerifyLogoutToken = %+v, %v", logout, err)
				}
			})
		}
	}
}

func TestWhatALogoutTokenSays(t *testing.T) {
	w := newWorld(t, func(c *login.Config) { c.LogoutTokens = login.LogoutCompat })
	w.discover()
	now := w.clock.now()
	logout, err := w.rp.VerifyLogoutToken(t.Context(), w.provider.LogoutToken("user-7", "session-9", func(_, c object) { c["jti"] = "once" }))
	want := login.LogoutToken{
		Issuer: w.provider.Issuer, Subject: "user-7", SessionID: "session-9", ID: "once",
		IssuedAt: now, ExpiresAt: now.Add(3 * time.Minute), // two, and the leeway
	}
	if err != nil || logout != want {
		t.Errorf("VerifyLogoutToken = %+v, %v, want %+v", logout, err, want)
	}
	logout, err = w.rp.VerifyLogoutToken(t.Context(), w.provider.LogoutToken("", "", func(_, c object) {
		delete(c, "sub")
		delete(c, "exp")
		c["sid"], c["jti"] = "session-9", "again"
	}))
	want = login.LogoutToken{Issuer: w.provider.Issuer, SessionID: "session-9", ID: "again", IssuedAt: now, ExpiresAt: now.Add(11 * time.Minute)}
	if err != nil || logout != want {
		t.Errorf("VerifyLogoutToken = %+v, %v, want %+v", logout, err, want)
	}
}

// TestAMarkOutlivesItsToken: whoever remembers the ids until ExpiresAt
// never sees one again.
func TestAMarkOutlivesItsToken(t *testing.T) {
	for name, change := range map[string]func(*world, object, object){
		"two minutes to live": times(0, 120),
		"an hour to live":     times(0, 3600),
		"a day to live":       times(0, 86400),
		"no end":              times(0, math.NaN()),
		"an hour to live, from a clock that is ahead":         times(60, 3660),
		"issued ten minutes ago, with a minute to live":       times(-600, 60),
		"issued two minutes ago, and ended half a minute ago": times(-120, -30),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *login.Config) { c.LogoutTokens = login.LogoutCompat })
			w.discover()
			token := w.provider.LogoutToken("user-1", "", func(h, c object) {
				delete(c, "sid")
				change(w, h, c)
			})
			logout, err := w.rp.VerifyLogoutToken(t.Context(), token)
			if err != nil {
				t.Fatalf("VerifyLogoutToken = %v", err)
			}
			w.clock.advance(logout.ExpiresAt.Sub(w.clock.now()) - time.Millisecond)
			if _, err := w.rp.VerifyLogoutToken(t.Context(), token); err != nil {
				t.Errorf("just before ExpiresAt = %v", err)
			}
			w.clock.advance(time.Millisecond)
			if _, err := w.rp.VerifyLogoutToken(t.Context(), token); !errors.Is(err, login.ErrLogoutToken) {
				t.Errorf("at ExpiresAt = %v, want ErrLogoutToken", err)
			}
		})
	}
}

func TestLogoutTokensNeedTheProvider(t *testing.T) {
	t.Run("before discovery", func(t *testing.T) {
		w := newWorld(t, nil)
		if _, err := w.rp.VerifyLogoutToken(t.Context(), good(w)); !errors.Is(err, login.ErrProviderUnavailable) {
			t.Errorf("VerifyLogoutToken = %v, want ErrProviderUnavailable", err)
		}
	})
	t.Run("a key set that is away", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Handlers[hostile.PathJWKS] = hostile.Reply(http.StatusBadGateway, "text/plain", "")
		w.discover()
		_, err := w.rp.VerifyLogoutToken(t.Context(), good(w))
		if !errors.Is(err, login.ErrProviderUnavailable) || errors.Is(err, login.ErrLogoutToken) {
			t.Errorf("VerifyLogoutToken = %v, want ErrProviderUnavailable", err)
		}
	})
	t.Run("nothing is fetched for what cannot be a logout token", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		for _, token := range []string{
			"", "a.b.c", strings.Repeat("a", 1<<20), idToken(w, nil),
			w.provider.LogoutToken("user-1", "", func(h, _ object) { h["alg"] = "none" }),
		} {
			if _, err := w.rp.VerifyLogoutToken(t.Context(), token); !errors.Is(err, login.ErrLogoutToken) {
				t.Errorf("VerifyLogoutToken(%.20q) = %v, want ErrLogoutToken", token, err)
			}
		}
		if n := w.provider.Count(hostile.PathJWKS); n != 0 {
			t.Errorf("the key set was fetched %d times", n)
		}
	})
	t.Run("a reason tells nothing of what the token holds", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		for _, name := range []string{"iss", "aud", "sub", "sid", "jti", "nonce"} {
			hidden := "hidden\n" + strings.Repeat("x", 300)
			_, err := w.rp.VerifyLogoutToken(t.Context(), w.provider.LogoutToken("user-1", "session-1", func(_, c object) { c[name] = hidden }))
			if !errors.Is(err, login.ErrLogoutToken) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestALogoutTokenIsNoIDToken(t *testing.T) {
	t.Run("ASVS-9.2.2 a logout token as an ID token", func(t *testing.T) {
		w := newWorld(t, func(c *login.Config) { c.RequireNonce = false })
		w.discover()
		w.provider.IDToken = func(string) any { return good(w) }
		if _, err := w.logIn(); !errors.Is(err, login.ErrIdentityRejected) {
			t.Errorf("Finish = %v, want ErrIdentityRejected", err)
		}
	})
}

func FuzzLogoutToken(f *testing.F) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	provider := hostile.At(f, "https://op.example", func() time.Time { return now })
	rp, err := login.New(login.Config{
		Issuer: provider.Issuer, ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthBasic,
		RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(f, "one"), Flows: &flowStore{},
		Now: func() time.Time { return now }, Transport: direct{provider},
	})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := rp.Discover(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.Add(`{"typ":"logout+jwt","alg":"RS256","kid":"one"}`, `{"iss":"https://op.example","aud":"portico","sub":"a","jti":"b",
		"iat":1772366400,"exp":1772366460,"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`)
	f.Add(`{"typ":"logout+jwt","alg":"RS256"}`, `{}`)
	f.Add(`{}`, ``)
	f.Fuzz(func(t *testing.T, header, claims string) {
		token := hostile.Compact(t, []byte(header), []byte(claims), provider.Signing)
		logout, err := rp.VerifyLogoutToken(t.Context(), token)
		if err != nil {
			if logout != (login.LogoutToken{}) {
				t.Errorf("refused and returned: %+v", logout)
			}
			return
		}
		// What is taken is at least this, whatever the spelling.
		var kind struct {
			Type string `json:"typ"`
		}
		var events struct {
			Events object `json:"events"`
		}
		if err := errors.Join(json.Unmarshal([]byte(header), &kind), json.Unmarshal([]byte(claims), &events)); err != nil {
			t.Errorf("taken: %s %s: %v", header, claims, err)
		}
		_, isObject := events.Events[logoutEvent].(object)
		if logout.Issuer != provider.Issuer || logout.ID == "" || logout.Subject == "" && logout.SessionID == "" ||
			logout.IssuedAt.Before(now.Add(-11*time.Minute)) || !logout.ExpiresAt.After(now.Add(-time.Minute)) ||
			!strings.HasSuffix(strings.ToLower(kind.Type), "logout+jwt") || !isObject {
			t.Errorf("taken: %s %s: %+v", header, claims, logout)
		}
	})
}
