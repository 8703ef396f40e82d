package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login/hostile"
	"github.com/portico-id/portico/internal/session"
)

// shown is a session as the contract shows it.
type shown struct {
	ID               string    `json:"id"`
	Client           string    `json:"client"`
	Current          bool      `json:"current"`
	CreatedAt        time.Time `json:"created_at"`
	LastSeenAt       time.Time `json:"last_seen_at"`
	IdleExpiresAt    time.Time `json:"idle_expires_at"`
	ExpiresAt        time.Time `json:"expires_at"`
	AuthTime         time.Time `json:"auth_time"`
	RecentLoginUntil time.Time `json:"recent_login_until"`
	ACR              string    `json:"acr"`
	AMR              []string  `json:"amr"`
	Device           string    `json:"device"`
	Address          string    `json:"address"`
}

// into decodes the body.
func (a answer) into(value any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), value); err != nil {
		a.t.Fatalf("%v in %s", err, a.body)
	}
}

// me is the session of GET /me.
func (b *browser) me() shown {
	b.t.Helper()
	var me struct{ Session shown }
	b.get("/me").is(http.StatusOK).into(&me)
	return me.Session
}

func (b *browser) del(path string, headers ...header) answer {
	b.t.Helper()
	return b.send(b.request(http.MethodDelete, path, "", headers...), false)
}

// asksForALogin fails unless the answer demands a recent login, in the words of
// RFC 9470 §3.
func (a answer) asksForALogin(within time.Duration) {
	a.t.Helper()
	a.is(http.StatusUnauthorized, "recent_login_required")
	want := `Bearer realm="portico", error="insufficient_user_authentication", max_age="` + strconv.Itoa(int(within.Seconds())) + `"`
	if got := a.header.Get("Www-Authenticate"); got != want {
		a.t.Errorf("WWW-Authenticate is %s, not %s", got, want)
	}
}

// asked is what the provider was asked last.
func (w *world) asked() hostile.Request {
	w.t.Helper()
	requests := w.hostile.Requests(hostile.PathAuthorize)
	return requests[len(requests)-1]
}

func TestWhatTheProviderSaysOfALoginIsShown(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	step(t, "ASVS-6.3.3 ASVS-6.8.4 how and when, where it says", func(t *testing.T) {
		b := b.in(t)
		at := w.flows.now().Add(-time.Minute).UTC().Truncate(time.Second)
		w.signsIn("ada@example.com", hostile.Object{"auth_time": at.Unix(), "acr": "phrh", "amr": []string{"hwk", "user", "pin"}})
		b.logIn().leadsTo(home)
		s := b.me()
		if !s.AuthTime.Equal(at) || s.ACR != "phrh" || !slices.Equal(s.AMR, []string{"hwk", "user", "pin"}) {
			t.Errorf("the session is %+v", s)
		}
		if !s.RecentLoginUntil.Equal(at.Add(recentLogin)) {
			t.Errorf("recent until %s, not %s", s.RecentLoginUntil, at.Add(recentLogin))
		}
	})
	step(t, "ASVS-6.8.4 our own time and nothing more, where it does not", func(t *testing.T) {
		b := b.in(t)
		w.signsIn("ada@example.com", hostile.Object{"auth_time": nil, "acr": nil, "amr": nil})
		b.logIn().leadsTo(home)
		s := b.me()
		if !s.AuthTime.Equal(s.CreatedAt) || s.ACR != "" || s.AMR != nil {
			t.Errorf("the session is %+v", s)
		}
	})
}

func TestARouteThatDemandsARecentLogin(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"?max_age=900", "?prompt=login", "?max_age=0"} {
		t.Run("ASVS-7.5.3 ASVS-7.2.4 ASVS-10.3.4 a session is stepped up by "+query, func(t *testing.T) {
			t.Parallel()
			w, b := hostileWorld(t, options{})
			b = b.in(t)
			b.logIn().leadsTo(home)
			old := b.me()
			w.pass(recentLogin)
			b.del("/me/sessions").asksForALogin(recentLogin)
			b.del("/me/sessions/" + old.ID).asksForALogin(recentLogin)
			b.get("/me/sessions").is(http.StatusOK)
			cookie := header{"Cookie", "portico=" + b.session()}

			b.returns(b.authorize(query)).leadsTo(home)
			fresh := b.me()
			if fresh.ID == old.ID || cookie.value == "portico="+b.session() {
				t.Error("the session is the same as before")
			}
			w.browser().in(t).get("/me", cookie).unauthorized("session_invalid")
			b.del("/me/sessions").is(http.StatusNoContent)
			if !fresh.RecentLoginUntil.After(w.clock.now()) {
				t.Errorf("the login is recent until %s", fresh.RecentLoginUntil)
			}
		})
	}
	t.Run("ASVS-7.5.3 ASVS-10.3.4 a native app's, too", func(t *testing.T) {
		t.Parallel()
		w, b := hostileWorld(t, options{})
		app := b.in(t).app()
		bearer := header{"Authorization", "Bearer " + nativeToken(t, w, app)}
		app.del("/me/sessions", bearer).is(http.StatusNoContent)
		w.pass(recentLogin)
		app.del("/me/sessions", bearer).asksForALogin(recentLogin)
		started := app.post("/login", `{"client":"native","max_age":60}`, bearer).is(http.StatusOK)
		callback := app.provider(http.MethodGet, started.json("authorization_url"))
		if got := w.asked().Query.Get("max_age"); got != "60" {
			t.Errorf("the provider is asked for max_age %q", got)
		}
		token := app.post("/callback", callbackBody(t, callback, started.json("flow")), bearer).is(http.StatusOK).json("session_token")
		w.secrets.keep(token)
		app.get("/me", bearer).unauthorized("session_invalid")
		app.del("/me/sessions", header{"Authorization", "Bearer " + token}).is(http.StatusNoContent)
	})
}

