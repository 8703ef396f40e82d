package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// credentials are the test's, as an address holds them.
var credentials = url.UserPassword(testUser, testPassword).String() + "@"

func TestSendHandsTheLetterOver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		address    string // around host and port
		encrypted  bool
		mechanisms []string
		commands   []string
	}{
		{"in plain text to this machine", "smtp://HOST", false, nil, []string{"MAIL", "RCPT", "DATA"}},
		{"after STARTTLS", "smtp://HOST?tls=starttls", true, nil, []string{"MAIL", "RCPT", "DATA"}},
		{"under TLS from the first byte", "smtps://HOST", true, nil, []string{"MAIL", "RCPT", "DATA"}},
		{"with a password to this machine", "smtp://" + credentials + "HOST", false, []string{"PLAIN"}, signedIn("PLAIN")},
		{"with a password after STARTTLS", "smtp://" + credentials + "HOST?tls=starttls", true, []string{"LOGIN", "PLAIN"}, signedIn("PLAIN")},
		{"with a password to a server that knows LOGIN only", "smtps://" + credentials + "HOST", true, []string{"LOGIN"}, signedIn("LOGIN")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &sink{mechanisms: tt.mechanisms, readableAuth: !tt.encrypted}
			config, roots := certificate(t, "127.0.0.1")
			if tt.encrypted {
				s.offer = config
			}
			var encrypted bool
			s.data = func(c *smtp.Conn) error { _, encrypted = c.TLSConnectionState(); return nil }
			address := strings.Replace(tt.address, "HOST", s.start(t, strings.HasPrefix(tt.address, "smtps")), 1)
			m := newMailer(t, address, func(c *Config) { c.Roots = roots })

			if err := m.Send(t.Context(), toAda); err != nil {
				t.Fatal(err)
			}
			letters, commands := s.letters()
			if len(letters) != 1 || !slices.Equal(commands, tt.commands) {
				t.Fatalf("%d letters after %q, want one after %q", len(letters), commands, tt.commands)
			}
			got := letters[0]
			if got.from != "no-reply@xn--mnchen-3ya.example" || got.to != "Ada@xn--bcher-kva.example" || got.utf8 {
				t.Errorf("envelope %q to %q, utf8 %t", got.from, got.to, got.utf8)
			}
			if encrypted != tt.encrypted {
				t.Errorf("encrypted is %t", encrypted)
			}
			if tt.mechanisms != nil && got.user != testUser {
				t.Errorf("signed in as %q", got.user)
			}
		})
	}
}

func signedIn(mechanism string) []string {
	return []string{"AUTH " + mechanism, "MAIL", "RCPT", "DATA"}
}

func TestSendErrorSaysWhatItProves(t *testing.T) {
	t.Parallel()
	leaky := "<Ada@xn--bcher-kva.example>: no such user\n\x1b[31mAda@Bücher.example"
	for _, tt := range []struct {
		name  string
		sink  *sink
		step  Step
		class Class
		code  int
		reply string
		taken bool
	}{
		{"a recipient refused for good", &sink{rcpt: reply(550, smtp.EnhancedCode{5, 1, 1}, leaky)}, StepRecipient, Refused, 550, "5.1.1", false},
		{"a recipient refused for now", &sink{rcpt: reply(451, smtp.EnhancedCode{4, 7, 1}, leaky)}, StepRecipient, Temporary, 451, "4.7.1", false},
		{"a recipient refused to strangers", &sink{rcpt: reply(530, smtp.EnhancedCode{5, 7, 0}, "sign in first")}, StepRecipient, Misconfigured, 530, "5.7.0", false},
		{"a sender refused for good", &sink{mail: reply(553, smtp.EnhancedCode{5, 7, 1}, leaky)}, StepSender, Misconfigured, 553, "5.7.1", false},
		{"a sender refused for now", &sink{mail: reply(421, smtp.EnhancedCode{4, 3, 2}, "closing")}, StepSender, Temporary, 421, "4.3.2", false},
		{"a letter refused for good", &sink{data: answer(554, smtp.EnhancedCode{5, 7, 1})}, StepReply, Refused, 554, "5.7.1", true},
		{"a letter refused for now", &sink{data: answer(452, smtp.EnhancedCode{4, 3, 1})}, StepReply, Temporary, 452, "4.3.1", true},
		{"a letter answered with neither yes nor no", &sink{data: answer(354, smtp.NoEnhancedCode)}, StepReply, Ambiguous, 354, "", true},
		{"a connection lost after the dot", &sink{data: hangUp}, StepReply, Ambiguous, 0, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.sink
			m := newMailer(t, "smtp://"+s.start(t, false), nil)
			err := m.Send(t.Context(), toAda)
			e := mustSendError(t, err)
			if e.Step != tt.step || e.Class != tt.class || e.Code != tt.code || e.Enhanced != tt.reply || ClassOf(err) != tt.class {
				t.Errorf("got %#v", e)
			}
			if letters, _ := s.letters(); (len(letters) == 1) != tt.taken {
				t.Errorf("%d letters arrived", len(letters))
			}
			told := e.Error() + e.LogValue().String()
			for _, private := range []string{"Ada", "@", "\x1b", "\n"} {
				if strings.Contains(told, private) {
					t.Errorf("%q holds %q", told, private)
				}
			}
		})
	}
}

