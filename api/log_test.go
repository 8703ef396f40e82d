package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/ratelimit"
)

func TestASVS_16_2_1_ASVS_16_2_4_ASVS_16_2_5_ASVS_16_3_2_TheAccessLog(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	receipt := b.post("/signup", `{"email":"canary@example.com","display_name":"Canary"}`).is(http.StatusAccepted).json("signup_id")
	before := len(w.log.entries(t, "request"))
	b.get("/signup/" + receipt).is(http.StatusOK)
	b.get("/signup/" + strings.Repeat("B", 22)).is(http.StatusNotFound)
	b.get("/canary-path?canary=query").is(http.StatusNotFound)
	b.send(b.request(http.MethodPut, "/me?canary=query", ""), false).is(http.StatusMethodNotAllowed)
	b.get("/me", header{"User-Agent", "canary-agent\t{}"}).is(http.StatusOK)
	b.get("/login?login_hint=canary@example.com&return_to=/canary-target").is(http.StatusSeeOther)
	b.returns(w.url + "/callback?code=canary-code&state=canary-state&error_description=canary-text").is(http.StatusBadRequest)
	b.post("/callback", `{"code":"canary-code","state":"canary-state","flow":"canary-flow"}`).is(http.StatusBadRequest)
	b.post("/signup", `{"email":"canary@canary","display_name":"x"}`).is(http.StatusUnprocessableEntity)
	b.post("/signup", `{"canary":"canary"}`).is(http.StatusBadRequest)
	b.get("/me", header{"Authorization", "Bearer canary-token"}).is(http.StatusBadRequest)

	want := []struct {
		method, route, code string
		status              float64
	}{
		{"GET", "/signup/:signup_id", "", 200},
		{"GET", "/signup/:signup_id", "signup_not_found", 404},
		{"GET", "", "not_found", 404},
		{"PUT", "/me", "method_not_allowed", 405},
		{"GET", "/me", "", 200},
		{"GET", "/login", "", 303},
		{"GET", "/callback", "flow_missing", 400},
		{"POST", "/callback", "flow_invalid", 400},
		{"POST", "/signup", "invalid_fields", 422},
		{"POST", "/signup", "malformed_body", 400},
		{"GET", "/me", "credentials_conflict", 400},
	}
	got := w.log.entries(t, "request")[before:]
	if len(got) != len(want) {
		t.Fatalf("%d requests have %d lines: %v", len(want), len(got), got)
	}
	ids := make(map[any]bool)
	for i, entry := range got {
		code, _ := entry["code"].(string)
		if entry["method"] != want[i].method || entry["route"] != want[i].route || entry["status"] != want[i].status || code != want[i].code {
			t.Errorf("the line %v is not of %+v", entry, want[i])
		}
		if ids[entry["request_id"]] || entry["request_id"] == "" || entry["client_ip"] != "127.0.0.1" || entry["duration_us"] == nil {
			t.Errorf("the line %v lacks something", entry)
		}
		ids[entry["request_id"]] = true
		written, _ := entry["time"].(string)
		if _, err := time.Parse(time.RFC3339Nano, written); err != nil {
			t.Error(err)
		}
	}
	if got[4]["user_id"] == nil || got[2]["user_id"] != nil {
		t.Errorf("the user is missing from %v or in %v", got[4], got[2])
	}
	if text := w.log.text(); strings.Contains(strings.ToLower(text), "canary") {
		t.Errorf("the log repeats what clients sent: %s", text[strings.Index(strings.ToLower(text), "canary")-200:])
	}
}

func TestASVS_16_3_1_EveryRefusedLoginIsLoggedWithItsReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	b.returns(change(t, b.authorize(""), "code", "stolen")).leadsTo(home + "?error=code_refused")
	a := b.logIn().leadsTo(home)
	w.server.Close()
	refused := w.log.entries(t, "request was refused")
	if len(refused) != 1 || refused[0]["code"] != "code_refused" || refused[0]["error"] == nil {
		t.Errorf("the log says %v", refused)
	}
	requests := w.log.entries(t, "request")
	last := requests[len(requests)-1]
	if last["request_id"] != a.header.Get("X-Request-Id") || last["user_id"] == nil || last["code"] != nil {
		t.Errorf("the login's line is %v", last)
	}
}

