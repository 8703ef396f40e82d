package importer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// NDJSON reads people from lines with a JSON object each, in UTF-8. It holds
// one line at a time, and none beyond 256 KiB.
type NDJSON struct {
	in            *bufio.Reader
	line          int64 // the last that was read
	buffer        []byte
	mapping       Mapping
	ignoreUnknown bool
}

// NewNDJSON looks at the first character. It returns an *InputError for what
// cannot be NDJSON.
func NewNDJSON(r io.Reader, mapping Mapping, ignoreUnknown bool) (*NDJSON, error) {
	in, err := openText(r)
	if err != nil {
		return nil, err
	}
	switch first, err := in.Peek(1); {
	case errors.Is(err, io.EOF):
		return nil, &InputError{Code: Empty, Text: "the file is empty"}
	case err != nil:
		return nil, err
	case first[0] == '[':
		return nil, &InputError{Line: 1, Code: NotLines, Text: "this is a JSON array: write each object on a line of its own, without commas between them"}
	}
	return &NDJSON{in: in, mapping: mapping, ignoreUnknown: ignoreUnknown}, nil
}

// Next returns the next person, or io.EOF after the last.
func (n *NDJSON) Next(context.Context) (Record, error) {
	for {
		line, length, err := n.readLine()
		if err != nil {
			return Record{}, err
		}
		r := Record{Line: n.line}
		switch {
		case length > maxLine:
			r.complain("", TooLong, fmt.Sprintf("the line has %d bytes; %d KiB is the most", length, maxLine>>10))
			return r, nil
		case len(bytes.TrimSpace(line)) == 0:
			continue
		}
		n.decode(line, &r)
		return r, nil
	}
}

// readLine returns the next line, and nothing but its length if it is too long.
func (n *NDJSON) readLine() (line []byte, length int64, err error) {
	n.line++
	n.buffer = n.buffer[:0]
	for {
		part, err := n.in.ReadSlice('\n')
		length += int64(len(part))
		if length <= maxLine {
			n.buffer = append(n.buffer, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && length == 0:
			return nil, 0, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, 0, err
		default:
			return n.buffer, length, nil
		}
	}
}

// decode reads one object, and complains of what is not right in it.
func (n *NDJSON) decode(line []byte, r *Record) {
	if at := invalidUTF8(string(line)); at >= 0 {
		r.complain("", NotUTF8, fmt.Sprintf("byte %d of the line is 0x%02X, which is not UTF-8", at+1, line[at]))
		return
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(line))
	if decoder.PeekKind() != '{' {
		r.complain("", NotObject, "the line is not a JSON object")
		return
	}
	err := n.members(decoder, r)
	if err == nil {
		if _, err = decoder.ReadToken(); errors.Is(err, io.EOF) {
			return
		}
		r.complain("", NotObject, "something follows the object on its line")
		return
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		r.complain("", NameTwice, "a member is there twice")
		return
	}
	r.complain("", NotObject, fmt.Sprintf("the line is not a JSON object: it goes wrong at byte %d", decoder.InputOffset()+1))
}

func (n *NDJSON) members(decoder *jsontext.Decoder, r *Record) error {
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() != '}' {
		token, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		column, known := n.mapping.column(name)
		if !known {
			if !n.ignoreUnknown && name != LineColumn && name != ErrorColumn {
				r.complain("", UnknownMember, fmt.Sprintf("nothing would be read from the member %.80q", name))
			}
			if err := decoder.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := readText(decoder, column, r); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}

// readText reads a member that has to be a text, or null for none.
func readText(decoder *jsontext.Decoder, column Column, r *Record) error {
	switch decoder.PeekKind() {
	case '"':
		token, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		text := token.String()
		r.put(column, text, int64(len(text)))
		return nil
	case 'n':
		_, err := decoder.ReadToken()
		return err
	default:
		r.complain(column, NotText, "is not a text")
		return decoder.SkipValue()
	}
}