func answer(code int, enhanced smtp.EnhancedCode) func(*smtp.Conn) error {
	return func(*smtp.Conn) error { return reply(code, enhanced, "no") }
}

func hangUp(c *smtp.Conn) error { return c.Conn().Close() }

func TestSilenceBeforeTheDotProvesThatNothingWasTaken(t *testing.T) {
	t.Parallel()
	m := newMailer(t, "smtp://"+converse(t, nil), func(c *Config) { c.Timeout = 50 * time.Millisecond })
	e := mustSendError(t, m.Send(t.Context(), toAda))
	if timeout, ok := errors.AsType[net.Error](e); e.Step != StepConnect || e.Class != Unreachable || !ok || !timeout.Timeout() {
		t.Errorf("got %v", e)
	}
}

func TestSilenceAfterTheDotProvesNothing(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	s := &sink{data: func(*smtp.Conn) error { <-over; return nil }}
	host := s.start(t, false)
	t.Cleanup(func() { close(over) })
	m := newMailer(t, "smtp://"+host, func(c *Config) { c.ReplyTimeout = 50 * time.Millisecond })
	e := mustSendError(t, m.Send(t.Context(), toAda))
	if e.Step != StepReply || e.Class != Ambiguous || !errors.Is(e, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", e)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	t.Run("before there is a connection", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e := mustSendError(t, newMailer(t, "smtp://"+(&sink{}).start(t, false), nil).Send(ctx, toAda))
		if e.Class != Unreachable || !errors.Is(e, context.Canceled) {
			t.Errorf("got %v", e)
		}
	})
	t.Run("after the dot, where it proves nothing", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		s := &sink{data: func(*smtp.Conn) error { cancel(); <-over; return nil }}
		host := s.start(t, false)
		t.Cleanup(func() { close(over) })
		e := mustSendError(t, newMailer(t, "smtp://"+host, nil).Send(ctx, toAda))
		if e.Class != Ambiguous || !errors.Is(e, context.Canceled) {
			t.Errorf("got %v", e)
		}
	})
}

func TestNobodyListening(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	host := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	e := mustSendError(t, newMailer(t, "smtp://"+host, nil).Send(t.Context(), toAda))
	if e.Step != StepConnect || e.Class != Unreachable {
		t.Errorf("got %v", e)
	}
}

func TestCredentialsThatDoNotFit(t *testing.T) {
	t.Parallel()
	wrong := url.UserPassword(testUser, "canary-wrong").String() + "@"
	for _, tt := range []struct {
		name        string
		credentials string
		mechanisms  []string
		auth        error
		class       Class
		code        int
	}{
		{"refused", wrong, []string{"PLAIN"}, nil, Misconfigured, 535},
		{"refused by LOGIN", wrong, []string{"LOGIN"}, nil, Misconfigured, 535},
		{"not to be checked just now", credentials, []string{"PLAIN"}, reply(454, smtp.EnhancedCode{4, 7, 0}, "later"), Temporary, 454},
		{"by a mechanism that we do not speak", credentials, []string{"GSSAPI"}, nil, Misconfigured, 0},
		{"where no mechanism is offered", credentials, nil, nil, Misconfigured, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &sink{mechanisms: tt.mechanisms, auth: tt.auth, readableAuth: true}
			m := newMailer(t, "smtp://"+tt.credentials+s.start(t, false), nil)
			e := mustSendError(t, m.Send(t.Context(), toAda))
			if e.Step != StepAuth || e.Class != tt.class || e.Code != tt.code {
				t.Errorf("got %v", e)
			}
			if letters, commands := s.letters(); len(letters) != 0 || slices.Contains(commands, "MAIL") {
				t.Errorf("the server was told %q", commands)
			}
		})
	}
}

