package mail

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestLetterHasTheHeadersOfANotice(t *testing.T) {
	t.Parallel()
	m := newMailer(t, "smtp://localhost", nil)
	m.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	l, err := m.write(toAda.message())
	if err != nil {
		t.Fatal(err)
	}
	headers, bodies := read(t, l.data)
	for name, want := range map[string]string{
		"From":             "Fahrpläne <no-reply@xn--mnchen-3ya.example>",
		"To":               "<Ada@xn--bcher-kva.example>",
		"Subject":          "Sie haben bereits ein Konto bei Fahrpläne",
		"Date":             "Fri, 02 Jan 2026 03:04:05 +0000",
		"Message-Id":       "<" + m.messageID(kindNotice, toAda.ID) + ">",
		"Auto-Submitted":   "auto-generated",
		"Content-Language": "de",
		"Mime-Version":     "1.0",
	} {
		if got, err := new(mime.WordDecoder).DecodeHeader(headers.Get(name)); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", name, got, want, err)
		}
	}
	for _, name := range []string{"Precedence", "List-Unsubscribe", "User-Agent", "X-Mailer"} {
		if _, ok := headers[name]; ok {
			t.Errorf("there is a header %s", name)
		}
	}
	if !strings.Contains(bodies[0], "Ada@Bücher.example") || !strings.Contains(bodies[1], "Ada@Bücher.example") {
		t.Errorf("got %q", bodies)
	}
}

func TestMessageIDFollowsFromTheNotice(t *testing.T) {
	t.Parallel()
	m := newMailer(t, "smtp://localhost", nil)
	first, again, other := m.messageID(kindNotice, "1"), m.messageID(kindNotice, "1"), m.messageID(kindNotice, "2")
	if first != again || first == other || !strings.HasSuffix(first, "@xn--mnchen-3ya.example") {
		t.Errorf("got %s, %s and %s", first, again, other)
	}
}

