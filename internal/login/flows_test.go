package login_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

// flowStore keeps used flows in memory, as a database would.
type flowStore struct {
	mu    sync.Mutex
	used  map[string]time.Time
	calls int
	err   error
}

func (s *flowStore) UseFlow(_ context.Context, flowID string, expiresAt time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.err != nil {
		return false, s.err
	}
	if _, ok := s.used[flowID]; ok {
		return false, nil
	}
	s.used[flowID] = expiresAt
	return true, nil
}

func (s *flowStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// clock stands still until it is moved.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.offset.Load()))
}

func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func ring(tb testing.TB, seed string) *keyring.Ring {
	tb.Helper()
	key := sha256.Sum256([]byte(seed))
	r, err := keyring.Parse(base64.StdEncoding.EncodeToString(key[:]))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// secret is a source that always says the same.
func secret(text login.Secret) func() (login.Secret, error) {
	return func() (login.Secret, error) { return text, nil }
}

// world is a relying party, its provider, its store and its clock.
type world struct {
	*testing.T
	rp       *login.RelyingParty
	provider *hostile.Provider
	flows    *flowStore
	clock    *clock
}

// newWorld returns a world before discovery; change may alter the
// configuration.
func newWorld(t *testing.T, change func(*login.Config)) *world {
	t.Helper()
	w := &world{T: t, flows: &flowStore{used: map[string]time.Time{}}, clock: new(clock)}
	w.provider = hostile.New(t, w.clock.now)
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	cfg := login.Config{
		Issuer:          w.provider.Issuer,
		ClientID:        clientID,
		ClientSecret:    secret(clientSecret),
		ClientAuth:      login.AuthBasic,
		RedirectURI:     redirectURI,
		ExternalIDClaim: "external_id",
		InternalIDClaim: "id",
		RequireNonce:    true,
		Keys:            ring(t, "one"),
		Flows:           w.flows,
		Now:             w.clock.now,
		Transport:       transport,
	}
	if change != nil {
		change(&cfg)
	}
	rp, err := login.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.rp = rp
	return w
}

func (w *world) discover() {
	w.Helper()
	if _, err := w.rp.Discover(w.Context()); err != nil {
		w.Fatalf("Discover: %v", err)
	}
}

func (w *world) begin(client login.Client) login.Begun {
	w.Helper()
	begun, err := w.rp.Begin(w.Context(), login.Begin{
		Client: client, ReturnTo: "/home?tab=1", ReplacesSession: []byte("old session"),
	})
	if err != nil {
		w.Fatalf("Begin: %v", err)
	}
	return begun
}

// answered begins a flow and returns the provider's answer to it.
func (w *world) answered(client login.Client) login.Answer {
	w.Helper()
	begun := w.begin(client)
	return login.Answer{
		Sealed: begun.Sealed,
		Client: client,
		Code:   w.provider.Authorize(begun.AuthorizationURL),
		State:  begun.State,
	}
}

// answeredWithin is answered for a flow that wants a login of at most this age.
func (w *world) answeredWithin(age time.Duration) login.Answer {
	w.Helper()
	begun, err := w.rp.Begin(w.Context(), login.Begin{Client: login.Browser, MaxAge: &age})
	if err != nil {
		w.Fatalf("Begin: %v", err)
	}
	return login.Answer{
		Sealed: begun.Sealed,
		Client: login.Browser,
		Code:   w.provider.Authorize(begun.AuthorizationURL),
		State:  begun.State,
	}
}

// logIn runs one whole flow.
func (w *world) logIn() (login.Finished, error) {
	w.Helper()
	return w.rp.Finish(w.Context(), w.answered(login.Browser))
}
