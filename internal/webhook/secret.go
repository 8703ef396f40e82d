package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Kind is how an endpoint's events are signed, by the signature's identifier.
type Kind string

// The kinds.
const (
	Symmetric  Kind = "v1"  // HMAC-SHA256: both sides have the secret
	Asymmetric Kind = "v1a" // Ed25519: the receiver has the public key only
)

// The prefixes of keys as texts.
const (
	symmetricPrefix = "whsec_"
	privatePrefix   = "whsk_"
	publicPrefix    = "whpk_"
)

// The bounds of a symmetric secret, in bytes, and the size of one that is made
// here.
const (
	minSecret  = 24
	maxSecret  = 64
	madeSecret = 32
)

// ErrSecret says that a text is no secret of its kind. It never repeats it.
var ErrSecret = errors.New("not a secret of this kind: whsec_ and base64 of 24 to 64 bytes, or whsk_ and base64 of an Ed25519 key")

// Secret is what an endpoint's events are signed with. It is shown by Reveal
// and by nothing else.
type Secret struct {
	kind Kind
	key  []byte // the shared secret, or an Ed25519 seed
}

// NewSecret returns a fresh secret.
func NewSecret(kind Kind) Secret {
	key := make([]byte, madeSecret) // which is a seed's size too
	_, _ = rand.Read(key)           // never fails: it crashes the program instead
	return Secret{kind: kind, key: key}
}

// ParseSecret reads a secret that somebody brings along. A private key may
// have its public half behind it, as libraries like to write it. It returns
// ErrSecret.
func ParseSecret(kind Kind, text string) (Secret, error) {
	prefix := symmetricPrefix
	if kind == Asymmetric {
		prefix = privatePrefix
	}
	encoded, ok := strings.CutPrefix(text, prefix)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || strings.ContainsAny(encoded, "\r\n") {
		return Secret{}, ErrSecret
	}
	if kind == Symmetric && len(key) >= minSecret && len(key) <= maxSecret {
		return Secret{kind: kind, key: key}, nil
	}
	if kind == Asymmetric && len(key) == ed25519.SeedSize {
		return Secret{kind: kind, key: key}, nil
	}
	if kind == Asymmetric && len(key) == ed25519.PrivateKeySize {
		whole := ed25519.NewKeyFromSeed(key[:ed25519.SeedSize])
		if whole.Equal(ed25519.PrivateKey(key)) {
			return Secret{kind: kind, key: key[:ed25519.SeedSize]}, nil
		}
	}
	return Secret{}, ErrSecret
}

// Reveal returns the secret as the text that ParseSecret takes.
func (s Secret) Reveal() string {
	prefix := symmetricPrefix
	if s.kind == Asymmetric {
		prefix = privatePrefix
	}
	return prefix + base64.StdEncoding.EncodeToString(s.key)
}

// PublicKey returns what a receiver verifies with, or "" where that is the
// secret itself.
func (s Secret) PublicKey() string {
	if s.kind != Asymmetric {
		return ""
	}
	public, ok := ed25519.NewKeyFromSeed(s.key).Public().(ed25519.PublicKey)
	if !ok {
		return "" // which the type does not know to be impossible
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(public)
}

// Sign returns the signature of a message that is sent at a time, with its
// identifier, as it stands in the header webhook-signature.
func (s Secret) Sign(message string, at time.Time, body []byte) string {
	signed := make([]byte, 0, len(message)+len(body)+16)
	signed = append(signed, message...)
	signed = append(signed, '.')
	signed = strconv.AppendInt(signed, at.Unix(), 10)
	signed = append(signed, '.')
	signed = append(signed, body...)
	var signature []byte
	if s.kind == Asymmetric {
		signature = ed25519.Sign(ed25519.NewKeyFromSeed(s.key), signed)
	} else {
		mac := hmac.New(sha256.New, s.key)
		mac.Write(signed)
		signature = mac.Sum(nil)
	}
	return string(s.kind) + "," + base64.StdEncoding.EncodeToString(signature)
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes "[redacted]" for every verb: %x would otherwise show the key.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }
