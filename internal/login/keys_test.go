package login_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

func TestKeySets(t *testing.T) {
	keys := hostile.TestKeys()
	good := hostile.JWK("one", keys.RSA.Public())
	other := hostile.JWK("one", keys.OtherRSA.Public())
	curve := hostile.JWK("one", keys.P256.Public())
	with := func(jwk object, name string, value any) object {
		changed := object{name: value}
		for k, v := range jwk {
			if k != name {
				changed[k] = v
			}
		}
		if value == nil {
			delete(changed, name)
		}
		return changed
	}
	many := make([]object, 101)
	for i := range many {
		many[i] = with(good, "kid", strconv.Itoa(i))
	}
	many[100] = good
	for _, c := range []struct {
		name string
		keys []object
		want error
		warn bool
	}{
		{"a key without an algorithm and a use", []object{with(with(good, "use", nil), "alg", nil)}, nil, false},
		{"a key for this algorithm", []object{with(good, "alg", "RS256")}, nil, false},
		{"a key for verifying", []object{with(good, "key_ops", []string{"verify"})}, nil, false},
		{"a key for another algorithm", []object{with(good, "alg", "RS512")}, login.ErrIdentityRejected, false},
		{"a key for PS256", []object{with(good, "alg", "PS256")}, login.ErrIdentityRejected, false},
		{"a key for encryption", []object{with(good, "use", "enc")}, login.ErrIdentityRejected, false},
		{"a key for wrapping keys", []object{with(good, "key_ops", []string{"wrapKey"})}, login.ErrIdentityRejected, false},
		{"a key of 1024 bits", []object{hostile.JWK("one", keys.SmallRSA.Public())}, login.ErrIdentityRejected, true},
		{"a key of 16384 bits", []object{with(good, "n", digits(16384))}, login.ErrIdentityRejected, true},
		{"a key with exponent one", []object{with(good, "e", "AQ")}, login.ErrIdentityRejected, true},
		{"a key with an even exponent", []object{with(good, "e", "AQAA")}, login.ErrIdentityRejected, true},
		{"a key without a modulus", []object{with(good, "n", nil)}, login.ErrIdentityRejected, true},
		{"a key with its private part", []object{hostile.JWK("one", keys.RSA)}, login.ErrIdentityRejected, true},
		{"a key of a curve with its private part", []object{hostile.JWK("one", keys.P256)}, login.ErrIdentityRejected, true},
		{"a secret", []object{hostile.JWK("one", []byte(clientSecret))}, login.ErrIdentityRejected, true},
		{"a point that is not on its curve", []object{with(curve, "y", digits(256))}, login.ErrIdentityRejected, true},
		{"a key of another curve", []object{hostile.JWK("one", keys.P384.Public())}, login.ErrIdentityRejected, false},
		{"a key of an Edwards curve", []object{hostile.JWK("one", keys.Ed25519.Public())}, login.ErrIdentityRejected, false},
		{"a key of a type that nobody knows", []object{{"kty": "LATTICE", "kid": "one"}}, login.ErrIdentityRejected, false},
		{"no key at all", []object{}, login.ErrIdentityRejected, false},
		{"a key that is unusable beside a good one", []object{hostile.JWK("one", keys.SmallRSA.Public()), {"kid": 1}, good}, nil, true},
		{"a secret beside a good key", []object{hostile.JWK("zero", []byte("0")), good}, nil, true},
		{"two keys of one id, the right one last", []object{other, good}, nil, false},
		{"two keys of one id and of two types", []object{curve, good}, nil, false},
		{"two keys of one id, none the right one", []object{other, curve}, login.ErrIdentityRejected, false},
		{"the same key twice", []object{good, good}, nil, false},
		{"the right key under another id", []object{with(good, "kid", "two")}, login.ErrIdentityRejected, false},
		{"a hundred keys", many[1:], nil, false},
		{"a hundred and one keys", many, login.ErrProviderUnavailable, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			w := newWorld(t, func(cfg *login.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			w.discover()
			w.provider.JWKS = jwks(c.keys...)
			if _, err := w.logIn(); !errors.Is(err, c.want) {
				t.Errorf("Finish = %v, want %v", err, c.want)
			}
			if c.want != nil && w.provider.Count(hostile.PathUserInfo) != 0 {
				t.Error("the access token was used all the same")
			}
			if warned := strings.Contains(log.String(), "key of the provider's is not used"); warned != c.warn {
				t.Errorf("warned %v, want %v: %s", warned, c.warn, log.String())
			}
			if strings.Contains(log.String(), clientSecret) {
				t.Error("the log shows the secret that the provider publishes")
			}
		})
	}
}

// digits is a number of that many bits, as key sets write them.
func digits(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return unpadded(string(n.SetBit(n, 0, 1).Bytes()))
}

func TestAKeySetThatCannotBeRead(t *testing.T) {
	const kind = "application/json"
	for name, handler := range map[string]http.HandlerFunc{
		"500":                      hostile.Reply(500, "text/plain", strings.Repeat("a\n", 5000)),
		"404":                      hostile.Reply(404, kind, `{"keys":[]}`),
		"204":                      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"a page":                   hostile.Reply(200, "text/html", "<html>"),
		"a list":                   hostile.Reply(200, kind, `[]`),
		"an object without keys":   hostile.Reply(200, kind, `{}`),
		"keys null":                hostile.Reply(200, kind, `{"keys":null}`),
		"keys an object":           hostile.Reply(200, kind, `{"keys":{}}`),
		"keys twice":               hostile.Reply(200, kind, `{"keys":[],"keys":[]}`),
		"more after it":            hostile.Reply(200, kind, `{"keys":[]}{}`),
		"thousands of keys":        hostile.Reply(200, kind, `{"keys":[`+strings.Repeat(`{"kty":"RSA"},`, 5000)+`{}]}`),
		"a key set over 1 MiB":     hostile.Reply(200, kind, `{"keys":[],"x":"`+strings.Repeat("a", 1<<20)+`"}`),
		"a connection that breaks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			w.provider.Handlers[hostile.PathJWKS] = handler
			_, err := w.logIn()
			if !errors.Is(err, login.ErrProviderUnavailable) {
				t.Fatalf("Finish = %v, want ErrProviderUnavailable", err)
			}
			if len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error repeats the whole answer: %d bytes", len(err.Error()))
			}
			if w.provider.Count("/elsewhere") != 0 || w.provider.Count(hostile.PathUserInfo) != 0 {
				t.Error("the redirect was followed, or the access token used")
			}
		})
	}
}

