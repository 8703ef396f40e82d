package challenge

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"unicode"
)

var (
	// ErrRefused says that the token proves nothing: it is missing, wrong,
	// expired or used, or its challenge was passed on somebody else's page.
	ErrRefused = errors.New("challenge not passed")
	// ErrUnavailable says that the service gave no answer, or none that makes
	// sense: nobody knows whether the challenge was passed, so nobody is let
	// in.
	ErrUnavailable = errors.New("challenge service is not available")
	// ErrMisconfigured says that the service, or what we know of it, does not
	// accept our secret. Nobody can pass before an operator has mended that.
	ErrMisconfigured = errors.New("challenge is misconfigured")
)

// maxReason bounds what is told of a failure, in bytes.
const maxReason = 300

const redacted = "[redacted]"

// failure is one of the errors above with its reason, fit for a log.
type failure struct {
	kind   error // ErrRefused, ErrUnavailable or ErrMisconfigured
	reason string
	ended  error // context.DeadlineExceeded or context.Canceled, if that was it
}

// Error returns what failed, and why.
func (f *failure) Error() string { return f.kind.Error() + ": " + f.reason }

// Unwrap returns the kind, and how the context ended. The original cause is
// not among them: net/http quotes header lines that it cannot parse, and the
// other side may have put our secret into one.
func (f *failure) Unwrap() []error {
	if f.ended == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.ended}
}

// fail returns a failure for a reason of our own words.
func fail(kind error, reason string) error { return &failure{kind: kind, reason: reason} }

// unanswered returns the failure of a call that err ended, without what the
// call held.
func unanswered(err error, secrets ...string) error {
	f := &failure{kind: ErrUnavailable}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	for _, ended := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, ended) {
			f.ended = ended
		}
	}
	f.reason = safe(err.Error(), secrets...)
	return f
}

// safe returns text as it may be logged: no control or invisible characters,
// which forge log lines (CWE-117), none of the secrets, and not more than
// maxReason bytes. What is hidden goes before the cut, which could otherwise
// leave half of it.
func safe(text string, secrets ...string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, text)
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue // a client's token of one letter must not blot out every such letter
		}
		text = strings.NewReplacer(secret, redacted, url.QueryEscape(secret), redacted).Replace(text)
	}
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return strings.ToValidUTF8(text, "")
}
