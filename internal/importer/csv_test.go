package importer_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/importer"
)

const header = "external_id,email,display_name\n"

func TestCSVIsReadRecordByRecord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string // LINE and what short says
	}{
		"plain":                           {header + "1,a@x.org,Ann\n2,b@x.org,Bob\n", []string{"2 1|a@x.org|Ann| ", "3 2|b@x.org|Bob| "}},
		"with a mark of UTF-8 and CRLF":   {"\xef\xbb\xbfexternal_id,email\r\n1,a@x.org\r\n", []string{"2 1|a@x.org|| "}},
		"without a line break at its end": {header + "1,a@x.org,Ann", []string{"2 1|a@x.org|Ann| "}},
		"with quotes, and quotes within":  {header + `"1","a@x.org","Ann ""A"", X"` + "\n", []string{`2 1|a@x.org|Ann "A", X| `}},
		"with line breaks within quotes":  {header + "1,a@x.org,\"two\r\nlines\"\n2,b@x.org,\n", []string{"2 1|a@x.org|two\nlines| ", "4 2|b@x.org|| "}},
		"with empty lines between":        {"\n\n" + header + "\n\r\n1,a@x.org,\n\n", []string{"6 1|a@x.org|| "}},
		"with a field too few and one too many": {header + "1,a@x.org\n2,b@x.org,Bob,x\n3,c@x.org,Cy\n", []string{
			"2 1|a@x.org|| :column_count", "3 2|b@x.org|Bob| :column_count", "4 3|c@x.org|Cy| ",
		}},
		"with a bare quote": {header + "1,a@x.org,An\"n\n2,b@x.org,\n", []string{"2 1|a@x.org|An\"n| display_name:bare_quote", "3 2|b@x.org|| "}},
		"with Latin-1 in one row": {header + "1,a@x.org,Ren\xe9\n2,b@x.org,René\n", []string{
			"2 1|a@x.org|Ren\ufffd| display_name:encoding", "3 2|b@x.org|René| ",
		}},
		"with what another program has lost": {header + "1,a@x.org,Ren\ufffd\n", []string{"2 1|a@x.org|Ren\ufffd| display_name:encoding"}},
		"with a NUL":                         {header + "1,a@x.org,A\x00\n", []string{"2 1|a@x.org|A\ufffd| display_name:nul"}},
		"with the columns of rejected rows":  {"external_id,email,line,error\n1,a@x.org,7,it was wrong\n", []string{"2 1|a@x.org|| "}},
		"with a header and nobody":           {header, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records, err := fromCSV(c.text, nil, false)
			var got []string
			for _, r := range records {
				got = append(got, fmt.Sprint(r.Line, " ", short(r)))
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v; not %q", got, err, c.want)
			}
		})
	}
}

func TestCSVThatCannotBeReadSaysWhereAndWhy(t *testing.T) {
	t.Parallel()
	named := importer.Mapping{importer.Email: "mail", importer.DisplayName: "name"}
	for name, c := range map[string]struct {
		text    string
		mapping importer.Mapping
		code    importer.Code
		want    string // in the message
	}{
		"empty":                   {"", nil, importer.Empty, "the file is empty"},
		"nothing but line breaks": {"\r\n\n", nil, importer.Empty, "the file is empty"},
		"UTF-16":                  {"\xff\xfee\x00x\x00", nil, importer.WrongEncoding, "UTF-16 (little-endian)"},
		"UTF-16, the other way":   {"\xfe\xff\x00e\x00x", nil, importer.WrongEncoding, "UTF-16 (big-endian)"},
		"UTF-16 without a mark":   {"e\x00x\x00t\x00", nil, importer.WrongEncoding, "UTF-16 (little-endian, without a mark)"},
		"UTF-32":                  {"\xff\xfe\x00\x00e\x00\x00\x00", nil, importer.WrongEncoding, "UTF-32 (little-endian)"},
		"a header in Latin-1":     {"external_id,email,pr\xe9nom\n", nil, importer.WrongEncoding, "line 1: the header is not UTF-8"},
		"no address": {
			"external_id,mail\n", nil, importer.ColumnMissing,
			`line 1: there is no column "email" for email: the columns are "external_id", "mail"`,
		},
		"a mapped column not there": {"external_id,mail\n", named, importer.ColumnMissing, `there is no column "name" for display_name`},
		"semicolons":                {"external_id;email\n1;a@x.org\n", nil, importer.ColumnMissing, "A comma has to be between two"},
		"a name twice":              {"external_id,email,email\n", nil, importer.ColumnTwice, `two columns are named "email"`},
		"a column nobody reads":     {"external_id,email,passwort\n", nil, importer.ColumnUnknown, `nothing would be read from the column "passwort"`},
		"a quote that is never closed": {
			header + "1,a@x.org,Ann\n2,\"b@x.org,\n3,c@x.org,\n", nil, importer.OpenQuote,
			"line 3: the quote that begins a field here is never closed",
		},
		"text behind a quote": {header + "1,\"a\"@x.org,Ann\n", nil, importer.OpenQuote, "line 2: text follows the closing quote"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fromCSV(c.text, c.mapping, false)
			var input *importer.InputError
			if !errors.As(err, &input) || input.Code != c.code || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, not %s with %q", err, c.code, c.want)
			}
		})
	}
	t.Run("unless unknown columns are to be ignored", func(t *testing.T) {
		t.Parallel()
		records, err := fromCSV("external_id,x,email,x\n1,,a@x.org,\n", nil, true)
		if err != nil || len(records) != 1 || short(records[0]) != "1|a@x.org|| " {
			t.Errorf("%+v, %v", records, err)
		}
	})
}

