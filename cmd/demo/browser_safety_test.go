//go:build browser

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/portico-id/portico/internal/await"
)

// signIn signs somebody up and in, in this tab alone.
func (d *demo) signIn(tab context.Context, email, name string) {
	d.t.Helper()
	d.do(tab, "sign up", chromedp.Navigate(d.example), sees("h1", "Welcome"), chromedp.SendKeys("#email", email),
		chromedp.SendKeys("#name", name), chromedp.Click("[data-form=signup] button"), sees("[data-step=invited].done", "mail"))
	d.do(tab, "enrol", chromedp.Navigate(d.link(email)), chromedp.Submit("form"), sees("h1", "Your account"), sees("#who", name))
}

// onlyOneCookie looks at what the browser keeps of somebody who is signed in.
// The demo is plain http on localhost: the cookie lacks Secure there, and with
// it the prefix, which browsers take on https only.
func (d *demo) onlyOneCookie() *network.Cookie {
	d.t.Helper()
	cookies := d.cookies()
	if len(cookies) != 1 {
		d.t.Fatalf("the cookies are %+v", cookies)
	}
	c := cookies[0]
	if !c.HTTPOnly || c.SameSite != network.CookieSameSiteStrict || c.Path != "/" || c.Domain != "localhost" ||
		c.Secure || strings.HasPrefix(c.Name, "__") {
		d.t.Errorf("the cookie is %+v", c)
	}
	return c
}

// noComplaints fails the test if a script of ours has complained.
func (d *demo) noComplaints() {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.faults) > 0 {
		d.t.Errorf("scripts complain: %q", d.faults)
	}
}

// reach is all that a script of the page can get at. answers is filled by
// remember.
const reach = `(async () => JSON.stringify([
	document.cookie, {...localStorage}, {...sessionStorage}, (await indexedDB.databases()).map(d => d.name), await caches.keys(),
	performance.getEntries().map(e => e.name), location.href, document.referrer, window.name, history.state,
	document.documentElement.outerHTML, window.answers,
]))()`

// remember keeps every answer that the page's scripts get.
const remember = `window.answers = []
const real = window.fetch
window.fetch = async (...all) => {
	const response = await real(...all)
	window.answers.push([response.url, [...response.headers], await response.clone().text()])
	return response
}`

// aToken is what no page may hold: ours for native apps, a one-time code of
// ours, or a provider's token.
var aToken = regexp.MustCompile(`pt[scaf]_[\w-]{8,}|eyJ[\w-]{8,}\.|access_token|id_token|refresh_token`)

func TestNoScriptInABrowserCanReachWhatSignsIn(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	tab := d.browser
	if _, err := chromedp.Call(tab, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: remember}); err != nil {
		t.Fatal(err)
	}
	d.signIn(tab, "ada@example.com", "Ada")
	d.do(tab, "another name", types("#profile-name", "Countess"), chromedp.Click("[data-form=profile] button"), sees("#who", "Countess"),
		sees("[data-list=sessions]", "this one"))
	cookie := d.onlyOneCookie()
	got, err := chromedp.Run(tab, chromedp.Evaluate[string](reach, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "ada@example.com") || !strings.Contains(got, "/me/sessions") {
		t.Fatalf("nothing was seen of what there is: %s", got)
	}
	if strings.Contains(got, cookie.Value) || aToken.MatchString(got) {
		t.Errorf("a script can reach %s in %s", aToken.FindString(got), got)
	}
	d.noComplaints()
}

// attack is a page that tries whatever a page can.
const attack = `<!doctype html><title>Foreign</title>
<p id="done"></p><img alt="" src="%[1]s/logout"><script>
const tries = [
	["POST", "/logout", {}], ["POST", "/logout", {headers: {"X-CSRF": "1"}}], ["POST", "/logout", {mode: "no-cors"}],
	["GET", "/me", {headers: {"X-CSRF": "1"}}], ["GET", "/me", {}], ["GET", "/me", {mode: "no-cors"}],
	["PATCH", "/me", {headers: {"X-CSRF": "1", "Content-Type": "application/json"}, body: '{"display_name":"Mallory"}'}],
	["DELETE", "/me", {headers: {"X-CSRF": "1"}}], ["DELETE", "/me/sessions", {headers: {"X-CSRF": "1"}}],
	["POST", "/me/email", {mode: "no-cors", headers: {"Content-Type": "text/plain"}, body: '{"email":"mallory@example.com"}'}],
]
Promise.allSettled(tries.map(([method, path, more]) => fetch("%[1]s" + path, {method, credentials: "include", ...more}).then(r => r.text()))).then(all => {
	const read = all.filter(one => one.status == "fulfilled" && one.value != "").length
	document.getElementById("done").textContent = all.length + " tried, " + read + " read"
})
</script>`

