package admintoken

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// prefix makes a leaked token easy to find, and to tell from a session's.
const prefix = "pta_"

const tokenSize = 32 // bytes

// hash is what is kept of a token: the SHA-256 of its bytes. They are random,
// so that nothing slower would make them harder to find.
type hash [sha256.Size]byte

// Token is a new token. It is hidden wherever it is printed.
type Token struct{ text string }

// Reveal returns the token as its holder sends it.
func (t Token) Reveal() string { return t.text }

const redacted = "[redacted]"

// String hides the token.
func (Token) String() string { return redacted }

// Format hides the token from every verb.
func (Token) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue hides the token.
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// New makes a token and the entry that lets its holder in. It returns
// ErrEntries, wrapped with the reason, for a name or scopes that no entry can
// have.
func New(name string, scopes []Scope) (Token, string, error) {
	var raw [tokenSize]byte
	_, _ = rand.Read(raw[:]) // never fails: it crashes the program instead
	sum := sha256.Sum256(raw[:])
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = string(s)
	}
	entry := name + " " + strings.Join(texts, ",") + " " + hashPrefix + hex.EncodeToString(sum[:])
	if _, err := Parse(entry); err != nil {
		return Token{}, "", err
	}
	return Token{prefix + base64.RawURLEncoding.EncodeToString(raw[:])}, entry, nil
}

// hashOf returns what would be kept of the token.
func hashOf(token string) (hash, bool) {
	text, ok := strings.CutPrefix(token, prefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(tokenSize) || strings.ContainsAny(text, "\r\n") {
		return hash{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return hash{}, false
	}
	return sha256.Sum256(raw), true
}
