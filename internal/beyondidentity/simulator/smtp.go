package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// The mail sink's method and paths, as a fault names them.
const (
	methodSMTP = "SMTP"
	smtpRcpt   = "rcpt"
	smtpData   = "data"
)

// Bounds of what the sink takes in.
const (
	maxMail       = 1 << 20 // bytes
	maxRecipients = 50
	smtpIdle      = time.Minute
)

// sinks are the mail servers' listeners.
type sinks struct {
	mu      sync.Mutex
	closed  bool
	running map[*sinkListener]struct{}
	wg      sync.WaitGroup
}

// open registers a listener, or reports false once there must be none. Each
// true needs one done.
func (k *sinks) open(l *sinkListener) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	if k.running == nil {
		k.running = map[*sinkListener]struct{}{}
	}
	k.running[l] = struct{}{}
	k.wg.Add(1)
	return true
}

func (k *sinks) done(l *sinkListener) {
	k.mu.Lock()
	delete(k.running, l)
	k.mu.Unlock()
	k.wg.Done()
}

// close ends the sinks and waits for them.
func (k *sinks) close() {
	k.mu.Lock()
	k.closed = true
	for l := range k.running {
		l.stop()
	}
	k.mu.Unlock()
	k.wg.Wait()
}

// sinkListener knows its connections, so that they can be ended with it: the
// library closes them or waits for them, and we want both.
type sinkListener struct {
	net.Listener

	ctx    context.Context //nolint:containedctx // it is the listener's end, not a request's
	cancel context.CancelFunc
	mu     sync.Mutex
	conns  map[*sinkConn]struct{}
}

func newSinkListener(l net.Listener) *sinkListener {
	ctx, cancel := context.WithCancel(context.Background())
	return &sinkListener{Listener: l, ctx: ctx, cancel: cancel, conns: map[*sinkConn]struct{}{}}
}

// Accept returns net.ErrClosed once the listener has stopped.
func (l *sinkListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		_ = conn.Close() // nobody has spoken on it yet
		return nil, net.ErrClosed
	}
	tracked := &sinkConn{Conn: conn, listener: l}
	l.conns[tracked] = struct{}{}
	return tracked, nil
}

func (l *sinkListener) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel()
	_ = l.Close() // it may be closed already
	for conn := range l.conns {
		_ = conn.Conn.Close() // its session is told by its next read
	}
}

type sinkConn struct {
	net.Conn

	listener *sinkListener
}

func (c *sinkConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

func (c *sinkConn) SetLinger(seconds int) error {
	if tcp, ok := c.Conn.(lingering); ok {
		return tcp.SetLinger(seconds)
	}
	return nil
}

// ServeSMTP takes mail for anybody from anybody and puts it into the mailbox.
// It asks for no password and believes every one that it is told. It returns nil
// once the listener or the simulator is closed, and what the listener failed
// with otherwise; the connections end with it.
func (s *Simulator) ServeSMTP(listener net.Listener) error {
	l := newSinkListener(listener)
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &mailSession{sim: s, ctx: l.ctx, conn: c}, nil
	}))
	server.Domain = "localhost"
	server.MaxMessageBytes = maxMail
	server.MaxRecipients = maxRecipients
	server.ReadTimeout, server.WriteTimeout = smtpIdle, smtpIdle
	server.AllowInsecureAuth = true
	server.EnableSMTPUTF8 = true
	server.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	if !s.sinks.open(l) {
		l.stop()
		return nil
	}
	defer s.sinks.done(l)
	err := server.Serve(l)
	l.stop()
	_ = server.Shutdown(context.Background()) // it waits for the sessions, whose connections are closed
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("simulator: mail sink: %w", err)
	}
	return nil
}

// mailSession is one connection, and the mail that is under way on it.
type mailSession struct {
	sim  *Simulator
	ctx  context.Context //nolint:containedctx // the library hands none to its sessions
	conn *smtp.Conn
	from string
	to   []string
}

var _ smtp.AuthSession = (*mailSession)(nil)

func (m *mailSession) Reset() { m.from, m.to = "", nil }

func (*mailSession) Logout() error { return nil }

func (*mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (*mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(string, string, string) error { return nil }), nil
}

func (m *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	m.from = from
	return nil
}

func (m *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	return m.meet(smtpRcpt, func(deed) { m.to = append(m.to, to) })
}

func (m *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	mail, err := parseMail(raw)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	if mail.From == "" {
		mail.From = m.from
	}
	return m.meet(smtpData, func(d deed) { m.sim.state.deliver(mail, m.to, d) })
}

// meet lets the effect happen unless a fault is in the way, which may also let
// it happen and say that it did not.
func (m *mailSession) meet(path string, effect func(deed)) error {
	fault, hit := m.sim.faults.take(methodSMTP, path, m.sim.now())
	d := deed{at: m.sim.now()}
	if !hit {
		effect(d)
		return nil
	}
	d.cause = "fault " + fault.ID
	if fault.Effect.Commit == CommitBefore {
		effect(d)
	}
	if !m.sim.epoch().sleep(m.ctx, fault.Effect.delay()) || fault.Effect.Drop {
		closeConn(m.conn.Conn(), fault.Effect.Reset)
		return net.ErrClosed
	}
	return m.refusal(fault.Effect.Status)
}

// refusal spells a status; 0 and the 200s are none.
func (*mailSession) refusal(status int) error {
	class := status / 100
	if class < 4 {
		return nil
	}
	return &smtp.SMTPError{Code: status, EnhancedCode: smtp.EnhancedCode{class, 0, 0}, Message: "refused on purpose"}
}

// checkSMTP refuses what only an HTTP answer has.
func (e Effect) checkSMTP() error {
	switch {
	case len(e.Body) > 0 || len(e.Headers) > 0 || e.BodyKind != "" || e.LimitKind != "" || e.DropAfter != nil || e.DripMS > 0:
		return wrong("fault", "the mail sink knows status, delay_ms, commit, drop and reset")
	case e.Commit != CommitBefore && e.Commit != CommitNever:
		return wrong("fault.commit", "the mail sink knows before and never")
	case e.Status != 0 && e.Status < 400:
		return wrong("fault.status", "%d refuses nothing", e.Status)
	}
	return nil
}
