package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/nativeapp"
)

func TestWhereALoginOfANativeAppMayNotEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	challenge := challengeOf(verifier())
	refused := []struct{ name, uri string }{
		{"elsewhere", "https://evil.example/native"},
		{"at a host that begins so", "https://app.example.evil.example/native"},
		{"at a host behind an @", "https://app.example@evil.example/native"},
		{"at another path", "https://app.example/other"},
		{"at a path below", "https://app.example/native/x"},
		{"at a path that climbs", "https://app.example/native/../native"},
		{"with a query more", "https://app.example/native?next=https://evil.example"},
		{"with a fragment", "https://app.example/native#x"},
		{"at another port", "https://app.example:444/native"},
		{"in other letters", "https://APP.example/native"},
		{"over plain http", "http://app.example/native"},
		{"at another path of the loopback", "http://127.0.0.1:8/other"},
		{"at a name of the loopback", "http://localhost:8/native"},
		{"at another scheme", "com.example.evil:/signed-in"},
		{"at another path of the scheme", "com.example.app:/other"},
		{"with slashes more", "com.example.app:///signed-in"},
		{"in a script", "javascript:alert(1)"},
		{"with a line break", nativeRedirect + "\r\nSet-Cookie: portico=x"},
		{"at the app's own page", appOrigin + "/home"},
	}
	for _, test := range refused {
		step(t, "S-01 BBA-20 "+test.name, func(t *testing.T) {
			b := b.in(t)
			l := systemLogin{redirect: test.uri, verifier: verifier()}
			a := b.get("/login"+l.query()).is(http.StatusBadRequest, "invalid_query").field("?redirect_uri", "redirect_uri_refused")
			if a.header.Get("Location") != "" || len(b.cookies) != 0 {
				t.Errorf("it leads to %q, with cookies %v", a.header.Get("Location"), b.cookies)
			}
			body, err := json.Marshal(map[string]string{"client": "native", "redirect_uri": test.uri, "code_challenge": challenge})
			if err != nil {
				t.Fatal(err)
			}
			b.post("/login", string(body)).is(http.StatusUnprocessableEntity, "invalid_fields").field("/redirect_uri", "redirect_uri_refused")
		})
	}
	app := "client=native&redirect_uri=" + url.QueryEscape(nativeRedirect)
	parameters := []struct{ name, query, pointer, code string }{
		{"no address", "client=native&code_challenge=" + challenge, "?redirect_uri", "required"},
		{"no challenge", app, "?code_challenge", "code_challenge_invalid"},
		{"S-05 a challenge that shows the verifier", app + "&code_challenge_method=plain&code_challenge=" + challenge, "?code_challenge_method", "invalid_value"},
		{"S-05 the method in small letters", app + "&code_challenge_method=s256&code_challenge=" + challenge, "?code_challenge_method", "invalid_value"},
		{"a challenge that is too short", app + "&code_challenge=" + challenge[:42], "?code_challenge", "code_challenge_invalid"},
		{"a challenge that is too long", app + "&code_challenge=" + challenge + "A", "?code_challenge", "code_challenge_invalid"},
		{"a challenge with padding", app + "&code_challenge=" + challenge[:42] + "%3D", "?code_challenge", "code_challenge_invalid"},
		{"a return target beside the address", app + "&return_to=/x&code_challenge=" + challenge, "?return_to", "invalid_value"},
		{"a browser's login with an app's address", "client=browser&redirect_uri=" + url.QueryEscape(nativeRedirect), "?client", "invalid_value"},
		{"no client with an app's address", "redirect_uri=" + url.QueryEscape(nativeRedirect) + "&code_challenge=" + challenge, "?client", "invalid_value"},
		{"another client", "client=service", "?client", "invalid_value"},
		{"a state that is too long", app + "&code_challenge=" + challenge + "&state=" + strings.Repeat("s", 257), "?state", "invalid_value"},
		{"a state with a line break", app + "&code_challenge=" + challenge + "&state=a%0d%0ab", "?state", "invalid_value"},
		{"ASVS-15.3.7 two addresses", app + "&redirect_uri=https://evil.example&code_challenge=" + challenge, "?redirect_uri", "repeated"},
		{"ASVS-15.3.7 two challenges", app + "&code_challenge=" + challenge + "&code_challenge=" + challenge, "?code_challenge", "repeated"},
	}
	for _, test := range parameters {
		step(t, test.name, func(t *testing.T) {
			b := b.in(t)
			a := b.get("/login?"+test.query).is(http.StatusBadRequest, "invalid_query").field(test.pointer, test.code)
			if a.header.Get("Location") != "" || len(b.cookies) != 0 {
				t.Errorf("it leads to %q, with cookies %v", a.header.Get("Location"), b.cookies)
			}
		})
	}
}

func TestErrorsOfASystemLoginGoToTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	l := newSystemLogin()
	failed := func(t *testing.T, callback, code string) {
		t.Helper()
		b := b.in(t)
		if got := b.returnsToApp(callback, l); got.Get("error") != code || got.Has("code") || len(got) != 2 {
			t.Errorf("the app gets %v, not %s", got, code)
		}
		if len(b.flows()) != 0 {
			t.Errorf("flows are left: %q", b.flows())
		}
	}
	begin := func(t *testing.T) string { return b.in(t).authorize(l.query()) }
	step(t, "the user said no", func(t *testing.T) {
		failed(t, change(t, begin(t), "code", "", "error", "access_denied", "error_description", "x"), "access_denied")
	})
	step(t, "S-04 another issuer", func(t *testing.T) {
		failed(t, change(t, begin(t), "iss", "https://evil.example"), "issuer_mismatch")
	})
	step(t, "S-25 another code", func(t *testing.T) {
		failed(t, change(t, begin(t), "code", "stolen"), "code_refused")
	})
	step(t, "the flow is over", func(t *testing.T) {
		callback := begin(t)
		w.flows.advance(11 * time.Minute)
		defer w.flows.advance(-11 * time.Minute)
		failed(t, callback, "flow_expired")
	})
	step(t, "S-09 the flow is used", func(t *testing.T) {
		b := b.in(t)
		callback := begin(t)
		kept := *b.cookies[b.flows()[0]]
		b.returnsToApp(callback, l)
		b.cookies[kept.Name] = &kept
		failed(t, callback, "flow_used")
	})
	step(t, "the provider is away", func(t *testing.T) {
		if _, err := w.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "/v2/oauth2/token"}, Effect: simulator.Effect{Status: 503}}); err != nil {
			t.Fatal(err)
		}
		defer w.sim.ClearFaults()
		failed(t, begin(t), "provider_unavailable")
	})
	step(t, "the user is suspended", func(t *testing.T) {
		w.exec("UPDATE users SET status = 'suspended'")
		defer w.exec("UPDATE users SET status = 'active'")
		failed(t, begin(t), "user_suspended")
	})
	step(t, "the user is nobody here", func(t *testing.T) {
		w.exec("UPDATE users SET external_id = 'another'")
		defer w.exec("UPDATE users SET external_id = CAST(id AS text)")
		failed(t, begin(t), "not_registered")
	})
	// The code that the flow was used for first ended with the suspension.
	if codes, sessions := w.rows("native_codes"), w.rows("sessions"); codes+sessions != 0 {
		t.Errorf("there are %d codes and %d sessions", codes, sessions)
	}
}

func TestAnAppsAddressWithAQueryKeepsIt(t *testing.T) {
	t.Parallel()
	redirect := "http://localhost/desk?from=portico"
	redirects, err := nativeapp.ParseRedirects([]string{redirect})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, options{serve: func(c *api.Config) { c.NativeRedirects = redirects }})
	b := w.browser()
	b.signUp("ada@example.com")
	l := newSystemLogin()
	l.redirect = "http://localhost:8123/desk?from=portico"
	target := b.returns(b.authorize(l.query())).header.Get("Location")
	if !strings.HasPrefix(target, l.redirect+"&code=ptc_") || parameter(t, target, "from") != "portico" || parameter(t, target, "state") != l.state {
		t.Errorf("it ends at %q", target)
	}
	w.secrets.keep(parameter(t, target, "code"))
}
