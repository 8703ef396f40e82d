package login_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

// dripping answers one path with a byte each second, for ever.
type dripping struct {
	next http.RoundTripper
	path string
}

func (d dripping) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != d.path {
		return d.next.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: -1, Body: drip{r},
	}, nil
}

type drip struct{ request *http.Request }

func (d drip) Read(p []byte) (int, error) {
	select {
	case <-d.request.Context().Done():
		return 0, d.request.Context().Err()
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	}
}

func (drip) Close() error { return nil }

func TestAnAnswerThatDripsIsGivenUpInTime(t *testing.T) {
	for _, path := range []string{hostile.PathMetadata, hostile.PathJWKS, hostile.PathToken, hostile.PathUserInfo} {
		t.Run("from "+path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider := hostile.At(t, "https://op.example", time.Now)
				rp := alone(t, dripping{direct{provider}, path})
				began := time.Now()
				_, err := rp.Discover(t.Context())
				if err == nil {
					begun, beginErr := rp.Begin(t.Context(), login.Begin{Client: login.Browser})
					if beginErr != nil {
						t.Fatal(beginErr)
					}
					_, err = rp.Finish(t.Context(), login.Answer{
						Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: provider.Authorize(begun.AuthorizationURL),
					})
				}
				if !errors.Is(err, login.ErrProviderUnavailable) {
					t.Errorf("it ended with %v, want ErrProviderUnavailable", err)
				}
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("it took %v, want ten seconds", took)
				}
			})
		})
	}
}

// counting counts the bytes that are read of the answers from one path.
type counting struct {
	next http.RoundTripper
	path string
	read *int
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err == nil && r.URL.Path == c.path {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(resp.Body, counter{c.read}), resp.Body}
	}
	return resp, err
}

type counter struct{ n *int }

func (c counter) Write(p []byte) (int, error) {
	*c.n += len(p)
	return len(p), nil
}

func TestNoAnswerIsReadPastAMebibyte(t *testing.T) {
	for _, path := range []string{hostile.PathMetadata, hostile.PathJWKS, hostile.PathToken, hostile.PathUserInfo} {
		t.Run("from "+path, func(t *testing.T) {
			read := 0
			w := newWorld(t, func(c *login.Config) { c.Transport = counting{c.Transport, path, &read} })
			w.provider.Handlers[path] = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "application/json")
				chunk := bytes.Repeat([]byte(" "), 64<<10)
				for range 256 {
					if _, err := rw.Write(chunk); err != nil {
						return
					}
				}
			}
			_, err := w.rp.Discover(t.Context())
			if err == nil {
				_, err = w.logIn()
			}
			if err == nil {
				t.Error("16 MiB of nothing passed")
			}
			if read < 1<<20 || read > 1<<20+64<<10 {
				t.Errorf("%d bytes were read", read)
			}
		})
	}
}

func TestSizesAreRefusedBeforeAnythingIsParsed(t *testing.T) {
	t.Run("an ID token", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.provider.IDToken = func(signed string) any { return signed + strings.Repeat("A", 32<<10) }
		_, err := w.logIn()
		if !errors.Is(err, login.ErrIdentityRejected) || !strings.Contains(err.Error(), "longer than 32768 bytes") {
			t.Errorf("Finish = %v", err)
		}
		if w.provider.Count(hostile.PathJWKS) != 0 {
			t.Error("keys were fetched for it")
		}
	})
	t.Run("an access token", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.provider.Answer = func(a object) { a["access_token"] = strings.Repeat("a", 16<<10+1) }
		if _, err := w.logIn(); !errors.Is(err, login.ErrIdentityRejected) {
			t.Errorf("Finish = %v", err)
		}
		if w.provider.Count(hostile.PathJWKS) != 0 || w.provider.Count(hostile.PathUserInfo) != 0 {
			t.Error("something was done with it")
		}
	})
}

func TestAProviderThatIsDownSaysWhenToComeBack(t *testing.T) {
	busy := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "7")
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	for _, path := range []string{hostile.PathJWKS, hostile.PathToken, hostile.PathUserInfo} {
		t.Run("at "+path, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			w.provider.Handlers[path] = busy
			_, err := w.logIn()
			unavailable, ok := errors.AsType[*login.UnavailableError](err)
			if !ok || !errors.Is(err, login.ErrProviderUnavailable) || unavailable.RetryAfter != 7*time.Second {
				t.Errorf("Finish = %v, want ErrProviderUnavailable for seven seconds", err)
			}
		})
	}
	t.Run("before discovery", func(t *testing.T) {
		w := newWorld(t, nil)
		_, err := w.rp.Begin(t.Context(), login.Begin{Client: login.Browser})
		unavailable, ok := errors.AsType[*login.UnavailableError](err)
		if !ok || unavailable.RetryAfter <= 0 {
			t.Errorf("Begin = %v, want ErrProviderUnavailable with a time", err)
		}
	})
	t.Run("without a server", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		gone := httptest.NewServer(http.NotFoundHandler())
		gone.Close()
		w.provider.Metadata = func(m object) { m["token_endpoint"] = gone.URL }
		w.discover()
		if _, err := w.logIn(); !errors.Is(err, login.ErrProviderUnavailable) {
			t.Errorf("Finish = %v, want ErrProviderUnavailable", err)
		}
	})
}

func TestASVS_12_3_2_ACertificateThatNobodyVouchesForIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	provider := hostile.At(t, "", time.Now)
	server.Config.Handler = provider
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // it would tell of the client that hangs up
	server.StartTLS()
	t.Cleanup(server.Close)
	provider.Issuer = server.URL
	for name, transport := range map[string]http.RoundTripper{
		"by our own transport":             nil,
		"and accepted where it is vouched": server.Client().Transport,
	} {
		rp, err := login.New(login.Config{
			Issuer: server.URL, ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthBasic,
			RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"), Flows: &flowStore{}, Transport: transport,
		})
		if err != nil {
			t.Fatal(err)
		}
		before := provider.Count(hostile.PathMetadata)
		_, err = rp.Discover(t.Context())
		if vouched := transport != nil; vouched != (err == nil) || vouched != (provider.Count(hostile.PathMetadata) > before) {
			t.Errorf("%s: Discover = %v", name, err)
		}
	}
}