func TestLetterCannotBeWritten(t *testing.T) {
	t.Parallel()
	failing, err := LoadTemplates(fstest.MapFS{
		"notice.en.subject.tmpl": text(`{{if eq .App "Example"}}x{{else}}{{.Surname}}{{end}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		notice    Notice
		templates *Templates
		class     Class
	}{
		{"without an ID", Notice{To: "ada@example.com"}, nil, Misconfigured},
		{"without an address", Notice{ID: "1"}, nil, Refused},
		{"to two addresses", Notice{ID: "1", To: "ada@example.com,eve@example.com"}, nil, Refused},
		{"to an address with a command in it", Notice{ID: "1", To: "ada@example.com>\r\nDATA"}, nil, Refused},
		{"to an address with a header in it", Notice{ID: "1", To: "ada\r\nBcc: eve@example.com"}, nil, Refused},
		{"to an address with parameters of RCPT", Notice{ID: "1", To: "ada@example.com> NOTIFY=SUCCESS"}, nil, Refused},
		{"to a quoted local part", Notice{ID: "1", To: `"ada lovelace"@example.com`}, nil, Refused},
		{"to a local part with an empty atom", Notice{ID: "1", To: "ada..l@example.com"}, nil, Refused},
		{"to a domain with a dot at its end", Notice{ID: "1", To: "ada@example.com."}, nil, Refused},
		{"to a domain that is none", Notice{ID: "1", To: "ada@exa mple.com"}, nil, Refused},
		{"to an endless address", Notice{ID: "1", To: strings.Repeat("a", 65) + "@example.com"}, nil, Refused},
		{"with a template that fails for this one", Notice{ID: "1", To: "ada@example.com"}, failing, Misconfigured},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMailer(t, "smtp://localhost:1", func(c *Config) { c.Templates = tt.templates })
			e := mustSendError(t, m.Send(t.Context(), tt.notice))
			if e.Step != StepLetter || e.Class != tt.class {
				t.Errorf("got %v", e)
			}
			if strings.Contains(e.Error(), "example.com") {
				t.Errorf("%q holds the address", e)
			}
		})
	}
}

func TestValuesCannotLeaveTheirPlace(t *testing.T) {
	t.Parallel()
	everywhere, err := LoadTemplates(fstest.MapFS{
		"notice.en.subject.tmpl": text("{{.Name}} {{.App}}"),
		"notice.en.txt.tmpl":     text("To {{.Name}}."),
		"notice.en.html.tmpl":    text(`<p title="{{.Name}}">{{.Name}}</p>`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, value, subject, html string }{
		{"a header", "x\r\nBcc: eve@example.com", "x Bcc: eve@example.com", ""},
		{"a header, by line feed alone", "x\nBcc: eve@example.com", "x Bcc: eve@example.com", ""},
		{"a body", "x\r\n\r\n<h1>eve</h1>", "x <h1>eve</h1>", "<h1>"},
		{"an end of data", "x\r\n.\r\nMAIL FROM:<>", "x . MAIL FROM:<>", ""},
		{"markup", `"><script>alert(1)</script>`, `"><script>alert(1)</script>`, "<script"},
		{"an encoded word", "=?utf-8?q?x=0D=0ABcc:_eve?=", "= ?utf-8?q?x=0D=0ABcc:_eve?=", ""},
		{"a line that reads from right to left", "x\u202egnp.exe", "x gnp.exe", "\u202e"},
		{"a separator of paragraphs", "x\u2029y\u0085z", "x y z", ""},
		{"bytes that are no text", "x\xffy", "x\uFFFDy", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMailer(t, "smtp://localhost", func(c *Config) { c.Templates, c.From = everywhere, "Example <no-reply@example.com>" })
			l, err := m.write(Notice{ID: "1", To: "ada@example.com", Name: tt.value}.message())
			if err != nil {
				t.Fatal(err)
			}
			headers, bodies := read(t, l.data)
			if got, err := new(mime.WordDecoder).DecodeHeader(headers.Get("Subject")); err != nil || got != tt.subject+" Fahrpläne" {
				t.Errorf("the subject is %q (%v)", got, err)
			}
			if tt.html != "" && strings.Contains(bodies[1], tt.html) {
				t.Errorf("the HTML is %s", bodies[1])
			}
		})
	}
}

func TestNewNamesTheSettingAtFault(t *testing.T) {
	t.Parallel()
	server, err := ParseServer("smtp://localhost")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no server", func(c *Config) { c.Server = Server{} }, "server"},
		{"no sender", func(c *Config) { c.From = "" }, "sender"},
		{"a sender with a line break", func(c *Config) { c.From = "a\r\n <a@example.com>" }, "sender"},
		{"a sender with a quoted local part", func(c *Config) { c.From = `"a b"@example.com` }, "sender"},
		{"no app", func(c *Config) { c.App = " \n" }, "app"},
		{"no sign-in address", func(c *Config) { c.LoginURL = "" }, "sign-in"},
		{"a sign-in address that is a script", func(c *Config) { c.LoginURL = "javascript:alert(1)" }, "sign-in"},
		{"a sign-in address that is relative", func(c *Config) { c.LoginURL = "/login" }, "sign-in"},
		{"a sign-in address with a line break", func(c *Config) { c.LoginURL = "https://example.com/\nx" }, "sign-in"},
		{"a name that ends EHLO", func(c *Config) { c.Hello = "me\r\nMAIL" }, "EHLO"},
		{"a negative timeout", func(c *Config) { c.Timeout = -1 }, "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Config{Server: server, From: "a@example.com", App: "Example", LoginURL: "https://example.com/login"}
			tt.change(&c)
			if _, err := New(c); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want word of %q", err, tt.says)
			}
		})
	}
}

// Whatever a name, an app, an address and a locale hold, the letter has our
// headers, each once, and two parts that say what they should.
func FuzzLetter(f *testing.F) {
	f.Add("de-AT", "Ada", "Fahrpläne", "ada@example.com")
	f.Add("", "x\r\nBcc: eve@example.com", "=?utf-8?q?=0D=0A?=", "josé@bücher.example")
	f.Add("und-x-\x00", "\u202e<script>", strings.Repeat("w ", 300), "a@b.c")
	f.Add("en", strings.Repeat("ü", 400), strings.Repeat("=?", 200), "a\n@b.c")
	server, err := ParseServer("smtp://localhost")
	if err != nil {
		f.Fatal(err)
	}
	templates, err := LoadTemplates(fstest.MapFS{
		"notice.en.subject.tmpl": text("{{.App}}: {{.Name}} {{.Email}}"),
		"notice.en.txt.tmpl":     text("{{.App}}\n{{.Name}}\n.\n{{.Email}}"),
		"notice.en.html.tmpl":    text(`<p title="{{.Name}}">{{.App}} {{.Name}}</p><i>{{.Email}}</i>`),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, locale, name, app, to string) {
		m, err := New(Config{Server: server, From: app + " <a@example.com>", App: app, LoginURL: "https://example.com/", Templates: templates})
		if err != nil {
			if m, err = New(Config{Server: server, From: "a@example.com", App: "x" + app, LoginURL: "https://example.com/", Templates: templates}); err != nil {
				t.Fatal(err)
			}
		}
		l, err := m.write(Notice{ID: "1", To: to, Name: name, Locale: locale}.message())
		if err != nil {
			if ClassOf(err) != Refused {
				t.Fatal(err) // only the address may be at fault
			}
			return
		}
		headers, bodies := read(t, l.data)
		if strings.Contains(bodies[1], "<script") || strings.ContainsRune(bodies[1], '\u202e') {
			t.Errorf("the HTML is %s", bodies[1])
		}
		if from := headers.Get("From"); !strings.HasSuffix(from, "<a@example.com>") {
			t.Errorf("from %q", from)
		}
		if got, err := netmail.ParseAddress(headers.Get("To")); err != nil || got.Address != l.to.String() {
			t.Errorf("to %q (%v)", headers.Get("To"), err)
		}
	})
}

// read takes a letter apart as a mail program does, and fails where it is not
// what RFC 5322 and MIME ask for, or has a header that nobody wrote.
func read(t *testing.T, data []byte) (netmail.Header, []string) {
	t.Helper()
	for line := range bytes.SplitSeq(data, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("a line that SMTP does not carry: %q", line)
		}
	}
	message, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, values := range message.Header {
		if names = append(names, name); len(values) != 1 {
			t.Errorf("%s: %q", name, values)
		}
	}
	slices.Sort(names)
	if want := []string{
		"Auto-Submitted", "Content-Language", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To",
	}; !slices.Equal(names, want) {
		t.Errorf("headers %q, want %q", names, want)
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil || strings.ContainsAny(subject, "\r\n") {
		t.Errorf("the subject is %q (%v)", subject, err)
	}
	return message.Header, parts(t, message)
}

// parts returns the text and the HTML, decoded.
func parts(t *testing.T, message *netmail.Message) []string {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s (%v)", kind, err)
	}
	var bodies []string
	reader := multipart.NewReader(message.Body, parameters["boundary"])
	for _, want := range []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"} {
		part, err := reader.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); got != want {
			t.Errorf("a part is %q, want %q", got, want)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
	if _, err := reader.NextRawPart(); !errors.Is(err, io.EOF) {
		t.Errorf("a third part (%v)", err)
	}
	return bodies
}