// A server that says our words back must not have us log them.
func TestErrorsHoldNoCredentials(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		echo string
	}{
		{"in a refusal", "535 5.7.8 %s"},
		{"in a challenge that is not base64", "334 %s!"},
		{"in a line that is no reply", "%s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host := converse(t, func(line string) string {
				switch {
				case strings.HasPrefix(line, "EHLO"):
					return "250-mail.example\r\n250 AUTH PLAIN"
				case strings.HasPrefix(line, "AUTH"):
					return fmt.Sprintf(tt.echo, line)
				default:
					return "500 what"
				}
			})
			e := mustSendError(t, newMailer(t, "smtp://"+credentials+host, nil).Send(t.Context(), toAda))
			if e.Step != StepAuth {
				t.Errorf("got %v", e)
			}
			told := fmt.Sprintf("%v %+v %#v %s", e, e, e, e.LogValue())
			if strings.Contains(told, "AUTH") || strings.Contains(told, "Y2FuYXJ5") || strings.Contains(told, "canary") {
				t.Errorf("%q says it back", told)
			}
		})
	}
}

func TestInternationalisedAddresses(t *testing.T) {
	t.Parallel()
	jose := Notice{ID: "1", To: "josé@example.com"}
	t.Run("go out with SMTPUTF8", func(t *testing.T) {
		t.Parallel()
		s := &sink{smtpUTF8: true}
		if err := newMailer(t, "smtp://"+s.start(t, false), nil).Send(t.Context(), jose); err != nil {
			t.Fatal(err)
		}
		letters, _ := s.letters()
		if len(letters) != 1 || !letters[0].utf8 || letters[0].to != jose.To {
			t.Fatalf("got %+v", letters)
		}
		if !strings.Contains(string(letters[0].data), "\r\nTo: <josé@example.com>\r\n") {
			t.Errorf("got %s", letters[0].data)
		}
	})
	t.Run("are refused where the server does not offer it", func(t *testing.T) {
		t.Parallel()
		s := &sink{}
		e := mustSendError(t, newMailer(t, "smtp://"+s.start(t, false), nil).Send(t.Context(), jose))
		if e.Step != StepRecipient || e.Class != Refused || !errors.Is(e, errNoSMTPUTF8) {
			t.Errorf("got %v", e)
		}
	})
	t.Run("alone ask for it: plain ones do without where it is offered", func(t *testing.T) {
		t.Parallel()
		s := &sink{smtpUTF8: true}
		if err := newMailer(t, "smtp://"+s.start(t, false), nil).Send(t.Context(), toAda); err != nil {
			t.Fatal(err)
		}
		if letters, _ := s.letters(); len(letters) != 1 || letters[0].utf8 {
			t.Errorf("got %+v", letters)
		}
	})
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	if got := ClassOf(nil); got != "" {
		t.Errorf("of nil: %q", got)
	}
	if got := ClassOf(fmt.Errorf("wrapped: %w", &SendError{Class: Refused})); got != Refused {
		t.Errorf("of a wrapped one: %q", got)
	}
	if got := ClassOf(io.EOF); got != Ambiguous {
		t.Errorf("of a foreign one: %q", got)
	}
	var _ slog.LogValuer = &SendError{}
}

// converse serves one connection at a time with what answer makes of each
// line, as no honest server would. It greets; with a nil answer it does not,
// and says nothing at all.
func converse(t *testing.T, answer func(line string) string) string {
	t.Helper()
	listener := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talk(conn, answer)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func talk(conn net.Conn, answer func(line string) string) {
	defer conn.Close()
	if answer == nil {
		_, _ = io.Copy(io.Discard, conn) // until the other side gives up
		return
	}
	_, _ = io.WriteString(conn, "220 mail.example\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if _, err := io.WriteString(conn, answer(lines.Text())+"\r\n"); err != nil {
			return
		}
	}
}
