package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// The sealed format. The version is authenticated, so that a later format
// cannot be passed off as this one.
const (
	version   = 1
	idSize    = 4
	nonceSize = 12
	tagSize   = 16
	header    = 1 + idSize + nonceSize
)

// MaxPlaintext is the longest text that Seal takes, in bytes. What is sealed
// here travels in a cookie or a form field.
const MaxPlaintext = 8 << 10

// maxSealed is the longest sealed text, in characters of six bits. Open looks
// at nothing longer.
const maxSealed = ((header+MaxPlaintext+tagSize)*8 + 5) / 6

// ErrSealed is returned by Open for everything that does not open: a foreign
// or retired key, another purpose, a changed byte, a malformed text. It is one
// error on purpose: telling these apart helps only whoever forges.
var ErrSealed = errors.New("keyring: text does not open")

// Ring is a ring of keys. It is immutable and safe for concurrent use.
//
// Nonces are random, so one key may seal 2³² texts (NIST SP 800-38D §8.3);
// rotate well before.
type Ring struct {
	keys []key // newest first, at least one
}

type key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// newKey returns the key made of the given 32 bytes. The id is a hash with a
// domain of its own: it names the key and tells nothing about it.
func newKey(raw []byte) (key, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, fmt.Errorf("keyring: cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return key{}, fmt.Errorf("keyring: mode: %w", err)
	}
	digest := sha256.Sum256(append([]byte("portico keyring key id\x00"), raw...))
	return key{id: [idSize]byte(digest[:idSize]), aead: aead}, nil
}

// Seal returns plaintext encrypted and authenticated under the newest key, as
// base64url text. Only Open with the same purpose returns it. Equal texts seal
// differently each time. Seal panics when plaintext is longer than
// MaxPlaintext, because nobody could open the result.
func (r *Ring) Seal(purpose string, plaintext []byte) string {
	if len(plaintext) > MaxPlaintext {
		panic("keyring: plaintext longer than MaxPlaintext")
	}
	newest := r.keys[0]
	sealed := make([]byte, header, header+len(plaintext)+tagSize)
	sealed[0] = version
	copy(sealed[1:], newest.id[:])
	_, _ = rand.Read(sealed[1+idSize:]) // never fails: it crashes the program instead
	sealed = newest.aead.Seal(sealed, sealed[1+idSize:header], plaintext, bound(purpose, sealed[:header]))
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// Open returns the text that Seal was given for the same purpose under any key
// of the ring. It returns ErrSealed for everything else, including a second
// spelling of a text that would open: one sealed text has exactly one form, so
// that it can be compared and marked as used.
func (r *Ring) Open(purpose, sealed string) ([]byte, error) {
	if len(sealed) > maxSealed {
		return nil, ErrSealed
	}
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) < header+tagSize || raw[0] != version {
		return nil, ErrSealed
	}
	// The decoder skips line breaks and ignores spare bits.
	if base64.RawURLEncoding.EncodeToString(raw) != sealed {
		return nil, ErrSealed
	}
	id := [idSize]byte(raw[1:])
	for _, k := range r.keys {
		if k.id != id {
			continue
		}
		plaintext, err := k.aead.Open(nil, raw[1+idSize:header], raw[header:], bound(purpose, raw[:header]))
		if err == nil {
			return plaintext, nil
		}
	}
	return nil, ErrSealed
}

// bound is the additional data of a sealed text: its purpose and its header.
// The purpose's length goes first, so that no two pairs read the same.
func bound(purpose string, head []byte) []byte {
	data := make([]byte, 0, 8+len(purpose)+len(head))
	data = binary.BigEndian.AppendUint64(data, uint64(len(purpose)))
	data = append(data, purpose...)
	return append(data, head...)
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (*Ring) String() string { return redacted }

// LogValue returns "[redacted]".
func (*Ring) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes "[redacted]" for every verb: %#v and %x would otherwise walk
// into the expanded keys.
func (*Ring) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }
