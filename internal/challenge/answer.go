package challenge

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// minScore is from where reCAPTCHA v3 takes somebody for a person. It answers
// success for every token that is its own, and leaves the verdict to a score
// from 0.0 (a robot) to 1.0, with the advice to begin at one half
// (https://developers.google.com/recaptcha/docs/v3#interpreting_the_score).
const minScore = 0.5

// maxCodes bounds how many of the service's codes are told.
const maxCodes = 5

// answer is what the services answer alike. What else they say is passed over.
type answer struct {
	Success    *bool    `json:"success"`
	Hostname   string   `json:"hostname"`
	ErrorCodes []string `json:"error-codes"`
	// Action stands beside the score of reCAPTCHA v3. hCaptcha's score, which
	// has none, counts the other way round: there 1.0 is a threat, and its
	// verdict is in success.
	Action *string  `json:"action"`
	Score  *float64 `json:"score"`
}

// ours are the codes that only we can cause. hCaptcha's "sitekey-secret-mismatch"
// is not among them: anyone can send a token of another site's, and could so
// raise the operator's alarm at will.
//
//nolint:gochecknoglobals // a table
var ours = []string{
	"missing-input-secret", "invalid-input-secret", "invalid-parsed-secret", "invalid-widget-id", "invalid-keys",
	"missing-remoteip", "invalid-remoteip",
}

// theirs are the codes of a service that has troubles of its own.
//
//nolint:gochecknoglobals // a table
var theirs = []string{"internal-error", "rate-limited"}

// judge says what an answer means: nil only for a clear yes. The hostnames are
// in lower case.
func judge(status int, body []byte, hostnames []string, secret string) error {
	if status != http.StatusOK && status != http.StatusBadRequest {
		return fail(ErrUnavailable, fmt.Sprintf("status %d", status))
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || a.Success == nil {
		return fail(ErrUnavailable, fmt.Sprintf("status %d, and not the documented JSON", status))
	}
	if !*a.Success {
		return a.refusal(secret)
	}
	// Turnstile says 400 beside its codes. A yes that comes with either, a
	// captive portal or a broken proxy may have made up.
	if status != http.StatusOK || len(a.ErrorCodes) > 0 {
		return fail(ErrUnavailable, fmt.Sprintf("status %d, and the answer contradicts itself", status))
	}
	if a.Action != nil && a.Score != nil && *a.Score < minScore {
		return fail(ErrRefused, fmt.Sprintf("the score is %.1f", *a.Score))
	}
	if len(hostnames) == 0 {
		return nil
	}
	if hostname, ok := foldHostname(a.Hostname); !ok || !slices.Contains(hostnames, hostname) {
		return fail(ErrRefused, "it was passed at "+quoted(a.Hostname, secret)+", which is not one of our hostnames")
	}
	return nil
}

// refusal says what an answer without success means.
func (a answer) refusal(secret string) error {
	kind := ErrRefused
	switch {
	case slices.ContainsFunc(a.ErrorCodes, isOneOf(ours)):
		kind = ErrMisconfigured
	case slices.ContainsFunc(a.ErrorCodes, isOneOf(theirs)):
		kind = ErrUnavailable
	}
	if len(a.ErrorCodes) == 0 {
		return fail(kind, "the service gives no reason")
	}
	var told []string
	for _, code := range a.ErrorCodes[:min(len(a.ErrorCodes), maxCodes)] {
		told = append(told, quoted(code, secret))
	}
	return fail(kind, "the service says "+strings.Join(told, ", "))
}

func isOneOf(codes []string) func(string) bool {
	return func(code string) bool { return slices.Contains(codes, code) }
}

// quoted is a word of the service's as it may be logged.
func quoted(word, secret string) string {
	const maxWord = 64
	word = safe(word, secret)
	if len(word) > maxWord {
		word = strings.ToValidUTF8(word[:maxWord], "") + "…"
	}
	return fmt.Sprintf("%q", word)
}
