package api

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/portico-id/portico/api/openapi"
)

func TestWhoIsSignedInIsWrittenAsTheContractsTypeIs(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(
		rapid.String(), rapid.SampledFrom([]string{"", `"`, `\`, "<>&", "\u2028", "\x00\x1f\x7f", "\xff", "😀", "a\xc3"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		var me openapi.Me
		fill(t, reflect.ValueOf(&me).Elem(), text)
		want, wrong := json.Marshal(me)
		got, err := appendMe(nil, &me)
		if (err == nil) != (wrong == nil) {
			t.Fatalf("%v; json.Marshal: %v", err, wrong)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("wrote\n%s\nnot\n%s", got, want)
		}
	})
}

// fill draws every field that there is, so that none can be forgotten which the
// contract gets later.
func fill(t *rapid.T, v reflect.Value, text *rapid.Generator[string]) {
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		seconds := rapid.Int64Range(0, 253402300799).Draw(t, "seconds") // RFC 3339 ends with the year 9999
		*at = time.Unix(seconds, rapid.Int64Range(0, 999999).Draw(t, "µs")*1000).UTC()
	case **string:
		*at = rapid.Ptr(text, true).Draw(t, "text or none")
	case *[]string:
		*at = rapid.SliceOfN(text, 0, 4).Draw(t, "texts")
	default:
		switch v.Kind() {
		case reflect.Struct:
			for _, field := range v.Fields() {
				fill(t, field, text)
			}
		case reflect.String:
			v.SetString(text.Draw(t, "text"))
		case reflect.Bool:
			v.SetBool(rapid.Bool().Draw(t, "bool"))
		default:
			t.Fatalf("the contract has a %s", v.Type())
		}
	}
}