// endless repeats a text, to stand for files that nobody should have to keep.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	return len(p), nil
}

func TestNoFieldAndNoFileIsHeldWhole(t *testing.T) {
	const size = 16 << 20
	for name, c := range map[string]struct {
		before, repeated, after string
		ndjson                  bool
		want                    string
	}{
		"a field of 16 MiB":           {header + "1,a@x.org,", "x", "\n2,b@x.org,\n", false, "display_name:too_long"},
		"a quoted field of 16 MiB":    {header + "1,a@x.org,\"", "x\n", "\"\n2,b@x.org,\n", false, "display_name:too_long"},
		"a record of 16 M fields":     {header + "1,a@x.org,", ",", "\n2,b@x.org,\n", false, ":column_count"},
		"a line of 16 MiB":            {`{"external_id":"`, "x", "\"}\n{\"external_id\":\"2\",\"email\":\"b@x.org\"}\n", true, ":too_long"},
		"a file of 16 MiB of records": {header + "1,a@x.org,too few or too many,\n", "2,b@x.org,\n", "", false, ":column_count"},
	} {
		t.Run(name, func(t *testing.T) {
			repeated := io.LimitReader(&endless{text: c.repeated}, int64(size/len(c.repeated)*len(c.repeated)))
			in := io.MultiReader(strings.NewReader(c.before), repeated, strings.NewReader(c.after))
			var source importer.Source
			var err error
			if c.ndjson {
				source, err = importer.NewNDJSON(in, nil, false)
			} else {
				source, err = importer.NewCSV(in, nil, false)
			}
			if err != nil {
				t.Fatal(err)
			}
			var first, last importer.Record
			var most, now runtime.MemStats
			runtime.ReadMemStats(&most)
			for n := 0; ; n++ {
				record, err := source.Next(context.Background())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					first = record
				}
				last = record
			}
			runtime.GC()
			runtime.ReadMemStats(&now)
			if held := int64(now.HeapAlloc) - int64(most.HeapAlloc); held > 4<<20 {
				t.Errorf("%d bytes are held", held)
			}
			if !strings.Contains(short(first), c.want) {
				t.Errorf("the first record is %s", short(first))
			}
			if last.ExternalID != "2" || last.Email != "b@x.org" || len(last.Complaints) != 0 {
				t.Errorf("the last record is %s", short(last))
			}
		})
	}
}

// FuzzCSV holds our decoder against the standard library's, which is as strict,
// on whatever both accept.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"1,a@x.org,Ann\n", "\"1\",\"a \"\"b\"\"\",\r\n", "\"two\r\nlines\",,\n", "1,2\n", "a\"b,c,d\n", "\"a\"b,c,d\n", "\"open", ",,\n\n,,", "\r", "a\rb,,\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 60_000 {
			return
		}
		got, err := fromCSV(header+text, nil, false)
		reader := csv.NewReader(bytes.NewReader([]byte(header + text)))
		reader.FieldsPerRecord = -1
		want, wantErr := reader.ReadAll()
		if wantErr != nil {
			complained := err != nil
			for _, r := range got {
				complained = complained || len(r.Complaints) > 0
			}
			if !complained {
				t.Fatalf("%q is fine for us, and for the standard library %v", text, wantErr)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: %v, and the standard library reads it", text, err)
		}
		if want = want[1:]; len(got) != len(want) {
			t.Fatalf("%q has %d records, not %d", text, len(got), len(want))
		}
		for i, r := range got {
			if len(r.Complaints) > 0 {
				continue
			}
			if has := []string{r.ExternalID, r.Email, r.DisplayName}; !slices.Equal(has, want[i]) {
				t.Fatalf("%q: record %d is %q, not %q", text, i, has, want[i])
			}
		}
	})
}
