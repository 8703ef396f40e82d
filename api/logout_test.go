package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
	"github.com/portico-id/portico/internal/store/storetest"
)

// withLogoutPage is a world whose provider has a logout page that leads back,
// and the browser of a user who is signed in.
func withLogoutPage(t *testing.T) (*world, *browser) {
	t.Helper()
	w, b := hostileWorld(t, options{login: func(c *login.Config) {
		c.PostLogoutRedirectURI = strings.TrimSuffix(c.RedirectURI, "/callback") + "/logout/callback"
	}})
	w.announces(hostile.Object{"end_session_endpoint": w.hostile.Issuer + hostile.PathLogout + "?tenant=1"})
	w.hostile.Change(func(of *hostile.Behaviour) {
		of.Handlers = map[string]http.HandlerFunc{hostile.PathLogout: func(rw http.ResponseWriter, r *http.Request) {
			back := r.URL.Query().Get("post_logout_redirect_uri") + "?state=" + url.QueryEscape(r.URL.Query().Get("state"))
			http.Redirect(rw, r, back, http.StatusSeeOther)
		}}
	})
	b.logIn().leadsTo(home)
	return w, b
}

// leaves logs out and goes to the provider's logout page. It returns where that
// leads.
func (b *browser) leaves(query string) (back string) {
	b.t.Helper()
	token := header{"Cookie", b.prefix + "portico=" + b.session()}
	page := b.post("/logout"+query, "").is(http.StatusOK).json("logout_url")
	b.w.browser().in(b.t).get("/me", token).unauthorized("session_invalid")
	if len(b.cookies) != 0 {
		b.t.Errorf("cookies are left: %v", b.cookies)
	}
	return b.provider(http.MethodGet, page)
}

func TestTheProvidersLogoutPage(t *testing.T) {
	t.Parallel()
	w, b := withLogoutPage(t)
	step(t, "oidcc-client-test-rp-init-logout", func(t *testing.T) {
		b := b.in(t)
		back := b.leaves("?return_to=/bye%3Fa=b")
		b.returns(back).leadsTo(appOrigin + "/bye?a=b")
		visits := w.hostile.Requests(hostile.PathLogout)
		if len(visits) != 1 {
			t.Fatalf("the provider's page was opened %d times", len(visits))
		}
		asked := visits[0].Query
		if asked.Get("client_id") != hostile.ClientID || asked.Get("post_logout_redirect_uri") != w.url+"/logout/callback" ||
			asked.Get("state") == "" || asked.Get("tenant") != "1" || asked.Has("id_token_hint") {
			t.Errorf("it was asked %v", asked)
		}
	})
	step(t, "oidcc-client-test-rp-init-logout-no-state", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		b.returns(change(t, b.leaves("?return_to=/bye"), "state", "")).leadsTo(home)
		b.get("/me").unauthorized("not_authenticated")
	})
	step(t, "oidcc-client-test-rp-init-logout-other-state", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		b.returns(change(t, b.leaves("?return_to=/bye"), "state", "another")).leadsTo(home)
		b.get("/me").unauthorized("not_authenticated")
	})
	step(t, "S-01 ASVS-3.7.2 no state leads out of the app", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		back := b.leaves("?return_to=/bye")
		state := parameter(t, back, "state")
		started := b.get("/login").header.Get("Location")
		for _, state := range []string{
			"https://evil.example", "//evil.example", state[:len(state)-2] + "AA", state + "A", strings.ToUpper(state),
			parameter(t, started, "state"), b.cookies[b.flows()[0]].Value, strings.Repeat("A", 8192), "\x00", "é",
		} {
			b.returns(w.url + "/logout/callback?state=" + url.QueryEscape(state)).leadsTo(home)
		}
		b.returns(back + "&state=another").leadsTo(home)
		b.returns(w.url + "/logout/callback?state=%zz").leadsTo(home)
		b.returns(w.url + "/logout/callback?error=x&state=" + url.QueryEscape(state)).leadsTo(appOrigin + "/bye")
		w.flows.advance(time.Hour)
		defer w.flows.advance(-time.Hour)
		b.returns(back).leadsTo(home)
	})
	step(t, "ASVS-3.5.3 coming back ends no session", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		b.returns(w.url + "/logout/callback").leadsTo(home)
		b.get("/me").is(http.StatusOK)
	})
	step(t, "S-01 a return target elsewhere is refused before anything ends", func(t *testing.T) {
		b := b.in(t)
		for _, target := range []string{"https://evil.example", "//evil.example", "/%5Cevil.example", "javascript:alert(1)"} {
			b.post("/logout?return_to="+target, "").is(http.StatusBadRequest, "invalid_query").field("?return_to", "return_to_refused")
		}
		b.post("/logout?return_to=/a&return_to=/b", "").is(http.StatusBadRequest, "invalid_query").field("?return_to", "repeated")
		b.get("/me").is(http.StatusOK)
	})
	step(t, "a native app is told of it, too", func(t *testing.T) {
		app := b.in(t).app()
		token := nativeToken(t, w, b.in(t))
		if page := app.post("/logout", "", bearer(token)).is(http.StatusOK).json("logout_url"); !strings.HasPrefix(page, w.hostile.Issuer+hostile.PathLogout+"?") {
			t.Errorf("logout_url is %q", page)
		}
		app.get("/me", bearer(token)).unauthorized("session_invalid")
	})
}

