package simulator

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"
)

// Bounds of a mail's parts. Nested deeper, or more of them, is no mail of ours.
const (
	maxMailDepth = 8
	maxMailParts = 64
)

var errTooManyParts = errors.New("the mail has too many parts")

// webLink is an http or https address in a text.
var webLink = regexp.MustCompile(`https?://[^\s<>"'\x60]+`)

// parseMail reads subject, sender, text, HTML and the first link of a mail. It
// returns an error for what is not a mail or has a part that cannot be decoded.
func parseMail(raw []byte) (Mail, error) {
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Mail{}, fmt.Errorf("no mail: %w", err)
	}
	var b mailBody
	if err := b.read(textproto.MIMEHeader(msg.Header), msg.Body, 0); err != nil {
		return Mail{}, err
	}
	m := Mail{
		Subject: headerText(msg.Header.Get("Subject")), From: headerText(msg.Header.Get("From")),
		Text: b.text, HTML: b.html,
	}
	m.Link = firstLink(m.Text)
	if m.Link == "" {
		m.Link = firstLink(strings.ReplaceAll(m.HTML, "&amp;", "&"))
	}
	return m, nil
}

func firstLink(text string) string { return strings.TrimRight(webLink.FindString(text), ".,;:!?)]}") }

// headerText decodes encoded words (RFC 2047); what cannot be decoded stays.
func headerText(value string) string {
	decoder := mime.WordDecoder{CharsetReader: utf8Reader}
	if decoded, err := decoder.DecodeHeader(value); err == nil {
		value = decoded
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}

// mailBody collects the first text and the first HTML of a mail.
type mailBody struct {
	text, html string
	parts      int
}

func (b *mailBody) read(h textproto.MIMEHeader, body io.Reader, depth int) error {
	b.parts++
	if b.parts > maxMailParts || depth > maxMailDepth {
		return errTooManyParts
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind, params = "text/plain", nil // RFC 2045 section 5.2
	}
	if strings.HasPrefix(kind, "multipart/") {
		return b.readParts(multipart.NewReader(body, params["boundary"]), depth)
	}
	disposition, _, _ := mime.ParseMediaType(h.Get("Content-Disposition"))
	if disposition == "attachment" || kind != "text/plain" && kind != "text/html" {
		return nil
	}
	decoded, err := decodePart(h.Get("Content-Transfer-Encoding"), params["charset"], body)
	if err != nil {
		return fmt.Errorf("%s part: %w", kind, err)
	}
	into := &b.text
	if kind == "text/html" {
		into = &b.html
	}
	if *into == "" {
		*into = decoded
	}
	return nil
}

func (b *mailBody) readParts(r *multipart.Reader, depth int) error {
	for {
		// A raw part keeps its encoding, which NextPart would take off.
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("multipart: %w", err)
		}
		if err := b.read(part.Header, part, depth+1); err != nil {
			return err
		}
	}
}

// decodePart takes the transfer encoding and the character set off.
func decodePart(encoding, charset string, body io.Reader) (string, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body) // it skips line breaks
	case "", "7bit", "8bit", "binary":
	default:
		return "", fmt.Errorf("unknown transfer encoding %q", encoding)
	}
	body, err := utf8Reader(charset, body)
	if err != nil {
		return "", err
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	text := strings.ToValidUTF8(string(raw), "\uFFFD")
	return strings.ReplaceAll(text, "\r\n", "\n"), nil
}

// utf8Reader knows the character sets that mails of programs come in.
func utf8Reader(charset string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(charset) {
	case "", "utf-8", "us-ascii":
		return in, nil
	case "iso-8859-1":
		raw, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		var text strings.Builder
		for _, b := range raw {
			text.WriteRune(rune(b)) // its 256 characters are the first of Unicode
		}
		return strings.NewReader(text.String()), nil
	default:
		return nil, fmt.Errorf("unknown character set %q", charset)
	}
}
