package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Client is how a session is carried. The words are the contract's.
type Client string

// The two kinds of client.
const (
	Browser Client = "browser" // by cookie
	Native  Client = "native"  // as a bearer token
)

const (
	tokenBytes   = 32
	nativePrefix = "pts_"
)

// ErrToken is returned for text that cannot be a token of the kind asked for.
var ErrToken = errors.New("not a session token")

// tokenText is base64url without padding, and strict: one token has one
// spelling, so that a re-encoded one is refused before it is looked up.
var tokenText = base64.RawURLEncoding.Strict()

// Hash is what is stored of a token: the SHA-256 of its bytes. A fast hash is
// enough, since 256 random bits cannot be guessed (ASVS 11.4, 7.2.3).
type Hash [sha256.Size]byte

// Token opens a session. It is a secret: it prints as [redacted], and only
// Reveal gives it away.
type Token struct {
	client Client
	bytes  [tokenBytes]byte
}

// NewToken returns a fresh token for the kind of client.
func NewToken(client Client) Token {
	t := Token{client: client}
	_, _ = rand.Read(t.bytes[:]) // never fails: crypto/rand ends the program instead
	return t
}

// ParseToken reads a token as the kind of client carries it. It returns
// ErrToken for anything that NewToken cannot have made.
func ParseToken(client Client, text string) (Token, error) {
	if client == Native {
		rest, ok := strings.CutPrefix(text, nativePrefix)
		if !ok {
			return Token{}, ErrToken
		}
		text = rest
	}
	if len(text) != tokenText.EncodedLen(tokenBytes) {
		return Token{}, ErrToken
	}
	raw, err := tokenText.DecodeString(text)
	if err != nil || len(raw) != tokenBytes {
		return Token{}, ErrToken
	}
	return Token{client: client, bytes: [tokenBytes]byte(raw)}, nil
}

// Reveal returns the token as its client carries it.
func (t Token) Reveal() string {
	text := tokenText.EncodeToString(t.bytes[:])
	if t.client == Native {
		return nativePrefix + text
	}
	return text
}

// Client says which kind of client carries the token.
func (t Token) Client() Client { return t.client }

// Hash returns what is stored of the token.
func (t Token) Hash() Hash { return sha256.Sum256(t.bytes[:]) }

// String hides the token.
func (Token) String() string { return "[redacted]" }

// Format hides the token from every verb, those for numbers included, which
// would not ask String.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue hides the token from slog.
func (Token) LogValue() slog.Value { return slog.StringValue("[redacted]") }
