package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// maxField is the longest text that is kept of one field, in bytes. More is
	// counted and thrown away, so that no input can make us hold it.
	maxField = 64 << 10
	// maxLine is the same for a line of NDJSON.
	maxLine = 4 * maxField
	// excerpt is what is kept of a text that is too long, in bytes.
	excerpt = 64
)

// The marks by which an encoding shows itself at the start of a text (Unicode
// 16.0 §23.8), the longer ones first.
//
//nolint:gochecknoglobals // a table
var marks = []struct{ mark, encoding string }{
	{"\xff\xfe\x00\x00", "UTF-32 (little-endian)"},
	{"\x00\x00\xfe\xff", "UTF-32 (big-endian)"},
	{"\xff\xfe", "UTF-16 (little-endian)"},
	{"\xfe\xff", "UTF-16 (big-endian)"},
}

const utf8Mark = "\xef\xbb\xbf"

// openText steps over the mark of UTF-8. It returns an *InputError that names
// another encoding, by its mark or by the zeros in the first characters.
func openText(r io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(r, maxField)
	start, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	wrong := func(encoding string) error {
		return &InputError{Code: WrongEncoding, Text: "the file is in " + encoding + ": save it as UTF-8"}
	}
	for _, m := range marks {
		if bytes.HasPrefix(start, []byte(m.mark)) {
			return nil, wrong(m.encoding)
		}
	}
	if len(start) == 4 {
		switch zero := [4]bool{start[0] == 0, start[1] == 0, start[2] == 0, start[3] == 0}; zero {
		case [4]bool{false, true, false, true}:
			return nil, wrong("UTF-16 (little-endian, without a mark)")
		case [4]bool{true, false, true, false}:
			return nil, wrong("UTF-16 (big-endian, without a mark)")
		}
	}
	if bytes.HasPrefix(start, []byte(utf8Mark)) {
		_, err = in.Discard(len(utf8Mark))
		return in, err
	}
	return in, nil
}

// lost stands where something could not be read or kept. A text that has it is
// refused in its turn, so that nobody is brought in by half a name.
const lost = string(utf8.RuneError)

// put sets a field to what the input has there, and complains of what no
// database could keep. What is kept of such a text is for whoever corrects it.
func (r *Record) put(c Column, text string, length int64) {
	into := r.field(c)
	if length > maxField {
		r.complain(c, TooLong, fmt.Sprintf("has %d bytes; %d KiB is the most", length, maxField>>10))
		*into = strings.ReplaceAll(strings.ToValidUTF8(text[:excerpt], ""), "\x00", "") + lost
		return
	}
	*into = text
	if strings.Contains(text, lost) {
		r.complain(c, NotUTF8, "has a U+FFFD, which stands for what could not be read")
	}
	if i := invalidUTF8(text); i >= 0 {
		r.complain(c, NotUTF8, fmt.Sprintf("byte %d is 0x%02X, which is not UTF-8: is it in Latin-1 or Windows-1252?", i+1, text[i]))
		*into = strings.ToValidUTF8(*into, lost)
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		r.complain(c, HasNUL, fmt.Sprintf("byte %d is NUL", i+1))
		*into = strings.ReplaceAll(*into, "\x00", lost)
	}
}

// invalidUTF8 is where the first byte is that is not UTF-8, or -1.
func invalidUTF8(text string) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
