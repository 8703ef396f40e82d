package invitation

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const (
	// codeBytes is 128 bits: enough that codes cannot be guessed (ASVS 11.5.1).
	codeBytes = 16
	// codeChars is how many characters 128 bits take, five bits each.
	codeChars = 26
	// groupChars is how many characters stand between two dashes.
	groupChars = 5
	// maxCodeText bounds what is read as a code, in bytes: every character
	// may have a dash or a space beside it.
	maxCodeText = 64
)

// ErrCode is returned for text that cannot be a code.
var ErrCode = errors.New("not an invitation code")

// codeText is Crockford's base32 (https://www.crockford.com/base32.html):
// letters and digits, without those that are read for one another.
//
//nolint:gochecknoglobals // safe for concurrent use, never changed
var codeText = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// Hash is what is stored of a code: the SHA-256 of its bytes. A fast hash is
// enough, since 128 random bits cannot be guessed (ASVS 11.4).
type Hash [sha256.Size]byte

// Code lets its holder sign up. It is a secret: it prints as [redacted], and
// only Reveal gives it away.
type Code struct {
	bytes [codeBytes]byte
}

func newCode() Code {
	var c Code
	_, _ = rand.Read(c.bytes[:]) // never fails: crypto/rand ends the program instead
	return c
}

// ParseCode reads a code as a person types or pastes it. It returns ErrCode
// for anything that was never a code.
func ParseCode(text string) (Code, error) {
	if len(text) > maxCodeText {
		return Code{}, ErrCode
	}
	plain := strings.Map(asMeant, text)
	if len(plain) != codeChars {
		return Code{}, ErrCode
	}
	raw, err := codeText.DecodeString(plain)
	// The last character carries two bits that decode to nothing: a code that
	// has them set is not one that was given out.
	if err != nil || len(raw) != codeBytes || codeText.EncodeToString(raw) != plain {
		return Code{}, ErrCode
	}
	return Code{bytes: [codeBytes]byte(raw)}, nil
}

// asMeant is the character of the alphabet that whoever typed r meant, -1 for
// what only separates, and r for anything else.
func asMeant(r rune) rune {
	if r >= 'a' && r <= 'z' {
		r -= 'a' - 'A'
	}
	switch r {
	case '-', ' ', '\t', '\r', '\n':
		return -1
	case 'O':
		return '0'
	case 'I', 'L':
		return '1'
	default:
		return r
	}
}

// Reveal returns the code as it is given out: in capitals, with dashes.
func (c Code) Reveal() string {
	plain := codeText.EncodeToString(c.bytes[:])
	var text strings.Builder
	for len(plain) >= 2*groupChars { // the last group takes what is left over
		text.WriteString(plain[:groupChars] + "-")
		plain = plain[groupChars:]
	}
	return text.String() + plain
}

// Hash returns what is stored of the code.
func (c Code) Hash() Hash { return sha256.Sum256(c.bytes[:]) }

// String hides the code.
func (Code) String() string { return "[redacted]" }

// Format hides the code from every verb, those for numbers included, which
// would not ask String.
func (c Code) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue hides the code from slog.
func (Code) LogValue() slog.Value { return slog.StringValue("[redacted]") }
