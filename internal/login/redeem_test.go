package login_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
)

func TestClientAuthentication(t *testing.T) {
	t.Run("oidcc-client-test-client-secret-basic", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		if _, err := w.logIn(); err != nil {
			t.Fatalf("BBA-01 Finish = %v", err)
		}
		if form := w.provider.forms[0]; form.Has("client_secret") || form.Has("client_id") {
			t.Error("credentials are in the body too")
		}
	})
	t.Run("client_secret_post", func(t *testing.T) {
		w := newWorld(t, func(c *login.Config) { c.ClientAuth = login.AuthPost })
		w.provider.auth = func(r *http.Request) (string, string) {
			return r.FormValue("client_id"), r.FormValue("client_secret")
		}
		w.discover()
		if _, err := w.logIn(); err != nil {
			t.Fatalf("Finish = %v", err)
		}
		if w.provider.headers[0].Get("Authorization") != "" {
			t.Error("credentials are in the header too")
		}
	})
	t.Run("the other style is never tried", func(t *testing.T) {
		w := newWorld(t, func(c *login.Config) { c.ClientAuth = login.AuthPost })
		w.discover()
		if _, err := w.logIn(); !errors.Is(err, login.ErrClientRefused) {
			t.Errorf("Finish = %v, want ErrClientRefused", err)
		}
		if n := w.provider.count("/token"); n != 1 {
			t.Errorf("the code was sent %d times", n)
		}
	})
}

func reply(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestTokenEndpoint(t *testing.T) {
	const kind = "application/json"
	edit := func(name string, value any) func(*world) {
		return func(w *world) {
			w.provider.answer = func(a object) {
				if value == nil {
					delete(a, name)
					return
				}
				a[name] = value
			}
		}
	}
	replies := func(status int, body string) func(*world) {
		return func(w *world) { w.provider.handlers["/token"] = reply(status, kind, body) }
	}
	for _, c := range []struct {
		name   string
		change func(*world)
		want   error
	}{
		{"an answer without expires_in", func(*world) {}, nil},
		{"expires_in as a text", edit("expires_in", "3600"), nil},
		{"token_type in capitals", edit("token_type", "BEARER"), nil},
		{"token_type in small letters", edit("token_type", "bearer"), nil},
		{"token_type of another kind", edit("token_type", "DPoP"), login.ErrIdentityRejected},
		{"token_type missing", edit("token_type", nil), login.ErrIdentityRejected},
		{"an access token that would split a header", edit("access_token", "a\r\nHost: evil"), login.ErrIdentityRejected},
		{"an access token of 17 KiB", edit("access_token", strings.Repeat("a", 17<<10)), login.ErrIdentityRejected},
		{"no access token", edit("access_token", nil), login.ErrProviderUnavailable},
		{"an error with status 200", replies(200, `{"error":"invalid_grant"}`), login.ErrCodeRefused},
		{"invalid_grant", replies(400, `{"error":"invalid_grant"}`), login.ErrCodeRefused},
		{"invalid_client", replies(401, `{"error":"invalid_client"}`), login.ErrClientRefused},
		{"unauthorized_client", replies(400, `{"error":"unauthorized_client"}`), login.ErrClientRefused},
		{"400 without JSON", replies(400, `<html>`), login.ErrClientRefused},
		{"429", replies(429, `{"error":"invalid_grant"}`), login.ErrProviderUnavailable},
		{"500", replies(500, `oops`), login.ErrProviderUnavailable},
		{"503", replies(503, `{"error":"temporarily_unavailable"}`), login.ErrProviderUnavailable},
		{"200 without JSON", replies(200, `<html>`), login.ErrProviderUnavailable},
		{"an empty 200", replies(200, ``), login.ErrProviderUnavailable},
		{"a body over 1 MiB", replies(200, `{"access_token":"`+strings.Repeat("a", 1<<20)+`"}`), login.ErrProviderUnavailable},
		{"a connection that breaks", func(w *world) {
			w.provider.handlers["/token"] = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, login.ErrProviderUnavailable},
		{"a redirect", func(w *world) {
			w.provider.handlers["/token"] = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
			}
		}, login.ErrProviderUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			c.change(w)
			w.provider.claims = func(c object) { delete(c, "at_hash") } // it would notice a changed access token
			answer := w.answered(login.Browser)
			_, err := w.rp.Finish(t.Context(), answer)
			if !errors.Is(err, c.want) {
				t.Errorf("Finish = %v, want %v", err, c.want)
			}
			if n := w.provider.count("/token"); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
			if w.provider.count("/elsewhere") != 0 {
				t.Error("the redirect was followed")
			}
			if err == nil {
				return
			}
			if w.provider.count("/userinfo") != 0 {
				t.Error("UserInfo was asked all the same")
			}
			if _, err := w.rp.Finish(t.Context(), answer); !errors.Is(err, login.ErrFlowUsed) {
				t.Errorf("the flow is tried again: %v", err)
			}
		})
	}
}

func TestRetryAfterReachesTheCaller(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "86400": 5 * time.Minute, "-1": 0, "soon": 0, "99999999999999999999": 0,
	} {
		w := newWorld(t, nil)
		w.discover()
		w.provider.handlers["/token"] = func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", header)
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
		_, err := w.logIn()
		unavailable, ok := errors.AsType[*login.UnavailableError](err)
		if !ok || unavailable.RetryAfter != want {
			t.Errorf("Retry-After: %s: %v, want %v", header, err, want)
		}
	}
}