func TestAProviderThatDoesNotAskAgain(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	b.logIn().leadsTo(home)
	session := b.me()
	hourAgo := func() int64 { return w.flows.now().Add(-time.Hour).Unix() }
	tests := []struct {
		name, query string
		claims      func() hostile.Object
		lands       string
	}{
		{"max_age is ignored", "?max_age=900", func() hostile.Object { return hostile.Object{"auth_time": hourAgo()} }, "?error=login_too_old"},
		{"max_age is met with silence", "?max_age=900", func() hostile.Object { return hostile.Object{"auth_time": nil} }, "?error=login_too_old"},
		{"prompt=login is ignored", "?prompt=login", func() hostile.Object { return hostile.Object{"auth_time": hourAgo()} }, "?error=login_too_old"},
		{"the user is from the future", "", func() hostile.Object { return hostile.Object{"auth_time": hourAgo() + 7200} }, "?error=identity_rejected"},
		{"nobody asked how old the login is", "", func() hostile.Object { return hostile.Object{"auth_time": hourAgo()} }, ""},
	}
	for _, test := range tests {
		step(t, "ASVS-6.8.4 "+test.name, func(t *testing.T) {
			b := b.in(t)
			w.signsIn("ada@example.com", test.claims())
			b.returns(b.authorize(test.query)).leadsTo(home + test.lands)
			if kept := b.me().ID == session.ID; kept != (test.lands != "") {
				t.Errorf("the session is the one before: %t", kept)
			}
		})
	}
	step(t, "ASVS-6.8.4 whoever takes max_age out of the request has not spared themselves the login", func(t *testing.T) {
		b := b.in(t)
		w.signsIn("ada@example.com", hostile.Object{"auth_time": hourAgo()})
		started := b.get("/login?max_age=900").header.Get("Location")
		b.returns(b.provider(http.MethodGet, change(t, started, "max_age", ""))).leadsTo(home + "?error=login_too_old")
	})
	step(t, "ASVS-7.5.3 and an old login is not recent", func(t *testing.T) {
		b.in(t).del("/me/sessions").asksForALogin(recentLogin)
	})
	step(t, "a native app is told the same", func(t *testing.T) {
		app := b.in(t).app()
		w.signsIn("ada@example.com", hostile.Object{"auth_time": hourAgo()})
		started := app.post("/login", `{"client":"native","prompt":"login"}`).is(http.StatusOK)
		callback := app.provider(http.MethodGet, started.json("authorization_url"))
		app.post("/callback", callbackBody(t, callback, started.json("flow"))).is(http.StatusForbidden, "login_too_old")
	})
}

