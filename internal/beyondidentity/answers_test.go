package beyondidentity

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestASuccessIsReadFlatAndWrapped(t *testing.T) {
	t.Parallel()
	want := User{InternalID: "a3b1", ExternalID: ours, Email: oursMail, UserName: string(ours), DisplayName: "Anna", Status: "USER_STATUS_ACTIVE"}
	for name, body := range map[string]string{
		"flat":    flatAnswer,
		"wrapped": `{"user":` + flatAnswer + `}`,
		"wrapped, with fields that nobody documented": `{"user":` + flatAnswer + `,"x":[{"y":null}]}`,
	} {
		for _, call := range remoteCalls[:2] {
			t.Run(name+", "+call.op, func(t *testing.T) {
				t.Parallel()
				s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, body) })
				got, err := call.do(t.Context(), newClient(t, s.URL, generous), theirs)
				if err != nil || got != want {
					t.Errorf("got %+v, %v\nwant %+v", got, err, want)
				}
			})
		}
	}
}

func TestALookUpReturnsTheUser(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, listAnswer) })
	got, err := newClient(t, s.URL, generous).FindUser(t.Context(), ours)
	want := User{
		InternalID: "a3b1", ExternalID: ours, Email: oursMail, UserName: "anna", DisplayName: "Anna",
		Status: "ACTIVE", HasActivePasskey: true, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC),
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestWhatIsOnlyShownNeedNotBeWellTyped(t *testing.T) {
	t.Parallel()
	got, err := decodeUser([]byte(`{"internal_id":"a","external_id":"e","status":1,"email":null,"display_name":{},"user_name":["x"]}`), "e")
	if want := (User{InternalID: "a", ExternalID: "e"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestASuccessThatDoesNotNameOurUserIsAmbiguous(t *testing.T) {
	t.Parallel()
	other := strings.ReplaceAll(flatAnswer, string(ours), "someone-else")
	tests := []struct{ name, contentType, body string }{
		{"no body", "application/json", ""},
		{"null", "application/json", "null"},
		{"an empty object", "application/json", "{}"},
		{"an array", "application/json", "[" + flatAnswer + "]"},
		{"HTML", "text/html", "<html>"},
		{"the right JSON under a wrong type", "text/plain", flatAnswer},
		{"the right JSON without a type", "", flatAnswer},
		{"a null user", "application/json", `{"user":null}`},
		{"another user", "application/json", other},
		{"another user, wrapped", "application/json", `{"user":` + other + `}`},
		{"our user in other letters", "application/json", strings.ToUpper(flatAnswer)},
		{"no internal_id", "application/json", `{"external_id":"` + string(ours) + `"}`},
		{"an empty internal_id", "application/json", `{"external_id":"` + string(ours) + `","internal_id":""}`},
		{"an internal_id that is a number", "application/json", `{"external_id":"` + string(ours) + `","internal_id":7}`},
		{"an internal_id with a line break", "application/json", `{"external_id":"` + string(ours) + `","internal_id":"a\nb"}`},
		{"an internal_id that never ends", "application/json", `{"external_id":"` + string(ours) + `","internal_id":"` + strings.Repeat("a", 256) + `"}`},
		{"no external_id", "application/json", `{"internal_id":"a3b1"}`},
		{"names in other letters", "application/json", `{"External_ID":"` + string(ours) + `","Internal_ID":"a3b1"}`},
		{"a name twice", "application/json", `{"external_id":"` + string(ours) + `","internal_id":"a","internal_id":"b"}`},
		{"a name twice in a part nobody reads", "application/json", `{"external_id":"` + string(ours) + `","internal_id":"a","x":{"y":1,"y":2}}`},
		{"invalid UTF-8", "application/json", `{"external_id":"` + string(ours) + `","internal_id":"a","x":"` + "\xff" + `"}`},
		{"flat and wrapped at once", "application/json", strings.TrimSuffix(flatAnswer, "}") + `,"user":` + flatAnswer + `}`},
		{"something after the user", "application/json", flatAnswer + flatAnswer},
		{"half a user", "application/json", flatAnswer[:len(flatAnswer)/2]},
		{"a body over the limit", "application/json", flatAnswer + strings.Repeat(" ", maxBody)},
	}
	for _, tt := range tests {
		for _, call := range remoteCalls {
			if call.op == opDelete && tt.body == "" {
				continue // that is its success
			}
			t.Run(tt.name+", "+call.op, func(t *testing.T) {
				t.Parallel()
				s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header()["Content-Type"] = []string{tt.contentType}
					w.Header().Set("X-Request-Id", "r-1")
					_, _ = io.WriteString(w, tt.body)
				})
				_, err := call.do(t.Context(), newClient(t, s.URL, generous), theirs)
				e := mustError(t, err)
				if e.Class != Ambiguous || e.Status != http.StatusOK || e.RequestID != "r-1" {
					t.Errorf("got %v, want ambiguous", err)
				}
			})
		}
	}
}

func TestALookUpBelievesOnlyACompleteAnswer(t *testing.T) {
	t.Parallel()
	mine := `{"id":"a","external_id":"` + string(ours) + `"}`
	other := `{"id":"b","external_id":"someone-else"}`
	upper := `{"id":"c","external_id":"` + strings.ToUpper(string(ours)) + `"}`
	tests := []struct {
		name, body string
		want       Class
	}{
		{"ours alone is found", `{"users":[` + mine + `],"total_size":1}`, ""},
		{"ours among others, because the filter was ignored, is found", `{"users":[` + other + `,` + mine + `],"total_size":2}`, ""},
		{"ours with more on the next page may have a double there", `{"users":[` + mine + `],"total_size":2}`, Ambiguous},
		{"ours without a count may have a double", `{"users":[` + mine + `]}`, Ambiguous},
		{"ours twice is a duplicate", `{"users":[` + mine + `,` + mine + `],"total_size":2}`, Duplicate},
		{"ours twice is a duplicate however many there are", `{"users":[` + mine + `,` + mine + `],"total_size":9}`, Duplicate},
		{"ours without an id cannot be adopted", `{"users":[{"external_id":"` + string(ours) + `"}],"total_size":1}`, Ambiguous},
		{"nobody, counted, is not found", `{"users":[],"total_size":0}`, NotFound},
		{"nobody as null, counted, is not found", `{"users":null,"total_size":0}`, NotFound},
		{"nobody and no list, counted, is not found", `{"total_size":0}`, NotFound},
		{"only others answer another question", `{"users":[` + other + `],"total_size":1}`, Ambiguous},
		{"only somebody without an id proves nothing", `{"users":[{"id":null,"external_id":null}],"total_size":1}`, Ambiguous},
		{"ours in other letters is another's, and not found", `{"users":[` + upper + `],"total_size":1}`, NotFound},
		{"only others and more to come proves nothing", `{"users":[` + other + `],"total_size":400}`, Ambiguous},
		{"an empty page of several proves nothing", `{"users":[],"total_size":1}`, Ambiguous},
		{"an empty page without a count proves nothing", `{"users":[]}`, Ambiguous},
		{"a count that is not a number proves nothing", `{"users":[],"total_size":"0"}`, Ambiguous},
		{"a count below zero proves nothing", `{"users":[],"total_size":-1}`, Ambiguous},
		{"users that are no list prove nothing", `{"users":{},"total_size":0}`, Ambiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, tt.body) })
			_, err := newClient(t, s.URL, generous).FindUser(t.Context(), ours)
			if ClassOf(err) != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAStatusDecidesTheClass(t *testing.T) {
	t.Parallel()
	all := func(c Class) [7]Class { return [7]Class{c, c, c, c, c, c, c} }
	tests := map[int][7]Class{ // create, recover, find, get, list, update, delete
		300: all(Misconfigured), 301: all(Misconfigured), 302: all(Misconfigured), 303: all(Misconfigured),
		304: all(Misconfigured), 307: all(Misconfigured), 308: all(Misconfigured),
		400: all(Rejected), 402: all(Rejected), 406: all(Rejected), 410: all(Rejected), 412: all(Rejected),
		413: all(Rejected), 415: all(Rejected), 418: all(Rejected), 422: all(Rejected), 451: all(Rejected),
		401: all(Unauthorized), 403: all(Unauthorized),
		404: {Misconfigured, NotFound, Misconfigured, Misconfigured, Misconfigured, Misconfigured, Misconfigured},
		405: all(Misconfigured), 407: all(Misconfigured), 421: all(Misconfigured), 426: all(Misconfigured),
		408: all(Ambiguous), 425: all(Ambiguous), 499: all(Ambiguous),
		409: all(Conflict),
		429: all(RateLimited),
		500: all(Ambiguous), 501: all(Ambiguous), 502: all(Ambiguous), 503: all(Ambiguous), 504: all(Ambiguous),
		520: all(Ambiguous), 599: all(Ambiguous), 700: all(Ambiguous), 999: all(Ambiguous),
	}
	for status, want := range tests {
		for i, call := range remoteCalls {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					t.Error("a redirect was followed")
				}
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("X-Request-Id", "r-1")
				answer(w, status, call.success) // a body that would be a success, under another status
			})
			_, err := call.do(t.Context(), newClient(t, s.URL, generous), theirs)
			e := mustError(t, err)
			if e.Class != want[i] || e.Status != status || e.RequestID != "r-1" || e.Err != nil {
				t.Errorf("%s, HTTP %d: got %v, want %s", call.op, status, err, want[i])
			}
		}
	}
}

