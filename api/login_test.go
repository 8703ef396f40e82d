package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoginByRedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	step(t, "BBA-02 BBA-16 S-05 the request that the provider gets", func(t *testing.T) {
		b := w.browser().in(t)
		a := b.get("/login?login_hint=ada%40example.com&prompt=login&utm_source=mail&utm_source=again").is(http.StatusSeeOther)
		target, err := url.Parse(a.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if got := target.Scheme + "://" + target.Host + target.Path; got != w.sim.Issuer()+"/authorize" {
			t.Errorf("it leads to %q", got)
		}
		query := target.Query()
		for name, want := range map[string]string{
			"response_type": "code", "client_id": "portico", "redirect_uri": w.url + "/callback", "scope": "openid",
			"code_challenge_method": "S256", "login_hint": "ada@example.com", "prompt": "login",
		} {
			if got := query[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s is %q, not %q", name, got, want)
			}
			query.Del(name)
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if len(query.Get(name)) != 43 {
				t.Errorf("%s is %q", name, query.Get(name))
			}
			query.Del(name)
		}
		if len(query) != 0 {
			t.Errorf("the provider gets more: %v", query)
		}
		if flows := b.flows(); len(flows) != 1 || flows[0] != "portico-flow-"+handleOf(parameter(t, target.String(), "state")) {
			t.Errorf("flows are %q", flows)
		}
		if a.body != "" {
			t.Errorf("S-10 the redirect has the body %q", a.body)
		}
	})
	step(t, "BBA-20 the Host header changes nothing", func(t *testing.T) {
		b := w.browser().in(t)
		r := b.request(http.MethodGet, "/login", "", header{"X-Forwarded-Host", "evil.example"}, header{"Forwarded", "host=evil.example"})
		r.Host = "evil.example"
		if got := parameter(t, b.send(r, false).header.Get("Location"), "redirect_uri"); got != w.url+"/callback" {
			t.Errorf("redirect_uri is %q", got)
		}
	})
	step(t, "S-06 no two flows share a secret", func(t *testing.T) {
		b := w.browser().in(t)
		seen := make(map[string]bool)
		for range 20 {
			target := b.get("/login").header.Get("Location")
			for _, name := range []string{"state", "nonce", "code_challenge"} {
				if value := parameter(t, target, name); seen[value] {
					t.Errorf("%s %q was there before", name, value)
				} else {
					seen[value] = true
				}
			}
		}
	})
	step(t, "ASVS-3.5.3 what is not a navigation starts nothing", func(t *testing.T) {
		b := w.browser().in(t)
		for _, mode := range []string{"no-cors", "cors", "same-origin", "websocket", "x"} {
			a := b.get("/login", header{"Sec-Fetch-Mode", mode}, header{"Sec-Fetch-Site", "cross-site"}).is(http.StatusForbidden, "cross_origin")
			if len(a.header.Values("Set-Cookie")) != 0 {
				t.Errorf("%s: a cookie was set", mode)
			}
		}
		b.get("/login", header{"Sec-Fetch-Mode", "navigate"}, header{"Sec-Fetch-Site", "cross-site"}).is(http.StatusSeeOther)
	})
}

