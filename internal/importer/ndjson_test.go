package importer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/importer"
)

func TestNDJSONIsReadLineByLine(t *testing.T) {
	t.Parallel()
	const fine = `{"external_id":"1","email":"a@x.org"}` + "\n"
	for name, c := range map[string]struct {
		text          string
		ignoreUnknown bool
		want          []string
	}{
		"plain":                             {fine, false, []string{"1 1|a@x.org|| "}},
		"with a mark, CRLF and empty lines": {"\xef\xbb\xbf\r\n" + strings.TrimSpace(fine) + "\r\n\n", false, []string{"2 1|a@x.org|| "}},
		"with null for none":                {`{"external_id":"1","email":"a@x.org","display_name":null}`, false, []string{"1 1|a@x.org|| "}},
		"with escapes":                      {`{"external_id":"1","email":"a@x.org","display_name":"\u0041\"\\"}`, false, []string{`1 1|a@x.org|A"\| `}},
		"with a number for a text":          {`{"external_id":1,"email":"a@x.org"}`, false, []string{"1 |a@x.org|| external_id:not_text"}},
		"with an object for a text":         {`{"external_id":{"email":"x"},"email":"a@x.org"}`, false, []string{"1 |a@x.org|| external_id:not_text"}},
		"with a member twice":               {`{"external_id":"1","email":"a@x.org","email":"b@x.org"}`, false, []string{"1 1|a@x.org|| :duplicate_member"}},
		"with a member nobody reads":        {`{"external_id":"1","email":"a@x.org","role":"admin"}`, false, []string{"1 1|a@x.org|| :unknown_member"}},
		"with one that is to be ignored":    {`{"external_id":"1","email":"a@x.org","roles":[{"a":1}]}`, true, []string{"1 1|a@x.org|| "}},
		"with the members of rejected rows": {`{"external_id":"1","email":"a@x.org","line":3,"error":"x"}`, false, []string{"1 1|a@x.org|| "}},
		"with a NUL":                        {`{"external_id":"1\u0000","email":"a@x.org"}`, false, []string{"1 1\ufffd|a@x.org|| external_id:nul"}},
		"with lines that are no objects": {`"text"` + "\n" + `[]` + "\n" + `{"email":` + "\n" + `{}{}` + "\n" + `{} x` + "\n" + fine, false, []string{
			"1 ||| :not_object", "2 ||| :not_object", "3 ||| email:not_text,:not_object", "4 ||| :not_object", "5 ||| :not_object", "6 1|a@x.org|| ",
		}},
		"with half a surrogate": {`{"external_id":"\ud800","email":"a@x.org"}`, false, []string{"1 ||| :not_object"}},
		"with Latin-1":          {"{\"external_id\":\"Ren\xe9\"}\n" + fine, false, []string{"1 ||| :encoding", "2 1|a@x.org|| "}},
		"with a text beyond 64 KiB": {`{"external_id":"1","email":"a@x.org","display_name":"` + strings.Repeat("x", 70_000) + `"}`, false, []string{
			"1 1|a@x.org|" + strings.Repeat("x", 64) + "\ufffd| display_name:too_long",
		}},
		"with a line beyond 256 KiB": {`{"external_id":"` + strings.Repeat("x", 300_000) + "\"}\n" + fine, false, []string{"1 ||| :too_long", "2 1|a@x.org|| "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records, err := fromNDJSON(c.text, nil, c.ignoreUnknown)
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

func TestWhatIsNoNDJSONIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		code importer.Code
	}{
		"nothing":      {"", importer.Empty},
		"a JSON array": {"[\n{\"external_id\":\"1\"}\n]", importer.NotLines},
		"UTF-16":       {"\xfe\xff\x00{", importer.WrongEncoding},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fromNDJSON(c.text, nil, false)
			var input *importer.InputError
			if !errors.As(err, &input) || input.Code != c.code {
				t.Errorf("%v, not %s", err, c.code)
			}
		})
	}
}

// FuzzNDJSON: what is read without a complaint is what the standard library
// reads, and no line is lost.
func FuzzNDJSON(f *testing.F) {
	for _, seed := range []string{
		`{"external_id":"1","email":"a@x.org"}`, `{"a":1}`, `{"email":"\u00e9"}`, "\n\n{}",
		`{"email":null}`, `{"email":"a","email":"b"}`, "{\"email\":\"\xff\"}", `[`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := fromNDJSON(text, nil, true)
		if err != nil {
			if _, ok := errors.AsType[*importer.InputError](err); !ok {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		lines := strings.Split(strings.TrimPrefix(text, "\xef\xbb\xbf"), "\n")
		full := 0
		for _, line := range lines {
			if strings.TrimSpace(line) != "" {
				full++
			}
		}
		if len(got) != full {
			t.Fatalf("%q: %d records of %d lines", text, len(got), full)
		}
		for _, r := range got {
			if len(r.Complaints) > 0 {
				continue
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(lines[r.Line-1]), &want); err != nil {
				t.Fatalf("%q is fine for us, and for the standard library %v", lines[r.Line-1], err)
			}
			if email, _ := want["email"].(string); email != r.Email {
				t.Fatalf("%q is the address, not %q", r.Email, email)
			}
		}
	})
}
