package account

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/portico-id/portico/internal/directory"
)

const (
	// codeChars is 50 bits. With five tries at a code and five codes an hour,
	// which is the most by default, a guess takes billions of years; and whoever
	// reads its hash in the database, and has the user's session too, has
	// fifteen minutes for 2^50 of them (ASVS 6.5.4, 6.6.3).
	codeChars  = 10
	groupChars = 5
	// maxCodeText bounds what is read as a code, in bytes.
	maxCodeText = 64
	// codeAlphabet is Crockford's base32: without those that are read for one
	// another.
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// ErrEmailCode says that a code proves nothing: it was never given out, or not
// for this, has been used or tried too often, or is too old.
var ErrEmailCode = errors.New("the code proves nothing")

// EmailCode proves that whoever has it reads the mail of an address. It is a
// secret: it prints as [redacted], and only Reveal gives it away.
type EmailCode struct {
	text [codeChars]byte
}

func newEmailCode() EmailCode {
	var c EmailCode
	_, _ = rand.Read(c.text[:]) // never fails: crypto/rand ends the program instead
	for i, b := range c.text {
		c.text[i] = codeAlphabet[int(b)%len(codeAlphabet)] // of 256, each as often
	}
	return c
}

// ParseEmailCode reads a code as a person types or pastes it. It returns
// ErrEmailCode for anything that was never one.
func ParseEmailCode(text string) (EmailCode, error) {
	if len(text) > maxCodeText {
		return EmailCode{}, ErrEmailCode
	}
	plain := strings.Map(asMeant, text)
	if len(plain) != codeChars || strings.Trim(plain, codeAlphabet) != "" {
		return EmailCode{}, ErrEmailCode
	}
	return EmailCode{text: [codeChars]byte([]byte(plain))}, nil
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

// Reveal returns the code as it is mailed.
func (c EmailCode) Reveal() string {
	return string(c.text[:groupChars]) + "-" + string(c.text[groupChars:])
}

// CodeHash is what is stored of a code.
type CodeHash [sha256.Size]byte

// Hash returns what is stored of the code for this user and this address. It
// says nothing of another's.
func (c EmailCode) Hash(user directory.UserID, email directory.Email) CodeHash {
	return sha256.Sum256([]byte("portico e-mail code\x00" + string(user) + "\x00" + email.Canonical() + "\x00" + string(c.text[:])))
}

// String hides the code.
func (EmailCode) String() string { return "[redacted]" }

// Format hides the code from every verb, those for numbers included, which
// would not ask String.
func (c EmailCode) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue hides the code from slog.
func (EmailCode) LogValue() slog.Value { return slog.StringValue("[redacted]") }
