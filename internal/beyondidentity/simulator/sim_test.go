package simulator_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

func TestEnrolment(t *testing.T) {
	t.Parallel()
	tn := start(t)
	id := tn.create("u-1", "ada@example.com")
	link := strings.TrimPrefix(tn.Mailbox("ada@example.com")[0].Link, tn.url)

	page := tn.sim("GET", link, "")
	expectStatus(t, page, http.StatusOK)
	if !strings.Contains(page.body, "Register passkey") || !strings.Contains(page.body, "ada@example.com") {
		t.Fatalf("page %s", page.body)
	}
	if tn.Users()[0].Passkeys != 0 {
		t.Fatal("looking at the link enrolled: a mail scanner would have")
	}
	done := tn.sim("POST", link, "")
	if got := location(t, done).String(); got != loginURI {
		t.Fatalf("redirected to %s", got)
	}
	cookie := done.header.Get("Set-Cookie")
	for _, attribute := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("cookie %q lacks %s", cookie, attribute)
		}
	}
	if tn.Users()[0].Passkeys != 1 || !strings.Contains(tn.api("GET", "/v2/users/"+id, "").body, `"has_active_passkey":true`) {
		t.Fatal("no passkey")
	}
	expectStatus(t, tn.sim("GET", link, ""), http.StatusGone)
	expectStatus(t, tn.sim("POST", link, ""), http.StatusGone)
	expectStatus(t, tn.sim("GET", "/enroll/unknown", ""), http.StatusNotFound)
	expectStatus(t, tn.sim("POST", "/enroll/unknown", ""), http.StatusNotFound)
}

func TestTheEnrolmentLinkLeadsRoundToTheAppsCallback(t *testing.T) {
	t.Parallel()
	var rp *relyingParty
	arrived := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, rp.authURL(), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /callback", func(_ http.ResponseWriter, r *http.Request) { arrived <- r.URL.Query().Get("code") })
	app := httptest.NewServer(mux)
	defer app.Close()
	tn := start(t, func(c *simulator.Config) {
		c.RedirectURIs = []string{app.URL + "/callback"}
		c.RegistrationRedirectURI = app.URL + "/login"
	})
	rp = tn.relyingParty()
	rp.oauth.RedirectURL = app.URL + "/callback"
	tn.create("u-1", "ada@example.com")

	// This browser follows redirects: link, login, authorize, callback.
	tn.browser.CheckRedirect = nil
	expectStatus(t, tn.sim("POST", strings.TrimPrefix(tn.Mailbox("")[0].Link, tn.url), ""), http.StatusOK)
	if got := rp.subject(<-arrived); got != "u-1" {
		t.Fatalf("subject %s", got)
	}
}

func TestPagesLoadNothingAndEscapeWhatTheyShow(t *testing.T) {
	t.Parallel()
	tn := start(t)
	body := strings.Replace(createBody("u-1", "ada@example.com"), "Ada Lovelace", "<script>alert(1)</script>", 1)
	expectStatus(t, tn.api("POST", "/v1/manage/users", body), http.StatusOK)
	link := strings.TrimPrefix(tn.Mailbox("")[0].Link, tn.url)
	for path, want := range map[string]int{link: 200, "/mailbox": 200, "/": 200, "/nowhere": 404, "/enroll/x": 404, "/v2/authorize": 400} {
		page := tn.sim("GET", path, "")
		expectStatus(t, page, want)
		if strings.Contains(page.body, "<script") {
			t.Errorf("%s carries a script", path)
		}
		if policy := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		_, css, _ := strings.Cut(page.body, "<style>")
		css, _, _ = strings.Cut(css, "</style>")
		sum := sha256.Sum256([]byte(css))
		if !strings.Contains(page.header.Get("Content-Security-Policy"), "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("%s: the policy does not allow the style", path)
		}
		if page.header.Get("Cache-Control") != "no-store" || page.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, page.header)
		}
	}
	if !strings.Contains(tn.sim("GET", "/mailbox?to=ada@example.com", "").body, link) {
		t.Error("the mailbox page does not link the mail")
	}
}

