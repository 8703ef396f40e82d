package api_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/store/storetest"
)

// verifier is a new code verifier (RFC 7636 §4.1).
func verifier() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// challengeOf is its challenge by S256.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// systemLogin is a native app's login through the system's browser.
type systemLogin struct {
	redirect, verifier, state string
}

func newSystemLogin() systemLogin {
	return systemLogin{redirect: nativeRedirect, verifier: verifier(), state: "a b&c=d+e/%25#f"}
}

// query is what the app opens GET /login with.
func (l systemLogin) query() string {
	query := url.Values{"client": {"native"}, "redirect_uri": {l.redirect}, "code_challenge": {challengeOf(l.verifier)}}
	if l.state != "" {
		query.Set("state", l.state)
	}
	return "?" + query.Encode()
}

// trade is the body of POST /sessions.
func trade(code, verifier string) string {
	raw, _ := json.Marshal(map[string]string{"code": code, "code_verifier": verifier}) //nolint:errchkjson // texts
	return string(raw)
}

// returnsToApp follows the provider's redirect back and returns the parameters
// that the app gets, at its address and nowhere else.
func (b *browser) returnsToApp(callback string, l systemLogin) url.Values {
	b.t.Helper()
	session := b.session()
	a := b.returns(callback).is(http.StatusSeeOther)
	parameters, ok := strings.CutPrefix(a.header.Get("Location"), l.redirect+"?")
	if !ok {
		b.t.Fatalf("the login ends at %q", a.header.Get("Location"))
	}
	query, err := url.ParseQuery(parameters)
	if err != nil || query.Get("state") != l.state {
		b.t.Errorf("the app gets %q: %v", parameters, err)
	}
	if a.body != "" || b.session() != session {
		b.t.Errorf("the redirect has the body %q, the browser another session: %t", a.body, b.session() != session)
	}
	b.w.secrets.keep(query.Get("code"), l.verifier)
	return query
}

// codeFor logs in through this browser and returns the app's code.
func (b *browser) codeFor(l systemLogin) string {
	b.t.Helper()
	code := b.returnsToApp(b.authorize(l.query()), l).Get("code")
	if !strings.HasPrefix(code, "ptc_") || len(code) != 47 {
		b.t.Fatalf("the code is %q", code)
	}
	return code
}

// redeem trades a code for a bearer token.
func (b *browser) redeem(code, verifier string) (token string) {
	b.t.Helper()
	token = b.post("/sessions", trade(code, verifier)).is(http.StatusCreated).json("session_token")
	b.w.secrets.keep(token)
	return token
}

func bearer(token string) header { return header{"Authorization", "Bearer " + token} }

func TestANativeAppLogsInThroughTheSystemsBrowser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		b := w.browser().in(t)
		b.signUp("ada@example.com")
		app := w.browser().in(t)
		for name, redirect := range map[string]string{
			"a scheme that is a domain in reverse": nativeRedirect,
			"a claimed https address":              "https://app.example/native",
			"the loopback":                         "http://127.0.0.1/native",
			"the loopback on some port":            "http://127.0.0.1:49152/native",
			"the loopback on another port":         "http://127.0.0.1:1/native",
		} {
			step(t, "ASVS-10.1.2 and comes back by "+name, func(t *testing.T) {
				b, app := b.in(t), app.in(t)
				l := newSystemLogin()
				l.redirect = redirect
				code := b.codeFor(l)
				if len(b.cookies) != 0 {
					t.Errorf("the browser is left with %v", b.cookies)
				}
				a := app.post("/sessions", trade(code, l.verifier)).is(http.StatusCreated)
				if len(a.header.Values("Set-Cookie")) != 0 || a.json("user", "email") != "ada@example.com" {
					t.Errorf("the app gets %s and cookies %q", a.body, a.header.Values("Set-Cookie"))
				}
				w.secrets.keep(a.json("session_token"))
				app.get("/me", bearer(a.json("session_token"))).is(http.StatusOK)
			})
		}
		step(t, "without a state of its own it gets none", func(t *testing.T) {
			l := newSystemLogin()
			l.state = ""
			if got := b.in(t).returnsToApp(b.in(t).authorize(l.query()), l); len(got) != 1 {
				t.Errorf("the app gets %v", got)
			}
		})
	})
}

