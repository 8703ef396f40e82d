package simulator_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// sink serves mail until the test ends, and gives its address.
func (tn *tenant) sink() string {
	tn.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tn.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- tn.ServeSMTP(ln) }()
	tn.t.Cleanup(func() {
		tn.Close()
		if err := <-done; err != nil {
			tn.t.Error(err)
		}
	})
	return ln.Addr().String()
}

const rawMail = "From: Portico <no-reply@example.com>\r\nTo: ada@example.com\r\nSubject: Hello\r\n\r\nSee http://localhost:3000/a?b=c.\r\n"

func sendRaw(addr string, to ...string) error {
	return smtp.SendMail(addr, nil, "envelope@example.com", to, []byte(rawMail))
}

func TestAMailFromALibraryArrivesWhole(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	host, port, err := net.SplitHostPort(tn.sink())
	if err != nil {
		t.Fatal(err)
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("Grüße, schöne längere Zeilen — ", 20)
	for _, encoding := range []mail.Encoding{mail.EncodingQP, mail.EncodingB64, mail.NoEncoding} {
		m := mail.NewMsg(mail.WithEncoding(encoding))
		if err := errors.Join(m.FromFormat("Pörtico", "no-reply@example.com"), m.To("ada@example.com")); err != nil {
			t.Fatal(err)
		}
		m.Subject("Ihre Adresse ist schon registriert – " + string(encoding))
		m.SetBodyString(mail.TypeTextPlain, "Hallo,\n\nmelden Sie sich an: https://app.example.com/login?a=b&c=d\n\n"+long)
		m.AddAlternativeString(mail.TypeTextHTML, `<p><a href="https://app.example.com/login?a=b&amp;c=d">Anmelden</a></p><p>`+long)
		if err := m.AttachReader("notes.txt", strings.NewReader("https://attached.example.com")); err != nil {
			t.Fatal(err)
		}
		c, err := mail.NewClient(host, mail.WithPort(number), mail.WithTLSPolicy(mail.NoTLS),
			mail.WithSMTPAuth(mail.SMTPAuthPlainNoEnc), mail.WithUsername("anybody"), mail.WithPassword("anything"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.DialAndSendWithContext(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		var got []simulator.Mail
		decode(t, tn.sim("GET", "/sim/mailbox?to=ADA@example.com", "").body, &got)
		first := got[0]
		if first.Subject != "Ihre Adresse ist schon registriert – "+string(encoding) || first.To != "ada@example.com" ||
			!strings.Contains(first.From, "Pörtico") || !strings.Contains(first.From, "<no-reply@example.com>") ||
			first.Link != "https://app.example.com/login?a=b&c=d" || !first.SentAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
			t.Errorf("%s: got %+v", encoding, first)
		}
		if !strings.HasPrefix(first.Text, "Hallo,\n\nmelden") || !strings.Contains(first.Text, long) || !strings.Contains(first.HTML, long) {
			t.Errorf("%s: text %q, HTML %q", encoding, first.Text, first.HTML)
		}
	}
}

func TestMailsOfBothKindsShareTheMailbox(t *testing.T) {
	t.Parallel()
	tn := start(t)
	addr := tn.sink()
	tn.create("u-1", "ada@example.com")
	if err := sendRaw(addr, "ada@example.com", "bob@example.com"); err != nil {
		t.Fatal(err)
	}
	ada, bob := tn.Mailbox("ada@example.com"), tn.Mailbox("bob@example.com")
	if len(ada) != 2 || len(bob) != 1 || len(tn.Mailbox("")) != 3 || ada[0].ID == bob[0].ID {
		t.Fatalf("%d, %d", len(ada), len(bob))
	}
	if ada[0].Link != "http://localhost:3000/a?b=c" || ada[0].HTML != "" || ada[0].From != "Portico <no-reply@example.com>" || ada[1].From != "" {
		t.Errorf("got %+v", ada)
	}
	if got := kinds(tn.Ledger().Entries); got != "created mailed delivered delivered" {
		t.Errorf("the ledger says %s", got)
	}
	page := tn.sim("GET", "/mailbox", "").body
	for _, want := range []string{
		`<a href="http://localhost:3000/a?b=c">Hello</a>`, "<pre>See http",
		"from Portico &lt;no-reply@example.com&gt; to ada@example.com",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the mailbox page lacks %s:\n%s", want, page)
		}
	}
}

func TestAMailsHTMLIsShownInASandbox(t *testing.T) {
	t.Parallel()
	tn := start(t)
	addr := tn.sink()
	text := strings.Replace(rawMail, "\r\n\r\n", "\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>", 1)
	if err := smtp.SendMail(addr, nil, "a@example.com", []string{"ada@example.com"}, []byte(text)); err != nil {
		t.Fatal(err)
	}
	m := tn.Mailbox("")[0]
	if m.Text != "" || m.Link != "http://localhost:3000/a?b=c" {
		t.Errorf("got %+v", m)
	}
	page := tn.sim("GET", "/mailbox/"+m.ID, "")
	expectStatus(t, page, http.StatusOK)
	policy := page.header.Get("Content-Security-Policy")
	if page.body != m.HTML || !strings.HasPrefix(policy, "sandbox") || strings.Contains(policy, "script") || strings.Contains(policy, "same-origin") {
		t.Errorf("policy %q, body %q", policy, page.body)
	}
	for _, id := range []string{"0", "2", "-1", "x", "99999999999999999999"} {
		expectStatus(t, tn.sim("GET", "/mailbox/"+id, ""), http.StatusNotFound)
	}
}

func TestAddressesInUTF8AreTaken(t *testing.T) {
	t.Parallel()
	tn := start(t)
	if err := sendRaw(tn.sink(), "jörg@exämple.com"); err != nil {
		t.Fatal(err)
	}
	if got := tn.Mailbox("JÖRG@exämple.com"); len(got) != 1 || got[0].To != "jörg@exämple.com" {
		t.Errorf("got %+v", got)
	}
}

// nested is a mail whose parts are so many layers deep.
func nested(layers int) string {
	var b strings.Builder
	for i := range layers {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%02d\r\n\r\n--b%02d\r\n", i, i)
	}
	return b.String() + "\r\nx\r\n"
}

func TestMailsAreReadOrRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, mail    string
		subject, text string
		refused       bool
	}{
		{name: "a bare text", mail: "Subject: S\r\n\r\nT", subject: "S", text: "T\n"},
		{name: "no headers", mail: "\r\nT", text: "T\n"},
		{name: "Latin 1", mail: "Subject: =?iso-8859-1?q?Gr=FC=DFe?=\r\nContent-Type: text/plain; charset=ISO-8859-1\r\n\r\n\xfc", subject: "Grüße", text: "ü\n"},
		{name: "a subject that is no encoded word", mail: "Subject: =?x?y?z?=\r\n\r\nT", subject: "=?x?y?z?=", text: "T\n"},
		{name: "a text that is no UTF-8", mail: "Subject: S\r\n\r\n\xff", subject: "S", text: "\uFFFD\n"},
		{name: "a nested text", mail: "Subject: S\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/related; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nVA==\r\n--b--\r\n--a--", subject: "S", text: "T"},
		{name: "only an image", mail: "Subject: S\r\nContent-Type: image/png\r\n\r\nx", subject: "S"},
		{name: "base64 that is none", mail: "Content-Transfer-Encoding: base64\r\n\r\n!!!", refused: true},
		{name: "an unknown encoding", mail: "Content-Transfer-Encoding: rot13\r\n\r\nT", refused: true},
		{name: "an unknown character set", mail: "Content-Type: text/plain; charset=klingon\r\n\r\nT", refused: true},
		{name: "a multipart without a boundary", mail: "Content-Type: multipart/mixed\r\n\r\nx", refused: true},
		{name: "too many parts", mail: "Content-Type: multipart/mixed; boundary=a\r\n\r\n" + strings.Repeat("--a\r\n\r\nx\r\n", 100) + "--a--", refused: true},
		{name: "too deep", mail: nested(20), refused: true},
		{name: "too long", mail: "Subject: S\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 1100), refused: true},
	}
	tn := start(t)
	addr := tn.sink()
	for _, tt := range tests {
		to := strings.ReplaceAll(tt.name, " ", "-") + "@example.com"
		err := smtp.SendMail(addr, nil, "a@example.com", []string{to}, []byte(tt.mail))
		got := tn.Mailbox(to)
		if (err != nil) != tt.refused || len(got) == 1 == tt.refused {
			t.Errorf("%s: %v, %d mails", tt.name, err, len(got))
			continue
		}
		if err == nil && (got[0].Subject != tt.subject || got[0].Text != tt.text || got[0].From != "a@example.com") {
			t.Errorf("%s: got %+v", tt.name, got[0])
		}
	}
}

func TestAFaultyMailServer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path, fault string
		code        int // 0: the connection ended
		mails       int
	}{
		"a recipient is refused for now":     {"rcpt", `{"status":451}`, 451, 0},
		"a recipient is refused for good":    {"rcpt", `{"status":550}`, 550, 0},
		"a mail is refused for now":          {"data", `{"status":451}`, 451, 0},
		"a mail is refused and arrives":      {"data", `{"status":550,"commit":"before"}`, 550, 1},
		"the connection ends at a recipient": {"rcpt", `{"drop":true}`, 0, 0},
		"the connection ends before a mail":  {"data", `{"drop":true}`, 0, 0},
		"the connection ends after a mail":   {"data", `{"drop":true,"reset":true,"commit":"before","delay_ms":1}`, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tn := start(t)
			addr := tn.sink()
			tn.fault(`{"match":{"path":"*"},"fault":{"status":500}}`) // of HTTP
			tn.fault(`{"match":{"method":"SMTP","path":"` + tc.path + `"},"fault":` + tc.fault + `,"times":1}`)
			err := sendRaw(addr, "ada@example.com")
			var refused *textproto.Error
			switch {
			case err == nil:
				t.Error("the mail was taken")
			case errors.As(err, &refused) != (tc.code != 0) || refused != nil && refused.Code != tc.code:
				t.Errorf("got %v, want %d", err, tc.code)
			}
			if got := len(tn.Mailbox("ada@example.com")); got != tc.mails {
				t.Errorf("%d mails, want %d", got, tc.mails)
			}
			if err := sendRaw(addr, "ada@example.com"); err != nil {
				t.Errorf("the next mail: %v", err)
			}
		})
	}
}

func TestTheSinkEndsWithItsListenerAndWithTheSimulator(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*tenant, net.Listener) error{
		"listener":  func(_ *tenant, ln net.Listener) error { return ln.Close() },
		"simulator": func(tn *tenant, _ net.Listener) error { tn.Close(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tn := start(t)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- tn.ServeSMTP(ln) }()
			c, err := smtp.Dial(ln.Addr().String()) // an idle connection holds nothing up
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := end(tn, ln); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Errorf("served to the end: %v", err)
			}
			if err := c.Noop(); err == nil {
				t.Error("the connection is still answered")
			}
		})
	}
	tn := start(t)
	tn.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := tn.ServeSMTP(ln); err != nil {
		t.Error(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener of a closed simulator: %v", err)
	}
}
