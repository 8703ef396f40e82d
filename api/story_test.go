package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

func TestABrowserGoesFromAnAddressToMeAndOut(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		b := w.browser()
		b.signUp("ada@example.com")
		landed := b.logIn().leadsTo(appOrigin + "/home")
		if landed.body != "" || b.session() == "" || len(b.flows()) != 0 {
			t.Errorf("after the login: body %q, flows %q", landed.body, b.flows())
		}
		me := b.get("/me").is(http.StatusOK)
		if me.json("email") != "ada@example.com" || me.json("session", "client") != "browser" || me.json("status") != "active" {
			t.Errorf("/me is %s", me.body)
		}
		if len(w.secrets.tokens) < 3 { // an access token, an ID token and a verifier
			t.Errorf("BBA-18 answers are searched for %d tokens of the provider's only", len(w.secrets.tokens))
		}
		b.post("/logout", "").is(http.StatusOK)
		b.get("/me").is(http.StatusUnauthorized, "not_authenticated")
	})
}

func TestASignUpSaysNothingOfWhoIsRegistered(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	b.signUp("invited@example.com")
	b.signUp("gone@example.com")
	w.exec("UPDATE users SET status = 'suspended' WHERE email = 'gone@example.com'")
	shape := func(a answer) string {
		var body map[string]any
		_ = json.Unmarshal([]byte(a.body), &body)
		header := a.header.Clone()
		for _, name := range []string{"X-Request-Id", "Location", "Date"} {
			header.Del(name)
		}
		return fmt.Sprint(a.status, header, slices.Sorted(maps.Keys(body)), body["status"])
	}
	stranger := w.browser()
	want := shape(stranger.post("/signup", `{"email":"new@example.com"}`))
	for _, email := range []string{"ada@example.com", "ADA@Example.COM", "invited@example.com", "gone@example.com", "new@example.com"} {
		a := stranger.post("/signup", `{"email":"`+email+`"}`)
		if got := shape(a); got != want {
			t.Errorf("ASVS-6.3.8 %s is answered with %s, a new address with %s", email, got, want)
		}
		step(t, "ASVS-6.3.8 the status of "+email, func(t *testing.T) {
			status := stranger.in(t).get("/signup/" + a.json("signup_id")).is(http.StatusOK).json("status")
			if status != "received" {
				t.Errorf("it is %q", status)
			}
		})
	}
}

func TestTheOperationsListener(t *testing.T) {
	t.Parallel()
	ready := errors.New("canary: not yet")
	w := newWorld(t, options{})
	server := httptest.NewServer(w.log.of(w.served.Ops(func(context.Context) error { return ready })))
	defer server.Close()
	tests := []struct {
		name, method, path string
		ready              error
		status             int
		body               string
	}{
		{"the process runs", "GET", "/livez", ready, 200, `{"status":"live"}`},
		{"it is not ready", "GET", "/readyz", ready, 503, `{"status":"not ready"}`},
		{"it is ready", "GET", "/readyz", nil, 200, `{"status":"ready"}`},
		{"it takes no POST", "POST", "/readyz", nil, 405, ""},
		{"it has nothing else", "GET", "/me", nil, 404, ""},
	}
	for _, test := range tests {
		ready = test.ready
		r, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != test.status || test.body != "" && string(body) != test.body || strings.Contains(string(body), "canary") {
			t.Errorf("%s: answered %d %s", test.name, response.StatusCode, body)
		}
	}
}
