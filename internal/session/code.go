package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

// CodeTTL is how long a native app may take to trade its code: the way from the
// system's browser to the app and one request.
const CodeTTL = time.Minute

const (
	codeBytes  = 32
	codePrefix = "ptc_"
)

// The bounds of a code verifier, in characters (RFC 7636 §4.1).
const (
	minVerifier = 43
	maxVerifier = 128
)

var (
	// ErrCode says that a code, or what was shown with it, opens nothing. Why,
	// whoever tries codes must not learn.
	ErrCode = errors.New("login code is not valid")
	// ErrChallenge is returned for text that cannot be a code challenge.
	ErrChallenge = errors.New("not a code challenge by S256")
)

// CodeHash is what is stored of a code: the SHA-256 of its bytes.
type CodeHash [sha256.Size]byte

// Code is what a native app trades for a session, together with the verifier
// that only the app knows. It is a secret: it prints as [redacted], and only
// Reveal gives it away.
type Code struct {
	bytes [codeBytes]byte
}

func newCode() Code {
	var c Code
	_, _ = rand.Read(c.bytes[:]) // never fails: crypto/rand ends the program instead
	return c
}

// ParseCode reads a code as Reveal spells it. It returns ErrCode for anything
// that was never a code.
func ParseCode(text string) (Code, error) {
	rest, ok := strings.CutPrefix(text, codePrefix)
	raw, isRaw := parse32(rest)
	if !ok || !isRaw {
		return Code{}, ErrCode
	}
	return Code{bytes: raw}, nil
}

// Reveal returns the code as its app carries it.
func (c Code) Reveal() string { return codePrefix + tokenText.EncodeToString(c.bytes[:]) }

// Hash returns what is stored of the code.
func (c Code) Hash() CodeHash { return sha256.Sum256(c.bytes[:]) }

// String hides the code.
func (Code) String() string { return "[redacted]" }

// Format hides the code from every verb, those for numbers included, which
// would not ask String.
func (c Code) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue hides the code from slog.
func (Code) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Challenge is a code challenge by S256: the SHA-256 of the verifier
// (RFC 7636 §4.2).
type Challenge [sha256.Size]byte

// ParseChallenge reads a challenge: 43 characters of base64url. It returns
// ErrChallenge for anything else, of which `plain` challenges are most: they
// would show the verifier to whoever sees the request.
func ParseChallenge(text string) (Challenge, error) {
	raw, ok := parse32(text)
	if !ok {
		return Challenge{}, ErrChallenge
	}
	return raw, nil
}

// challengeOf returns the challenge that the verifier answers, or nil when it
// is none by its syntax: 43 to 128 unreserved characters (RFC 7636 §4.1).
func challengeOf(verifier string) *Challenge {
	if len(verifier) < minVerifier || len(verifier) > maxVerifier || strings.ContainsFunc(verifier, reserved) {
		return nil
	}
	challenge := Challenge(sha256.Sum256([]byte(verifier)))
	return &challenge
}

// reserved reports whether r is not an unreserved character of RFC 3986 §2.3.
func reserved(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("-._~", r)
}

// parse32 reads 32 bytes in base64url without padding, strictly: they have one
// spelling.
func parse32(text string) ([sha256.Size]byte, bool) {
	if len(text) != tokenText.EncodedLen(sha256.Size) {
		return [sha256.Size]byte{}, false
	}
	raw, err := tokenText.DecodeString(text)
	if err != nil || len(raw) != sha256.Size {
		return [sha256.Size]byte{}, false
	}
	return [sha256.Size]byte(raw), true
}

// Granted is a code that was given out, and the login that it stands for.
type Granted struct {
	Hash      CodeHash
	Challenge Challenge
	Login     Login
	EndsBy    time.Time // of the session, or zero
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Redemption is an attempt to trade a code for a session.
type Redemption struct {
	Hash    CodeHash
	Shown   *Challenge // of the verifier; nil if that is none by its syntax
	At      time.Time
	Opening Opening // all that the login does not tell
}

// Settle returns the session that was granted. It returns ErrCode when nothing
// is to be opened; the code is spent nevertheless.
func (r Redemption) Settle(granted Granted) (Opening, error) {
	switch {
	case r.Shown == nil,
		// In a time that does not tell how much of it was right (CWE-208).
		subtle.ConstantTimeCompare(r.Shown[:], granted.Challenge[:]) != 1,
		!r.At.Before(granted.ExpiresAt),
		!granted.EndsBy.IsZero() && !r.At.Before(granted.EndsBy):
		return Opening{}, ErrCode
	}
	return r.Opening.of(granted.Login, granted.EndsBy), nil
}

// CodeStore keeps codes. Every method may return directory.ErrUnavailable.
type CodeStore interface {
	// GrantCode recognises the user by external_id, applies User.SignIn,
	// stores the code and ends the sessions that it replaces, all or nothing.
	// It returns the errors of OpenSession.
	GrantCode(ctx context.Context, granted Granted, replaces []Hash) error
	// RedeemCode removes the code, whatever Redemption.Settle says of it, and
	// stores the session that it opens, if the user may still sign in. It
	// returns ErrCode, after which the code is no more.
	RedeemCode(ctx context.Context, redemption Redemption) (directory.User, Session, error)
}

// Grant gives a native app whose login ended in the system's browser a code to
// trade for its session. An app that took the redirect in its place cannot: it
// does not know what the challenge was made of (RFC 7636 §1, RFC 8252 §8.1).
// The sessions that replaces names end. It returns ErrLoginTooOld or an error of
// Store.GrantCode.
func (s *Service) Grant(ctx context.Context, login Login, challenge Challenge, replaces ...Hash) (Code, error) {
	now := s.now()
	login, endsBy, err := s.proved(login, now)
	if err != nil {
		return Code{}, err
	}
	code := newCode()
	granted := Granted{
		Hash: code.Hash(), Challenge: challenge, Login: login, EndsBy: endsBy, CreatedAt: now, ExpiresAt: now.Add(CodeTTL),
	}
	if err := s.Store.GrantCode(ctx, granted, replaces); err != nil {
		return Code{}, err
	}
	return code, nil
}

// Redeem trades the code for a session of a native app. The code is spent by
// the first attempt, right or wrong: whoever has stolen it has one guess at the
// verifier, and the app notices. It returns ErrCode for every refusal alike, or
// directory.ErrUnavailable, after which the code may be spent or not.
//
// The sessions that replaces names end with it.
func (s *Service) Redeem(
	ctx context.Context, code Code, verifier, userAgent, address string, replaces ...Hash,
) (Opened, error) {
	now := s.now()
	token := NewToken(Native)
	opening := s.opening(token, now, userAgent, address)
	opening.Replaces = replaces
	user, session, err := s.Store.RedeemCode(ctx, Redemption{
		Hash: code.Hash(), Shown: challengeOf(verifier), At: now, Opening: opening,
	})
	if err != nil {
		return Opened{}, err
	}
	return s.opened(token, session, user), nil
}
