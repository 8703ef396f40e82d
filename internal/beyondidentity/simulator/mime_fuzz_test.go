package simulator

import (
	"testing"
	"unicode/utf8"
)

func FuzzParseMail(f *testing.F) {
	for _, seed := range []string{
		"Subject: S\r\n\r\nhttps://example.com/a.", "\r\n", "Subject: =?utf-8?b?w7w=?=\r\n\r\n",
		"Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC=\r\n\r\n--a\r\n" +
			"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+\r\n--a--",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMail(raw)
		if err != nil {
			return
		}
		for _, text := range []string{m.Subject, m.From, m.Text, m.HTML, m.Link} {
			if !utf8.ValidString(text) {
				t.Errorf("%q is not text", text)
			}
		}
	})
}
