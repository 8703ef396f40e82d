package beyondidentity

import (
	"errors"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// errToken is returned for a token that cannot stand in a header. It does not
// repeat it.
var errToken = errors.New("the API token is empty or holds characters that a header cannot carry")

// Token is the bearer token of the management API. However it is printed,
// logged or encoded, it says "[redacted]".
//
// The value sits behind a pointer because fmt does not call the methods of an
// unexported field's type: inside another struct, a plain string would be
// printed.
type Token struct{ value *string }

// NewToken wraps a token.
func NewToken(value string) Token { return Token{value: &value} }

// String returns "[redacted]".
func (Token) String() string { return redacted }

// GoString returns "[redacted]".
func (Token) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", which is also what JSON shows.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format writes "[redacted]" for every verb: for one that a type does not
// support, such as %d, fmt would ignore String and print what is inside.
func (Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// header returns the token as it is sent. It returns errToken for one that
// could end the header field or start another (RFC 9110 §5.5).
func (t Token) header() (string, error) {
	if t.value == nil || *t.value == "" {
		return "", errToken
	}
	for _, b := range []byte(*t.value) {
		if b <= ' ' || b > '~' || b == '"' || b == '\\' {
			return "", errToken
		}
	}
	return *t.value, nil
}

// TokenSource returns the token for the next call. It is asked for each call,
// so that a token can be replaced while the program runs, and from many
// goroutines at once. Its error may be logged, so it must not hold the token.
type TokenSource func() (Token, error)

// StaticToken returns a source that always returns t.
func StaticToken(t Token) TokenSource { return func() (Token, error) { return t, nil } }