func TestLoginParametersThatAreNotUsable(t *testing.T) {
	t.Parallel()
	b := newWorld(t, options{}).browser()
	tests := []struct{ name, query, pointer, code string }{
		{"ASVS-15.3.7 two return targets", "return_to=/a&return_to=/b", "?return_to", "repeated"},
		{"ASVS-15.3.7 one return target twice", "return_to=/a&return_to=/a", "?return_to", "repeated"},
		{"ASVS-15.3.7 two prompts", "prompt=login&prompt=none", "?prompt", "repeated"},
		{"ASVS-15.3.7 two hints", "login_hint=a&login_hint=b", "?login_hint", "repeated"},
		{"a prompt that is none", "prompt=create", "?prompt", "invalid_value"},
		{"two prompts in one", "prompt=login%20consent", "?prompt", "invalid_value"},
		{"a long hint", "login_hint=" + strings.Repeat("a", 255), "?login_hint", "too_long"},
		{"a hint with NUL", "login_hint=a%00", "?login_hint", "invalid_utf8"},
		{"a hint that is not UTF-8", "login_hint=%ff", "?login_hint", "invalid_utf8"},
		{"S-01 a return target elsewhere", "return_to=https://evil.example", "?return_to", "return_to_refused"},
		{"S-01 a return target elsewhere without a scheme", "return_to=//evil.example", "?return_to", "return_to_refused"},
		{"S-01 a return target with a backslash", "return_to=/%5Cevil.example", "?return_to", "return_to_refused"},
		{"ASVS-1.1.1 S-01 a return target encoded twice", "return_to=/%252F%252Fevil.example/%255C", "?return_to", "return_to_refused"},
		{"a return target with a line break", "return_to=/%0d%0aSet-Cookie:x=y", "?return_to", "return_to_refused"},
		{"a return target that grows beyond a cookie", "return_to=/" + strings.Repeat("%C3%A9", 900), "?return_to", "return_to_refused"},
	}
	for _, test := range tests {
		step(t, test.name, func(t *testing.T) {
			b := b.in(t)
			a := b.get("/login?"+test.query).is(http.StatusBadRequest, "invalid_query").field(test.pointer, test.code)
			if len(a.header.Values("Set-Cookie")) != 0 {
				t.Error("a cookie was set")
			}
		})
	}
	step(t, "a query that cannot be read", func(t *testing.T) {
		b := b.in(t)
		for _, query := range []string{"return_to=%", "return_to=%zz", "a;b=c"} {
			b.get("/login?"+query).is(http.StatusBadRequest, "invalid_query")
			b.get("/callback?"+query).is(http.StatusBadRequest, "invalid_query")
		}
	})
}

func TestABrowserHasAtMostEightFlows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	longest := "/login?return_to=/" + strings.Repeat("a", 2048-len(appOrigin)-1)
	var started []string
	for range 12 {
		w.flows.advance(time.Second)
		a := b.get(longest).is(http.StatusSeeOther)
		started = append(started, "portico-flow-"+handleOf(parameter(t, a.header.Get("Location"), "state")))
	}
	want := slices.Sorted(slices.Values(started[4:]))
	if got := b.flows(); !slices.Equal(got, want) {
		t.Errorf("flows are %q, not the newest eight %q", got, want)
	}
	step(t, "those that are of no use go first", func(t *testing.T) {
		b := b.in(t)
		w.flows.advance(10*time.Minute - 4*time.Second) // the four oldest have expired
		b.cookies[started[11]].Value = "tampered"
		b.get("/login").is(http.StatusSeeOther)
		if got := b.flows(); len(got) != 4 || slices.Contains(got, started[11]) || slices.Contains(got, started[4]) {
			t.Errorf("flows are %q", got)
		}
	})
}

func TestLoginFromCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	native := b.post("/login", `{"client":"native","return_to":"/x"}`).is(http.StatusOK)
	if len(native.header.Values("Set-Cookie")) != 0 || len(native.json("flow")) < 100 {
		t.Errorf("a native app gets %s and cookies %q", native.body, native.header.Values("Set-Cookie"))
	}
	browser := b.post("/login", `{"client":"browser"}`).is(http.StatusOK)
	if browser.sets("portico-flow-"+browser.json("flow")) == nil {
		t.Errorf("a browser gets %s and cookies %q", browser.body, browser.header.Values("Set-Cookie"))
	}
	for _, a := range []answer{native, browser} {
		expires, err := time.Parse(time.RFC3339Nano, a.json("expires_at"))
		if left := time.Until(expires); err != nil || left < 9*time.Minute || left > 10*time.Minute {
			t.Errorf("expires_at is %q", a.json("expires_at"))
		}
	}
}