func TestLogoutPagesThatAreNotToBeOpened(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	for name, test := range map[string]struct{ announced, page string }{
		"none is announced":                 {"", ""},
		"without an address to come back":   {w.hostile.Issuer + "/logout", w.hostile.Issuer + "/logout?client_id=portico"},
		"a script is announced":             {"javascript:alert(1)", ""},
		"no address at all is announced":    {"logout", ""},
		"an address of an app is announced": {"com.example.app:/logout", ""},
	} {
		step(t, name, func(t *testing.T) {
			b := b.in(t)
			w.announces(hostile.Object{"end_session_endpoint": test.announced})
			b.logIn().leadsTo(home)
			var out map[string]any
			b.post("/logout", "").is(http.StatusOK).into(&out)
			if got, _ := out["logout_url"].(string); got != test.page || test.page == "" && len(out) != 0 {
				t.Errorf("the answer is %v", out)
			}
			b.get("/me").unauthorized("not_authenticated")
		})
	}
}

func TestALogoutLeavesNothing(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{secure: true})
	step(t, "ASVS-14.3.1 ASVS-7.4.1 no cookie, no cache, no session", func(t *testing.T) {
		b := b.in(t)
		for range 3 {
			b.get("/login")
		}
		names := append(b.flows(), "__Host-Http-portico")
		token := header{"Cookie", "__Host-Http-portico=" + b.session()}
		a := b.post("/logout", "").is(http.StatusOK)
		if got := a.header.Get("Clear-Site-Data"); got != `"cache", "storage"` {
			t.Errorf("Clear-Site-Data is %q", got)
		}
		dropped := map[string]bool{}
		for _, line := range a.header.Values("Set-Cookie") {
			cookie, err := http.ParseSetCookie(line)
			if err != nil || cookie.MaxAge >= 0 || cookie.Path != "/" || cookie.Value != "" {
				t.Errorf("%q: %v", line, err)
				continue
			}
			dropped[cookie.Name] = true
		}
		for _, name := range names {
			if !dropped[name] {
				t.Errorf("%s is not dropped", name)
			}
		}
		w.browser().in(t).get("/me", token).unauthorized("session_invalid")
		w.browser().in(t).post("/logout", "", token).unauthorized("session_invalid")
	})
}

