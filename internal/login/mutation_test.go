package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/login/hostile"
	"github.com/portico-id/portico/internal/mutate"
)

const (
	mutationNonce  = "nonce-of-this-flow"
	mutationAccess = "access-token-of-this-flow"
)

// verifier is a relying party at the point where tokens have come in.
type verifier struct {
	rp       *RelyingParty
	provider *hostile.Provider
}

func newVerifier(t *testing.T) *verifier {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	op := hostile.New(t, now)
	op.JWKS = func() []hostile.Object {
		return []hostile.Object{
			hostile.JWK("one", hostile.TestKeys().RSA.Public()),
			hostile.JWK("curve", hostile.TestKeys().P256.Public()),
		}
	}
	transport := newTransport(time.Minute)
	t.Cleanup(transport.CloseIdleConnections)
	key := sha256.Sum256([]byte("a key of this test's"))
	keys, err := keyring.Parse(base64.StdEncoding.EncodeToString(key[:]))
	if err != nil {
		t.Fatal(err)
	}
	rp, err := New(Config{
		Issuer: op.Issuer, ClientID: hostile.ClientID, ClientAuth: AuthBasic, RedirectURI: hostile.RedirectURI,
		ClientSecret:    func() (Secret, error) { return hostile.ClientSecret, nil },
		ExternalIDClaim: "external_id", RequireNonce: true, Keys: keys, Flows: noFlows{}, Now: now, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rp.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &verifier{rp, op}
}

// noFlows is never asked: no flow is finished here.
type noFlows struct{ FlowStore }

// seeds are two tokens that verify, of one algorithm each.
func (v *verifier) seeds(t *testing.T) []string {
	t.Helper()
	claims, err := json.Marshal(v.provider.StandardClaims(mutationNonce, mutationAccess))
	if err != nil {
		t.Fatal(err)
	}
	tokens := []string{v.provider.Sign(claims)}
	v.provider.Signing = hostile.Signing{Algorithm: "ES256", Key: hostile.TestKeys().P256, ID: "curve"}
	tokens = append(tokens, v.provider.Sign(claims))
	for _, token := range tokens {
		if _, err := v.verify(t, token); err != nil {
			t.Fatalf("a seed is refused: %v", err)
		}
	}
	return tokens
}

func (v *verifier) verify(t *testing.T, token string) (*claims, error) {
	t.Helper()
	p, err := v.rp.provider()
	if err != nil {
		t.Fatal(err)
	}
	return v.rp.verify(t.Context(), p, tokens{id: token, access: &oauth2.Token{AccessToken: mutationAccess}}, mutationNonce)
}

func TestNoTokenThatWasChangedPasses(t *testing.T) {
	v := newVerifier(t)
	seeds := v.seeds(t)
	pieces := []string{
		".", "..", "=", "==", "-", "_", "+", "/", "A", "\n", "\r\n", " ", "\x00", "%2e",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"one"}`)) + ".",
		base64.RawURLEncoding.EncodeToString([]byte(`,"sub":"user-2"`)), "eyJ", "fQ",
	}
	mutate.Run(t, seeds, pieces, func(t *testing.T, input []byte) {
		t.Helper()
		token := string(input)
		if token == seeds[0] || token == seeds[1] {
			return // changed back
		}
		if _, err := v.verify(t, token); err == nil {
			t.Errorf("%q passes", token)
		}
	})
}

// TestNoContentThatWasChangedPassesUnderAnOldSignature changes header and
// payload before they are encoded, so that every one of the tokens can be read.
func TestNoContentThatWasChangedPassesUnderAnOldSignature(t *testing.T) {
	v := newVerifier(t)
	var seeds, signatures []string
	for _, token := range v.seeds(t) {
		parts := strings.Split(token, ".")
		header, headerErr := base64.RawURLEncoding.DecodeString(parts[0])
		payload, payloadErr := base64.RawURLEncoding.DecodeString(parts[1])
		if headerErr != nil || payloadErr != nil {
			t.Fatal(headerErr, payloadErr)
		}
		seeds, signatures = append(seeds, string(header)+"\x00"+string(payload)), append(signatures, parts[2])
	}
	pieces := []string{
		`"alg":"none",`, `"alg":"HS256",`, `"kid":"curve",`, `"sub":"user-2",`, `"nonce":null,`, `"aud":[],`, `"b64":false,`,
		`{`, `}`, `"`, `\u0073`, ` `, "\n", "\x00", "\ufeff", `,`, `1e9`,
	}
	mutate.Run(t, seeds, pieces, func(t *testing.T, input []byte) {
		t.Helper()
		if string(input) == seeds[0] || string(input) == seeds[1] {
			return
		}
		header, payload, _ := strings.Cut(string(input), "\x00")
		begin := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "."
		signature := signatures[0]
		if strings.Contains(header, "ES256") {
			signature = signatures[1]
		}
		if _, err := v.verify(t, begin+signature); err == nil {
			t.Errorf("header %q and payload %q pass", header, payload)
		}
	})
}

// anybody takes every signature for the provider's.
type anybody struct{}

func (anybody) VerifySignature(_ context.Context, token string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
}

// TestWhatPassesIsForThisFlow has every payload signed, so that the checks of
// its claims are all that stands between it and a login.
func TestWhatPassesIsForThisFlow(t *testing.T) {
	v := newVerifier(t)
	found, err := v.rp.provider()
	if err != nil {
		t.Fatal(err)
	}
	signed := *found
	signed.verifier = oidc.NewVerifier(v.provider.Issuer, anybody{}, &oidc.Config{ClientID: hostile.ClientID, SkipExpiryCheck: true})
	v.rp.found.Store(&signed)
	claims := v.provider.StandardClaims(mutationNonce, mutationAccess)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	now := v.rp.cfg.Now()
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "."
	pieces := []string{
		`"sub":`, `"SUB":`, `"nonce":`, `"Nonce":`, `"aud":`, `"iss":`, `"exp":`, `"iat":`, `"nbf":`, `"azp":"portico",`, `"at_hash":`,
		`"x":1,`, `"user-1"`, `"portico"`, `null`, `[]`, `{}`, `0`, `1e300`, `"`, `,`, `\u0000`, ` `, "\n", `"events":{},`, "\xff",
	}
	var passed atomic.Int64
	mutate.Run(t, []string{string(payload)}, pieces, func(t *testing.T, input []byte) {
		t.Helper()
		c, err := v.verify(t, header+base64.RawURLEncoding.EncodeToString(input)+".AAAA")
		if err != nil {
			return
		}
		passed.Add(1)
		if c.Issuer != v.provider.Issuer || !slices.Equal(c.Audience, audience{hostile.ClientID}) || c.Nonce == nil || *c.Nonce != mutationNonce ||
			!isID(c.Subject) || c.Expires.Before(now.Add(-leeway)) || c.IssuedAt.Before(now.Add(-maxTokenAge-leeway)) || c.IssuedAt.After(now.Add(leeway)) {
			t.Errorf("%q passes", input)
		}
	})
	if passed.Load() == 0 {
		t.Error("not one passes, so nothing was looked at")
	}
}
