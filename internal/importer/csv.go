package importer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// maxColumns bounds what is kept of one record.
const maxColumns = 1000

// CSV reads people from a text as RFC 4180 has it, with a header, in UTF-8.
// Lines may end in LF or CRLF, and a mark of UTF-8 may come first. It holds one
// record at a time, and of each field no more than 64 KiB.
type CSV struct {
	in     *csvText
	layout layout
}

// NewCSV reads the header. It returns an *InputError that says what is wrong
// with it.
func NewCSV(r io.Reader, mapping Mapping, ignoreUnknown bool) (*CSV, error) {
	in, err := openText(r)
	if err != nil {
		return nil, err
	}
	text := &csvText{in: in, line: 1}
	header, err := text.next()
	if errors.Is(err, io.EOF) {
		return nil, &InputError{Code: Empty, Text: "the file is empty"}
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(header.fields))
	for i, f := range header.fields {
		names[i] = string(f.text)
		if at := invalidUTF8(names[i]); at >= 0 {
			return nil, &InputError{Line: header.line, Code: WrongEncoding, Text: fmt.Sprintf("the header is not UTF-8: it has a byte 0x%02X", names[i][at])}
		}
	}
	if header.columns > maxColumns {
		return nil, &InputError{Line: header.line, Code: ColumnUnknown, Text: fmt.Sprintf("there are %d columns; %d is the most", header.columns, maxColumns)}
	}
	l, err := layOut(names, mapping, header.line, ignoreUnknown)
	return &CSV{in: text, layout: l}, err
}

// Next returns the next person, io.EOF after the last, or an *InputError where
// nothing more can be told apart.
func (c *CSV) Next(context.Context) (Record, error) {
	row, err := c.in.next()
	if err != nil {
		return Record{}, err
	}
	r := Record{Line: row.line}
	if row.columns != len(c.layout) {
		r.complain("", ColumnCount, fmt.Sprintf("there are %d fields, and the header has %d", row.columns, len(c.layout)))
	}
	for i, f := range row.fields[:min(len(row.fields), len(c.layout))] {
		column := c.layout[i]
		if f.bare {
			r.complain(column, BareQuote, "a quote is in a field without quotes around it: put them around it, and write it twice")
		}
		if column != "" {
			r.put(column, string(f.text), f.length)
		}
	}
	return r, nil
}

// csvText tells records and fields apart.
type csvText struct {
	in     *bufio.Reader
	line   int64 // of the next byte
	fields []csvField
}

type csvField struct {
	text   []byte // no more than excerpt bytes if it is too long
	length int64
	bare   bool // a quote is where none may be
}

// csvRow is a record; it is good until the next.
type csvRow struct {
	line    int64
	columns int // all of them, if there are more than fields
	fields  []csvField
}

// next returns the next record that is not an empty line, or io.EOF.
func (c *csvText) next() (csvRow, error) {
	for {
		row := csvRow{line: c.line, fields: c.fields[:0]}
		for {
			field, last, err := c.field(&row)
			if err != nil {
				return csvRow{}, err
			}
			if row.columns == 0 && last && field.length == 0 && !field.quoted {
				break // an empty line
			}
			row.columns++
			if last {
				c.fields = row.fields
				return row, nil
			}
		}
	}
}

// ended is how a field has ended.
type ended struct {
	length int64
	quoted bool
}

// field reads one field into the row and reports whether it was the last. It
// returns io.EOF if there is no record.
func (c *csvText) field(row *csvRow) (e ended, last bool, err error) {
	field := row.slot()
	b, err := c.in.ReadByte()
	switch {
	case errors.Is(err, io.EOF) && row.columns == 0:
		return ended{}, true, io.EOF
	case errors.Is(err, io.EOF):
		return ended{}, true, nil
	case err != nil:
		return ended{}, true, err
	case b == '"':
		last, err = c.quoted(field)
		return ended{field.length, true}, last, err
	}
	for ; err == nil; b, err = c.in.ReadByte() {
		switch {
		case b == ',':
			return ended{length: field.length}, false, nil
		case b == '\n', b == '\r' && c.newline():
			c.line++
			return ended{length: field.length}, true, nil
		case b == '"':
			field.bare = true
		}
		field.add(b)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return ended{length: field.length}, true, err
}

// quoted reads the rest of a field that began with a quote.
func (c *csvText) quoted(field *csvField) (last bool, err error) {
	begin := c.line
	for {
		b, err := c.in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return true, &InputError{Line: begin, Code: OpenQuote, Text: "the quote that begins a field here is never closed"}
		case err != nil:
			return true, err
		case b == '\r' && c.newline():
			b = '\n'
			c.line++
		case b == '\n':
			c.line++
		case b == '"':
			if closed, last, err := c.closed(begin); closed || err != nil {
				return last, err
			}
		}
		field.add(b)
	}
}

// closed reads what follows a quote within quotes: another, which stands for
// one, or the field's end. With anything else nobody can tell where the field
// ends, nor the record.
func (c *csvText) closed(begin int64) (closed, last bool, err error) {
	b, err := c.in.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return true, true, nil
	case err != nil:
		return true, true, err
	case b == '"':
		return false, false, nil
	case b == ',':
		return true, false, nil
	case b == '\n', b == '\r' && c.newline():
		c.line++
		return true, true, nil
	}
	return true, true, &InputError{Line: c.line, Code: OpenQuote, Text: fmt.Sprintf(
		"text follows the closing quote of a field that begins on line %d: a quote within quotes is written twice", begin)}
}

// newline takes the LF of a CRLF.
func (c *csvText) newline() bool {
	b, err := c.in.ReadByte()
	if err != nil {
		return errors.Is(err, io.EOF) // a CR that ends the file ends the line
	}
	if b == '\n' {
		return true
	}
	_ = c.in.UnreadByte() // it was read just now
	return false
}

// slot is where the next field goes. Beyond what is kept it is one that nobody
// looks at.
func (r *csvRow) slot() *csvField {
	if len(r.fields) == maxColumns {
		return &csvField{}
	}
	if len(r.fields) < cap(r.fields) {
		r.fields = r.fields[:len(r.fields)+1]
		last := &r.fields[len(r.fields)-1]
		*last = csvField{text: last.text[:0]}
		return last
	}
	r.fields = append(r.fields, csvField{})
	return &r.fields[len(r.fields)-1]
}

func (f *csvField) add(b byte) {
	f.length++
	switch {
	case f.length <= maxField:
		f.text = append(f.text, b)
	case f.length == maxField+1:
		f.text = append([]byte(nil), f.text[:excerpt]...)
	}
}
