package login

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// What Begin, Finish and VerifyLogoutToken return, for the caller to branch on. Messages are for
// the log: they hold no secret, no token and no personal data, and they are
// not for the user agent.
var (
	// ErrBeginInvalid: the request to begin a flow is out of bounds.
	ErrBeginInvalid = errors.New("login: flow cannot begin")

	// ErrFlowMissing: an answer came without a flow.
	ErrFlowMissing = errors.New("login: no flow")
	// ErrFlowInvalid: the flow was not sealed by us for this kind of client.
	ErrFlowInvalid = errors.New("login: flow does not open")
	// ErrFlowExpired: the user took longer than the flow lives.
	ErrFlowExpired = errors.New("login: flow expired")
	// ErrFlowUsed: the flow has been redeemed, or an attempt at it was made.
	ErrFlowUsed = errors.New("login: flow already used")
	// ErrStateMismatch: the answer belongs to another flow (RFC 6749 §10.12).
	ErrStateMismatch = errors.New("login: state is not the flow's")
	// ErrIssuerMismatch: the answer, or the flow, is another provider's (RFC 9207 §2.4).
	ErrIssuerMismatch = errors.New("login: issuer is not the flow's")
	// ErrAnswerInvalid: the answer is not one that RFC 6749 §4.1.2 knows.
	ErrAnswerInvalid = errors.New("login: malformed answer")

	// ErrCodeRefused: the provider does not take the code (invalid_grant).
	ErrCodeRefused = errors.New("login: provider refused the code")
	// ErrClientRefused: the provider does not take us, or our request. An
	// operator has to change the configuration here or there.
	ErrClientRefused = errors.New("login: provider refused this client")
	// ErrIdentityRejected: the ID token or UserInfo does not hold. The wrapped
	// reason says which check failed.
	ErrIdentityRejected = errors.New("login: identity rejected")
	// ErrAuthTooOld: the ID token holds, and the user's login at the provider is
	// not as recent as the flow asked for, or the provider does not say.
	ErrAuthTooOld = errors.New("login: authentication is too old")
	// ErrLogoutToken: a logout token does not hold. The wrapped reason says
	// which check failed.
	ErrLogoutToken = errors.New("login: logout token refused")
	// ErrProviderUnavailable: the provider cannot be reached, or answers with
	// nonsense. It comes as an [*UnavailableError].
	ErrProviderUnavailable = errors.New("login: provider unavailable")
)

// UnavailableError is ErrProviderUnavailable with what is known of it.
type UnavailableError struct {
	Doing      string        // what was attempted
	RetryAfter time.Duration // how long to wait before trying again; 0 when unknown
	Cause      error         // may be nil
}

// Error says what was attempted and why it failed.
func (e *UnavailableError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("%v: %s", ErrProviderUnavailable, e.Doing)
	}
	return fmt.Sprintf("%v: %s: %s", ErrProviderUnavailable, e.Doing, clean(e.Cause.Error()))
}

// Is reports whether target is ErrProviderUnavailable.
func (e *UnavailableError) Is(target error) bool { return target == ErrProviderUnavailable }

// Unwrap returns the cause, so that a cancelled context can be told apart.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// ProviderError is an answer that carries `error` instead of a code.
type ProviderError struct {
	// Class is one of the codes that RFC 6749 §4.1.2.1 and OpenID Connect Core
	// §3.1.2.6 define, or "other". Nothing else of the provider's text is kept:
	// anyone who knows a flow's state can write it.
	Class string
}

// Error names the class.
func (e *ProviderError) Error() string { return "login: provider answered " + e.Class }

// providerError returns the error for the value of an answer's `error`.
func providerError(code string) *ProviderError {
	switch code {
	case "access_denied", "invalid_request", "invalid_scope", "server_error",
		"temporarily_unavailable", "unauthorized_client", "unsupported_response_type",
		"account_selection_required", "consent_required", "interaction_required",
		"login_required", "invalid_request_object", "invalid_request_uri",
		"registration_not_supported", "request_not_supported", "request_uri_not_supported":
		return &ProviderError{Class: code}
	default:
		return &ProviderError{Class: "other"}
	}
}

// rejected returns ErrIdentityRejected for a reason. Callers pass the name of
// a claim, never its value.
func rejected(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrIdentityRejected, fmt.Sprintf(format, args...))
}

// maxReason bounds foreign text in our errors: libraries quote whole answers.
const maxReason = 200

// clean returns text that may come from outside in a form that is fit for one
// line of a log.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
