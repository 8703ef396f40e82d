package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTheAccessLog(t *testing.T) {
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
	w.server.Close() // lines are written after the answers

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
		t.Fatalf("ASVS-16.2.1 %d requests have %d lines: %v", len(want), len(got), got)
	}
	ids := make(map[any]bool)
	for i, entry := range got {
		code, _ := entry["code"].(string)
		if entry["method"] != want[i].method || entry["route"] != want[i].route || entry["status"] != want[i].status || code != want[i].code {
			t.Errorf("ASVS-16.3.2 the line %v is not of %+v", entry, want[i])
		}
		if ids[entry["request_id"]] || entry["request_id"] == "" || entry["client_ip"] != "127.0.0.1" || entry["duration_ms"] == nil {
			t.Errorf("ASVS-16.2.1 the line %v lacks something", entry)
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
		t.Errorf("ASVS-16.2.5 the log repeats what clients sent: %s", text[strings.Index(strings.ToLower(text), "canary")-200:])
	}
}

func TestEveryRefusedLoginIsLoggedWithItsReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	b.returns(change(t, b.authorize(""), "code", "stolen")).leadsTo(home + "?error=code_refused")
	a := b.logIn().leadsTo(home)
	w.server.Close()
	refused := w.log.entries(t, "request was refused")
	if len(refused) != 1 || refused[0]["code"] != "code_refused" || refused[0]["error"] == nil {
		t.Errorf("ASVS-16.3.1 the log says %v", refused)
	}
	requests := w.log.entries(t, "request")
	last := requests[len(requests)-1]
	if last["request_id"] != a.header.Get("X-Request-Id") || last["user_id"] == nil || last["code"] != nil {
		t.Errorf("ASVS-16.3.1 the login's line is %v", last)
	}
}
