package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	netmail "net/mail"
	"strings"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// letter is a message that is ready to go: everything that can fail about the
// wording has not, before anybody is called.
type letter struct {
	from, to address
	data     []byte // RFC 5322, seven bits unless an address is international
}

// international reports whether the letter needs SMTPUTF8 (RFC 6531 §3.3).
func (l *letter) international() bool { return l.from.international() || l.to.international() }

// message is what is to be said to whom.
type message struct {
	kind   kind
	id     string // names it for good
	to     string
	locale string
	fields fields // beside what all letters have
}

// write returns the message as a letter. It returns a SendError: Refused when
// the recipient is no address, Misconfigured when a template fails.
func (m *Mailer) write(msg message) (*letter, error) {
	if msg.id == "" {
		return nil, &SendError{Step: StepLetter, Class: Misconfigured, Err: errMissingID}
	}
	to, err := parseAddress(msg.to)
	if err != nil {
		return nil, &SendError{Step: StepLetter, Class: Refused, Err: err}
	}
	f := msg.fields
	f.App, f.LoginURL, f.Email = m.config.App, m.config.LoginURL, msg.to
	w, err := m.config.Templates.render(msg.kind, msg.locale, f)
	if err != nil {
		return nil, &SendError{Step: StepLetter, Class: Misconfigured, Err: err}
	}
	data, err := m.encode(m.messageID(msg.kind, msg.id), to, w)
	if err != nil {
		return nil, &SendError{Step: StepLetter, Class: Misconfigured, Err: err}
	}
	return &letter{from: m.from, to: to, data: data}, nil
}

// encode returns the message with its headers.
func (m *Mailer) encode(id string, to address, w wording) ([]byte, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&netmail.Address{Name: m.sender, Address: m.from.String()})
	// No display name beside the address: that of an account may have been
	// typed by somebody else.
	msg.ToMailAddress(&netmail.Address{Address: to.String()})
	msg.Subject(w.subject)
	msg.SetDateWithValue(m.now())
	msg.SetMessageIDWithValue(id)
	msg.SetGenHeader(gomail.HeaderContentLang, w.language)
	// Keeps vacation responders quiet (RFC 3834 §5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, w.text)
	msg.AddAlternativeString(gomail.TypeTextHTML, w.html)
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, errors.New("the letter cannot be encoded")
	}
	return b.Bytes(), nil
}

// messageID is the same for the same message, so that whoever sees two copies
// can tell (RFC 5322 §3.6.4). The hash keeps our identifiers to ourselves.
func (m *Mailer) messageID(k kind, id string) string {
	digest := sha256.Sum256([]byte("portico " + string(k) + "\x00" + id))
	return hex.EncodeToString(digest[:16]) + "@" + m.from.domain
}

// clean returns text on one line, without what a reader cannot see for what it
// is, and no longer than limit characters. Line breaks would start headers of
// their own (CWE-93), bidirectional controls would make a line read as another
// (CVE-2021-42574).
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		text = strings.TrimSpace(string(runes[:limit-1])) + "…"
	}
	return text
}
