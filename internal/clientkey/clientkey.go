package clientkey

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The algorithms that a key may sign with.
const (
	ES256 = string(jose.ES256)
	RS256 = string(jose.RS256)
)

const (
	// assertionLife is how long an assertion is good for: a request's way to the
	// provider, and what its clock may be off.
	assertionLife = time.Minute
	// idSize is the number of random bytes in an assertion's id.
	idSize = 24
)

// Key is a private key and the name that the provider knows its public half
// by. It is immutable and safe for concurrent use.
type Key struct {
	id        string
	algorithm jose.SignatureAlgorithm
	signer    jose.Signer
	public    []byte
	strength  int
}

// newKey returns the key over a private key that is good enough. A name that
// is not given is the key's thumbprint.
func newKey(private crypto.Signer, algorithm jose.SignatureAlgorithm, id string, strength int) (*Key, error) {
	public := jose.JSONWebKey{Key: private.Public(), KeyID: id, Algorithm: string(algorithm), Use: "sig"}
	digest, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, errors.New("clientkey: thumbprint cannot be made")
	}
	thumbprint := base64.RawURLEncoding.EncodeToString(digest)
	if published[thumbprint] {
		return nil, bad("is an example that was published with its private half: anyone has it")
	}
	if id == "" {
		public.KeyID = thumbprint
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		return nil, errors.New("clientkey: public key cannot be written")
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}},
		new(jose.SignerOptions).WithType("JWT"),
	)
	if err != nil {
		return nil, bad("cannot sign")
	}
	k := &Key{id: public.KeyID, algorithm: algorithm, signer: signer, public: set, strength: strength}
	if !k.signsFor(public) {
		return nil, bad("has a public half that is not its own")
	}
	return k, nil
}

// signsFor reports whether what the key signs verifies under public. A JWK
// names both halves and may lie; better said at the start than by a provider
// that refuses every login.
func (k *Key) signsFor(public jose.JSONWebKey) bool {
	probe, err := k.signer.Sign([]byte("portico client key probe"))
	if err != nil {
		return false
	}
	_, err = probe.Verify(public)
	return err == nil
}

// claims are those that OpenID Connect Core §9 asks for, and the time.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"` // one string: an assertion for several receivers can be passed on by one to another
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// Assertion returns a signed JWT that says, for a minute from now and to
// audience only, that whoever sends it is the client. Each has an id of its
// own, so that the provider can refuse a second use. It fails for a missing
// name.
func (k *Key) Assertion(clientID, audience string, now time.Time) (string, error) {
	if clientID == "" || audience == "" {
		return "", errors.New("clientkey: an assertion needs a client and an audience")
	}
	var id [idSize]byte
	_, _ = rand.Read(id[:]) // never fails: it crashes the program instead
	payload, err := json.Marshal(claims{
		Issuer: clientID, Subject: clientID, Audience: audience,
		ID:       base64.RawURLEncoding.EncodeToString(id[:]),
		IssuedAt: now.Unix(), Expires: now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("clientkey: assertion: %w", err)
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("clientkey: assertion: %w", err)
	}
	return signed.CompactSerialize()
}

// ID is the key's name: its own, or its SHA-256 thumbprint (RFC 7638).
func (k *Key) ID() string { return k.id }

// Algorithm is ES256 or RS256.
func (k *Key) Algorithm() string { return string(k.algorithm) }

// Strength is how many bits of security the key has (NIST SP 800-57 part 1,
// table 2): 112 or 128.
func (k *Key) Strength() int { return k.strength }

// Public returns the public key as a JWK set (RFC 7517 §5), which is what a
// provider is given.
func (k *Key) Public() []byte { return append([]byte(nil), k.public...) }

const redacted = "[redacted]"

// String returns "[redacted]".
func (*Key) String() string { return redacted }

// Format writes "[redacted]" for every verb.
func (*Key) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue returns "[redacted]".
func (*Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (*Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