// TestRefusalsThatAnOperatorLooksFor are those that tell of an attack.
func TestRefusalsThatAnOperatorLooksFor(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{limits: ratelimit.Limits{Client: hourly(2)}})
	b.post("/signup", ada)
	for _, test := range []struct {
		name, code string
		ask        func(b *browser) answer
	}{
		{"a request without our header", "csrf_required", func(b *browser) answer { return b.get("/me", header{"X-CSRF", ""}) }},
		{"a page of another origin", "cross_origin", func(b *browser) answer { return b.post("/signup", ada, header{"Origin", "https://evil.example"}) }},
		{"a frame", "cross_origin", func(b *browser) answer { return b.get("/login", header{"Sec-Fetch-Dest", "iframe"}) }},
		{"somebody who comes too often", "too_many_requests", func(b *browser) answer { return b.post("/signup", ada) }},
		{"two credentials", "credentials_conflict", func(b *browser) answer { return b.get("/me", header{"Authorization", "Bearer x"}) }},
		{"a guessed session", "session_invalid", func(b *browser) answer { return b.app().in(b.t).get("/me", bearer("pts_"+strings.Repeat("A", 43))) }},
	} {
		step(t, "ASVS-16.3.2 ASVS-16.3.3 "+test.name, func(t *testing.T) {
			a := test.ask(b.in(t))
			// The line is written after the answer.
			await.Until(t, "the request is in the log", func() error {
				for _, line := range w.log.entries(t, "request") {
					if line["request_id"] != a.header.Get("X-Request-Id") {
						continue
					}
					if line["code"] != test.code || line["status"] != float64(a.status) || line["client_ip"] != "127.0.0.1" || a.status < 400 {
						t.Errorf("the line is %v, the answer %d %s", line, a.status, a.body)
					}
					return nil
				}
				return errors.New("it is not")
			})
		})
	}
}

// TestASVS_16_4_1_NothingThatIsSentMakesALine sends what would end a line, or
// look like one, in every part of a request.
func TestASVS_16_4_1_NothingThatIsSentMakesALine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	before := strings.Count(w.log.text(), "\n")
	forged := []string{"%0a", "%0d%0a", "%0A%7B%22msg%22%3A%22forged%22%7D", "%E2%80%A8forged", "%1b%5b2J", "%00forged", "%22%2C%22msg%22%3A%22forged"}
	requests := 0
	for _, text := range forged {
		for _, path := range []string{
			"/", "/signup/", "/me?x=", "/login?return_to=", "/login?login_hint=", "/callback?state=s&error=", "/callback?code=c&state=",
			"/logout/callback?state=",
		} {
			b.get(path+text, header{"User-Agent", `"} {"msg":"forged"} ` + "\u2028\x85"}, header{"X-Request-Id", `forged"}{`}, header{"X-Forwarded-For", `forged"}`})
			requests++
		}
		b.post("/signup", `{"email":"`+"\\n"+text+`","display_name":"\nforged"}`)
		b.send(b.request("FOR'ED", "/me", ""), false)
		requests += 2
	}
	w.server.Close()
	if lines := w.log.entries(t, "request"); len(lines) != requests || strings.Contains(w.log.text(), "forged") {
		t.Errorf("%d requests made %d lines: %s", requests, len(lines), w.log.text())
	}
	noted := len(w.log.entries(t, "audit")) // of what was refused
	if made := strings.Count(w.log.text(), "\n") - before - noted; made != requests {
		t.Errorf("%d requests made %d lines", requests, made)
	}
}

// lateLog writes no line of a request while it is held.
type lateLog struct {
	slog.Handler

	held *sync.Mutex
}

func (l lateLog) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == "request" {
		l.held.Lock()
		defer l.held.Unlock()
	}
	return l.Handler.Handle(ctx, record)
}

func TestNobodyWaitsForTheLineOfTheirRequest(t *testing.T) {
	t.Parallel()
	var held sync.Mutex
	w, b := signedInBrowser(t, options{serve: func(config *api.Config) {
		config.Log = slog.New(lateLog{config.Log.Handler(), &held})
	}})
	before := len(w.log.entries(t, "request"))
	held.Lock()
	release := sync.OnceFunc(held.Unlock)
	waited := time.AfterFunc(10*time.Second, release)
	b.get("/me").is(http.StatusOK)
	if !waited.Stop() {
		t.Error("the answer came after the line")
	}
	release()
	if lines := w.log.entries(t, "request")[before:]; len(lines) != 1 || lines[0]["status"] != float64(http.StatusOK) {
		t.Errorf("the lines are %v", lines)
	}
}
