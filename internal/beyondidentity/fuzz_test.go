package beyondidentity

import (
	stdjson "encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/mutate"
)

// answerSeeds are answers of the provider to begin with.
func answerSeeds() []string {
	return []string{
		flatAnswer, `{"user":` + flatAnswer + `}`, listAnswer, userAnswer, notFoundAnswer,
		``, `null`, `{}`, `[]`, `{"user":null}`, `{"user":{}}`, `{"user":[]}`, `"x"`, `{"user":"x"}`,
		`{"internal_id":"a","internal_id":"b"}`, `{"internal_id":"a\u0000"}`, "{\"internal_id\":\"\xff\"}",
		`{"internal_id":"a","external_id":"\ud800"}`, `{"status":1e999,"email":{"a":[{}]}}`,
		`{"users":[{}],"total_size":1}`, `{"users":null,"total_size":0}`, `{"total_size":18446744073709551616}`,
		`{"code":409,"message":"x"}`, `{"code":"conflict","error":"x"}`, `{"error":{"message":1}}`,
	}
}

func FuzzUserAnswer(f *testing.F) {
	for _, seed := range answerSeeds() {
		f.Add([]byte(seed), string(ours))
	}
	f.Add([]byte(`{"internal_id":"a","external_id":"e"}`), "e")
	f.Add([]byte(`{"internal_id":"a","external_id":""}`), "")
	f.Fuzz(checkAnswer)
}

func TestNoAnswerIsTakenForAnotherUsers(t *testing.T) {
	t.Parallel()
	mutate.Run(t, answerSeeds(), []string{
		`"internal_id":"a"`, `"external_id":"` + string(ours) + `"`, `"user":`, `"users":`, `"total_size":1`, `"id":"b"`, `"has_active_passkey":true`,
		`,`, `:`, `{`, `}`, `[`, `]`, `"`, `\`, `\u0000`, `\ud800`, `null`, `true`, `1e999`, "\xff",
	}, func(t *testing.T, input []byte) { checkAnswer(t, input, string(ours)) })
}

// checkAnswer reads a body in every way that there is.
func checkAnswer(t *testing.T, body []byte, id string) {
	t.Helper()
	want := directory.ExternalID(id)
	if user, err := decodeUser(body, want); err == nil {
		checkUser(t, user, want, body)
	}
	if users, err := decodeList(body, want); err == nil {
		for _, user := range users {
			if user.ExternalID != want {
				t.Errorf("asked for %q, got %+v", want, user)
			}
			if user, err := user.check(want); err == nil {
				checkUser(t, user, want, body)
			}
		}
	}
	if user, err := decodeWorkforceUser(body, theirs); err == nil && user.InternalID != theirs {
		t.Errorf("asked for %q, got %+v", theirs, user)
	}
	checkPage(t, body, Page{Skip: 1, Size: 2})
	if code, message := decodeProblem(body); !utf8.ValidString(code) || !utf8.ValidString(message) {
		t.Errorf("%q is not text", code+message)
	}
}

// checkPage reads a body as a page of a list.
func checkPage(t *testing.T, body []byte, page Page) {
	t.Helper()
	listed, err := decodePage(body, page)
	if err != nil {
		return
	}
	if n := len(listed.Users); n > page.Size || n > 0 && page.Skip+n > listed.Total || n == 0 && listed.Total > page.Skip {
		t.Errorf("page %+v: believed %d users of %d", page, n, listed.Total)
	}
	for _, user := range listed.Users {
		if !isInternalID(string(user.InternalID)) {
			t.Errorf("accepted the internal_id %q", user.InternalID)
		}
	}
	if !utf8.Valid(body) || !stdjson.Valid(body) {
		t.Errorf("accepted %q", body)
	}
}

// checkUser holds what every caller relies on: a user that was accepted is the
// one asked for, can be addressed, and came out of well-formed JSON.
func checkUser(t *testing.T, user User, want directory.ExternalID, body []byte) {
	t.Helper()
	if user.ExternalID != want || want == "" || user.InternalID == "" || len(user.InternalID) > maxInternalID {
		t.Errorf("asked for %q, got %+v", want, user)
	}
	if !utf8.Valid(body) || !stdjson.Valid(body) {
		t.Errorf("accepted %q", body)
	}
	if strings.ContainsAny(string(user.InternalID), "\x00\r\n\t ") {
		t.Errorf("accepted the internal_id %q", user.InternalID)
	}
}
