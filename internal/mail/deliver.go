package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// farewell is how long QUIT may take. By then the outcome is known.
const farewell = 2 * time.Second

// deliver hands the letter to the server, over a connection that ends with ctx.
func (m *Mailer) deliver(ctx context.Context, l *letter) error {
	return m.talk(ctx, func(c *conversation) (Step, error) { return c.hold(l) })
}

// Try opens a connection to the server and proves who we are, as for a letter,
// and sends none. It returns a [*SendError].
func (m *Mailer) Try(ctx context.Context) error {
	return m.talk(ctx, (*conversation).open)
}

// talk connects to the server and holds a conversation that ends with ctx.
func (m *Mailer) talk(ctx context.Context, hold func(*conversation) (Step, error)) error {
	deadline := time.Now().Add(m.config.Timeout)
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.DialContext(ctx, "tcp", m.config.Server.hostPort())
	if err != nil {
		return failure(ctx, StepConnect, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(deadline) // on a dead connection the next read says so

	c := conversation{config: m.config, conn: conn, stream: conn}
	if step, err := hold(&c); err != nil {
		c.leave(err)
		return failure(ctx, step, err)
	}
	c.leave(nil)
	return nil
}

// conversation is one connection's dialogue with the server. It is held with
// go-mail's SMTP client rather than with its sender: that one reports a letter
// as failed when the RSET after it is, and says QUIT in the midst of a letter
// that it could not finish, which would end it with a dot and deliver half.
type conversation struct {
	config Config
	conn   net.Conn // below TLS: deadlines and closing take effect there
	stream net.Conn // what the client speaks over: conn, or TLS over it
	client *smtp.Client
}

// exchange is one step of a conversation.
type exchange struct {
	step Step
	do   func() error
}

// through goes through the steps, and returns the one that failed.
func through(steps ...exchange) (Step, error) {
	for _, s := range steps {
		if err := s.do(); err != nil {
			return s.step, err
		}
	}
	return "", nil
}

// open goes through the steps that come before any letter.
func (c *conversation) open() (Step, error) {
	return through(
		exchange{StepTLS, c.encryptAtOnce},
		exchange{StepConnect, c.greet},
		exchange{StepTLS, c.encrypt},
		exchange{StepAuth, c.authenticate},
	)
}

// hold goes through all steps, and returns the one that failed.
func (c *conversation) hold(l *letter) (Step, error) {
	if step, err := c.open(); err != nil {
		return step, err
	}
	step, err := through(
		exchange{StepRecipient, func() error { return c.checkInternational(l) }},
		exchange{StepSender, func() error { return c.client.Mail("<" + l.from.String() + ">") }},
		exchange{StepRecipient, func() error { return c.client.Rcpt("<" + l.to.String() + ">") }},
	)
	if err != nil {
		return step, err
	}
	w, err := c.client.Data()
	if err != nil {
		return StepContent, err
	}
	if _, err := w.Write(l.data); err != nil {
		return StepContent, err
	}
	_ = c.conn.SetDeadline(time.Now().Add(c.config.ReplyTimeout))
	return StepReply, w.Close() // sends the dot
}

// encryptAtOnce starts TLS before a word is said, where the server's address
// asks for that (RFC 8314 §3.3).
func (c *conversation) encryptAtOnce() error {
	if c.config.Server.protection != implicitTLS {
		return nil
	}
	encrypted := tls.Client(c.conn, c.tlsConfig())
	c.stream = encrypted
	return encrypted.Handshake() //nolint:noctx // The connection ends with the context.
}

// greet waits for the server's greeting and says EHLO.
func (c *conversation) greet() error {
	client, err := smtp.NewClient(c.stream, c.config.Server.host)
	if err != nil {
		return err
	}
	c.client = client
	return client.Hello(c.hello())
}

// encrypt turns TLS on where the server's address asks for it. A server that
// does not offer it is left alone: whoever sits in between can strip the offer
// (RFC 3207 §6), and would get letter and password.
func (c *conversation) encrypt() error {
	if c.config.Server.protection != startTLS {
		return nil
	}
	if offered, _ := c.client.Extension("STARTTLS"); !offered {
		return errNoStartTLS
	}
	return c.client.StartTLS(c.tlsConfig())
}

func (c *conversation) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: c.config.Server.host, RootCAs: c.config.Roots, MinVersion: tls.VersionTLS12}
}

// authenticate proves who we are, if we are somebody. It looks at where the
// connection leads, not at what the address said: "localhost" is a name that
// can be made to lead anywhere.
func (c *conversation) authenticate() error {
	s := c.config.Server
	if s.user == "" {
		return nil
	}
	if _, encrypted := c.client.TLSConnectionState(); !encrypted && !c.staysHere() {
		return errReadablePass
	}
	_, offer := c.client.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offer))
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		return c.client.Auth(smtp.PlainAuth("", s.user, s.password, s.host, true))
	case slices.Contains(mechanisms, "LOGIN"):
		return c.client.Auth(smtp.LoginAuth(s.user, s.password, s.host, true))
	default:
		return errNoAuth
	}
}

func (c *conversation) staysHere() bool {
	remote, err := netip.ParseAddrPort(c.conn.RemoteAddr().String())
	return err == nil && remote.Addr().Unmap().IsLoopback()
}

// checkInternational asks for SMTPUTF8 only for a letter that needs it: with
// it, servers further on that lack it would have to bounce any letter
// (RFC 6531 §3.6).
func (c *conversation) checkInternational(l *letter) error {
	c.client.SkipSMTPUTF8(!l.international())
	if !l.international() {
		return nil
	}
	if offered, _ := c.client.Extension("SMTPUTF8"); !offered {
		return errNoSMTPUTF8
	}
	return nil
}

// hello returns the name of this machine for EHLO.
func (c *conversation) hello() string {
	if c.config.Hello != "" {
		return c.config.Hello
	}
	local, err := netip.ParseAddrPort(c.conn.LocalAddr().String())
	if err != nil {
		return "localhost"
	}
	addr := local.Addr().Unmap().WithZone("")
	if addr.Is6() {
		return "[IPv6:" + addr.String() + "]"
	}
	return "[" + addr.String() + "]"
}

// leave says QUIT where the server waits for a command. In the midst of a
// letter, or after a lost reply, only closing the connection says nothing
// wrong.
func (c *conversation) leave(err error) {
	_, replied := errors.AsType[*textproto.Error](err)
	if c.client == nil || (err != nil && !replied && !errors.Is(err, errNoSMTPUTF8)) {
		return
	}
	_ = c.conn.SetDeadline(time.Now().Add(farewell))
	_ = c.client.Quit()
}