func TestRequestsRecordWhatTheVendorWouldSee(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	tn.create("u-1", "ada@example.com")
	tn.api("GET", "/v2/users?page_size=1", "")
	tn.sim("GET", "/v2/.well-known/openid-configuration", "")
	tn.sim("POST", "/v1/manage/users", "{}")
	expectJSON(t, tn.sim("GET", "/sim/requests", "").body, `[
		{"method":"POST","path":"/v1/manage/users","status":200,"time":"2026-01-02T03:04:05Z"},
		{"method":"GET","path":"/v2/users","status":200,"time":"2026-01-02T03:04:05Z"},
		{"method":"GET","path":"/v2/.well-known/openid-configuration","status":200,"time":"2026-01-02T03:04:05Z"},
		{"method":"POST","path":"/v1/manage/users","status":401,"time":"2026-01-02T03:04:05Z"}]`)
}

func TestTheRecordKeepsTheLastTenThousandCalls(t *testing.T) {
	t.Parallel()
	tn := start(t)
	call := func(path string) {
		tn.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", path, http.NoBody))
	}
	call("/v1/first")
	for range 9_999 {
		call("/v1/middle")
	}
	if calls := tn.Requests(); len(calls) != 10_000 || calls[0].Path != "/v1/first" {
		t.Fatalf("%d calls, the oldest %s", len(calls), calls[0].Path)
	}
	call("/v1/last")
	if calls := tn.Requests(); len(calls) != 10_000 || calls[0].Path != "/v1/middle" || calls[9_999].Path != "/v1/last" {
		t.Fatalf("%d calls, from %s to %s", len(calls), calls[0].Path, calls[9_999].Path)
	}
}

func TestModesAreReadAndChangedInParts(t *testing.T) {
	t.Parallel()
	tn := start(t)
	expectJSON(t, tn.sim("GET", "/sim/modes", "").body, `{"uniqueness":"external_id","wrap":false,"lookup":true,"rate_per_minute":0,"token_seconds":0,"v1_console_only":false}`)
	got := tn.sim("PUT", "/sim/modes", `{"wrap":true,"rate_per_minute":9}`)
	expectStatus(t, got, http.StatusOK)
	expectJSON(t, got.body, `{"uniqueness":"external_id","wrap":true,"lookup":true,"rate_per_minute":9,"token_seconds":0,"v1_console_only":false}`)
	for _, body := range []string{`{"uniqueness":"all"}`, `{"rate_per_minute":-1}`, `{"colour":"red"}`, `[]`, ``} {
		expectStatus(t, tn.sim("PUT", "/sim/modes", body), http.StatusBadRequest)
	}
}

func TestResetForgets(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	expectStatus(t, rp.sim("PUT", "/sim/modes", `{"wrap":true}`), http.StatusOK)
	rp.fault(`{"match":{"path":"/v1/*"},"fault":{"status":500}}`)
	token := rp.exchange(rp.code())
	expectStatus(t, rp.sim("POST", "/sim/reset", ""), http.StatusNoContent)
	for path, want := range map[string]string{
		"users": "[]", "mailbox": "[]", "requests": "[]", "faults": "[]",
		"modes": `{"uniqueness":"external_id","wrap":false,"lookup":true,"rate_per_minute":0,"token_seconds":0,"v1_console_only":false}`,
	} {
		expectJSON(t, rp.sim("GET", "/sim/"+path, "").body, want)
	}
	if got := rp.userinfoStatus(token.AccessToken); got != http.StatusUnauthorized {
		t.Errorf("a token of before: status %d", got)
	}
	if page := rp.visit(rp.browser, rp.authURL()); !strings.Contains(page.body, "No passkey") {
		t.Error("a passkey of before is still good")
	}
	expectStatus(t, rp.sim("POST", "/sim/reset?uniqueness=none&lookup=false", ""), http.StatusNoContent)
	if got := rp.Modes(); got != (simulator.Modes{Uniqueness: simulator.UniqueNone}) {
		t.Errorf("modes %+v", got)
	}
	for _, query := range []string{"uniqueness=all", "wrap=perhaps", "colour=red"} {
		expectStatus(t, rp.sim("POST", "/sim/reset?"+query, ""), http.StatusBadRequest)
	}
}