func TestTheVendorsWordsAreKeptForTheLog(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, contentType, body, code, message string }{
		{"a code as text", "application/json", `{"code":"conflict","message":"user already exists","details":[{}]}`, "conflict", "user already exists"},
		{"a code as a number", "application/json", `{"code":6,"message":"exists"}`, "6", "exists"},
		{"error instead of message", "application/json; charset=utf-8", `{"error":"exists"}`, "", "exists"},
		{"message before error", "application/problem+json", `{"error":"conflict","message":"exists"}`, "", "exists"},
		{"an error that is an object", "application/json", `{"error":{"x":1}}`, "", ""},
		{"controls and invisible characters are dropped", "application/json", `{"message":"a\r\nlevel=ERROR\u0000\u202e\u2028b"}`, "", "alevel=ERRORb"},
		{"a long message is cut between characters", "application/json", `{"message":"` + strings.Repeat("ü", 400) + `"}`, "", strings.Repeat("ü", 150)},
		{"HTML is not repeated", "text/html", `<h1>no</h1>`, "", ""},
		{"broken JSON is not repeated", "application/json", `{"message":"x"`, "", ""},
		{"a body over the limit is not repeated", "application/json", `{"message":"x","y":"` + strings.Repeat("y", maxBody) + `"}`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(http.StatusConflict)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := newClient(t, s.URL, generous).RecoverUser(t.Context(), ours)
			e := mustError(t, err)
			if e.Class != Conflict || e.Code != tt.code || e.Message != tt.message {
				t.Errorf("got %s, code %q, message %q", e.Class, e.Code, e.Message)
			}
			if e.Message != "" && strings.Contains(e.Error(), e.Message) {
				t.Errorf("the vendor's message is in the error's text: %v", e)
			}
		})
	}
}

