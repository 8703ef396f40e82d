package login_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

// revocation is a revocation request as the provider saw it.
type revocation struct {
	form          url.Values
	authenticated bool
	afterUserInfo int
}

// revocations announces a revocation endpoint and returns what it is asked.
func (w *world) revocations() <-chan revocation {
	w.provider.Metadata = func(m object) { m["revocation_endpoint"] = w.provider.Issuer + hostile.PathRevoke }
	arrived := make(chan revocation, 64)
	w.provider.Handlers[hostile.PathRevoke] = func(_ http.ResponseWriter, r *http.Request) {
		arrived <- revocation{form: r.PostForm, authenticated: w.provider.Auth(r), afterUserInfo: w.provider.Count(hostile.PathUserInfo)}
	}
	return arrived
}

func revoking(c *login.Config) { c.Revoke = true }

// stop lets the relying party end what it does in the background.
func (w *world) stop() {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	if err := w.rp.Run(ctx); err != nil {
		w.Errorf("Run = %v", err)
	}
}

func TestTokensAreGivenBack(t *testing.T) {
	key := clientKey(t)
	for _, c := range []struct {
		name   string
		config func(*login.Config)
		change func(*world)
		want   string // of token_type_hint
		fails  error
		before bool // UserInfo
	}{
		{name: "the access token, once it has been used", want: "access_token"},
		{name: "the refresh token, where one came unasked", want: "refresh_token", change: func(w *world) {
			w.provider.Answer = func(a object) { a["refresh_token"] = "a refresh token" }
		}},
		{name: "after a nonce that is another flow's", want: "access_token", fails: login.ErrIdentityRejected, before: true, change: func(w *world) {
			w.provider.Claims = func(c object) { c["nonce"] = "another" }
		}},
		{name: "after a login that is too old", want: "access_token", fails: login.ErrAuthTooOld, before: true, change: func(w *world) {
			w.provider.Claims = func(c object) { c["auth_time"] = w.clock.now().Add(-2 * time.Hour).Unix() }
		}},
		{name: "after UserInfo of somebody else", want: "access_token", fails: login.ErrIdentityRejected, change: func(w *world) {
			w.provider.UserInfo = func(u object) { u["sub"] = "somebody else" }
		}},
		{name: "after a type of token that we do not know", want: "refresh_token", fails: login.ErrIdentityRejected, before: true, change: func(w *world) {
			w.provider.Answer = func(a object) { a["token_type"], a["refresh_token"] = "DPoP", "a refresh token" }
		}},
		{name: "after no ID token", want: "access_token", fails: login.ErrIdentityRejected, before: true, change: func(w *world) {
			w.provider.Answer = func(a object) { delete(a, "id_token") }
		}},
		{name: "after a key set that is away", want: "access_token", fails: login.ErrProviderUnavailable, before: true, change: func(w *world) {
			w.provider.Handlers[hostile.PathJWKS] = hostile.Reply(http.StatusServiceUnavailable, "text/plain", "")
		}},
		{name: "by a signed assertion", want: "access_token", config: func(c *login.Config) { byKey(key)(c) }, change: func(w *world) {
			w.provider.Auth = byAssertion(w, key.Public())
		}},
		{name: "by post", want: "access_token", config: func(c *login.Config) { c.ClientAuth = login.AuthPost }, change: func(w *world) {
			w.provider.Auth = hostile.Post(clientID, clientSecret)
		}},
	} {
		t.Run("ASVS-10.4.10 "+c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *login.Config) {
				revoking(cfg)
				if c.config != nil {
					c.config(cfg)
				}
			})
			revoked := w.revocations()
			w.discover()
			if c.change != nil {
				c.change(w)
			}
			var last object
			edit := w.provider.Answer
			w.provider.Answer = func(a object) {
				if edit != nil {
					edit(a)
				}
				last = a
			}
			if _, err := w.rp.Finish(t.Context(), w.answeredWithin(time.Hour)); !errors.Is(err, c.fails) {
				t.Fatalf("Finish = %v, want %v", err, c.fails)
			}
			got := <-revoked
			if got.form.Get("token_type_hint") != c.want || got.form.Get("token") != last[c.want] {
				t.Errorf("revoked = %v, want the %s of %v", got.form, c.want, last)
			}
			if !got.authenticated {
				t.Error("the request is not authenticated")
			}
			if asked := got.afterUserInfo == 1; asked == c.before {
				t.Errorf("UserInfo was asked %d times by then", got.afterUserInfo)
			}
			w.stop()
			if n := w.provider.Count(hostile.PathRevoke); n != 1 {
				t.Errorf("%d revocations, want one", n)
			}
		})
	}
}

