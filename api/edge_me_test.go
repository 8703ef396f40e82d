package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// fieldsOf lists the names in a JSON object, those of nested ones behind a dot.
func fieldsOf(t *testing.T, body string) []string {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(value)) {
		names = append(names, name)
		for _, nested := range []any{value[name]} {
			if list, ok := nested.([]any); ok && len(list) > 0 {
				nested = list[0]
			}
			if object, ok := nested.(map[string]any); ok {
				for _, inner := range slices.Sorted(maps.Keys(object)) {
					names = append(names, name+"."+inner)
				}
			}
		}
	}
	return names
}

func TestWhatTheAppLearns(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	const session = "acr amr auth_time client created_at current expires_at id idle_expires_at last_seen_at recent_login_until address device"
	allowed := func(prefix, names string) (all []string) {
		for name := range strings.FieldsSeq(names) {
			all = append(all, prefix+name)
		}
		return all
	}
	within := func(t *testing.T, a answer, may ...string) {
		t.Helper()
		for _, name := range fieldsOf(t, a.body) {
			if !slices.Contains(may, name) {
				t.Errorf("the answer has %s: %s", name, a.body)
			}
		}
	}
	const user = "id external_id internal_id email display_name status created_at sync"
	step(t, "BBA-15 whether somebody is signed in, and who", func(t *testing.T) {
		b, stranger := b.in(t), w.browser().in(t)
		stranger.get("/me").unauthorized("not_authenticated")
		me := b.get("/me").is(http.StatusOK)
		if me.json("email") != "ada@example.com" || me.json("id") == "" || me.json("session", "expires_at") == "" {
			t.Errorf("/me is %s", me.body)
		}
	})
	step(t, "ASVS-14.2.6 ASVS-15.3.1 and nothing that is not in the list", func(t *testing.T) {
		b := b.in(t)
		within(t, b.get("/me").is(http.StatusOK), slices.Concat(allowed("", user+" session"), allowed("session.", session))...)
		within(t, b.get("/me/sessions").is(http.StatusOK), slices.Concat([]string{"sessions"}, allowed("sessions.", session))...)
		within(t, b.post("/login", `{"client":"browser"}`).is(http.StatusOK), allowed("", "authorization_url flow expires_at")...)
		within(t, b.post("/signup", email("bob@example.com")).is(http.StatusAccepted), allowed("", "signup_id status status_url resend_after")...)
		app := b.app()
		flow, callback := app.startNative()
		signedIn := app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusOK)
		w.secrets.keep(signedIn.json("session_token"))
		within(t, signedIn, slices.Concat(allowed("", "session_token expires_at user"), allowed("user.", user))...)
		within(t, b.get("/nothing"), allowed("", "type title status detail instance code request_id")...)
	})
	step(t, "ASVS-15.3.3 a body sets the fields of the contract and no other", func(t *testing.T) {
		b := b.in(t)
		w.unchanged(t, func() {
			for _, planted := range []string{
				`"id":"x"`, `"external_id":"x"`, `"internal_id":"x"`, `"status":"active"`, `"role":"admin"`, `"admin":true`, `"email_verified":true`,
				`"user_id":"x"`, `"created_at":"2020-01-01T00:00:00Z"`, `"__proto__":{"admin":true}`, `"constructor":{}`, `"ID":"x"`,
			} {
				for path, body := range map[string]string{
					"/signup": ada, "/login": `{"client":"native"}`, "/callback": `{"code":"c","state":"s","flow":"f"}`, "/sessions": trade("ptc_x", "v"),
				} {
					b.post(path, strings.TrimSuffix(body, "}")+","+planted+"}").is(http.StatusBadRequest, "malformed_body")
				}
			}
		})
	})
}

func TestASVS_1_2_3_WhatSomebodyIsCalledComesBackAsData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	const name = `</script><b x='y' "\","admin":true}` + "ä\u200d😀&lt;\\u0041"
	raw, err := json.Marshal(map[string]string{"email": "ada@example.com", "display_name": name})
	if err != nil {
		t.Fatal(err)
	}
	b.post("/signup", string(raw)).is(http.StatusAccepted)
	w.provision()
	b.enrol("ada@example.com")
	b.logIn().leadsTo(home)
	me := b.get("/me").is(http.StatusOK)
	if got := me.json("display_name"); got != name || me.json("admin") != "" {
		t.Errorf("%q comes back as %q in %s", name, got, me.body)
	}
}

func TestAProviderThatGoesAwayTakesNobodysSessionAlong(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	w, b := signedInBrowser(t, options{provider: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if away.Load() {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}})
	late := b.app()
	callback := late.authorize("")
	away.Store(true)
	step(t, "ASVS-16.5.2 all but logins works", func(t *testing.T) {
		b := b.in(t)
		b.get("/me").is(http.StatusOK)
		b.get("/me/sessions").is(http.StatusOK)
		w.secrets.keep(b.post("/signup", email("bob@example.com")).is(http.StatusAccepted).json("signup_id"))
		b.post("/logout", "").is(http.StatusOK)
		b.get("/me").unauthorized("not_authenticated")
	})
	step(t, "ASVS-16.5.2 ASVS-16.5.3 a login ends without a session, and says why", func(t *testing.T) {
		late := late.in(t)
		late.returns(callback).leadsTo(home + "?error=provider_unavailable")
		if late.session() != "" {
			t.Error("there is a session")
		}
		late.get("/me").unauthorized("not_authenticated")
	})
}
