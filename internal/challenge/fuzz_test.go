package challenge

import (
	stdjson "encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		``, `null`, `{}`, `[]`, `true`, `{"success":true}`, `{"success":true,"hostname":"app.example.com"}`,
		`{"success":true,"hostname":"APP.example.com","error-codes":[]}`, `{"success":true,"hostname":"app.example.com","error-codes":null}`,
		`{"success":true,"hostname":"app.example.com","score":0.9,"action":"a"}`, `{"success":true,"hostname":"app.example.com","score":1e-9,"action":""}`,
		`{"success":true,"hostname":"app.example.com","score":1e999}`, `{"success":true,"success":false}`, `{"success":false}`,
		`{"success":false,"error-codes":["invalid-input-secret"]}`, `{"success":false,"error-codes":["internal-error","x\n"]}`,
		`{"success":false,"error-codes":["` + testSecret + `"]}`, `{"success":false,"error-codes":[1]}`, "{\"success\":false,\"error-codes\":[\"\xff\"]}",
	} {
		f.Add(200, []byte(body))
	}
	f.Add(400, []byte(`{"success":false,"error-codes":["missing-input-secret"]}`))
	f.Add(503, []byte(`{"success":true,"hostname":"app.example.com"}`))
	hostnames := []string{"app.example.com"}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := judge(status, body, hostnames, testSecret)
		if err == nil {
			checkYes(t, status, body)
			return
		}
		kinds := 0
		for _, kind := range []error{ErrRefused, ErrUnavailable, ErrMisconfigured} {
			if errors.Is(err, kind) {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%v is of %d kinds", err, kinds)
		}
		text := err.Error()
		if strings.Contains(text, testSecret) || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || len(text) > 2000 {
			t.Errorf("unfit for a log: %q", text)
		}
	})
}

// checkYes holds what every caller relies on: whom an answer lets in, it lets
// in in so many words.
func checkYes(t *testing.T, status int, body []byte) {
	t.Helper()
	var plain struct {
		Success  bool   `json:"success"`
		Hostname string `json:"hostname"`
	}
	if err := stdjson.Unmarshal(body, &plain); err != nil || status != 200 || !plain.Success || !strings.EqualFold(plain.Hostname, "app.example.com") {
		t.Errorf("status %d and %q let somebody in: %v", status, body, err)
	}
}
