package api_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"
)

// callbackBody is a POST /callback that hands on the provider's answer.
func callbackBody(t *testing.T, callback, flow string) string {
	t.Helper()
	fields := map[string]string{"flow": flow}
	for _, name := range []string{"code", "state", "iss"} {
		if value := parameter(t, callback, name); value != "" {
			fields[name] = value
		}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// startNative begins a native flow and has the provider answer it.
func (b *browser) startNative() (flow, callback string) {
	b.t.Helper()
	started := b.post("/login", `{"client":"native"}`).is(http.StatusOK)
	if len(started.header.Values("Set-Cookie")) != 0 {
		b.t.Error("a native app was given a cookie")
	}
	return started.json("flow"), b.provider(http.MethodGet, started.json("authorization_url"))
}

// app is a native app with the passkeys of a browser, and without its cookies.
func (b *browser) app() *browser {
	app := b.w.browser().in(b.t)
	app.passkeys = b.passkeys
	return app
}

// nativeToken logs a native app in with the browser's passkey.
func nativeToken(t *testing.T, w *world, b *browser) string {
	t.Helper()
	app := b.app()
	flow, callback := app.startNative()
	a := app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusOK)
	token := a.json("session_token")
	w.secrets.keep(token, flow)
	return token
}

func TestANativeAppGoesFromLoginToLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	app := b.app()
	flow, callback := app.startNative()
	a := app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusOK)
	if len(a.header.Values("Set-Cookie")) != 0 || a.json("expires_at") == "" || a.json("user", "email") != "ada@example.com" {
		t.Errorf("the answer is %s, with cookies %q", a.body, a.header.Values("Set-Cookie"))
	}
	w.secrets.keep(a.json("session_token"))
	bearer := header{"Authorization", "Bearer " + a.json("session_token")}
	if me := app.get("/me", bearer).is(http.StatusOK); me.json("session", "client") != "native" {
		t.Errorf("/me is %s", me.body)
	}
	out := app.post("/logout", "", bearer).is(http.StatusOK)
	if out.header.Get("Clear-Site-Data") != "" || len(out.header.Values("Set-Cookie")) != 0 {
		t.Errorf("a native app was told to clear a browser: %v", out.header)
	}
	app.get("/me", bearer).unauthorized("session_invalid")
	app.post("/logout", "", bearer).unauthorized("session_invalid")
}

func TestNativeCallbacksThatFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	app := b.app()
	flow, callback := app.startNative()
	otherFlow, otherCallback := app.startNative()
	browserStarted := b.post("/login", `{"client":"browser"}`).is(http.StatusOK)
	browserCallback := b.provider(http.MethodGet, browserStarted.json("authorization_url"))
	sealedCookie := b.cookies[b.flows()[0]].Value
	tests := []struct {
		name, body string
		status     int
		code       string
	}{
		{"a flow that is none", callbackBody(t, callback, "nonsense"), 400, "flow_invalid"},
		{"a flow with a changed character", callbackBody(t, callback, flow[:len(flow)-2]+"AA"), 400, "flow_invalid"},
		{"a flow with something behind it", callbackBody(t, callback, flow+"AAAA"), 400, "flow_invalid"},
		{"ASVS-10.1.2 another flow's answer", callbackBody(t, otherCallback, flow), 400, "state_mismatch"},
		{"ASVS-10.1.2 the answer for another flow", callbackBody(t, callback, otherFlow), 400, "state_mismatch"},
		{"ASVS-10.1.2 a browser's flow, taken out of its cookie", callbackBody(t, browserCallback, sealedCookie), 400, "flow_invalid"},
		{"ASVS-10.1.2 a browser's flow without its cookie", callbackBody(t, browserCallback, browserStarted.json("flow")), 400, "flow_missing"},
		{"ASVS-10.2.2 another issuer", callbackBody(t, change(t, callback, "iss", "https://evil.example"), flow), 400, "issuer_mismatch"},
		{"a code out of bounds", callbackBody(t, change(t, callback, "code", "é"), flow), 400, "answer_invalid"},
	}
	for _, test := range tests {
		step(t, test.name, func(t *testing.T) {
			app.in(t).post("/callback", test.body).is(test.status, test.code)
		})
	}
	step(t, "a flow from before a rotation whose key has been withdrawn", func(t *testing.T) {
		app := app.in(t)
		flow, callback := app.startNative()
		before, _ := ring(t)
		kept, _ := ring(t)
		kept.Replace(w.keys)
		w.keys.Replace(before)
		app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusBadRequest, "flow_invalid")
		w.keys.Replace(kept)
		w.secrets.keep(app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusOK).json("session_token"))
	})
	step(t, "a flow that took too long", func(t *testing.T) {
		app := app.in(t)
		flow, callback := app.startNative()
		w.flows.advance(10*time.Minute + time.Second)
		defer w.flows.advance(-10*time.Minute - time.Second)
		app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusBadRequest, "flow_expired")
	})
	step(t, "S-02 S-18 ASVS-15.4.2 sixteen answers at once open one session with one token request", func(t *testing.T) {
		app := app.in(t)
		flow, callback := app.startNative()
		asked, before := w.tokenRequests(), w.rows("sessions")
		answers := make([]answer, 16)
		var all sync.WaitGroup
		for i := range answers {
			r := app.request(http.MethodPost, "/callback", callbackBody(t, callback, flow))
			all.Go(func() { answers[i] = app.raw(r) })
		}
		all.Wait()
		for _, a := range answers {
			if a.status == http.StatusOK {
				w.secrets.keep(a.json("session_token"))
			} else {
				a.is(http.StatusConflict, "flow_used")
			}
		}
		if opened, asked := w.rows("sessions")-before, w.tokenRequests()-asked; opened != 1 || asked != 1 {
			t.Errorf("%d sessions were opened, the provider was asked %d times", opened, asked)
		}
	})
	step(t, "ASVS-2.3.1 the flow works after all that, once", func(t *testing.T) {
		app := app.in(t)
		token := app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusOK).json("session_token")
		w.secrets.keep(token)
		app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusConflict, "flow_used")
		app.get("/me", header{"Authorization", "Bearer " + token}).is(http.StatusOK)
	})
	step(t, "a code that the provider refuses spends the flow", func(t *testing.T) {
		app := app.in(t)
		app.post("/callback", callbackBody(t, change(t, otherCallback, "code", "stolen"), otherFlow)).is(http.StatusBadRequest, "code_refused")
		app.post("/callback", callbackBody(t, otherCallback, otherFlow)).is(http.StatusConflict, "flow_used")
	})
	step(t, "S-03 ASVS-10.2.2 an issuer that is announced and missing", func(t *testing.T) {
		app := app.in(t)
		flow, callback := app.startNative()
		app.post("/callback", callbackBody(t, change(t, callback, "iss", ""), flow)).is(http.StatusBadRequest, "issuer_mismatch")
	})
	step(t, "a native flow in a browser's cookie", func(t *testing.T) {
		b := b.in(t)
		flow, callback := app.in(t).startNative()
		planted := b.w.browser().in(t)
		planted.cookies["portico-flow-x"] = &http.Cookie{Name: "portico-flow-x", Value: flow, SameSite: http.SameSiteLaxMode}
		planted.returns(callback).is(http.StatusBadRequest, "flow_missing")
		id := handleOf(parameter(t, callback, "state"))
		planted.cookies["portico-flow-"+id] = &http.Cookie{Name: "portico-flow-" + id, Value: flow, SameSite: http.SameSiteLaxMode}
		planted.returns(callback).is(http.StatusBadRequest, "flow_invalid")
	})
}

func TestABrowserMayHandTheAnswerOnItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	started := b.post("/login", `{"client":"browser","return_to":"/profile"}`).is(http.StatusOK)
	if len(b.flows()) != 1 || b.cookies[b.flows()[0]].Value == started.json("flow") || len(started.json("flow")) != 16 {
		t.Errorf("the flow is %q, cookies are %v", started.json("flow"), b.cookies)
	}
	callback := b.provider(http.MethodGet, started.json("authorization_url"))
	a := b.post("/callback", callbackBody(t, callback, started.json("flow"))).is(http.StatusOK)
	if a.json("session_token") != "" || a.json("expires_at") != "" || a.json("user", "email") != "ada@example.com" {
		t.Errorf("ASVS-3.3.4 the answer is %s", a.body)
	}
	if len(b.flows()) != 0 || b.session() == "" {
		t.Errorf("cookies are %v", b.cookies)
	}
	b.get("/me").is(http.StatusOK)
}
