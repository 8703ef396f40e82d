package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// Class says what a failure proves. The package comment has the table.
type Class string

// The classes.
const (
	Unreachable   Class = "unreachable"   // not taken; try again
	Temporary     Class = "temporary"     // not taken: the server asks to try again
	Misconfigured Class = "misconfigured" // not taken; nothing will be, until an operator has looked
	Refused       Class = "refused"       // not taken, and never will be
	Ambiguous     Class = "ambiguous"     // it may have been taken
)

// Step is how far a letter got.
type Step string

// The steps, in their order.
const (
	StepLetter    Step = "letter"    // writing it; nobody was called
	StepConnect   Step = "connect"   // up to the server's answer to EHLO
	StepTLS       Step = "tls"       // implicit or by STARTTLS
	StepAuth      Step = "auth"      // AUTH
	StepSender    Step = "sender"    // MAIL FROM
	StepRecipient Step = "recipient" // RCPT TO
	StepContent   Step = "content"   // DATA, before the dot that ends it
	StepReply     Step = "reply"     // the dot was sent
)

// SendError is a letter that is not known to be taken. Its text is fit for a
// log and for a job's record: it holds neither addresses nor credentials. What
// the server said is in LogValue only, with addresses hidden.
type SendError struct {
	Step     Step   // how far the letter got
	Class    Class  // what the failure proves
	Code     int    // the reply's code (RFC 5321 §4.2); zero when there was none
	Enhanced string // the reply's enhanced code (RFC 3463), if it has one
	Reply    string // the reply's text, bounded, addresses hidden; for the log only
	Err      error  // what went wrong, nil for a reply; matches context.Canceled and the like
}

// Error returns the step, the class, the reply's codes and the cause.
func (e *SendError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "mail: %s: %s", e.Step, e.Class)
	if e.Code != 0 {
		fmt.Fprintf(&b, " (%s)", strings.TrimSpace(fmt.Sprint(e.Code, " ", e.Enhanced)))
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// LogValue returns everything that is known of the failure.
func (e *SendError) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("step", string(e.Step)), slog.String("class", string(e.Class))}
	if e.Code != 0 {
		attrs = append(attrs, slog.Int("code", e.Code), slog.String("enhanced", e.Enhanced), slog.String("reply", e.Reply))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// ClassOf returns the class of the SendError in err's chain, and "" for nil.
// An error of any other origin is Ambiguous: it proves nothing.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*SendError](err); ok {
		return e.Class
	}
	return Ambiguous
}

// Failures that are not the server's words.
var (
	errNoStartTLS    = errors.New("the server does not offer STARTTLS")
	errNoAuth        = errors.New("the server offers neither AUTH PLAIN nor AUTH LOGIN")
	errReadablePass  = errors.New("the connection is neither encrypted nor to this machine: no password is sent")
	errNoSMTPUTF8    = errors.New("the address is internationalised, and the server does not offer SMTPUTF8 (RFC 6531)")
	errConversation  = errors.New("the server does not follow the protocol")
	errAddress       = errors.New("not an address that mail can be sent to")
	errMissingID     = errors.New("the notice has no ID")
	errEmptyTemplate = errors.New("the template left a part of the letter empty")
)

// ours are the failures that we find in what a server offers.
func ours() []error { return []error{errNoStartTLS, errNoAuth, errReadablePass, errNoSMTPUTF8} }

// failure says what it proves that err ended the conversation at step.
func failure(ctx context.Context, step Step, err error) *SendError {
	e := &SendError{Step: step, Class: classOf(step, err)}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		e.Code = reply.Code
		e.Enhanced = enhancedCode.FindString(reply.Msg)
		if step != StepAuth { // where a hostile server may say our credentials back
			e.Reply = quotable(reply.Msg)
		}
		return e
	}
	e.Err = cause(err)
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
	}
	return e
}

func classOf(step Step, err error) Class {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return classOfReply(step, reply.Code)
	}
	if step == StepReply {
		return Ambiguous
	}
	if errors.Is(err, errNoSMTPUTF8) {
		return Refused
	}
	if tlsFailure(err) != nil || slices.ContainsFunc(ours(), func(e error) bool { return errors.Is(err, e) }) {
		return Misconfigured
	}
	return Unreachable
}

// classOfReply reads a reply's first digit (RFC 5321 §4.2.1). A refusal before
// the recipient was named, or one that asks for other credentials (RFC 4954
// §6), is about us and not about the letter.
func classOfReply(step Step, code int) Class {
	switch {
	case code/100 == 4:
		return Temporary
	case code/100 == 5 && (code == 530 || code == 534 || code == 535 || code == 538):
		return Misconfigured
	case code/100 == 5 && (step == StepRecipient || step == StepContent || step == StepReply):
		return Refused
	case code/100 == 5:
		return Misconfigured
	case step == StepReply:
		return Ambiguous // neither yes nor no
	default:
		return Unreachable
	}
}

// tlsFailure returns what in err is about the server's certificate or its way
// to speak TLS, or nil. Another try does not change it, and it may be an
// attacker in the middle as well as a mistake.
func tlsFailure(err error) error {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return e
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return e
	}
	return nil
}

// cause returns the part of err that cannot quote the server: a hostile one
// could say our credentials back and have us log them.
func cause(err error) error {
	if e := tlsFailure(err); e != nil {
		return e
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return e
	}
	for _, plain := range append(ours(), io.EOF, io.ErrUnexpectedEOF) {
		if errors.Is(err, plain) {
			return plain
		}
	}
	return errConversation
}

var (
	enhancedCode = regexp.MustCompile(`\b[245]\.\d{1,3}\.\d{1,3}\b`)
	anAddress    = regexp.MustCompile(`[^\s<>"(),:;]+@[^\s<>"(),:;]+`)
)

// maxReply bounds what is kept of a reply, in characters.
const maxReply = 300

// quotable returns a reply's text without controls and without the addresses
// that servers like to repeat.
func quotable(text string) string {
	return anAddress.ReplaceAllString(clean(text, maxReply), "[address]")
}
