package program

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

// replica is another Portico with the same settings, at an address of its own,
// behind the same public one. It is started by whoever asks for it.
func (w *world) replica() *world {
	w.t.Helper()
	address := freeAddress(w.t)
	r := *w
	r.settings = maps.Clone(w.settings)
	r.settings["PORTICO_LISTEN"] = address
	r.settings["PORTICO_OPS_LISTEN"] = freeAddress(w.t)
	r.public = "http://" + address
	return &r
}

// desktop is an app on the user's machine: it listens on the loopback for the
// browser to come back (RFC 8252 §7.3).
type desktop struct {
	*browser

	server   *httptest.Server
	verifier string
	visits   chan url.Values
}

func (w *world) desktop() *desktop {
	w.t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	d := &desktop{browser: w.browser(), verifier: base64.RawURLEncoding.EncodeToString(raw), visits: make(chan url.Values, 1)}
	d.server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/signed-in" {
			d.visits <- r.URL.Query()
		}
	}))
	w.t.Cleanup(d.server.Close)
	return d
}

// logIn logs in through the system's browser and returns the code.
func (d *desktop) logIn(through *browser) (code string) {
	d.w.t.Helper()
	sum := sha256.Sum256([]byte(d.verifier))
	var begun struct {
		AuthorizationURL string `json:"authorization_url"`
		Flow             string `json:"flow"`
	}
	d.do(http.MethodPost, d.w.public+"/login", fmt.Sprintf(`{"client":"native","redirect_uri":%q,"code_challenge":%q,"state":"my own"}`,
		d.server.URL+"/signed-in", base64.RawURLEncoding.EncodeToString(sum[:]))).want(d.w.t, http.StatusOK, &begun)
	if begun.Flow != "" || !strings.HasPrefix(begun.AuthorizationURL, d.w.public+"/login?") {
		d.w.t.Fatalf("the app is to open %s, and to keep %q", begun.AuthorizationURL, begun.Flow)
	}
	for target := begun.AuthorizationURL; ; {
		a := through.do(http.MethodGet, target, "")
		if a.status == http.StatusOK { // the app's own page
			break
		}
		a.want(d.w.t, http.StatusSeeOther, nil)
		target = a.header.Get("Location")
	}
	visit := <-d.visits
	if visit.Get("state") != "my own" || !strings.HasPrefix(visit.Get("code"), "ptc_") || len(visit) != 2 {
		d.w.t.Fatalf("the app gets %v", visit)
	}
	return visit.Get("code")
}

// trade is the request that the app trades its code with.
func (d *desktop) trade(code, verifier string) string {
	return fmt.Sprintf(`{"code":%q,"code_verifier":%q}`, code, verifier)
}

// signedIn is what a native app gets.
type signedIn struct {
	SessionToken string `json:"session_token"`
	User         me     `json:"user"`
}

func TestStoryOfADesktopApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t))
	w.settings["PORTICO_NATIVE_REDIRECT_URIS"] = "com.example.app:/signed-in,http://127.0.0.1/signed-in"
	other := w.replica()
	_, log := w.start()
	_, otherLog := other.start()
	b := w.browser()
	const email = "grace@example.com"
	b.arrivesOnce(b.signUp(email), email)
	b.enrol(email)
	b.follow(w.public + "/login")
	web := b.cookie("portico")

	app := w.desktop()
	code := app.logIn(b)
	if b.cookie("portico") != web {
		t.Error("the app's login has taken the browser's session")
	}
	// The code was given out by one replica and is traded at the other, once.
	var in signedIn
	app.do(http.MethodPost, other.public+"/sessions", app.trade(code, app.verifier)).want(t, http.StatusCreated, &in)
	if !strings.HasPrefix(in.SessionToken, "pts_") || in.User.Email != email {
		t.Fatalf("the app gets %+v", in)
	}
	app.do(http.MethodPost, w.public+"/sessions", app.trade(code, app.verifier)).want(t, http.StatusBadRequest, nil)

	bearer := "Authorization: Bearer " + in.SessionToken
	var who me
	app.do(http.MethodGet, w.public+"/me", "", bearer).want(t, http.StatusOK, &who)
	who.check(t, w, email, "native")
	b.do(http.MethodGet, other.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, &who)
	who.check(t, w, email, "browser")

	// Somebody who has seen the code, and guesses.
	stolen := app.logIn(b)
	thief := w.desktop()
	thief.do(http.MethodPost, w.public+"/sessions", thief.trade(stolen, thief.verifier)).want(t, http.StatusBadRequest, nil)
	app.do(http.MethodPost, w.public+"/sessions", app.trade(stolen, app.verifier)).want(t, http.StatusBadRequest, nil)

	// The browser ends the app's session, and the app is out everywhere.
	b.do(http.MethodDelete, other.public+"/me/sessions", "", "X-CSRF: 1", "Origin: "+frontend).want(t, http.StatusNoContent, nil)
	for _, replica := range []string{w.public, other.public} {
		app.do(http.MethodGet, replica+"/me", "", bearer).want(t, http.StatusUnauthorized, nil)
		b.do(http.MethodGet, replica+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
	}
	noSecrets(t, log.String()+otherLog.String(), in.SessionToken, code, stolen, app.verifier, web, email)
}
