package mail

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// sink is a mail server that a test can make refuse. Its zero value takes
// everything.
type sink struct {
	offer        *tls.Config // STARTTLS, or TLS at once
	readableAuth bool        // AUTH without TLS
	smtpUTF8     bool

	mechanisms []string
	auth       error
	mail       error
	rcpt       error
	data       func(*smtp.Conn) error // once the whole letter is there

	mu       sync.Mutex
	commands []string
	taken    []taken
}

// taken is what arrived.
type taken struct {
	from, to string
	utf8     bool
	user     string
	data     []byte
}

const (
	testUser     = "canary-user"
	testPassword = "canary-pass/word@%"
)

// start serves until the test ends, and returns host and port. With implicit,
// TLS comes first.
func (s *sink) start(t *testing.T, implicit bool) string {
	t.Helper()
	server := smtp.NewServer(s)
	server.Domain = "mail.example"
	server.TLSConfig = s.offer
	server.AllowInsecureAuth = s.readableAuth
	server.EnableSMTPUTF8 = s.smtpUTF8
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener := listen(t)
	host := listener.Addr().String()
	if implicit {
		listener = tls.NewListener(listener, s.offer)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // which Close does not know before Serve has begun
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return host
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// NewSession starts a session.
func (s *sink) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{sink: s, conn: c}, nil
}

func (s *sink) saw(command string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, command)
}

// letters returns what was taken, and the commands with an argument so far.
func (s *sink) letters() (letters []taken, commands []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken, s.commands
}

// session is one connection's.
type session struct {
	sink   *sink
	conn   *smtp.Conn
	letter taken
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }

// AuthMechanisms is what EHLO offers.
func (s *session) AuthMechanisms() []string { return s.sink.mechanisms }

// Auth checks the test's credentials.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	s.sink.saw("AUTH " + mechanism)
	check := func(user, password string) error {
		if user != testUser || password != testPassword {
			return smtp.ErrAuthFailed
		}
		s.letter.user = user
		return s.sink.auth
	}
	if mechanism == sasl.Plain {
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	}
	return &loginServer{check: check}, nil
}

// Mail is MAIL FROM.
func (s *session) Mail(from string, options *smtp.MailOptions) error {
	s.sink.saw("MAIL")
	s.letter.from, s.letter.utf8 = from, options.UTF8
	return s.sink.mail
}

// Rcpt is RCPT TO.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.sink.saw("RCPT")
	s.letter.to = to
	return s.sink.rcpt
}

// Data is the letter, up to its dot.
func (s *session) Data(r io.Reader) error {
	var err error
	if s.letter.data, err = io.ReadAll(r); err != nil {
		return err
	}
	s.sink.saw("DATA")
	s.sink.mu.Lock()
	s.sink.taken = append(s.sink.taken, s.letter)
	s.sink.mu.Unlock()
	if s.sink.data != nil {
		return s.sink.data(s.conn)
	}
	return nil
}

// loginServer is AUTH LOGIN, which go-sasl has for clients only.
type loginServer struct {
	check func(user, password string) error
	user  *string
	asked bool
}

// Next is the next step of the exchange.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case !l.asked:
		l.asked = true
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.check(*l.user, string(response))
	}
}

// reply is a refusal in the server's words.
func reply(code int, enhanced smtp.EnhancedCode, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// certificate returns a certificate for the given host, and who vouches for it.
func certificate(t *testing.T, host string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12,
	}, roots
}

// newMailer returns a mailer of the server at the given address, with what
// change makes of its settings.
func newMailer(t *testing.T, server string, change func(*Config)) *Mailer {
	t.Helper()
	parsed, err := ParseServer(server)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Server:       parsed,
		From:         "Fahrpläne <no-reply@münchen.example>",
		App:          "Fahrpläne",
		LoginURL:     "https://app.example.com/login",
		Timeout:      generous,
		ReplyTimeout: generous,
	}
	if change != nil {
		change(&c)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// generous is a time that a test on a busy machine does not run into.
const generous = 30 * time.Second

var toAda = Notice{ID: "0199-ada", To: "Ada@Bücher.example", Locale: "de-AT"}

func mustSendError(t *testing.T, err error) *SendError {
	t.Helper()
	e, ok := errors.AsType[*SendError](err)
	if !ok {
		t.Fatalf("got %T %v, want a *SendError", err, err)
	}
	return e
}
