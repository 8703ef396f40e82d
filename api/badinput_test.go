package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/store/storetest"
)

const limit = 64 << 10

// leavesNothing fails if the database has any trace of a sign-up or a login.
func (w *world) leavesNothing() {
	w.t.Helper()
	for _, table := range []string{"users", "signups", "sessions", "used_flows"} {
		if n := w.rows(table); n != 0 {
			w.t.Errorf("%s has %d rows", table, n)
		}
	}
	if n := len(w.enqueued("signup")); n != 0 {
		w.t.Errorf("%d jobs were enqueued", n)
	}
}

// bodyPaths are those of the routes that take JSON from anyone. Who has no
// session is refused before a body is looked at.
func bodyPaths() (paths []string) {
	for _, o := range api.Operations() {
		if o.Body && !o.Session {
			paths = append(paths, o.Path)
		}
	}
	return paths
}

func TestBodiesThatAreNotTheJSONThatIsWanted(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"email":`, 7000)
	tests := []struct {
		name, body, pointer, code string
	}{
		{"nothing at all", " ", "", "syntax"},
		{"not JSON", `email=ada@example.com`, "", "syntax"},
		{"half an object", `{"email":"ada@example.com"`, "", "syntax"},
		{"half a name", `{"ema`, "", "syntax"},
		{"a trailing comma", `{"email":"ada@example.com",}`, "", "syntax"},
		{"a comment", `{"email":"ada@example.com"/**/}`, "", "syntax"},
		{"single quotes", `{'email':'ada@example.com'}`, "", "syntax"},
		{"a byte order mark", "\ufeff" + `{"email":"ada@example.com"}`, "", "syntax"},
		{"a second object", `{"email":"ada@example.com"}{"email":"eve@example.com"}`, "", "trailing_data"},
		{"trailing text", `{"email":"ada@example.com"} x`, "", "trailing_data"},
		{"a trailing bracket", `{"email":"ada@example.com"}]`, "", "trailing_data"},
		{"a trailing NUL", `{"email":"ada@example.com"}` + "\x00", "", "trailing_data"},
		{"a duplicate name", `{"email":"ada@example.com","email":"eve@example.com"}`, "/email", "duplicate_name"},
		{"a duplicate name in disguise", `{"email":"ada@example.com","\u0065mail":"eve@example.com"}`, "/email", "duplicate_name"},
		{"an unknown name", `{"email":"ada@example.com","admin":true}`, "/admin", "unknown_name"},
		{"a name of the answer's", `{"email":"ada@example.com","signup_id":"x"}`, "/signup_id", "unknown_name"},
		{"a name in another case", `{"Email":"ada@example.com"}`, "/Email", "unknown_name"},
		{"a name in capitals", `{"EMAIL":"ada@example.com"}`, "/EMAIL", "unknown_name"},
		{"a name with a letter that folds", `{"email":"ada@example.com","di\u017fplay_name":"Ada"}`, "/diſplay_name", "unknown_name"},
		{"a name in camel case", `{"email":"ada@example.com","displayName":"Ada"}`, "/displayName", "unknown_name"},
		{"a name with a slash", `{"email":"ada@example.com","a/b~c":1}`, "/a~1b~0c", "unknown_name"},
		{"the empty name", `{"email":"ada@example.com","":1}`, "/", "unknown_name"},
		{"a number for text", `{"email":1}`, "/email", "wrong_type"},
		{"a boolean for text", `{"email":"ada@example.com","locale":true}`, "/locale", "wrong_type"},
		{"an array for text", `{"email":["ada@example.com"]}`, "/email", "wrong_type"},
		{"an object for text", `{"email":{"value":"ada@example.com"}}`, "/email", "wrong_type"},
		{"null for text", `{"email":null}`, "/email", "wrong_type"},
		{"null for what may be left out", `{"email":"ada@example.com","display_name":null}`, "/display_name", "wrong_type"},
		{"null for all", `null`, "", "wrong_type"},
		{"an array for all", `[{"email":"ada@example.com"}]`, "", "wrong_type"},
		{"text for all", `"ada@example.com"`, "", "wrong_type"},
		{"a number for all", `1`, "", "wrong_type"},
		{"true for all", `true`, "", "wrong_type"},
		{"an escaped NUL", `{"email":"ada\u0000@example.com"}`, "/email", "nul_character"},
		{"an escaped NUL in what may be left out", `{"email":"ada@example.com","display_name":"A\u0000"}`, "/display_name", "nul_character"},
		{"an escaped NUL in a name", `{"email":"ada@example.com","a\u0000":1}`, "/a\x00", "nul_character"},
		{"a raw NUL", "{\"email\":\"ada\x00@example.com\"}", "/email", "syntax"},
		{"a raw newline", "{\"email\":\"ada\n@example.com\"}", "/email", "syntax"},
		{"invalid UTF-8", "{\"email\":\"ada\xff@example.com\"}", "/email", "invalid_utf8"},
		{"overlong UTF-8", "{\"email\":\"ada\xc0\x80@example.com\"}", "/email", "invalid_utf8"},
		{"invalid UTF-8 in a name", "{\"email\":\"ada@example.com\",\"\xff\":1}", "", "invalid_utf8"},
		{"half a surrogate pair", `{"email":"ada\ud800@example.com"}`, "/email", "syntax"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "", "syntax"},
		{"objects in objects in objects", deep, strings.Repeat("/email", 22)[:128], "syntax"},
	}
	w := newWorld(t, options{})
	b := w.browser()
	for _, test := range tests {
		step(t, "ASVS-1.5.3 "+test.name, func(t *testing.T) {
			b.in(t).post("/signup", test.body).is(http.StatusBadRequest, "malformed_body").field(test.pointer, test.code)
		})
	}
	step(t, "ASVS-1.5.3 the other routes read as strictly", func(t *testing.T) {
		b := b.in(t)
		for _, path := range bodyPaths() {
			b.post(path, `{"Client":"native"}`).is(http.StatusBadRequest, "malformed_body").field("/Client", "unknown_name")
			b.post(path, `{"client":null}`).is(http.StatusBadRequest, "malformed_body").field("/client", "wrong_type")
			b.post(path, `{"code":"a","code":"b"}`).is(http.StatusBadRequest, "malformed_body")
			b.post(path, `{} {}`).is(http.StatusBadRequest, "malformed_body").field("", "trailing_data")
		}
	})
	w.leavesNothing()
}

func TestBodiesOfOtherMediaTypes(t *testing.T) {
	t.Parallel()
	const good = `{"email":"ada@example.com"}`
	tests := []struct {
		name    string
		headers []header
	}{
		{"no type", []header{{"Content-Type", ""}}},
		{"a form", []header{{"Content-Type", "application/x-www-form-urlencoded"}}},
		{"a multipart form", []header{{"Content-Type", "multipart/form-data; boundary=x"}}},
		{"plain text, which needs no preflight", []header{{"Content-Type", "text/plain"}}},
		{"JSON as text", []header{{"Content-Type", "text/json"}}},
		{"a JSON dialect", []header{{"Content-Type", "application/merge-patch+json"}}},
		{"XML", []header{{"Content-Type", "application/xml"}}},
		{"Latin-1", []header{{"Content-Type", "application/json; charset=latin1"}}},
		{"UTF-16", []header{{"Content-Type", "application/json; charset=utf-16"}}},
		{"two charsets", []header{{"Content-Type", "application/json; charset=utf-8; charset=utf-7"}}},
		{"a malformed type", []header{{"Content-Type", "application/json;;;"}}},
		{"two types in one", []header{{"Content-Type", "application/json, text/plain"}}},
		{"something compressed", []header{{"Content-Encoding", "gzip"}}},
		{"no compression, said aloud", []header{{"Content-Encoding", "identity"}}},
	}
	w := newWorld(t, options{})
	b := w.browser()
	for _, test := range tests {
		step(t, "ASVS-3.5.2 "+test.name, func(t *testing.T) {
			b := b.in(t)
			for _, path := range bodyPaths() {
				b.post(path, good, test.headers...).is(http.StatusUnsupportedMediaType, "unsupported_media_type")
			}
		})
	}
	step(t, "ASVS-3.5.2 two Content-Type headers", func(t *testing.T) {
		b := b.in(t)
		r := b.request(http.MethodPost, "/signup", good)
		r.Header.Add("Content-Type", "text/plain")
		b.send(r, false).is(http.StatusUnsupportedMediaType, "unsupported_media_type")
	})
	step(t, "no body and no type", func(t *testing.T) {
		b := b.in(t)
		b.post("/signup", "").is(http.StatusUnsupportedMediaType, "unsupported_media_type")
	})
	step(t, "no body under the right type", func(t *testing.T) {
		b := b.in(t)
		b.post("/signup", "", header{"Content-Type", "application/json"}).is(http.StatusBadRequest, "malformed_body").field("", "syntax")
	})
	w.leavesNothing()
	step(t, "the right type, spelled as it may be", func(t *testing.T) {
		b := b.in(t)
		for _, spelling := range []string{"Application/JSON", "application/json; charset=UTF-8", `application/json;charset="utf-8"`} {
			b.post("/signup", good, header{"Content-Type", spelling}).is(http.StatusAccepted)
		}
	})
}

func TestBodiesOf64KiBAndMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	padded := func(size int) string {
		body := `{"email":"ada@example.com"}`
		return body + strings.Repeat(" ", size-len(body))
	}
	chunked := func(body string) *http.Request {
		r := b.request(http.MethodPost, "/signup", "")
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1
		return r
	}
	for _, path := range bodyPaths() {
		b.post(path, padded(limit+1)).is(http.StatusRequestEntityTooLarge, "body_too_large")
	}
	b.post("/signup", padded(1<<20)).is(http.StatusRequestEntityTooLarge, "body_too_large")
	b.send(chunked(padded(limit+1)), false).is(http.StatusRequestEntityTooLarge, "body_too_large")
	w.leavesNothing()
	b.post("/signup", padded(limit)).is(http.StatusAccepted)
	b.send(chunked(padded(limit)), false).is(http.StatusAccepted)
}

