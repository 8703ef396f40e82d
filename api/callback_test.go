package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store/storetest"
)

const home = appOrigin + "/home"

func TestACallbackThatSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	step(t, "S-10 S-21 lands at the return target, with nothing in the answer", func(t *testing.T) {
		b := b.in(t)
		a := b.returns(b.authorize("?return_to=/profile?tab=2%23part")).leadsTo(appOrigin + "/profile?tab=2#part")
		if a.body != "" || len(b.flows()) != 0 || b.session() == "" {
			t.Errorf("body %q, flows %q, session %t", a.body, b.flows(), b.session() != "")
		}
		cookie := b.cookies["portico"]
		if cookie.MaxAge != int(absolute.Seconds()) {
			t.Errorf("the session's cookie lives %d seconds", cookie.MaxAge)
		}
	})
	step(t, "several tabs log in side by side", func(t *testing.T) {
		b := b.in(t)
		first, second := b.authorize("?return_to=/first"), b.authorize("?return_to=/second")
		b.returns(second).leadsTo(appOrigin + "/second")
		b.returns(first).leadsTo(appOrigin + "/first")
		b.get("/me").is(http.StatusOK)
	})
}

func TestCallbacksThatFailLeadBackToTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	const text = "canary-of-the-provider"
	denied := []string{"code", "", "error_description", text, "error_uri", "https://evil.example/" + text, "error"}
	tests := []struct {
		name    string
		changes []string
		code    string
	}{
		{"the user said no", append(denied, "access_denied"), "access_denied"},
		{"the user has to take part", append(denied, "login_required"), "login_required"},
		{"the user has to choose", append(denied, "account_selection_required"), "login_required"},
		{"the provider is busy", append(denied, "temporarily_unavailable"), "provider_unavailable"},
		{"the provider has another error", append(denied, "server_error"), "provider_error"},
		{"the provider has an error of its own", append(denied, "<script>"+text), "provider_error"},
		{"S-26 a code and an error", []string{"error", "access_denied"}, "answer_invalid"},
		{"ASVS-2.3.1 neither code nor error", []string{"code", ""}, "answer_invalid"},
		{"a code with a control character", []string{"code", "a\x01"}, "answer_invalid"},
		{"a code that is too long", []string{"code", strings.Repeat("c", 4097)}, "answer_invalid"},
		{"S-04 ASVS-10.2.2 another issuer", []string{"iss", "https://evil.example"}, "issuer_mismatch"},
		{"S-04 the issuer with a slash more", []string{"iss", w.sim.Issuer() + "/"}, "issuer_mismatch"},
		{"S-04 another issuer's error", append(denied, "access_denied", "iss", "https://evil.example"), "issuer_mismatch"},
		{"S-25 a code of somewhere else", []string{"code", "stolen"}, "code_refused"},
	}
	for _, test := range tests {
		step(t, test.name, func(t *testing.T) {
			b := b.in(t)
			a := b.returns(change(t, b.authorize(""), test.changes...)).leadsTo(home + "?error=" + test.code)
			if len(b.flows()) != 0 || b.session() != "" {
				t.Errorf("flows %q, session %t", b.flows(), b.session() != "")
			}
			if strings.Contains(a.header.Get("Location")+a.body, text) {
				t.Errorf("the provider's text is passed on: %v", a)
			}
		})
	}
	step(t, "S-25 a code of another flow of the same user", func(t *testing.T) {
		b := b.in(t)
		first, second := b.authorize(""), b.authorize("")
		b.returns(change(t, first, "code", parameter(t, second, "code"))).leadsTo(home + "?error=code_refused")
		b.returns(second)
	})
	step(t, "the app's own parameters come back", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("?return_to=" + "/x%3Fa%3D1%26error%3Dplanted%23part")
		b.returns(change(t, callback, "code", "", "error", "access_denied")).leadsTo(appOrigin + "/x?a=1&error=access_denied#part")
	})
	step(t, "a flow that took too long", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("")
		w.flows.advance(10*time.Minute + time.Second)
		defer w.flows.advance(-10*time.Minute - time.Second)
		b.returns(callback).leadsTo(home + "?error=flow_expired")
		if len(b.flows()) != 0 {
			t.Errorf("flows are %q", b.flows())
		}
	})
	step(t, "ASVS-16.5.3 a fault of the provider's", func(t *testing.T) {
		b := b.in(t)
		for path, fault := range map[string]simulator.Effect{
			"/v2/oauth2/token": {Status: 503, Body: []byte(`"` + text + `"`)},
			"/v2/userinfo":     {Status: 500, Body: []byte(`"` + text + `"`)},
		} {
			if _, err := w.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: path}, Effect: fault}); err != nil {
				t.Fatal(err)
			}
			b.logIn().leadsTo(home + "?error=provider_unavailable")
			w.sim.ClearFaults()
		}
		if _, err := w.sim.AddFault(simulator.Fault{
			Match: simulator.Match{Path: "/v2/oauth2/token"}, Effect: simulator.Effect{Status: 401, Body: []byte(`{"error":"invalid_client"}`)},
		}); err != nil {
			t.Fatal(err)
		}
		b.logIn().leadsTo(home + "?error=provider_error")
		w.sim.ClearFaults()
		if _, err := w.sim.AddFault(simulator.Fault{
			Match: simulator.Match{Path: "/v2/userinfo"}, Effect: simulator.Effect{Status: 200, Body: []byte(`{"sub":"somebody else"}`)},
		}); err != nil {
			t.Fatal(err)
		}
		b.logIn().leadsTo(home + "?error=identity_rejected")
		w.sim.ClearFaults()
	})
	if strings.Contains(w.log.text(), text) {
		t.Error("the provider's text is in the log")
	}
	if n := w.rows("sessions"); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
	b.logIn().leadsTo(home)
}

func TestCallbacksWithoutAFlowOfThisBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	stranger := w.browser()
	step(t, "ASVS-2.3.1 no flow", func(t *testing.T) {
		s := stranger.in(t)
		s.returns(w.url+"/callback").is(http.StatusBadRequest, "flow_missing")
		s.returns(w.url+"/callback?code=c&state=s").is(http.StatusBadRequest, "flow_missing")
		s.returns(w.url+"/callback?error=access_denied&error_description=x&state=s").is(http.StatusBadRequest, "flow_missing")
	})
	step(t, "S-02 ASVS-10.1.2 another browser's flow", func(t *testing.T) {
		callback := b.in(t).authorize("")
		stranger.in(t).returns(callback).is(http.StatusBadRequest, "flow_missing")
		victim := w.browser().in(t)
		victim.get("/login")
		victim.returns(callback).is(http.StatusBadRequest, "flow_missing")
		b.in(t).returns(callback).leadsTo(home)
	})
	step(t, "S-02 the state of another flow of this browser", func(t *testing.T) {
		b := b.in(t)
		first, second := b.authorize(""), b.authorize("")
		b.returns(change(t, first, "state", parameter(t, second, "state"))).leadsTo(home + "?error=code_refused")
		b.returns(second).is(http.StatusBadRequest, "flow_missing")
	})
	step(t, "S-09 a second time, the cookie being gone", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("")
		b.returns(callback).leadsTo(home)
		b.returns(callback).is(http.StatusBadRequest, "flow_missing")
		b.get("/me").is(http.StatusOK)
	})
	step(t, "S-08 a tampered cookie", func(t *testing.T) {
		b := b.in(t)
		for _, tamper := range []func(string) string{
			func(string) string { return "nonsense" },
			func(v string) string { return v[:len(v)-3] + "AAA" },
			func(v string) string { return "B" + v[1:] },
			func(v string) string { return v + "A" },
			strings.ToUpper,
		} {
			clear(b.cookies)
			callback := b.authorize("")
			for _, name := range b.flows() {
				b.cookies[name].Value = tamper(b.cookies[name].Value)
			}
			b.returns(callback).is(http.StatusBadRequest, "flow_invalid")
			if len(b.flows()) != 0 {
				t.Errorf("the tampered cookie is still there: %q", b.flows())
			}
		}
	})
	step(t, "two cookies with the flow's name", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("")
		name := b.flows()[0]
		r := b.request(http.MethodGet, callback, "")
		r.AddCookie(&http.Cookie{Name: name, Value: b.cookies[name].Value})
		b.send(r, true).is(http.StatusBadRequest, "flow_missing")
		b.returns(callback).leadsTo(home)
	})
	step(t, "ASVS-15.3.7 a parameter twice", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("")
		for _, name := range []string{"code", "state", "iss", "error", "error_description"} {
			b.returns(callback+"&"+name+"=a&"+name+"=b").is(http.StatusBadRequest, "invalid_query").field("?"+name, "repeated")
		}
		b.returns(callback).leadsTo(home)
	})
}

func TestAFlowIsFinishedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		b := w.browser()
		b.signUp("ada@example.com")
		step(t, "S-02 ASVS-2.3.1 a replay with the old cookie kept", func(t *testing.T) {
			b := b.in(t)
			callback := b.authorize("")
			kept := *b.cookies[b.flows()[0]]
			b.returns(callback).leadsTo(home)
			b.cookies[kept.Name] = &kept
			b.returns(callback).leadsTo(home + "?error=flow_used")
			if len(b.flows()) != 0 {
				t.Errorf("flows are %q", b.flows())
			}
			b.get("/me").is(http.StatusOK)
		})
		step(t, "ASVS-15.4.2 two answers at once", func(t *testing.T) {
			b := b.in(t)
			delete(b.cookies, "portico") // or the login would end that session
			before := w.rows("sessions")
			callback := b.authorize("")
			name := b.flows()[0]
			targets := make([]string, 8)
			var all sync.WaitGroup
			for i := range targets {
				r := b.request(http.MethodGet, callback, "", header{"Cookie", name + "=" + b.cookies[name].Value})
				all.Go(func() { targets[i] = b.raw(r).header.Get("Location") })
			}
			all.Wait()
			landed := 0
			for _, target := range targets {
				if target == home {
					landed++
				} else if target != home+"?error=flow_used" {
					t.Errorf("one leads to %q", target)
				}
			}
			if opened := w.rows("sessions") - before; landed != 1 || opened != 1 {
				t.Errorf("%d landed and %d sessions were opened", landed, opened)
			}
		})
	})
}

func TestUsersWhoMayNotSignIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		b := w.browser()
		b.signUp("ada@example.com")
		b.logIn().leadsTo(home)
		step(t, "suspended here", func(t *testing.T) {
			b := b.in(t)
			w.exec("UPDATE users SET status = 'suspended'")
			b.logIn().leadsTo(home + "?error=user_suspended")
			flow, callback := b.app().in(t).startNative()
			b.app().in(t).post("/callback", callbackBody(t, callback, flow)).is(http.StatusForbidden, "user_suspended")
		})
		step(t, "not ready", func(t *testing.T) {
			b := b.in(t)
			w.exec("UPDATE users SET status = 'failed'")
			b.logIn().leadsTo(home + "?error=user_not_ready")
			flow, callback := b.app().in(t).startNative()
			b.app().in(t).post("/callback", callbackBody(t, callback, flow)).is(http.StatusForbidden, "user_not_ready")
			w.exec("UPDATE users SET status = 'active'")
		})
		step(t, "ASVS-6.8.1 ASVS-10.5.2 whose record at the provider is another's", func(t *testing.T) {
			b := b.in(t)
			w.exec("UPDATE users SET internal_id = 'somebody-else'")
			b.logIn().leadsTo(home + "?error=identity_mismatch")
			flow, callback := b.app().in(t).startNative()
			b.app().in(t).post("/callback", callbackBody(t, callback, flow)).is(http.StatusForbidden, "identity_mismatch")
		})
		step(t, "suspended at the provider", func(t *testing.T) {
			b := b.in(t)
			if err := w.sim.SetStatus(w.sim.Users()[0].InternalID, simulator.StatusSuspended); err != nil {
				t.Fatal(err)
			}
			b.logIn().leadsTo(home + "?error=access_denied")
		})
	})
}

func TestAUserWhomOnlyTheProviderKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	users := w.rows("users")
	_, err := w.carry.Provider.CreateUser(t.Context(), beyondidentity.NewUser{
		ExternalID: "somewhere-else-1", Email: "eve@example.com", DisplayName: "Eve",
	})
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	b.enrol("eve@example.com")
	b.logIn().leadsTo(home + "?error=not_registered")
	app := b.app()
	flow, callback := app.startNative()
	app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusForbidden, "not_registered")
	if b.session() != "" || w.rows("sessions") != 0 || w.rows("users") != users {
		t.Error("a session or a user came of it")
	}
	step(t, "ASVS-10.5.2 not even by the address of a user here", func(t *testing.T) {
		b := b.in(t)
		b.post("/signup", `{"email":"eve@example.com"}`).is(http.StatusAccepted)
		w.secrets.keep("eve@example.com")
		b.logIn().leadsTo(home + "?error=not_registered")
	})
}

func TestALoginEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL})
		cookie := func(value string) header { return header{"Cookie", "portico=" + value} }
		stranger := w.browser()
		step(t, "ASVS-7.2.4 through the flow, the Strict cookie staying at home at the callback", func(t *testing.T) {
			b := b.in(t)
			old := b.session()
			b.logIn().leadsTo(home)
			if b.session() == old {
				t.Error("ASVS-7.2.2 the session is the same")
			}
			stranger.in(t).get("/me", cookie(old)).unauthorized("session_invalid")
			b.get("/me").is(http.StatusOK)
		})
		step(t, "ASVS-7.2.4 by the cookie at the callback", func(t *testing.T) {
			b := b.in(t)
			old := b.session()
			started := b.send(b.request(http.MethodGet, "/login", "", header{"X-CSRF", ""}), true)
			callback := b.provider(http.MethodGet, started.header.Get("Location"))
			b.send(b.request(http.MethodGet, callback, ""), false).leadsTo(home)
			stranger.in(t).get("/me", cookie(old)).unauthorized("session_invalid")
		})
		step(t, "ASVS-7.2.4 a session that was planted", func(t *testing.T) {
			attacker := w.browser().in(t)
			attacker.signUp("eve@example.com")
			attacker.logIn().leadsTo(home)
			b := b.in(t)
			planted := *attacker.cookies["portico"]
			b.cookies["portico"] = &planted
			b.logIn().leadsTo(home)
			attacker.get("/me").unauthorized("session_invalid")
			if got := b.get("/me").is(http.StatusOK).json("email"); got != "ada@example.com" {
				t.Errorf("the user is %q", got)
			}
		})
		step(t, "ASVS-7.2.4 a native app's", func(t *testing.T) {
			app := b.in(t).app()
			old := header{"Authorization", "Bearer " + nativeToken(t, w, b.in(t))}
			started := app.post("/login", `{"client":"native"}`, old).is(http.StatusOK)
			callback := app.provider(http.MethodGet, started.json("authorization_url"))
			fresh := app.post("/callback", callbackBody(t, callback, started.json("flow"))).is(http.StatusOK).json("session_token")
			w.secrets.keep(fresh)
			app.get("/me", old).unauthorized("session_invalid")
			app.get("/me", header{"Authorization", "Bearer " + fresh}).is(http.StatusOK)
		})
		step(t, "a login that fails ends nothing", func(t *testing.T) {
			b := b.in(t)
			b.returns(change(t, b.authorize(""), "code", "", "error", "access_denied")).leadsTo(home + "?error=access_denied")
			b.get("/me").is(http.StatusOK)
		})
	})
}
