package login_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

func TestDiscover(t *testing.T) {
	w := newWorld(t, nil)
	w.provider.Metadata = func(m object) {
		m["authorization_response_iss_parameter_supported"] = true
		m["end_session_endpoint"] = "https://op.example/logout"
	}
	if w.rp.Ready() {
		t.Error("ready before discovery")
	}
	meta, err := w.rp.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !w.rp.Ready() || meta.Issuer != w.provider.Issuer || meta.TokenEndpoint != w.provider.Issuer+"/token" ||
		!meta.IssuerInAnswer || meta.EndSessionEndpoint != "https://op.example/logout" || len(meta.SigningAlgorithms) != 3 {
		t.Errorf("metadata = %+v", meta)
	}
}

func TestDiscoveryRefuses(t *testing.T) {
	edit := func(name string, value any) func(*hostile.Provider) {
		return func(p *hostile.Provider) { p.Metadata = func(m object) { m[name] = value } }
	}
	replies := func(status int, body string) func(*hostile.Provider) {
		return func(p *hostile.Provider) {
			p.Handlers[hostile.PathMetadata] = hostile.Reply(status, "application/json", body)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*hostile.Provider)
		want   error
	}{
		{"another issuer", edit("issuer", "https://evil.example"), login.ErrIssuerMismatch},
		{"no issuer", edit("issuer", nil), login.ErrIssuerMismatch},
		{"no authorization endpoint", edit("authorization_endpoint", ""), login.ErrProviderUnavailable},
		{"no token endpoint", edit("token_endpoint", ""), login.ErrProviderUnavailable},
		{"no key set", edit("jwks_uri", ""), login.ErrProviderUnavailable},
		{"a token endpoint that is a path", edit("token_endpoint", "/token"), login.ErrProviderUnavailable},
		{"an authorization endpoint that is a script", edit("authorization_endpoint", "javascript:alert(1)"), login.ErrProviderUnavailable},
		{"an authorization endpoint with a fragment", edit("authorization_endpoint", "https://op.example/a#b"), login.ErrProviderUnavailable},
		{"a UserInfo endpoint with credentials", edit("userinfo_endpoint", "https://a:b@op.example/"), login.ErrProviderUnavailable},
		{"a key set in a file", edit("jwks_uri", "file:///etc/passwd"), login.ErrProviderUnavailable},
		{"404", replies(404, `{}`), login.ErrProviderUnavailable},
		{"500", replies(500, strings.Repeat("secret\n", 1000)), login.ErrProviderUnavailable},
		{"a page", replies(200, `<html>`), login.ErrProviderUnavailable},
		{"a document over 1 MiB", replies(200, `{"x":"`+strings.Repeat("a", 1<<20)+`"}`), login.ErrProviderUnavailable},
		{"ASVS-1.3.6 a redirect", func(p *hostile.Provider) {
			p.Handlers[hostile.PathMetadata] = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			}
		}, login.ErrProviderUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			c.change(w.provider)
			_, err := w.rp.Discover(t.Context())
			if !errors.Is(err, c.want) {
				t.Errorf("Discover = %v, want %v", err, c.want)
			}
			if w.rp.Ready() {
				t.Error("ready all the same")
			}
			if _, err := w.rp.Begin(t.Context(), login.Begin{Client: login.Browser}); !errors.Is(err, login.ErrProviderUnavailable) {
				t.Errorf("Begin = %v, want ErrProviderUnavailable", err)
			}
			if len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("the error repeats the whole answer: %d bytes", len(err.Error()))
			}
			if w.provider.Count("/elsewhere") != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

// direct hands requests to a handler without a network, so that a test's clock
// can stand still between them.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	d.handler.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// switchable is a provider's metadata that can be down.
type switchable struct {
	issuer string
	down   atomic.Bool

	mu    sync.Mutex
	times []time.Time
}

// asked returns when the metadata was asked for, so far.
func (s *switchable) asked() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.times)
}

func (s *switchable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == hostile.PathMetadata {
		s.mu.Lock()
		s.times = append(s.times, time.Now())
		s.mu.Unlock()
	}
	if s.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	hostile.Write(w, http.StatusOK, object{
		"issuer": s.issuer, "authorization_endpoint": s.issuer + "/a", "token_endpoint": s.issuer + "/t", "jwks_uri": s.issuer + "/k",
	})
}

