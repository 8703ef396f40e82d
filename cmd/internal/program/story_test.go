package program

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

// me is what GET /me answers.
type me struct {
	ID         string  `json:"id"`
	ExternalID string  `json:"external_id"`
	InternalID *string `json:"internal_id"`
	Email      string  `json:"email"`
	Status     string  `json:"status"`
	Sync       string  `json:"sync"`
	Session    struct {
		Client string `json:"client"`
	} `json:"session"`
}

// check holds /me against what the provider has.
func (m me) check(t *testing.T, w *world, email, client string) {
	t.Helper()
	users := w.sim.Users()
	if len(users) != 1 {
		t.Fatalf("the provider has %+v", users)
	}
	there := users[0]
	if m.InternalID == nil || *m.InternalID != there.InternalID || m.ExternalID != there.ExternalID || m.ID != there.ExternalID {
		t.Errorf("the ids are %+v here and %+v there", m, there)
	}
	if there.Creates != 1 || there.Mails != 1 {
		t.Errorf("the provider was asked for %d users and sent %d mails", there.Creates, there.Mails)
	}
	if m.Email != email || m.Status != "active" || m.Sync != "synced" || m.Session.Client != client {
		t.Errorf("/me answers %+v", m)
	}
}

func TestStoryOfABrowser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		_, log := w.start()
		b := w.browser()
		const email = "Ada@Example.com"

		signup := b.signUp(email)
		b.arrivesOnce(signup, email)
		if end := b.enrol(email); end != w.public+"/login" {
			t.Fatalf("the enrolment ends at %s", end)
		}
		if end := b.follow(w.public + "/login?return_to=/welcome%3Fa=b"); end.String() != frontend+"/welcome?a=b" {
			t.Errorf("the login ends at %s", end)
		}

		var who me
		b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, &who)
		who.check(t, w, email, "browser")
		b.await(signup, "active")
		session := b.cookie("portico")

		// A second login makes the first one's session worthless.
		b.follow(w.public + "/login")
		b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
		if again := b.cookie("portico"); again == session || again == "" {
			t.Error("the second login kept the session's token")
		}
		w.browser().do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1", "Cookie: portico="+session).
			want(t, http.StatusUnauthorized, nil)

		session = b.cookie("portico")
		b.do(http.MethodPost, w.public+"/logout", "", "X-CSRF: 1", "Origin: "+frontend).want(t, http.StatusOK, nil)
		if left := b.cookie("portico"); left != "" {
			t.Error("the logout left the session's cookie")
		}
		w.browser().do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1", "Cookie: portico="+session).
			want(t, http.StatusUnauthorized, nil)
		noSecrets(t, log.String(), session, signup.SignupID, strings.ToLower(email))
	})
}

func TestStoryOfANativeApp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		_, log := w.start()
		b := w.browser()
		const email = "grace@example.com"

		b.arrivesOnce(b.signUp(email), email)
		b.enrol(email)

		var begun struct {
			AuthorizationURL string `json:"authorization_url"`
			Flow             string `json:"flow"`
		}
		app := w.browser() // the app itself, which shares no cookie with the system's browser
		app.do(http.MethodPost, w.public+"/login", `{"client":"native"}`).want(t, http.StatusOK, &begun)
		a := b.do(http.MethodGet, begun.AuthorizationURL, "")
		redirect, err := url.Parse(a.header.Get("Location"))
		if err != nil || !strings.HasPrefix(redirect.String(), w.public+"/callback?") {
			t.Fatalf("the provider answers %d to %s", a.status, redirect)
		}
		query := redirect.Query()
		body, err := json.Marshal(map[string]string{
			"code": query.Get("code"), "state": query.Get("state"), "iss": query.Get("iss"), "flow": begun.Flow,
		})
		if err != nil {
			t.Fatal(err)
		}
		var signedIn struct {
			SessionToken string `json:"session_token"`
			User         me     `json:"user"`
		}
		app.do(http.MethodPost, w.public+"/callback", string(body)).want(t, http.StatusOK, &signedIn)
		if !strings.HasPrefix(signedIn.SessionToken, "pts_") {
			t.Fatalf("the token is %q", signedIn.SessionToken)
		}
		app.do(http.MethodPost, w.public+"/callback", string(body)).want(t, http.StatusConflict, nil)

		bearer := "Authorization: Bearer " + signedIn.SessionToken
		var who me
		app.do(http.MethodGet, w.public+"/me", "", bearer).want(t, http.StatusOK, &who)
		who.check(t, w, email, "native")
		app.do(http.MethodPost, w.public+"/logout", "", bearer).want(t, http.StatusOK, nil)
		app.do(http.MethodGet, w.public+"/me", "", bearer).want(t, http.StatusUnauthorized, nil)
		noSecrets(t, log.String(), signedIn.SessionToken, begun.Flow, query.Get("code"), email)
	})
}

// cookie returns the value of Portico's cookie with this name.
func (b *browser) cookie(name string) string {
	b.w.t.Helper()
	u, err := url.Parse(b.w.public)
	if err != nil {
		b.w.t.Fatal(err)
	}
	for _, cookie := range b.http.Jar.Cookies(u) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// noSecrets makes sure that a log holds nothing that opens anything, and
// nobody's address.
func noSecrets(t *testing.T, log string, secrets ...string) {
	t.Helper()
	for _, secret := range append(secrets, testToken, testKey, "canary-client-secret-9a8b") {
		if secret != "" && strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