func TestTheAddressThatAnAppOpens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	l := newSystemLogin()
	app := w.browser()
	body, err := json.Marshal(map[string]any{
		"client": "native", "redirect_uri": l.redirect, "code_challenge": challengeOf(l.verifier), "state": l.state,
		"login_hint": "ada@example.com", "prompt": "login", "max_age": 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	started := app.post("/login", string(body)).is(http.StatusOK)
	opened := started.json("authorization_url")
	step(t, "is our own, and nothing is kept of it", func(t *testing.T) {
		if !strings.HasPrefix(opened, w.url+"/login?") || started.json("flow") != "" || len(started.header.Values("Set-Cookie")) != 0 {
			t.Errorf("the app gets %s, cookies %q", started.body, started.header.Values("Set-Cookie"))
		}
		if expires, err := time.Parse(time.RFC3339, started.json("expires_at")); err != nil || time.Until(expires) < 9*time.Minute {
			t.Errorf("expires_at is %q", started.json("expires_at"))
		}
	})
	step(t, "passes on what it was asked, and ends at the app", func(t *testing.T) {
		b := b.in(t)
		at := b.get(strings.TrimPrefix(opened, w.url)).is(http.StatusSeeOther).header.Get("Location")
		for name, want := range map[string]string{"login_hint": "ada@example.com", "prompt": "login", "max_age": "60"} {
			if got := parameter(t, at, name); got != want {
				t.Errorf("%s is %q, not %q", name, got, want)
			}
		}
		for _, secret := range []string{l.state, challengeOf(l.verifier), l.redirect} {
			if strings.Contains(at, url.QueryEscape(secret)) {
				t.Errorf("the provider gets %q", secret)
			}
		}
		token := app.in(t).redeem(b.returnsToApp(b.provider(http.MethodGet, at), l).Get("code"), l.verifier)
		app.in(t).get("/me", bearer(token)).is(http.StatusOK)
	})
	step(t, "S-02 ASVS-10.1.2 ends in the browser that opened it, and in no other", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize(l.query())
		victim := w.browser().in(t)
		victim.returns(callback).is(http.StatusBadRequest, "flow_missing")
		b.returnsToApp(callback, l)
	})
	step(t, "S-02 a flow that ends at an app is no other kind's", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize(l.query())
		sealed := b.cookies[b.flows()[0]].Value
		b.post("/callback", callbackBody(t, callback, sealed)).is(http.StatusBadRequest, "flow_invalid")
		id := handleOf(parameter(t, callback, "state"))
		b.post("/callback", callbackBody(t, callback, id)).is(http.StatusBadRequest, "flow_invalid")
	})
	step(t, "what is not a navigation opens nothing", func(t *testing.T) {
		b := b.in(t)
		b.get("/login"+l.query(), header{"Sec-Fetch-Mode", "no-cors"}).is(http.StatusForbidden, "cross_origin")
		b.get("/login"+l.query(), header{"Sec-Purpose", "prefetch"}).is(http.StatusForbidden, "prefetch_refused")
	})
}

func TestANativeLoginInABrowserThatIsSignedIn(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	web := b.session()
	app := w.browser()
	l := newSystemLogin()
	code := b.codeFor(l)
	token := app.redeem(code, l.verifier)
	step(t, "the browser's session lives on, beside the app's", func(t *testing.T) {
		b, app := b.in(t), app.in(t)
		if b.session() != web {
			t.Error("the browser has another session")
		}
		mine, its := b.me(), app.listed(bearer(token))
		if mine.Client != "browser" || len(its) != 2 {
			t.Errorf("the browser's is %+v, the app sees %+v", mine, its)
		}
		for _, s := range its {
			if s.Current != (s.Client == "native") {
				t.Errorf("the app sees %+v", s)
			}
		}
	})
	step(t, "ASVS-7.2.4 the app's next login ends the app's session, and that alone", func(t *testing.T) {
		b, app := b.in(t), app.in(t)
		again := newSystemLogin()
		fresh := app.post("/sessions", trade(b.codeFor(again), again.verifier), bearer(token)).is(http.StatusCreated).json("session_token")
		w.secrets.keep(fresh)
		app.get("/me", bearer(token)).unauthorized("session_invalid")
		app.get("/me", bearer(fresh)).is(http.StatusOK)
		b.get("/me").is(http.StatusOK)
	})
	step(t, "a code that opens nothing ends nothing", func(t *testing.T) {
		b := b.in(t)
		b.post("/sessions", trade("ptc_"+strings.Repeat("A", 43), verifier())).is(http.StatusBadRequest, "login_code_invalid")
		b.get("/me").is(http.StatusOK)
	})
}