func TestALogoutThatIsSentOften(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL})
		token := header{"Cookie", "portico=" + b.session()}
		answers := make([]answer, 16)
		var all sync.WaitGroup
		for i := range answers {
			r := b.in(t).request(http.MethodPost, "/logout", "", token)
			all.Go(func() { answers[i] = b.in(t).raw(r) })
		}
		all.Wait()
		done := 0
		for _, a := range answers {
			if a.status == http.StatusOK {
				done++
			} else {
				a.unauthorized("session_invalid")
			}
		}
		if done == 0 || w.rows("sessions") != 0 {
			t.Errorf("%d logouts succeeded, %d sessions are left", done, w.rows("sessions"))
		}
	})
}

func TestTheProvidersTokensAreGivenBack(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{login: func(c *login.Config) { c.Revoke = true }})
	// given waits for the n-th revocation and returns what was given back.
	given := func(t *testing.T, n int) hostile.Request {
		t.Helper()
		await.True(t, "a token is given back", func() bool { return w.hostile.Count(hostile.PathRevoke) >= n })
		requests := w.hostile.Requests(hostile.PathRevoke)
		if len(requests) != n {
			t.Fatalf("%d tokens were given back, not %d", len(requests), n)
		}
		w.secrets.keep(requests[n-1].Form.Get("token"))
		return requests[n-1]
	}
	b.logIn().leadsTo(home)
	w.announces(hostile.Object{"revocation_endpoint": w.hostile.Issuer + hostile.PathRevoke})
	step(t, "ASVS-10.4.10 the access token, by the client that it was given to, where that is announced", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		r := given(t, 1) // and not the one of before
		if r.Form.Get("token_type_hint") != "access_token" || !strings.HasPrefix(r.Form.Get("token"), "access-") {
			t.Errorf("%s was given back", r.Form.Get("token_type_hint"))
		}
		if !hostile.Basic(hostile.ClientID, hostile.ClientSecret)(&http.Request{Header: r.Header}) {
			t.Error("nobody says who gives it back")
		}
	})
	step(t, "S-23 a refresh token that came unasked, in its place; none is kept", func(t *testing.T) {
		b := b.in(t)
		const refresh = "canary-refresh-token-31c7"
		w.hostile.Change(func(of *hostile.Behaviour) {
			of.Answer = func(answer hostile.Object) { answer["refresh_token"] = refresh }
		})
		b.logIn().leadsTo(home)
		if r := given(t, 2); r.Form.Get("token") != refresh || r.Form.Get("token_type_hint") != "refresh_token" {
			t.Errorf("%s was given back", r.Form.Get("token_type_hint"))
		}
		if text := w.dump(t); strings.Contains(text, refresh) || !strings.Contains(text, subjectOf("ada@example.com")) {
			t.Errorf("the database holds %s", text)
		}
	})
	step(t, "a login that fails gives them back as well", func(t *testing.T) {
		b := b.in(t)
		w.signsIn("ada@example.com", hostile.Object{"nonce": "another"})
		b.logIn().leadsTo(home + "?error=identity_rejected")
		given(t, 3)
		w.signsIn("ada@example.com", nil)
	})
	step(t, "ASVS-16.5.2 a provider that does not take them keeps nobody out", func(t *testing.T) {
		b := b.in(t)
		w.hostile.Change(func(of *hostile.Behaviour) {
			of.Handlers = map[string]http.HandlerFunc{hostile.PathRevoke: hostile.Reply(500, "text/plain", "no")}
		})
		b.logIn().leadsTo(home)
		given(t, 4)
		b.get("/me").is(http.StatusOK)
	})
}

// dump is all that the tables about users and sessions hold, as JSON.
func (w *world) dump(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"users", "sessions", "native_codes", "used_flows", "used_logout_tokens", "audit_events"} {
		all.WriteString(w.dumpOf(t, table))
	}
	return all.String()
}

func (w *world) dumpOf(t *testing.T, table string) string {
	t.Helper()
	rows, err := w.db.SQL().QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(text, '\n'))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