func TestNothingIsGivenBack(t *testing.T) {
	endpoint := func(value any) func(*world) {
		return func(w *world) { w.provider.Metadata = func(m object) { m["revocation_endpoint"] = value } }
	}
	for name, c := range map[string]struct {
		off    bool
		change func(*world)
	}{
		"where it is turned off":          {off: true},
		"where no endpoint is announced":  {change: endpoint(nil)},
		"at an endpoint that is a path":   {change: endpoint(hostile.PathRevoke)},
		"at an endpoint that is a script": {change: endpoint("javascript:alert(1)")},
		"at an endpoint with credentials": {change: endpoint("https://a:b@op.example/revoke")},
		"where the code was refused":      {change: func(w *world) { w.provider.RedirectURI = "https://another.example/" }},
		"of a refresh token that is out of bounds": {change: func(w *world) {
			w.provider.Answer = func(a object) { a["refresh_token"] = strings.Repeat("r", 17<<10) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *login.Config) { cfg.Revoke = !c.off })
			w.revocations()
			if c.change != nil {
				c.change(w)
			}
			w.discover()
			if _, err := w.logIn(); err != nil && !errors.Is(err, login.ErrCodeRefused) {
				t.Errorf("Finish = %v", err)
			}
			w.stop()
			if n := w.provider.Count(hostile.PathRevoke); n != 0 {
				t.Errorf("%d revocations", n)
			}
		})
	}
}

// journal counts the lines that hold a text.
type journal struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.String()
}

func TestRevocationsNeverHoldALoginUp(t *testing.T) {
	t.Run("ASVS-13.2.6 as many as there is room for are under way, and Run waits for them", func(t *testing.T) {
		const room, logins = 32, 40
		log := new(journal)
		w := newWorld(t, func(c *login.Config) {
			revoking(c)
			c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		arrived, release := make(chan struct{}, logins), make(chan struct{})
		w.revocations()
		w.provider.Handlers[hostile.PathRevoke] = func(rw http.ResponseWriter, _ *http.Request) {
			arrived <- struct{}{}
			<-release
			rw.WriteHeader(http.StatusInternalServerError)
		}
		w.provider.Answer = func(a object) { a["refresh_token"] = "never-to-be-seen" }
		w.discover()
		for range logins {
			if _, err := w.logIn(); err != nil {
				t.Fatalf("Finish = %v", err)
			}
		}
		for range room {
			<-arrived
		}
		close(release)
		w.stop()
		if n := strings.Count(log.String(), "status 500"); n != room {
			t.Errorf("Run ended when %d of %d revocations had", n, room)
		}
		if n := strings.Count(log.String(), "too many under way"); n != logins-room {
			t.Errorf("%d were left out, want %d", n, logins-room)
		}
		if strings.Contains(log.String(), "never-to-be-seen") || strings.Contains(log.String(), clientSecret) {
			t.Error("the log has a secret in it")
		}
		if _, err := w.logIn(); err != nil {
			t.Errorf("Finish after Run has ended = %v", err)
		}
		if n := w.provider.Count(hostile.PathRevoke); n != room {
			t.Errorf("%d revocations, want %d", n, room)
		}
	})
	t.Run("whoever waited for the login may be gone", func(t *testing.T) {
		w := newWorld(t, revoking)
		revoked := w.revocations()
		w.discover()
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := w.rp.Finish(ctx, w.answered(login.Browser)); err != nil {
			t.Fatalf("Finish = %v", err)
		}
		cancel()
		<-revoked
		w.stop()
	})
	t.Run("a secret that is gone by then is nobody's trouble", func(t *testing.T) {
		var reads atomic.Int32
		log := new(journal)
		w := newWorld(t, func(c *login.Config) {
			revoking(c)
			c.Logger = slog.New(slog.NewTextHandler(log, nil))
			c.ClientSecret = func() (login.Secret, error) {
				if reads.Add(1) > 2 { // New's and the token request's
					return "", errors.New("no such file")
				}
				return clientSecret, nil
			}
		})
		w.revocations()
		w.discover()
		if _, err := w.logIn(); err != nil {
			t.Errorf("Finish = %v", err)
		}
		w.stop()
		if !strings.Contains(log.String(), "no such file") || w.provider.Count(hostile.PathRevoke) != 0 {
			t.Errorf("the log has %q", log.String())
		}
	})
}

// patient hands requests to a handler without a network and stops waiting when
// the request's context ends, as a connection would.
type patient struct{ handler http.Handler }

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	answered := make(chan *http.Response, 1)
	go func() {
		recorder := httptest.NewRecorder()
		p.handler.ServeHTTP(recorder, r)
		answered <- recorder.Result()
	}()
	select {
	case resp := <-answered:
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func TestARevocationThatIsNotAnsweredIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := hostile.At(t, "https://op.example", time.Now)
		provider.Metadata = func(m object) { m["revocation_endpoint"] = "https://op.example" + hostile.PathRevoke }
		provider.Handlers[hostile.PathRevoke] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		rp, err := login.New(login.Config{
			Issuer: provider.Issuer, ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthBasic,
			RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"),
			Flows: &flowStore{used: map[string]time.Time{}}, Revoke: true, Transport: patient{provider},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rp.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
		begun, err := rp.Begin(t.Context(), login.Begin{Client: login.Browser})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := rp.Finish(t.Context(), login.Answer{
			Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: provider.Authorize(begun.AuthorizationURL),
		}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the login took %s", took)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := rp.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Run ended after %s, want 5s", took)
		}
	})
}
