package api

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/mutate"
	"github.com/portico-id/portico/internal/signup"
)

func TestPreferences(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		headers []string
		want    time.Duration
	}{
		{"none", nil, 0},
		{"a wait", []string{"wait=5"}, 5 * time.Second},
		{"in capitals", []string{"WAIT=5"}, 5 * time.Second},
		{"with spaces", []string{" wait = 5 "}, 5 * time.Second},
		{"in quotes", []string{`wait="5"`}, 5 * time.Second},
		{"with a parameter", []string{"wait=5; x=y"}, 5 * time.Second},
		{"among others", []string{"respond-async, wait=5, return=minimal"}, 5 * time.Second},
		{"in the second line", []string{"respond-async", "wait=5"}, 5 * time.Second},
		{"twice, of which the first counts", []string{"wait=3, wait=5"}, 3 * time.Second},
		{"the longest", []string{"wait=10"}, 10 * time.Second},
		{"longer than the longest", []string{"wait=11"}, 10 * time.Second},
		{"an hour", []string{"wait=3600"}, 10 * time.Second},
		{"nothing", []string{"wait=0"}, 0},
		{"less than nothing", []string{"wait=-1"}, 0},
		{"a fraction", []string{"wait=1.5"}, 0},
		{"no value", []string{"wait"}, 0},
		{"an empty value", []string{"wait="}, 0},
		{"a word", []string{"wait=long"}, 0},
		{"a number of another script", []string{"wait=٥"}, 0},
		{"hexadecimal", []string{"wait=0x5"}, 0},
		{"a number that overflows", []string{"wait=99999999999999999999"}, 0},
		{"another name", []string{"waits=5, await=5"}, 0},
		{"commas only", []string{",,,;;,==,"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signup", http.NoBody)
			r.Header["Prefer"] = test.headers
			if got := preferredWait(r); got != test.want {
				t.Errorf("%q is %s, not %s", test.headers, got, test.want)
			}
		})
	}
}