func TestValuesThatAreNotAcceptable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, body, pointer, code string
	}{
		{"no address", "/signup", `{}`, "/email", "required"},
		{"an empty address", "/signup", `{"email":""}`, "/email", "required"},
		{"a word", "/signup", `{"email":"ada"}`, "/email", "invalid_email"},
		{"no domain", "/signup", `{"email":"ada@"}`, "/email", "invalid_email"},
		{"no local part", "/signup", `{"email":"@example.com"}`, "/email", "invalid_email"},
		{"no dot in the domain", "/signup", `{"email":"ada@localhost"}`, "/email", "invalid_email"},
		{"two at signs", "/signup", `{"email":"ada@a.example@b.example"}`, "/email", "invalid_email"},
		{"a display name in the address", "/signup", `{"email":"Ada <ada@example.com>"}`, "/email", "invalid_email"},
		{"a second recipient", "/signup", `{"email":"ada@example.com,eve@example.com"}`, "/email", "invalid_email"},
		{"a mail header", "/signup", `{"email":"ada@example.com\r\nBcc: eve@example.com"}`, "/email", "invalid_email"},
		{"a space", "/signup", `{"email":" ada@example.com"}`, "/email", "invalid_email"},
		{"a zero-width space", "/signup", `{"email":"ada\u200b@example.com"}`, "/email", "invalid_email"},
		{"a bidirectional override", "/signup", `{"email":"\u202eada@example.com"}`, "/email", "invalid_email"},
		{"an address literal", "/signup", `{"email":"ada@[127.0.0.1]"}`, "/email", "invalid_email"},
		{"a quoted local part", "/signup", `{"email":"\"ada\"@example.com"}`, "/email", "invalid_email"},
		{"an address of 255 characters", "/signup", `{"email":"` + strings.Repeat("a", 243) + `@example.com"}`, "/email", "too_long"},
		{"an address of 64 KiB", "/signup", `{"email":"` + strings.Repeat("a", limit-100) + `@example.com"}`, "/email", "too_long"},
		{"a local part of 65 characters", "/signup", `{"email":"` + strings.Repeat("a", 65) + `@example.com"}`, "/email", "invalid_email"},
		{"a name of 101 characters", "/signup", `{"email":"ada@example.com","display_name":"` + strings.Repeat("é", 101) + `"}`, "/display_name", "too_long"},
		{"a name with a newline", "/signup", `{"email":"ada@example.com","display_name":"Ada\nBcc: eve@example.com"}`, "/display_name", "invalid_value"},
		{"a name with an escape", "/signup", `{"email":"ada@example.com","display_name":"\u001b[31mAda"}`, "/display_name", "invalid_value"},
		{"a name that runs backwards", "/signup", `{"email":"ada@example.com","display_name":"\u202eadA"}`, "/display_name", "invalid_value"},
		{"a name of spaces", "/signup", `{"email":"ada@example.com","display_name":"  "}`, "/display_name", "invalid_value"},
		{"a locale that is none", "/signup", `{"email":"ada@example.com","locale":"not a locale"}`, "/locale", "invalid_value"},
		{"terms of 65 characters", "/signup", `{"email":"ada@example.com","terms_version":"` + strings.Repeat("1", 65) + `"}`, "/terms_version", "too_long"},
		{"terms with a tab", "/signup", `{"email":"ada@example.com","terms_version":"1\t"}`, "/terms_version", "invalid_value"},
		{"no client", "/login", `{}`, "/client", "required"},
		{"another client", "/login", `{"client":"Native"}`, "/client", "invalid_value"},
		{"a return target elsewhere", "/login", `{"client":"browser","return_to":"//evil.example"}`, "/return_to", "return_to_refused"},
		{"a long return target", "/login", `{"client":"browser","return_to":"/` + strings.Repeat("a", 2048) + `"}`, "/return_to", "too_long"},
		{"a return target that grows", "/login", `{"client":"browser","return_to":"/` + strings.Repeat("é", 2000) + `"}`, "/return_to", "return_to_refused"},
		{"no code", "/callback", `{"state":"s","flow":"f"}`, "/code", "required"},
		{"a long code", "/callback", `{"code":"` + strings.Repeat("c", 2049) + `","state":"s","flow":"f"}`, "/code", "too_long"},
		{"a long state", "/callback", `{"code":"c","state":"` + strings.Repeat("s", 513) + `","flow":"f"}`, "/state", "too_long"},
		{"a long issuer", "/callback", `{"code":"c","state":"s","flow":"f","iss":"` + strings.Repeat("i", 513) + `"}`, "/iss", "too_long"},
		{"a long flow", "/callback", `{"code":"c","state":"s","flow":"` + strings.Repeat("f", 8193) + `"}`, "/flow", "too_long"},
	}
	w := newWorld(t, options{})
	b := w.browser()
	for _, test := range tests {
		step(t, "ASVS-2.2.1 ASVS-2.2.2 "+test.name, func(t *testing.T) {
			b := b.in(t)
			b.post(test.path, test.body).is(http.StatusUnprocessableEntity, "invalid_fields").field(test.pointer, test.code)
		})
	}
	w.leavesNothing()
}

func TestBadInputLeavesNothingOnEitherDatabase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		b := w.browser()
		b.post("/signup", `{"email":"ada\u0000@example.com"}`).is(http.StatusBadRequest, "malformed_body")
		b.post("/signup", `{"email":"ada@example.com","display_name":"\u0000"}`).is(http.StatusBadRequest, "malformed_body")
		b.post("/signup", `{"email":"no address"}`).is(http.StatusUnprocessableEntity, "invalid_fields")
		b.get("/signup/"+strings.Repeat("A", 22)).is(http.StatusNotFound, "signup_not_found")
		b.get("/signup/%00").is(http.StatusNotFound, "signup_not_found")
		b.get("/signup/%FF").is(http.StatusNotFound, "signup_not_found")
		w.leavesNothing()
		b.post("/signup", `{"email":"ada@example.com","display_name":""}`).is(http.StatusAccepted)
	})
}

func TestSeveralFieldsAtFaultAreAllNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	a := w.browser().post("/callback", `{}`).is(http.StatusUnprocessableEntity, "invalid_fields")
	for _, pointer := range []string{"/code", "/state", "/flow"} {
		if !strings.Contains(a.body, `"`+pointer+`"`) {
			t.Errorf("%s is not named in %s", pointer, a.body)
		}
	}
}