func TestAKeyThatWasWithdrawnIsDistrustedWithinTenMinutes(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	w.wants(true)
	w.provider.JWKS = jwks()
	w.clock.advance(9 * time.Minute)
	if _, err := w.logIn(); err != nil || w.provider.Count(hostile.PathJWKS) != 1 {
		t.Errorf("the key set is fetched all the time: %d times, %v", w.provider.Count(hostile.PathJWKS), err)
	}
	w.clock.advance(time.Minute)
	if _, err := w.logIn(); !errors.Is(err, login.ErrIdentityRejected) {
		t.Errorf("Finish = %v, want ErrIdentityRejected", err)
	}
}

func TestAKeySetThatIsAwayIsUsedForAnHour(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	w.wants(true)
	w.provider.Handlers[hostile.PathJWKS] = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "17")
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	w.clock.advance(59 * time.Minute)
	w.discover() // which does not make the keys younger
	w.wants(true)
	w.clock.advance(time.Minute)
	_, err := w.logIn()
	unavailable, ok := errors.AsType[*login.UnavailableError](err)
	if !ok || unavailable.RetryAfter != 17*time.Second {
		t.Errorf("Finish = %v, want ErrProviderUnavailable for 17 seconds", err)
	}
	delete(w.provider.Handlers, hostile.PathJWKS)
	w.wants(true)
}

func TestRunFetchesTheKeySetOnATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := hostile.At(t, "https://op.example", time.Now)
		rp := alone(t, direct{provider})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- rp.Run(ctx) }()
		synctest.Wait()
		logIn := func() error {
			begun, err := rp.Begin(ctx, login.Begin{Client: login.Browser})
			if err != nil {
				return err
			}
			_, err = rp.Finish(ctx, login.Answer{
				Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: provider.Authorize(begun.AuthorizationURL),
			})
			return err
		}
		if err := logIn(); err != nil {
			t.Errorf("Finish = %v", err)
		}
		provider.Change(func(b *hostile.Behaviour) { b.JWKS = jwks() })
		before := provider.Count(hostile.PathJWKS)
		<-time.After(10 * time.Minute) // of the bubble's clock
		if provider.Count(hostile.PathJWKS) == before {
			t.Error("without a login, nobody has looked at the key set")
		}
		if err := logIn(); !errors.Is(err, login.ErrIdentityRejected) {
			t.Errorf("a key that was withdrawn: %v, want ErrIdentityRejected", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestUnknownKeysDoNotHaveUsFloodTheProvider(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	w.wants(true)
	sound, unknown := w.provider.Signing, w.provider.Signing
	fetched := w.provider.Count(hostile.PathJWKS)
	for i := range 1000 {
		unknown.ID = fmt.Sprint("unknown ", i)
		w.provider.Signing = unknown
		_, err := w.logIn()
		unavailable, cooling := errors.AsType[*login.UnavailableError](err)
		if !cooling && !errors.Is(err, login.ErrIdentityRejected) {
			t.Fatalf("Finish = %v, want a refusal", err)
		}
		if cooling && (unavailable.RetryAfter <= 0 || unavailable.RetryAfter > 5*time.Second) {
			t.Fatalf("to be tried again after %v, want up to five seconds", unavailable.RetryAfter)
		}
	}
	if more := w.provider.Count(hostile.PathJWKS) - fetched; more > 5 {
		t.Errorf("the key set was fetched %d times at one moment, want at most 5", more)
	}
	w.provider.Signing = sound
	w.wants(true) // known keys have nothing to wait for

	w.rotate()
	w.clock.advance(5 * time.Second)
	w.wants(true)

	fetched = w.provider.Count(hostile.PathJWKS)
	for range 120 { // a flood that goes on for two minutes
		w.provider.Signing.ID = "unknown"
		_, _ = w.logIn()
		w.provider.Signing.ID = "two"
		if _, err := w.logIn(); err != nil {
			t.Fatalf("a known key in a flood: %v", err)
		}
		w.clock.advance(time.Second)
	}
	if more := w.provider.Count(hostile.PathJWKS) - fetched; more > 5+120/5 {
		t.Errorf("the key set was fetched %d times in two minutes", more)
	}
}

// TestAFetchFromBeforeARotationDoesNotCount has a login join a fetch whose
// answer was written before the login's key was published.
func TestAFetchFromBeforeARotationDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := hostile.At(t, "https://op.example", time.Now)
		rp := alone(t, direct{provider})
		if _, err := rp.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
		finish := func() <-chan error {
			begun, err := rp.Begin(t.Context(), login.Begin{Client: login.Browser})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			code := provider.Authorize(begun.AuthorizationURL)
			go func() {
				_, err := rp.Finish(t.Context(), login.Answer{Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: code})
				done <- err
			}()
			synctest.Wait()
			return done
		}
		release := make(chan struct{})
		provider.Handlers[hostile.PathJWKS] = func(w http.ResponseWriter, _ *http.Request) {
			<-release
			hostile.Write(w, http.StatusOK, object{"keys": jwks(hostile.JWK("one", hostile.TestKeys().RSA.Public()))()})
		}
		first := finish()
		provider.Change(func(b *hostile.Behaviour) {
			b.Signing = hostile.Signing{Algorithm: "RS256", Key: hostile.TestKeys().OtherRSA, ID: "two"}
			b.JWKS = jwks(hostile.JWK("two", hostile.TestKeys().OtherRSA.Public()))
			b.Handlers = nil
		})
		second := finish()
		if asked := provider.Count(hostile.PathJWKS); asked != 1 {
			t.Errorf("the key set is being fetched %d times at once", asked)
		}
		close(release)
		if err := <-first; err != nil {
			t.Errorf("the login from before: %v", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the login from after: %v", err)
		}
	})
}

// alone returns a relying party of https://op.example at a transport.
func alone(t *testing.T, transport http.RoundTripper) *login.RelyingParty {
	t.Helper()
	rp, err := login.New(login.Config{
		Issuer: "https://op.example", ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthBasic,
		RedirectURI: redirectURI, ExternalIDClaim: "external_id", RequireNonce: true, Keys: ring(t, "one"),
		Flows: &flowStore{used: map[string]time.Time{}}, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rp
}
