package importer

import (
	"fmt"
	"slices"
	"strings"
)

// Column is what is read of a person.
type Column string

// The columns. Only the last two may be missing.
const (
	ExternalID  Column = "external_id"
	Email       Column = "email"
	DisplayName Column = "display_name"
	Locale      Column = "locale"
)

// Columns returns every column, in the order in which they are written.
func Columns() []Column { return []Column{ExternalID, Email, DisplayName, Locale} }

// The columns that a file of rejected rows has besides. What is read again may
// still carry them.
const (
	LineColumn  = "line"
	ErrorColumn = "error"
)

// Mapping says what the input calls the columns. What is empty has its own
// name and, if it is not required, may be missing.
type Mapping map[Column]string

// Name returns what the input calls the column.
func (m Mapping) Name(c Column) string {
	if name := m[c]; name != "" {
		return name
	}
	return string(c)
}

// needed reports whether an input without the column is refused.
func (m Mapping) needed(c Column) bool { return c == ExternalID || c == Email || m[c] != "" }

// column returns which column the name stands for, or none.
func (m Mapping) column(name string) (Column, bool) {
	for _, c := range Columns() {
		if m.Name(c) == name {
			return c, true
		}
	}
	return "", false
}

// Code says what is wrong, for a program.
type Code string

// What is wrong with one row.
const (
	Required       Code = "required"         // there is nothing
	BadExternalID  Code = "external_id"      // not 1 to 128 characters that a filter can carry
	BadEmail       Code = "email"            // not an address
	EmailBlocked   Code = "email_blocked"    // by the policy of this deployment
	EmailThrowaway Code = "email_disposable" // likewise
	EmailTagged    Code = "email_tagged"     // likewise
	BadDisplayName Code = "display_name"     // too long, or not to be shown
	BadLocale      Code = "locale"           // not a BCP 47 tag
	NotUTF8        Code = "encoding"         // bytes of another encoding
	HasNUL         Code = "nul"              // a NUL byte
	TooLong        Code = "too_long"         // a field or line beyond all bounds
	ColumnCount    Code = "column_count"     // not as many as the header has
	BareQuote      Code = "bare_quote"       // a quote within a field that has none around it
	NotObject      Code = "not_object"       // a line of NDJSON that is no JSON object
	NameTwice      Code = "duplicate_member" // a member that is there twice
	UnknownMember  Code = "unknown_member"   // a member that nothing is read from
	NotText        Code = "not_text"         // a number, list or object for a text
	Duplicate      Code = "duplicate"        // another row has the same
	Taken          Code = "taken"            // another user of the directory has it
	WasDeleted     Code = "deleted"          // a deleted user had it
)

// What is wrong with the input as a whole.
const (
	Empty         Code = "empty"            // there is nobody in it
	WrongEncoding Code = "wrong_encoding"   // it is not UTF-8
	ColumnMissing Code = "column_missing"   // a mapped column is not there
	ColumnTwice   Code = "duplicate_column" // two columns have one name
	ColumnUnknown Code = "unknown_column"   // nothing is read from a column
	OpenQuote     Code = "open_quote"       // where a record ends cannot be told
	NotLines      Code = "not_ndjson"       // JSON, but not an object a line
)

// Complaint says what is wrong with a row, without repeating what is in it.
type Complaint struct {
	Column Column // empty for the row as a whole
	Code   Code
	Text   string
}

// Record is one person as the input has them.
type Record struct {
	// Line is the physical line, from 1, on which the record begins; of a
	// query, the number of the row.
	Line int64

	ExternalID  string
	Email       string
	DisplayName string
	Locale      string

	Complaints []Complaint
}

// field is where the column's value goes.
func (r *Record) field(c Column) *string {
	switch c {
	case ExternalID:
		return &r.ExternalID
	case Email:
		return &r.Email
	case DisplayName:
		return &r.DisplayName
	case Locale:
		return &r.Locale
	default:
		panic("importer: no column " + string(c))
	}
}

// Value returns what the record has in the column.
func (r Record) Value(c Column) string { return *r.field(c) }

func (r *Record) complain(c Column, code Code, text string) {
	r.Complaints = append(r.Complaints, Complaint{Column: c, Code: code, Text: text})
}

// Fault is what the column ErrorColumn in a file of rejected rows says.
func (r Record) Fault() string {
	var all []string
	for _, c := range r.Complaints {
		text := c.Text
		if c.Column != "" {
			text = string(c.Column) + ": " + text
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// InputError says why an input cannot be read at all, or no further.
type InputError struct {
	Line int64 // from 1; 0 for the input as a whole
	Code Code
	Text string
}

// Error names the line.
func (e *InputError) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

// layout says which column each of the input's fields is; empty is none.
type layout []Column

// layOut finds the mapped columns among the names that an input has. It
// returns an *InputError that names them.
func layOut(names []string, mapping Mapping, line int64, ignoreUnknown bool) (layout, error) {
	var unknown []string
	found := make(layout, len(names))
	for i, name := range names {
		c, ok := mapping.column(name)
		if !ok && name != LineColumn && name != ErrorColumn {
			unknown = append(unknown, name)
		}
		if slices.Contains(names[:i], name) && (ok || !ignoreUnknown) {
			return nil, &InputError{Line: line, Code: ColumnTwice, Text: fmt.Sprintf("two columns are named %q", name)}
		}
		found[i] = c
	}
	for _, c := range Columns() {
		if mapping.needed(c) && !slices.Contains(found, c) {
			return nil, &InputError{Line: line, Code: ColumnMissing, Text: fmt.Sprintf(
				"there is no column %q for %s: the columns are %s%s", mapping.Name(c), c, quoted(names), separators(names))}
		}
	}
	if len(unknown) > 0 && !ignoreUnknown {
		return nil, &InputError{Line: line, Code: ColumnUnknown, Text: fmt.Sprintf(
			"nothing would be read from the column %s: map it, leave it out, or say that unknown columns are to be ignored", quoted(unknown))}
	}
	return found, nil
}

// separators guesses why there is one column only.
func separators(names []string) string {
	if len(names) == 1 && strings.ContainsAny(names[0], ";\t|") {
		return ". A comma has to be between two"
	}
	return ""
}

// quoted lists names, as many as a line can take.
func quoted(names []string) string {
	const most = 30
	var all []string
	for i, name := range names {
		if i == most {
			all = append(all, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		all = append(all, fmt.Sprintf("%.80q", name))
	}
	return strings.Join(all, ", ")
}