func (s *switchable) relyingParty(t *testing.T, logger *slog.Logger) *login.RelyingParty {
	t.Helper()
	rp, err := login.New(login.Config{
		Issuer: s.issuer, ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthPost,
		RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"),
		Flows: &flowStore{}, Transport: direct{s}, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rp
}

func TestRunWaitsForAProviderThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &switchable{issuer: "https://op.example"}
		s.down.Store(true)
		rp := s.relyingParty(t, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- rp.Run(ctx) }()

		<-time.After(5 * time.Minute) // of the bubble's clock
		if rp.Ready() {
			t.Error("ready without a provider")
		}
		asked := s.asked()
		for i := 1; i < len(asked); i++ {
			pause := asked[i].Sub(asked[i-1])
			want := min(250*time.Millisecond<<(i-1), 30*time.Second)
			if pause > want || pause < want*8/10 {
				t.Errorf("pause %d was %v, want up to %v", i, pause, want)
			}
		}
		_, err := rp.Begin(ctx, login.Begin{Client: login.Browser})
		unavailable, ok := errors.AsType[*login.UnavailableError](err)
		if !ok || unavailable.RetryAfter < time.Second || unavailable.RetryAfter > 30*time.Second {
			t.Errorf("Begin = %v, want ErrProviderUnavailable until the next attempt", err)
		}
		if !strings.Contains(log.String(), "provider not discovered") || strings.Contains(log.String(), clientSecret) {
			t.Errorf("log: %s", log.String())
		}

		s.down.Store(false)
		<-time.After(30 * time.Second)
		if !rp.Ready() {
			t.Error("not ready although the provider is up")
		}
		if _, err := rp.Begin(ctx, login.Begin{Client: login.Browser}); err != nil {
			t.Errorf("Begin = %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestRunKeepsTheLastGoodMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &switchable{issuer: "https://op.example"}
		rp := s.relyingParty(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- rp.Run(ctx) }()
		synctest.Wait()
		if !rp.Ready() || len(s.asked()) != 1 {
			t.Fatalf("ready %v after %d requests", rp.Ready(), len(s.asked()))
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if len(s.asked()) != 2 {
			t.Errorf("metadata was asked for %d times in the first hour, want 2", len(s.asked()))
		}
		s.down.Store(true)
		<-time.After(2 * time.Hour)
		if !rp.Ready() {
			t.Error("what was good an hour ago was dropped")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestTheLastGoodMetadataStaysInUse(t *testing.T) {
	const kind = "application/json"
	for name, answer := range map[string]http.HandlerFunc{
		"500":            hostile.Reply(500, kind, `{}`),
		"a page":         hostile.Reply(200, "text/html", `<html>`),
		"nothing":        hostile.Reply(200, kind, ``),
		"half of it":     hostile.Reply(200, kind, `{"issuer":"https://op.example","author`),
		"a list":         hostile.Reply(200, kind, `[]`),
		"another issuer": hostile.Reply(200, kind, `{"issuer":"https://evil.example","jwks_uri":"https://evil.example/jwks"}`),
		"no endpoints":   hostile.Reply(200, kind, `{"issuer":"ISSUER"}`),
		"over 1 MiB":     hostile.Reply(200, kind, strings.Repeat(" ", 1<<20)+`{}`),
		"a broken line":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run("after "+name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			w.provider.Handlers[hostile.PathMetadata] = answer
			if _, err := w.rp.Discover(t.Context()); err == nil {
				t.Error("Discover believes it")
			}
			if !w.rp.Ready() {
				t.Error("not ready any more")
			}
			w.wants(true)
		})
	}
}

func TestFinishBeforeDiscoveryLeavesTheFlowUnused(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	answer := w.answered(login.Browser)
	restarted, err := login.New(login.Config{
		Issuer: w.provider.Issuer, ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthBasic,
		RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"), Flows: w.flows, Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restarted.Finish(t.Context(), answer); !errors.Is(err, login.ErrProviderUnavailable) {
		t.Errorf("Finish = %v, want ErrProviderUnavailable", err)
	}
	if _, err := w.rp.Finish(t.Context(), answer); err != nil {
		t.Errorf("the flow was spent: %v", err)
	}
}
