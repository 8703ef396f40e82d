package mail

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"
)

// What New uses where Config says nothing.
const (
	// DefaultTimeout bounds a conversation up to the end of the letter.
	DefaultTimeout = 30 * time.Second
	// DefaultReplyTimeout is how long a server may take to answer a letter
	// (RFC 5321 §4.5.3.2.6): giving up earlier makes letters ambiguous that
	// were about to be taken.
	DefaultReplyTimeout = 10 * time.Minute
)

// maxName bounds the names of apps and people in a letter, in characters.
const maxName = 100

// Config says how letters are sent, and for whom.
type Config struct {
	// Server is the mail server, see ParseServer.
	Server Server
	// From is the sender: "no-reply@example.com" or "Example <no-reply@example.com>".
	// Bounces go there as well.
	From string
	// App is the app's name, as its users know it.
	App string
	// LoginURL is where its users sign in: absolute, http or https.
	LoginURL string
	// Templates is the wording. Nil means the one built in.
	Templates *Templates
	// Roots are the authorities that may vouch for the server. Nil means
	// those of the system.
	Roots *x509.CertPool
	// Hello is the name that EHLO gives this machine. Empty means the
	// connection's own address as a literal (RFC 5321 §4.1.4).
	Hello string
	// Timeout bounds a conversation up to the end of the letter. Zero means
	// DefaultTimeout.
	Timeout time.Duration
	// ReplyTimeout bounds the wait for the reply to the whole letter, after
	// which nobody knows whether it was taken. Zero means DefaultReplyTimeout;
	// the context of Send may end sooner.
	ReplyTimeout time.Duration
}

// Notice tells the owner of a registered address that somebody signed up with
// it.
type Notice struct {
	// ID names the notice for good: a second try carries the same one. It is
	// hashed before it is sent.
	ID string
	// To is the address that has an account.
	To string
	// Name is what the account's owner is called, or "". Never what the
	// sign-up at hand says: a stranger could have us mail any text to anyone.
	// The wording that is built in does not use it.
	Name string
	// Locale is the language to write in, as a BCP 47 tag. Empty, malformed
	// and unknown ones mean English.
	Locale string
}

// Mailer sends notices. It is safe for concurrent use; each letter has a
// connection of its own.
type Mailer struct {
	config Config
	from   address
	sender string // the From header's display name
	now    func() time.Time
}

// New returns a mailer for c. It returns an error that names the setting which
// is missing or malformed; it calls nobody.
func New(c Config) (*Mailer, error) {
	if c.Server.host == "" {
		return nil, errors.New("mail: no server")
	}
	m := &Mailer{config: c, now: time.Now}
	parsed, err := netmail.ParseAddress(c.From)
	if err != nil {
		return nil, errors.New("mail: the sender does not read name@example.com or Name <name@example.com>")
	}
	if m.from, err = parseAddress(parsed.Address); err != nil {
		return nil, fmt.Errorf("mail: sender: %w", err)
	}
	m.sender = clean(parsed.Name, maxName)
	m.config.App = clean(c.App, maxName)
	if m.config.App == "" {
		return nil, errors.New("mail: the app has no name")
	}
	if err := checkLoginURL(c.LoginURL); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(c.Hello, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("mail: the name for EHLO holds characters that a command cannot carry")
	}
	if c.Timeout < 0 || c.ReplyTimeout < 0 {
		return nil, errors.New("mail: a timeout must not be negative")
	}
	m.fillIn()
	return m, nil
}

func (m *Mailer) fillIn() {
	if m.config.Templates == nil {
		m.config.Templates = DefaultTemplates()
	}
	if m.config.Timeout == 0 {
		m.config.Timeout = DefaultTimeout
	}
	if m.config.ReplyTimeout == 0 {
		m.config.ReplyTimeout = DefaultReplyTimeout
	}
}

// checkLoginURL holds the link to what a mail program opens.
func checkLoginURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("mail: the sign-in address is not an absolute http or https URL")
	}
	return nil
}

// Send writes the notice and hands it to the server. Nil means that the server
// has taken it. Every error is a *SendError; its Class says whether the letter
// may have been taken all the same.
func (m *Mailer) Send(ctx context.Context, n Notice) error { return m.send(ctx, n.message()) }

func (m *Mailer) send(ctx context.Context, msg message) error {
	l, err := m.write(msg)
	if err != nil {
		return err
	}
	return m.deliver(ctx, l)
}
