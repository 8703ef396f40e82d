package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-id/portico/api"
)

// contents are how many rows each table has that a caller can change.
func (w *world) contents() string {
	w.t.Helper()
	var all strings.Builder
	for _, table := range []string{"users", "signups", "sessions", "used_flows", "native_codes", "river_job"} {
		fmt.Fprintf(&all, "%d %s\n", w.rows(table), table)
	}
	return all.String()
}

// unchanged fails if what is done leaves a trace in the database.
func (w *world) unchanged(t *testing.T, do func()) {
	t.Helper()
	before := w.contents()
	do()
	if after := w.contents(); after != before {
		t.Errorf("there were\n%s, and are\n%s", before, after)
	}
}

// shapes are what a page of somebody else's can make a browser send, by
// browsers that say where a request comes from and by those that do not.
func shapes() map[string][]header {
	form := header{"Content-Type", "application/x-www-form-urlencoded"}
	text := header{"Content-Type", "text/plain"}
	evil, sibling := header{"Origin", "https://evil.example"}, header{"Origin", "https://evil.app.example"}
	none := header{"X-CSRF", ""}
	return map[string][]header{
		"a form":                       {none, form, evil, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "document"}},
		"a form in a frame":            {none, form, evil, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "iframe"}},
		"a form in an old browser":     {none, form, evil},
		"a form in a sandbox":          {none, form, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}},
		"a simple fetch":               {none, text, evil, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Dest", "empty"}},
		"a fetch that asks to read":    {none, text, evil, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "cors"}, {"Sec-Fetch-Dest", "empty"}},
		"a beacon":                     {none, {"Content-Type", "application/json"}, evil, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}},
		"an image":                     {none, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Dest", "image"}},
		"a script":                     {none, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Dest", "script"}},
		"a frame":                      {none, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "iframe"}},
		"an image in an old browser":   {none, text, {"Referer", "https://evil.example/"}},
		"a link":                       {none, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-User", "?1"}},
		"a sibling's form":             {none, form, sibling, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Mode", "navigate"}},
		"a sibling's fetch":            {none, text, sibling, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Mode", "no-cors"}},
		"a sibling's image":            {none, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Dest", "image"}},
		"a sibling with our header":    {sibling, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Mode", "cors"}},
		"a page with our header":       {evil, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "cors"}},
		"an opaque origin, our header": {{"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "cors"}},
		"our header, no origin":        {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "cors"}},
	}
}

// TestRequestsThatAnotherSiteCausesOnEveryRoute sends each with the session's
// cookie, as if SameSite had not kept it at home.
func TestRequestsThatAnotherSiteCausesOnEveryRoute(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	other := b.app().in(t)
	other.logIn().leadsTo(home)
	for _, o := range api.Operations() {
		if !o.Session {
			continue
		}
		step(t, "BBA-10 BBA-11 ASVS-3.5.1 "+o.Method+" "+o.Path, func(t *testing.T) {
			b := b.in(t)
			w.unchanged(t, func() {
				for name, headers := range shapes() {
					if a := b.ask(o, headers...).is(http.StatusForbidden); a.json("code") != "csrf_required" && a.json("code") != "cross_origin" {
						t.Errorf("%s is answered with %s", name, a.body)
					}
				}
			})
		})
		step(t, "BBA-11 BBA-12 ASVS-3.5.2 "+o.Method+" "+o.Path+" without our header, or with something like it", func(t *testing.T) {
			b := b.in(t)
			w.unchanged(t, func() {
				for _, value := range []string{"", "0", "2", "true", "01", "1.0", "1,1", "1, 1", "１", "on", "X-CSRF"} {
					b.ask(o, header{"X-CSRF", value}).is(http.StatusForbidden, "csrf_required")
				}
				for _, name := range []string{"X_CSRF", "CSRF", "X-CSRF-Token", "X-XSRF", "X-CSRF2"} {
					b.ask(o, header{"X-CSRF", ""}, header{name, "1"}).is(http.StatusForbidden, "csrf_required")
				}
				for _, values := range [][]string{{"1", "1"}, {"1", ""}, {"1", "2"}, {""}} {
					r := b.asking(o)
					r.Header["X-Csrf"] = values
					b.send(r, false).is(http.StatusForbidden, "csrf_required")
				}
				r := b.asking(o, header{"X-CSRF", ""})
				r.URL.RawQuery = "X-CSRF=1&x-csrf=1&_csrf=1"
				b.send(r, false).is(http.StatusForbidden, "csrf_required")
			})
		})
	}
	step(t, "both sessions have outlived all of it", func(t *testing.T) {
		b.in(t).get("/me").is(http.StatusOK)
		other.in(t).get("/me").is(http.StatusOK)
	})
}

// TestChangesThatAnotherSiteCausesWithoutASession are those to routes where
// nobody need be signed in: a page elsewhere must not sign its visitors up, in
// or out.
func TestChangesThatAnotherSiteCausesWithoutASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	for _, o := range api.Operations() {
		if o.Session || o.Signed || o.Method == http.MethodGet {
			continue
		}
		step(t, "BBA-10 ASVS-3.5.1 "+o.Method+" "+o.Path, func(t *testing.T) {
			b := b.in(t)
			for name, headers := range shapes() {
				a := b.ask(o, headers...)
				silent := name == "an image in an old browser" // says nothing that could be refused, and has no JSON
				if !silent && a.status != http.StatusForbidden {
					t.Errorf("%s is answered with %d %s", name, a.status, a.body)
				}
			}
			for _, origin := range []string{
				"null", "https://evil.example", "https://evil.app.example", appOrigin + ":443", "https://APP.example",
				strings.Replace(w.url, "http:", "https:", 1), "http://127.0.0.1", "http://localhost", "file://", "app.example", appOrigin + "/",
			} {
				b.ask(o, header{"Origin", origin}).is(http.StatusForbidden, "cross_origin")
				b.ask(o, header{"Origin", origin}, header{"Sec-Fetch-Site", "same-origin"}).is(http.StatusForbidden, "cross_origin")
			}
			// After DNS rebinding the attacker's page is where the request goes.
			r := b.asking(o, header{"Origin", "http://evil.example"})
			r.Host = "evil.example"
			b.send(r, false).is(http.StatusForbidden, "cross_origin")
			r = b.asking(o)
			r.Header["Origin"] = []string{appOrigin, "https://evil.example"}
			b.send(r, false).is(http.StatusForbidden, "cross_origin")
		})
		if !o.Body {
			continue
		}
		step(t, "ASVS-3.5.2 "+o.Method+" "+o.Path+" takes nothing that needs no preflight", func(t *testing.T) {
			b := b.in(t)
			path, body := sample(o)
			for _, simple := range []string{
				"", "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
				"text/plain;charset=utf-8", "application/json, text/plain", "text/plain, application/json",
			} {
				b.post(path, body, header{"Content-Type", simple}).is(http.StatusUnsupportedMediaType, "unsupported_media_type")
			}
		})
	}
	w.leavesNothing()
}

func TestASVS_3_5_3_ReadingChangesNothing(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	receipt := b.post("/signup", email("bob@example.com")).json("signup_id")
	for _, o := range api.Operations() {
		if o.Method != http.MethodGet {
			continue
		}
		step(t, "GET "+o.Path, func(t *testing.T) {
			b := b.in(t)
			w.unchanged(t, func() {
				b.ask(o)
				b.ask(o, header{"X-HTTP-Method-Override", "POST"}, header{"X-HTTP-Method", "DELETE"}, header{"X-Method-Override", "DELETE"})
				b.get(strings.Replace(o.Path, "{signup_id}", receipt, 1) + "?_method=DELETE&method=POST")
			})
		})
	}
	step(t, "the session is the same", func(t *testing.T) { b.in(t).get("/me").is(http.StatusOK) })
}

// TestWhatIsNoNavigationBeginsNoLogin is about pages that would begin logins in
// passing: with images, frames or guesses of where the user goes next.
func TestWhatIsNoNavigationBeginsNoLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	refused := func(t *testing.T, code string, headers ...header) {
		t.Helper()
		b := b.in(t)
		a := b.get("/login", append(headers, header{"X-CSRF", ""})...).is(http.StatusForbidden, code)
		if len(a.header.Values("Set-Cookie")) != 0 || a.header.Get("Location") != "" {
			t.Errorf("a flow was begun: %v", a.header)
		}
	}
	for _, mode := range []string{"no-cors", "cors", "same-origin", "websocket", "NAVIGATE", "navigate, cors", "x"} {
		step(t, "ASVS-3.5.3 the mode "+mode, func(t *testing.T) { refused(t, "cross_origin", header{"Sec-Fetch-Mode", mode}) })
	}
	for _, dest := range []string{
		"iframe", "frame", "embed", "object", "image", "script", "style", "font", "audio", "video", "worker", "serviceworker", "manifest",
		"report", "xslt", "empty", "Document", "fencedframe", "webidentity",
	} {
		step(t, "ASVS-3.5.3 ASVS-3.2.1 to be shown as "+dest, func(t *testing.T) {
			refused(t, "cross_origin", header{"Sec-Fetch-Mode", "navigate"}, header{"Sec-Fetch-Dest", dest}, header{"Sec-Fetch-Site", "cross-site"})
		})
	}
	for _, guess := range []header{
		{"Sec-Purpose", "prefetch"},
		{"Sec-Purpose", "prefetch;prerender"},
		{"Sec-Purpose", "prefetch;anonymous-client-ip"},
		{"Purpose", "prefetch"},
		{"X-Moz", "prefetch"},
	} {
		step(t, "ASVS-3.5.3 a guess, "+guess.name+": "+guess.value, func(t *testing.T) {
			refused(t, "prefetch_refused", guess, header{"Sec-Fetch-Mode", "navigate"}, header{"Sec-Fetch-Dest", "document"}, header{"Sec-Fetch-Site", "none"})
		})
	}
	step(t, "a link, an address that was typed, and a browser that says nothing", func(t *testing.T) {
		for _, site := range []string{"cross-site", "same-site", "same-origin", "none", ""} {
			b := b.in(t)
			b.get("/login", header{"X-CSRF", ""}, header{"Sec-Fetch-Site", site}, header{"Sec-Fetch-Mode", "navigate"},
				header{"Sec-Fetch-Dest", "document"}).is(http.StatusSeeOther)
			b.get("/login", header{"X-CSRF", ""}).is(http.StatusSeeOther)
		}
	})
}

// TestEveryRouteDemandsWhatItsGuardSays goes by the table, so that a new route
// is held to its guard as well.
func TestEveryRouteDemandsWhatItsGuardSays(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	stranger, native := w.browser(), bearer(nativeToken(t, w, b))
	demands := 0
	w.clock.advance(recentLogin + 1)
	for _, o := range api.Operations() {
		stranger, b := stranger.in(t), b.in(t)
		switch {
		case o.Session:
			step(t, "ASVS-8.2.1 ASVS-8.3.1 "+o.Method+" "+o.Path+" needs a session", func(t *testing.T) {
				stranger, b := stranger.in(t), b.in(t)
				w.unchanged(t, func() {
					stranger.ask(o).unauthorized("not_authenticated")
					stranger.ask(o, bearer("pts_"+strings.Repeat("A", 43))).unauthorized("session_invalid")
					stranger.ask(o, header{"Cookie", "portico=" + strings.Repeat("A", 43)}).unauthorized("session_invalid")
					// Who one says to be elsewhere counts for nothing.
					for _, claim := range []string{"X-User", "X-User-Id", "X_User_Id", "Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Portico-User"} {
						stranger.ask(o, header{claim, "ada@example.com"}).unauthorized("not_authenticated")
					}
					b.ask(o, header{"X-CSRF", ""}).is(http.StatusForbidden, "csrf_required")
					b.ask(o, native).is(http.StatusBadRequest, "credentials_conflict")
				})
			})
			demands++
		case o.Signed:
			step(t, "ASVS-8.2.1 "+o.Method+" "+o.Path+" needs a token with a signature", func(t *testing.T) {
				stranger, b := stranger.in(t), b.in(t)
				w.unchanged(t, func() {
					path, _ := sample(o)
					form := header{"Content-Type", "application/x-www-form-urlencoded"}
					for _, body := range []string{
						"", "logout_token=", "logout_token=x", "logout_token=a.b.c", "logout_token=e30.e30.&logout_token=e30.e30.", "access_token=x",
					} {
						stranger.post(path, body, form).is(http.StatusBadRequest, "logout_token_invalid")
						b.post(path, body, form).is(http.StatusBadRequest, "logout_token_invalid")
						stranger.post(path, body, form, native).is(http.StatusBadRequest, "logout_token_invalid")
					}
				})
			})
			demands++
		}
		if o.Recent {
			step(t, "ASVS-7.5.3 "+o.Method+" "+o.Path+" needs a recent login", func(t *testing.T) {
				w.unchanged(t, func() {
					for _, a := range []answer{b.in(t).ask(o), stranger.in(t).ask(o, native)} {
						a.asksForALogin(recentLogin)
					}
				})
			})
			demands++
		}
	}
	if demands < 8 {
		t.Errorf("only %d demands were found", demands)
	}
	step(t, "and the session is good for the rest", func(t *testing.T) {
		b.in(t).get("/me").is(http.StatusOK)
		stranger.in(t).get("/me", native).is(http.StatusOK)
	})
}
