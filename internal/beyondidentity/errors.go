package beyondidentity

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Class says what a failed call proves. The package comment has the table.
type Class string

// The classes.
const (
	Unreachable   Class = "unreachable"   // nothing was sent
	Ambiguous     Class = "ambiguous"     // it may have happened, or may still happen
	Rejected      Class = "rejected"      // the data was refused; the same call fails again
	Unauthorized  Class = "unauthorized"  // the token is missing or was refused
	Misconfigured Class = "misconfigured" // the address is not the API's
	NotFound      Class = "not_found"     // no such user at this moment
	Conflict      Class = "conflict"      // another user is in the way
	Duplicate     Class = "duplicate"     // several users carry the external_id
	RateLimited   Class = "rate_limited"  // refused unread; RetryAfter says how long
)

// The calls, as Error.Op names them.
const (
	opCreate  = "create user"
	opRecover = "recover user"
	opFind    = "find user"
	opGet     = "get user"
	opList    = "list users"
	opUpdate  = "update user"
	opDelete  = "delete user"
	opToken   = "fetch token"
)

// Error is a failed call. Its text is fit for a log and for a job's record:
// it holds neither the token nor the user's data. What the vendor said is in
// Message and in LogValue only, with addresses and the user's name hidden.
type Error struct {
	Op         string        // "create user", "recover user", "find user", …
	Class      Class         // what the failure proves
	Status     int           // HTTP status; zero when there was no answer
	RequestID  string        // the vendor's, if it sent one
	RetryAfter time.Duration // how long the vendor asks to wait, within [0, 1h]; zero if it does not say
	Code       string        // the vendor's code, bounded; for the log only
	Message    string        // the vendor's message, bounded and without controls; for the log only
	Err        error         // what went wrong; matches context.DeadlineExceeded and the like
}

// Error returns the call, its class, the status and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "beyondidentity: %s: %s", e.Op, e.Class)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d", e.Status)
		if e.RequestID != "" {
			fmt.Fprintf(&b, ", request %s", e.RequestID)
		}
		b.WriteByte(')')
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// GoString returns the same text as Error.
func (e *Error) GoString() string { return e.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// LogValue returns everything that is known of the failure, the vendor's own
// words included.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("op", e.Op),
		slog.String("class", string(e.Class)),
	}
	if e.Status != 0 {
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	if e.RetryAfter != 0 {
		attrs = append(attrs, slog.Duration("retry_after", e.RetryAfter))
	}
	cause := ""
	if e.Err != nil {
		cause = e.Err.Error()
	}
	for _, a := range []slog.Attr{
		slog.String("request_id", e.RequestID),
		slog.String("code", e.Code),
		slog.String("message", e.Message),
		slog.String("cause", cause),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return slog.GroupValue(attrs...)
}

// ClassOf returns the class of the Error in err's chain, and "" for nil. An
// error of any other origin is Ambiguous: it proves nothing.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Ambiguous
}

// cause is an error of the transport's with a text that is safe to log.
// net/http quotes header lines that it cannot parse, and a hostile or broken
// server may send our Authorization header back in one. So the original can
// be matched, but not unwrapped and printed.
type cause struct {
	text     string
	original error
}

func (c *cause) Error() string        { return c.text }
func (c *cause) GoString() string     { return c.text }
func (c *cause) Is(target error) bool { return errors.Is(c.original, target) }

// classOfStatus says what an answer that is not a success proves. It reads
// nothing but the status: the vendor documents no error body for manage v1.
func classOfStatus(op string, status int) Class {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Unauthorized
	case http.StatusNotFound:
		if op == opRecover {
			return NotFound
		}
		return Misconfigured
	case http.StatusMethodNotAllowed, http.StatusProxyAuthRequired,
		http.StatusMisdirectedRequest, http.StatusUpgradeRequired:
		return Misconfigured
	case http.StatusConflict:
		return Conflict
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusRequestTimeout, http.StatusTooEarly, statusClientClosedRequest:
		// Something between us and the API gave up; what the API did with
		// what had already arrived is unknown.
		return Ambiguous
	}
	switch status / 100 {
	case 3:
		return Misconfigured
	case 4:
		return Rejected
	default:
		return Ambiguous
	}
}

// statusClientClosedRequest is nginx's own: it thinks that we went away.
const statusClientClosedRequest = 499