func TestOnlyWhatTheProviderKnowsIsAskedOfIt(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	ask := func(t *testing.T, query string) hostile.Request {
		t.Helper()
		b.in(t).authorize(query)
		return w.asked()
	}
	step(t, "the hint, the prompt and the age, where nothing speaks against them", func(t *testing.T) {
		got := ask(t, "?login_hint=ada%40example.com&prompt=select_account&max_age=60").Query
		if got.Get("login_hint") != "ada@example.com" || got.Get("prompt") != "select_account" || got.Get("max_age") != "60" {
			t.Errorf("the provider is asked %v", got)
		}
	})
	w.announces(hostile.Object{"prompt_values_supported": []string{"consent"}, "claims_supported": []string{"sub"}})
	step(t, "the hint alone, where it knows neither of the others", func(t *testing.T) {
		got := ask(t, "?login_hint=ada%40example.com&prompt=login&max_age=60").Query
		if got.Get("login_hint") != "ada@example.com" || got.Has("prompt") || got.Has("max_age") {
			t.Errorf("the provider is asked %v", got)
		}
	})
	step(t, "ASVS-6.8.4 what it was not asked it need not answer", func(t *testing.T) {
		b := b.in(t)
		w.signsIn("ada@example.com", hostile.Object{"auth_time": nil})
		b.returns(b.authorize("?max_age=60")).leadsTo(home)
	})
	step(t, "no page is shown to whoever asked for none", func(t *testing.T) {
		b := b.in(t)
		before := len(b.flows())
		b.get("/login?prompt=none").is(http.StatusBadRequest, "invalid_query").field("?prompt", "invalid_value")
		b.post("/login", `{"client":"browser","prompt":"none"}`).is(http.StatusUnprocessableEntity, "invalid_fields").field("/prompt", "invalid_value")
		b.post("/login", `{"client":"native","prompt":"none"}`).is(http.StatusUnprocessableEntity, "invalid_fields").field("/prompt", "invalid_value")
		b.post("/login", `{"client":"native","prompt":"none","redirect_uri":"`+nativeRedirect+`","code_challenge":"`+challengeOf(verifier())+`"}`).
			is(http.StatusUnprocessableEntity, "invalid_fields").field("/prompt", "invalid_value")
		if len(b.flows()) != before {
			t.Errorf("flows are %q", b.flows())
		}
	})
}

func TestNobodyIsSignedInWithoutAskingForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	step(t, "ASVS-7.6.2 a login asks the provider for silence only where the app did", func(t *testing.T) {
		b := b.in(t)
		if prompt := parameter(t, b.get("/login").header.Get("Location"), "prompt"); prompt != "" {
			t.Errorf("prompt is %q", prompt)
		}
	})
	step(t, "ASVS-7.6.2 silence in a browser without a passkey opens nothing", func(t *testing.T) {
		stranger := w.browser().in(t)
		stranger.returns(stranger.authorize("?prompt=none")).leadsTo(home + "?error=login_required")
		if len(stranger.cookies) != 0 {
			t.Errorf("cookies are %v", stranger.cookies)
		}
	})
	step(t, "silence in a browser with one signs its user in", func(t *testing.T) {
		b := b.in(t)
		b.returns(b.authorize("?prompt=none")).leadsTo(home)
	})
}

func TestTheAgeOfTheProvidersLogin(t *testing.T) {
	t.Parallel()
	limit := time.Hour
	w, b := hostileWorld(t, options{sessions: func(s *session.Service) { s.ProviderAge = limit }})
	step(t, "ASVS-7.6.1 is asked for with each login, and a stricter wish goes before it", func(t *testing.T) {
		b := b.in(t)
		for query, want := range map[string]string{"": "3600", "?max_age=60": "60", "?max_age=86400": "3600"} {
			b.authorize(query)
			if got := w.asked().Query.Get("max_age"); got != want {
				t.Errorf("with %q the provider is asked for max_age %q, not %s", query, got, want)
			}
		}
	})
	step(t, "ASVS-7.6.1 ends the session, however much it is used", func(t *testing.T) {
		b := b.in(t)
		w.signsIn("ada@example.com", hostile.Object{"auth_time": w.flows.now().Add(-limit / 2).Unix()})
		b.logIn().leadsTo(home)
		s := b.me()
		if !s.ExpiresAt.Equal(s.AuthTime.Add(limit)) {
			t.Errorf("a login of %s ends at %s", s.AuthTime, s.ExpiresAt)
		}
		for range 5 {
			w.pass(5 * time.Minute)
			b.get("/me").is(http.StatusOK)
		}
		w.pass(6 * time.Minute)
		b.get("/me").unauthorized("session_expired")
	})
	step(t, "ASVS-7.6.1 refuses a login that is older", func(t *testing.T) {
		b := b.in(t)
		clear(b.cookies)
		w.signsIn("ada@example.com", hostile.Object{"auth_time": w.flows.now().Add(-2 * limit).Unix()})
		b.logIn().leadsTo(home + "?error=login_too_old")
		app := b.app()
		flow, callback := app.startNative()
		app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusForbidden, "login_too_old")
	})
}

func TestTheAgeOfALoginThatNobodyTells(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{
		sessions: func(s *session.Service) { s.ProviderAge = recentLogin / 2 },
	})
	w.announces(hostile.Object{"claims_supported": []string{"sub"}})
	w.signsIn("ada@example.com", hostile.Object{"auth_time": nil})
	step(t, "ASVS-7.6.1 counts from the login here", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		s := b.me()
		if !s.ExpiresAt.Equal(s.CreatedAt.Add(recentLogin/2)) || !s.RecentLoginUntil.Equal(s.ExpiresAt) {
			t.Errorf("the session is %+v", s)
		}
	})
}
