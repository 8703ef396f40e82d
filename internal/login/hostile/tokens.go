package hostile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"
)

// Signing is a key and how it is used.
type Signing struct {
	Algorithm string // of RFC 7518 §3.1, or EdDSA
	Key       any    // *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or []byte
	ID        string // the header's kid; "" leaves it out
}

// Sign returns payload as an ID token of this provider's.
func (p *Provider) Sign(payload []byte) string {
	p.t.Helper()
	p.mu.Lock()
	b := p.Behaviour
	p.mu.Unlock()
	return p.sign(payload, b)
}

func (p *Provider) sign(payload []byte, b Behaviour) string {
	p.t.Helper()
	header := Object{"typ": "JWT", "alg": b.Signing.Algorithm}
	if b.Signing.ID != "" {
		header["kid"] = b.Signing.ID
	}
	if b.Header != nil {
		b.Header(header)
	}
	maps.DeleteFunc(header, func(_ string, v any) bool { return v == nil })
	return Compact(p.t, encode(p.t, header), payload, b.Signing)
}

// LogoutToken returns a logout token (OpenID Connect Back-Channel Logout 1.0
// §2.4) for a subject and a session of the provider's. The change, which may
// be nil, sees header and claims before they are signed.
func (p *Provider) LogoutToken(subject, session string, change func(header, claims Object)) string {
	p.t.Helper()
	p.mu.Lock()
	signing, client := p.Signing, p.ClientID
	p.mu.Unlock()
	now := p.now()
	header := Object{"typ": "logout+jwt", "alg": signing.Algorithm, "kid": signing.ID}
	claims := Object{
		"iss": p.Issuer, "aud": client, "sub": subject, "sid": session, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": Object{"http://schemas.openid.net/event/backchannel-logout": Object{}},
	}
	if change != nil {
		change(header, claims)
	}
	return Compact(p.t, encode(p.t, header), encode(p.t, claims), signing)
}

// Compact returns a token of exactly this header and payload (RFC 7515 §3.1).
// What the header says of the algorithm need not be how it is signed.
func Compact(t testing.TB, header, payload []byte, signing Signing) string {
	t.Helper()
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := signing.sign([]byte(input))
	if err != nil {
		t.Error(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

var errKey = errors.New("hostile: algorithm and key do not go together")

// sign signs as RFC 7518 §3 and RFC 8037 §3.1 say.
func (s Signing) sign(input []byte) ([]byte, error) {
	if s.Algorithm == "EdDSA" {
		key, ok := s.Key.(ed25519.PrivateKey)
		if !ok {
			return nil, errKey
		}
		return ed25519.Sign(key, input), nil
	}
	if len(s.Algorithm) != len("RS256") {
		return nil, fmt.Errorf("hostile: no algorithm %q", s.Algorithm)
	}
	hash, ok := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[s.Algorithm[2:]]
	if !ok {
		return nil, fmt.Errorf("hostile: no algorithm %q", s.Algorithm)
	}
	if secret, ok := s.Key.([]byte); ok && s.Algorithm[:2] == "HS" {
		mac := hmac.New(hash.New, secret)
		_, _ = mac.Write(input)
		return mac.Sum(nil), nil
	}
	hasher := hash.New()
	_, _ = hasher.Write(input)
	digest := hasher.Sum(nil)
	switch key := s.Key.(type) {
	case *rsa.PrivateKey:
		if s.Algorithm[:2] == "PS" {
			return rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, key, hash, digest)
	case *ecdsa.PrivateKey:
		r, t, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), t.FillBytes(make([]byte, size))...), nil
	default:
		return nil, errKey
	}
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Error(err)
	}
	return raw
}