func TestClassOfAnotherError(t *testing.T) {
	t.Parallel()
	if got := ClassOf(nil); got != "" {
		t.Errorf("nil: got %q", got)
	}
	if got := ClassOf(context.Canceled); got != Ambiguous {
		t.Errorf("a foreign error: got %q", got)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	header := func(kv ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Add(kv[i], kv[i+1])
		}
		return h
	}
	tests := []struct {
		name   string
		status int
		header http.Header
		want   time.Duration
	}{
		{"nothing said", 429, header(), 0},
		{"seconds", 429, header("Retry-After", "30"), 30 * time.Second},
		{"seconds with a 503", 503, header("Retry-After", "30"), 30 * time.Second},
		{"a date", 429, header("Retry-After", "Sun, 01 Mar 2026 12:01:30 GMT"), 90 * time.Second},
		{"a date in the past", 429, header("Retry-After", "Sun, 01 Mar 2026 11:00:00 GMT"), 0},
		{"a date in the far future", 429, header("Retry-After", "Mon, 01 Mar 2027 12:00:00 GMT"), time.Hour},
		{"a day", 429, header("Retry-After", "86400"), time.Hour},
		{"more than an int64 holds", 429, header("Retry-After", "99999999999999999999"), time.Hour},
		{"less than an int64 holds", 429, header("Retry-After", "-99999999999999999999"), 0},
		{"below zero", 429, header("Retry-After", "-5"), 0},
		{"not a number", 429, header("Retry-After", "soon"), 0},
		{"not a number, with a reset", 429, header("Retry-After", "soon", "RateLimit-Reset", "7"), 7 * time.Second},
		{"both, of which Retry-After wins", 429, header("Retry-After", "3", "RateLimit-Reset", "7"), 3 * time.Second},
		{"a reset in seconds", 429, header("RateLimit-Reset", "30"), 30 * time.Second},
		{"a reset with spaces and a window", 429, header("RateLimit-Reset", " 30 , 60;w=60"), 30 * time.Second},
		{"a reset as an epoch", 429, header("RateLimit-Reset", "1772366445"), 45 * time.Second},
		{"a reset as an epoch in the past", 429, header("RateLimit-Reset", "1772360000"), 0},
		{"a reset as an epoch in milliseconds", 429, header("RateLimit-Reset", "1772366445000"), 45 * time.Second},
		{"a reset under the older name", 429, header("X-RateLimit-Reset", "12"), 12 * time.Second},
		{"a reset that belongs to another refusal", 400, header("RateLimit-Reset", "30"), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := retryAfter(tt.status, tt.header, now); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for _, status := range []int{429, 503} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			answer(w, status, `{}`)
		})
		_, err := newClient(t, s.URL, generous).RecoverUser(t.Context(), ours)
		if e := mustError(t, err); e.RetryAfter != 30*time.Second {
			t.Errorf("HTTP %d: got %s", status, e.RetryAfter)
		}
	}
}