func TestAPageOfAnotherOriginInABrowserCanDoNothing(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	tab := d.browser
	d.signIn(tab, "ada@example.com", "Ada")
	before := d.onlyOneCookie().Value
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, attack, d.api)
	}))
	defer foreign.Close()
	for name, address := range map[string]string{
		"another site":                    foreign.URL,
		"another origin of the same site": strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1), // gets the cookie sent
	} {
		// Not watched: what it complains of is its own business.
		other, stop := chromedp.NewContext(d.browser)
		d.do(other, name+" fetches", chromedp.Navigate(address), sees("#done", "10 tried, 0 read"))
		stop()
		d.do(tab, "still signed in", chromedp.Reload(), sees("h1", "Your account"), sees("#who", "Ada"), sees("dd", "ada@example.com"))
		if d.onlyOneCookie().Value != before {
			t.Error("the session is another")
		}
	}
	d.noComplaints()
}

// forms is a page that submits forms, which need no script's leave: each into a
// frame of its own, so that the page stays and can say when all are answered.
const forms = `<!doctype html><title>Foreign</title>
<form target="a" method="post" action="%[1]s/logout"></form>
<form target="b" method="post" action="%[1]s/me/email" enctype="text/plain"><input name='{"email":"mallory@example.com","x":"' value='"}'></form>
<form target="c" method="post" action="%[1]s/signup" enctype="text/plain"><input name='{"email":"mallory@example.com","display_name":"' value='"}'></form>
<form target="d" method="post" action="%[1]s/backchannel-logout"><input name="logout_token" value="e30.e30.e30"></form>
<form target="e" method="get" action="%[1]s/me"></form>
<form target="f" method="get" action="%[1]s/login"></form>
<iframe name="a"></iframe><iframe name="b"></iframe><iframe name="c"></iframe><iframe name="d"></iframe><iframe name="e"></iframe><iframe name="f"></iframe>
<script>
onload = () => Promise.all([...document.forms].map(form => new Promise(answered => {
	document.getElementsByName(form.target)[0].onload = answered
	form.submit()
}))).then(() => fetch("/done"))
</script>`

func TestTheFormsOfAPageOfAnotherOriginInABrowserDoNothing(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	tab := d.browser
	d.signIn(tab, "ada@example.com", "Ada")
	before := d.onlyOneCookie().Value
	done := make(chan struct{}, 1)
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/done" {
			done <- struct{}{}
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, forms, d.api)
	}))
	defer foreign.Close()
	for name, from := range map[string]struct{ address, refused string }{
		"another site":                    {foreign.URL, "not_authenticated"}, // the browser keeps the cookie to itself
		"another origin of the same site": {strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1), "csrf_required"},
	} {
		logged := len(d.log.String())
		// Nobody looks into this tab: what is answered into a frame goes to a
		// process of its own, through which it cannot be followed.
		other, err := chromedp.CallBrowser(d.browser, target.CreateTarget, target.CreateTargetParams{URL: from.address})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		case <-time.After(await.Patience):
			t.Fatalf("%s: not all forms are answered:\n%s", name, d.log.String()[logged:])
		}
		for route, code := range map[string]string{
			"POST /logout": from.refused, "POST /me/email": from.refused, "POST /signup": "cross_origin", "POST /backchannel-logout": "logout_token_invalid",
			"GET /me": from.refused, "GET /login": "cross_origin",
		} {
			method, path, _ := strings.Cut(route, " ")
			line := regexp.MustCompile(fmt.Sprintf(`"method":%q,"route":%q.*"code":"([a-z_]+)"`, method, path))
			if found := line.FindStringSubmatch(d.log.String()[logged:]); len(found) == 0 || found[1] != code {
				t.Errorf("%s: %s is answered with %q", name, route, found)
			}
		}
		if _, err := chromedp.CallBrowser(d.browser, target.CloseTarget, target.CloseTargetParams(other)); err != nil {
			t.Fatal(err)
		}
		d.do(tab, "still signed in", chromedp.Reload(), sees("h1", "Your account"), sees("#who", "Ada"), sees("dd", "ada@example.com"))
		if d.onlyOneCookie().Value != before {
			t.Error("the session is another")
		}
	}
	d.noComplaints()
}

func TestTheBackButtonOfABrowserShowsNobodysAccount(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	tab := d.browser
	d.signIn(tab, "ada@example.com", "Ada")
	d.do(tab, "leave", chromedp.Navigate(d.sim+"/mailbox"))
	other := d.tab()
	d.do(other, "log out elsewhere", chromedp.Navigate(d.example), sees("h1", "Your account"), chromedp.Click("[data-action=logout]"), sees("h1", "Welcome"))
	d.do(tab, "back", chromedp.NavigateBack(), sees("h1", "Welcome"))
	if text := evaluate[string](d, tab, `document.documentElement.outerHTML`); strings.Contains(text, "ada@example.com") {
		t.Errorf("it shows %s", text)
	}
	if left := d.cookies(); len(left) != 0 {
		t.Errorf("cookies are left: %+v", left)
	}
	d.noComplaints()
}
