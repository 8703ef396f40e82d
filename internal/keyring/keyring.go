package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
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

// maxSeals is how many texts one process may seal under one key before the
// ring calls it worn. Nonces are random, so that 2³² texts are the bound of a
// key (NIST SP 800-38D §8.3), and there may be sixteen replicas that count
// each for itself.
const maxSeals = 1 << 28

// Ring is a ring of keys. It is safe for concurrent use, Replace included.
type Ring struct {
	keys atomic.Pointer[[]key] // newest first, at least one; never changed in place
}

type key struct {
	id    [idSize]byte
	aead  cipher.AEAD
	seals *atomic.Uint64 // how many texts this process has sealed under it
}

// newRing returns a ring of its own over keys.
func newRing(keys []key) *Ring {
	r := new(Ring)
	r.keys.Store(&keys)
	return r
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
	return key{id: [idSize]byte(digest[:idSize]), aead: aead, seals: new(atomic.Uint64)}, nil
}

// Replace puts the keys of another ring in place of this one's, for whoever
// holds this ring. A text that is being sealed or opened meanwhile is so under
// the keys of before or of after. The other ring stays as it is.
//
// What was sealed under a key that is no longer there opens no more: that is
// how a stolen key is made useless at once.
func (r *Ring) Replace(from *Ring) {
	keys := slices.Clone(*from.keys.Load())
	for i := range keys {
		for _, old := range *r.keys.Load() {
			if keys[i].id == old.id {
				keys[i].seals = old.seals // a key does not get younger
			}
		}
	}
	r.keys.Store(&keys)
}

// IDs names the keys, newest first, in eight hexadecimal digits each. An id
// may be shown: it tells nothing about its key.
func (r *Ring) IDs() []string {
	keys := *r.keys.Load()
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = hex.EncodeToString(k.id[:])
	}
	return ids
}

// Worn reports whether the newest key has sealed so many texts that it is time
// for another one in front of it.
func (r *Ring) Worn() bool { return (*r.keys.Load())[0].seals.Load() >= maxSeals }

// Seal returns plaintext encrypted and authenticated under the newest key, as
// base64url text. Only Open with the same purpose returns it. Equal texts seal
// differently each time. Seal panics when plaintext is longer than
// MaxPlaintext, because nobody could open the result.
func (r *Ring) Seal(purpose string, plaintext []byte) string {
	if len(plaintext) > MaxPlaintext {
		panic("keyring: plaintext longer than MaxPlaintext")
	}
	newest := (*r.keys.Load())[0]
	newest.seals.Add(1)
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
	for _, k := range *r.keys.Load() {
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