func TestLongPolls(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "24": 24 * time.Second, "25": 25 * time.Second, "007": 7 * time.Second,
	} {
		if got, err := longPoll(value); err != nil || got != want {
			t.Errorf("%q is %s, %v", value, got, err)
		}
	}
	for _, value := range []string{"26", "-1", "+1", "1.5", "1s", "x", " 1", "1 ", "0x1", "1e1", "65536", "99999999999999999999", "1_0", "٥", "\x00"} {
		_, err := longPoll(value)
		p, ok := errors.AsType[*problem](err)
		if !ok || p.code != openapi.ProblemCodeInvalidQuery || len(p.fields) != 1 || p.fields[0].Pointer != "?wait" {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	const id = "8e03978e-40d5-43dd-bc93-6894a57f9324"
	long := strings.Repeat("k", longestKey)
	tests := []struct {
		name    string
		headers []string
		want    string // empty: it is refused
	}{
		{"bare", []string{id}, id},
		{"in quotes", []string{`"` + id + `"`}, id},
		{"one character", []string{"k"}, "k"},
		{"punctuation", []string{"a:b/c=d;e,f'g{h}~!"}, "a:b/c=d;e,f'g{h}~!"},
		{"the longest", []string{long}, long},
		{"the longest, in quotes", []string{`"` + long + `"`}, long},
		{"empty", []string{""}, ""},
		{"empty quotes", []string{`""`}, ""},
		{"half the quotes", []string{`"k`}, ""},
		{"the other half", []string{`k"`}, ""},
		{"one quote", []string{`"`}, ""},
		{"a quote within", []string{`"k"k"`}, ""},
		{"an escape", []string{`"k\"k"`}, ""},
		{"a backslash", []string{`k\k`}, ""},
		{"parameters after the quotes", []string{`"k";x=1`}, ""},
		{"too long", []string{long + "k"}, ""},
		{"too long in quotes", []string{`"` + long + `k"`}, ""},
		{"twice", []string{"k", "k"}, ""},
		{"twice, once empty", []string{"k", ""}, ""},
		{"a space within", []string{"k k"}, ""},
		{"spaces", []string{"  "}, ""},
		{"a tab", []string{"k\tk"}, ""},
		{"a line break", []string{"k\r\nk"}, ""},
		{"a NUL", []string{"k\x00"}, ""},
		{"a DEL", []string{"k\x7f"}, ""},
		{"letters beyond ASCII", []string{"schlüssel"}, ""},
		{"bytes that are no text", []string{"k\xff"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signup", http.NoBody)
			r.Header["Idempotency-Key"] = test.headers
			got, err := idempotencyKey(r)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q is %q, %v", test.headers, got, err)
			}
			if err != nil && asProblem(err).code != openapi.ProblemCodeIdempotencyKeyInvalid {
				t.Error(err)
			}
		})
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signup", http.NoBody)
	if got, err := idempotencyKey(r); got != "" || err != nil {
		t.Errorf("none is %q, %v", got, err)
	}
}

func TestEntityTags(t *testing.T) {
	t.Parallel()
	const tag = `"abc"`
	for header, want := range map[string]bool{
		tag: true, "W/" + tag: true, "*": true, `"x", ` + tag: true, `"x",W/"abc"`: true, " " + tag + " ": true,
		"": false, "abc": false, `"abcd"`: false, `"ab", "c"`: false, `w/"abc"`: false, "W/": false, ",": false,
	} {
		if got := matches(header, tag); got != want {
			t.Errorf("%q matches: %t", header, got)
		}
	}
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	first := signup.Signup{Receipt: "r", Status: signup.Received, ResendAfter: at}
	same := first
	same.Replayed = true
	same.ResendAfter = at.In(time.FixedZone("CET", 3600))
	if etag(first) != etag(same) {
		t.Error("what is not shown changes the tag")
	}
	for name, change := range map[string]func(*signup.Signup){
		"another receipt": func(s *signup.Signup) { s.Receipt = "s" },
		"another status":  func(s *signup.Signup) { s.Status = signup.Invited },
		"another time":    func(s *signup.Signup) { s.ResendAfter = at.Add(time.Second) },
	} {
		other := first
		change(&other)
		if etag(first) == etag(other) {
			t.Errorf("%s has the same tag", name)
		}
	}
}

func TestBodiesThatAreTheSame(t *testing.T) {
	t.Parallel()
	read := func(text string) string {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signup", strings.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		body, err := decode[openapi.SignupRequest](httptest.NewRecorder(), r)
		if err != nil {
			t.Fatal(err)
		}
		same, err := sameBody(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(same)
	}
	first := read(`{"email":"ada@example.com","locale":"en"}`)
	for _, text := range []string{
		` { "locale" : "en" , "email" : "\u0061da@example.com" } `,
		`{"email":"ada@example.com","locale":"en","challenge_response":"solved"}`,
		`{"email":"ada@example.com","locale":"en","display_name":""}`,
	} {
		if got := read(text); got != first {
			t.Errorf("%s is %s, not %s", text, got, first)
		}
	}
	for _, text := range []string{
		`{"email":"ada@example.com"}`, `{"email":"Ada@example.com","locale":"en"}`,
		`{"email":"ada@example.com","locale":"en","display_name":"Ada"}`,
		`{"email":"ada@example.com","locale":"en","terms_version":"1"}`,
		`{"email":"ada@example.com","locale":"en","invite_code":"x"}`,
	} {
		if got := read(text); got == first {
			t.Errorf("%s is the same as %s", text, first)
		}
	}
}

// bodySeeds are bodies of sign-ups to begin with.
func bodySeeds() []string {
	return []string{
		`{"email":"ada@example.com"}`, `{"email":"ada+tag@blocked.example","invite_code":"5F7KD"}`,
		`{"email":"\u00e4@\u0000"}`, `{"email":"a@b\u200dc.example","locale":"en-GB","challenge_response":"x"}`,
		`{"email":"ada@example.com","display_name":"\ud83d\ude00"}`, `{"email":null}`, `[]`, ``,
	}
}

// FuzzDecodeSignup is what comes of a body before anything is stored: decoded,
// made comparable, and its address held against a policy.
func FuzzDecodeSignup(f *testing.F) {
	for _, seed := range bodySeeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(checkBody(f))
}

func TestNoBodyIsAFaultOfOurs(t *testing.T) {
	t.Parallel()
	mutate.Run(t, bodySeeds(), []string{
		`"email":`, `"display_name":`, `"locale":"en"`, `"terms_version":"1"`, `"invite_code":"x"`, `"challenge_response":"x"`,
		`,`, `:`, `{`, `}`, `[`, `]`, `"`, `\`, `\u0000`, `\ud800`, `null`, `true`, `1e999`, "@example.com", "\u200b", "\xff",
	}, checkBody(t))
}

// checkBody returns a check that a body is read, or refused as the sender's.
func checkBody(tb testing.TB) func(t *testing.T, raw []byte) {
	tb.Helper()
	policy, err := directory.ParsePolicy(directory.PolicySettings{
		Block: []string{"blocked.example", "no-*@*.example.com"}, Plus: directory.PlusFold,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return func(t *testing.T, raw []byte) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signup", bytes.NewReader(raw))
		r.Header.Set("Content-Type", "application/json")
		body, err := decode[openapi.SignupRequest](httptest.NewRecorder(), r)
		if err == nil {
			if _, err = sameBody(body); err != nil {
				t.Fatalf("%q cannot be encoded again: %v", raw, err)
			}
			if _, err = policy.Parse(body.Email); err != nil {
				err = refusedAddress(err)
			}
		}
		if err == nil {
			return
		}
		p := asProblem(err)
		if p.status() >= http.StatusInternalServerError || p.code == openapi.ProblemCodeInternalError {
			t.Errorf("%q is answered with %d: %v", raw, p.status(), err)
		}
		for _, field := range p.fields {
			if len(field.Pointer) > maxPointer || !field.Code.Valid() {
				t.Errorf("%q is answered with the field %+v", raw, field)
			}
		}
	}
}
