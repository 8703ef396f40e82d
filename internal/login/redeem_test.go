package login_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

func TestTokenEndpoint(t *testing.T) {
	const kind = "application/json"
	edit := func(name string, value any) func(*world) {
		return func(w *world) {
			w.provider.Answer = func(a object) {
				if value == nil {
					delete(a, name)
					return
				}
				a[name] = value
			}
		}
	}
	replies := func(status int, body string) func(*world) {
		return func(w *world) { w.provider.Handlers[hostile.PathToken] = hostile.Reply(status, kind, body) }
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
			w.provider.Handlers[hostile.PathToken] = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, login.ErrProviderUnavailable},
		{"a redirect", func(w *world) {
			w.provider.Handlers[hostile.PathToken] = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
			}
		}, login.ErrProviderUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			c.change(w)
			w.provider.Claims = func(c object) { delete(c, "at_hash") } // it would notice a changed access token
			answer := w.answered(login.Browser)
			_, err := w.rp.Finish(t.Context(), answer)
			if !errors.Is(err, c.want) {
				t.Errorf("Finish = %v, want %v", err, c.want)
			}
			if n := w.provider.Count(hostile.PathToken); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
			if w.provider.Count("/elsewhere") != 0 {
				t.Error("the redirect was followed")
			}
			if err == nil {
				return
			}
			if w.provider.Count(hostile.PathUserInfo) != 0 {
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
		w.provider.Handlers[hostile.PathToken] = func(rw http.ResponseWriter, _ *http.Request) {
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

// TestAProviderThatHangsIsGivenUp never has an answer from one endpoint.
func TestAProviderThatHangsIsGivenUp(t *testing.T) {
	for _, path := range []string{hostile.PathMetadata, hostile.PathToken, hostile.PathJWKS, hostile.PathUserInfo} {
		t.Run("ASVS-13.2.6 "+path+" is asked once, for ten seconds", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider := hostile.At(t, "https://op.example", time.Now)
				provider.Handlers[path] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
				rp, err := login.New(login.Config{
					Issuer: provider.Issuer, ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthBasic,
					RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"),
					Flows: &flowStore{used: map[string]time.Time{}}, Transport: patient{provider},
				})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if _, err = rp.Discover(t.Context()); err == nil {
					begun, failed := rp.Begin(t.Context(), login.Begin{Client: login.Browser})
					if failed != nil {
						t.Fatal(failed)
					}
					_, err = rp.Finish(t.Context(), login.Answer{
						Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: provider.Authorize(begun.AuthorizationURL),
					})
				}
				if !errors.Is(err, login.ErrProviderUnavailable) {
					t.Errorf("the error is %v, want ErrProviderUnavailable", err)
				}
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("it took %s", took)
				}
				if n := provider.Count(path); n != 1 {
					t.Errorf("it was asked %d times", n)
				}
			})
		})
	}
}
