package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

// listed is what GET /me/sessions lists.
func (b *browser) listed(headers ...header) []shown {
	b.t.Helper()
	var list struct{ Sessions []shown }
	b.get("/me/sessions", headers...).is(http.StatusOK).into(&list)
	return list.Sessions
}

// another is a browser with the same passkeys that is signed in, too.
func (b *browser) another() *browser {
	b.t.Helper()
	other := b.app()
	other.logIn().leadsTo(home)
	return other
}

func TestAUserSeesWhereTheyAreSignedIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		w.clock.stop()
		b := w.browser().in(t)
		b.signUp("ada@example.com")
		callback := b.authorize("")
		b.send(b.request(http.MethodGet, callback, "", header{"X-CSRF", ""}, header{"User-Agent", "Fire\u202efox\t" + strings.Repeat("é", 200)}), true).leadsTo(home)
		first := b.me()
		w.clock.advance(time.Minute)
		token := nativeToken(t, w, b)
		w.clock.advance(time.Minute)
		last := b.another()
		stranger := w.browser().in(t)
		stranger.signUp("eve@example.com")
		stranger.logIn().leadsTo(home)

		step(t, "ASVS-7.5.2 the one used last first, with device, address and times", func(t *testing.T) {
			list := last.in(t).listed()
			if len(list) != 3 || list[0].ID != last.me().ID || list[1].Client != "native" || list[2].ID != first.ID {
				t.Fatalf("the list is %+v", list)
			}
			for i, s := range list {
				if s.Current != (i == 0) || s.Address != "127.0.0.1" {
					t.Errorf("%d is %+v", i, s)
				}
				if !s.AuthTime.Before(s.CreatedAt.Add(time.Second)) || !s.ExpiresAt.Equal(s.CreatedAt.Add(absolute)) ||
					!s.IdleExpiresAt.Equal(s.LastSeenAt.Add(idle)) || s.LastSeenAt.Before(s.CreatedAt) {
					t.Errorf("%d has the times %+v", i, s)
				}
			}
			if device := list[2].Device; !strings.HasPrefix(device, "Firefox\u00e9") || len(device) > 256 {
				t.Errorf("the device is %q", device)
			}
		})
		step(t, "the list is the same whoever of the user's asks, but for which is current", func(t *testing.T) {
			w.clock.advance(time.Second)
			if list := b.in(t).app().listed(bearer(token)); len(list) != 3 || list[0].Client != "native" || !list[0].Current {
				t.Errorf("the list is %+v", list)
			}
		})
		step(t, "those that have ended are not in it", func(t *testing.T) {
			last := last.in(t)
			w.clock.advance(idle - 2*time.Second)
			last.get("/me").is(http.StatusOK)
			w.clock.advance(3 * time.Second)
			if list := last.listed(); len(list) != 1 || !list[0].Current {
				t.Errorf("the list is %+v", list)
			}
		})
	})
}

func TestAUserEndsSessions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL})
		b = b.in(t)
		stranger := w.browser().in(t)
		stranger.signUp("eve@example.com")
		stranger.logIn().leadsTo(home)
		step(t, "ASVS-7.5.2 one of them", func(t *testing.T) {
			b := b.in(t)
			other, kept := b.another(), b.another()
			b.del("/me/sessions/" + other.me().ID).is(http.StatusNoContent)
			other.get("/me").unauthorized("session_invalid")
			kept.get("/me").is(http.StatusOK)
			b.get("/me").is(http.StatusOK)
		})
		step(t, "once: then there is no such session", func(t *testing.T) {
			b := b.in(t)
			id := b.another().me().ID
			b.del("/me/sessions/" + id).is(http.StatusNoContent)
			b.del("/me/sessions/"+id).is(http.StatusNotFound, "session_not_found")
		})
		step(t, "a native app's from a browser, and the other way round", func(t *testing.T) {
			b := b.in(t)
			token, other := nativeToken(t, w, b), b.another()
			app := b.app()
			app.del("/me/sessions/"+other.me().ID, bearer(token)).is(http.StatusNoContent)
			other.get("/me").unauthorized("session_invalid")
			var me struct{ Session shown }
			app.get("/me", bearer(token)).is(http.StatusOK).into(&me)
			b.del("/me/sessions/" + me.Session.ID).is(http.StatusNoContent)
			app.get("/me", bearer(token)).unauthorized("session_invalid")
		})
		step(t, "ASVS-8.2.2 somebody else's is as good as none", func(t *testing.T) {
			b := b.in(t)
			theirs := stranger.in(t).me().ID
			foreign := b.del("/me/sessions/"+theirs).is(http.StatusNotFound, "session_not_found")
			none := b.del("/me/sessions/"+flipped(theirs)).is(http.StatusNotFound, "session_not_found")
			strip := func(a answer, id string) string {
				return strings.NewReplacer(id, "ID", a.json("request_id"), "R").Replace(a.body)
			}
			if strip(foreign, theirs) != strip(none, flipped(theirs)) {
				t.Errorf("the answers differ: %s and %s", foreign.body, none.body)
			}
			stranger.in(t).get("/me").is(http.StatusOK)
		})
		step(t, "ASVS-1.2.4 what is no id is as good as none", func(t *testing.T) {
			b := b.in(t)
			id := b.me().ID
			for _, text := range []string{
				"x", "0", "-", "null", "%00", "%ff", "*", "'%20OR%201=1--", strings.ToUpper(id), "%7B" + id + "%7D", "urn:uuid:" + id,
				id + "0", id[:35], strings.ReplaceAll(id, "-", ""), id + "%20", "%0a" + id, strings.Repeat("a", 5000),
				"00000000-0000-0000-0000-000000000000", id + "%2f..",
			} {
				b.del("/me/sessions/" + text).is(http.StatusNotFound)
			}
			b.del("/me/sessions/"+id+"/x").is(http.StatusNotFound, "not_found")
			b.del("/me/sessions/").is(http.StatusNotFound)
			b.get("/me").is(http.StatusOK)
		})
		step(t, "ASVS-7.4.3 all others, and what native apps have not redeemed", func(t *testing.T) {
			b := b.in(t)
			one, token := b.another(), nativeToken(t, w, b)
			l := newSystemLogin()
			code := b.app().codeFor(l)
			b.del("/me/sessions").is(http.StatusNoContent)
			one.get("/me").unauthorized("session_invalid")
			app := w.browser().in(t)
			app.get("/me", bearer(token)).unauthorized("session_invalid")
			app.post("/sessions", trade(code, l.verifier)).is(http.StatusBadRequest, "login_code_invalid")
			if list := b.listed(); len(list) != 1 || !list[0].Current {
				t.Errorf("the list is %+v", list)
			}
			b.del("/me/sessions").is(http.StatusNoContent)
			stranger.in(t).get("/me").is(http.StatusOK)
		})
		step(t, "the current one, whose cookies go with it", func(t *testing.T) {
			b := b.in(t)
			b.get("/login")
			cookie := header{"Cookie", "portico=" + b.session()}
			b.del("/me/sessions/" + b.me().ID).is(http.StatusNoContent)
			if len(b.cookies) != 0 {
				t.Errorf("cookies are left: %v", b.cookies)
			}
			b.get("/me").unauthorized("not_authenticated")
			w.browser().in(t).get("/me", cookie).unauthorized("session_invalid")
		})
		step(t, "a native app's current one, which has no cookies", func(t *testing.T) {
			token := nativeToken(t, w, b.in(t))
			app := w.browser().in(t)
			var me struct{ Session shown }
			app.get("/me", bearer(token)).is(http.StatusOK).into(&me)
			if a := app.del("/me/sessions/"+me.Session.ID, bearer(token)).is(http.StatusNoContent); len(a.header.Values("Set-Cookie")) != 0 {
				t.Errorf("cookies are set: %q", a.header.Values("Set-Cookie"))
			}
			app.get("/me", bearer(token)).unauthorized("session_invalid")
		})
		step(t, "ASVS-3.5.1 none for another site's page", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(home)
			other := b.another()
			for _, path := range []string{"/me/sessions", "/me/sessions/" + other.me().ID} {
				b.del(path, header{"X-CSRF", ""}).is(http.StatusForbidden, "csrf_required")
				b.del(path, header{"Origin", "https://evil.example"}).is(http.StatusForbidden, "cross_origin")
				b.del(path, bearer("pts_x")).is(http.StatusBadRequest, "credentials_conflict")
			}
			other.get("/me").is(http.StatusOK)
		})
	})
}

// flipped is the id with another last digit.
func flipped(id string) string {
	if strings.HasSuffix(id, "0") {
		return id[:len(id)-1] + "1"
	}
	return id[:len(id)-1] + "0"
}

func TestAUserHasOnlySoManySessions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL, sessions: func(s *session.Service) { s.MaxPerUser = 3 }})
		w.clock.stop()
		b := w.browser().in(t)
		b.signUp("ada@example.com")
		var browsers []*browser
		for range 3 {
			w.clock.advance(time.Minute)
			browsers = append(browsers, b.another())
		}
		step(t, "ASVS-2.3.2 one more ends the one that was used longest ago", func(t *testing.T) {
			w.clock.advance(time.Minute)
			browsers[0].in(t).get("/me").is(http.StatusOK) // so that it is not the oldest any more
			w.sessions.Flush(t.Context())
			fourth := b.in(t).another()
			browsers[1].in(t).get("/me").unauthorized("session_invalid")
			for _, alive := range []*browser{browsers[0], browsers[2], fourth} {
				alive.in(t).get("/me").is(http.StatusOK)
			}
			if list := fourth.in(t).listed(); len(list) != 3 {
				t.Errorf("the list is %+v", list)
			}
		})
		step(t, "a native app's counts like any", func(t *testing.T) {
			l := newSystemLogin()
			token := w.browser().in(t).redeem(b.in(t).codeFor(l), l.verifier)
			if list := w.browser().in(t).listed(bearer(token)); len(list) != 3 || !slices.ContainsFunc(list, func(s shown) bool { return s.Client == "native" }) {
				t.Errorf("the list is %+v", list)
			}
		})
	})
}

func TestWhoMayNotSignInHasNoSession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL})
		stranger := w.browser().in(t)
		stranger.signUp("eve@example.com")
		stranger.logIn().leadsTo(home)
		for _, status := range []string{"suspended", "deleting", "deleted"} {
			step(t, "ASVS-7.4.2 ASVS-8.3.2 once they are "+status+", by whomever", func(t *testing.T) {
				b := b.in(t)
				b.logIn().leadsTo(home)
				token, other := nativeToken(t, w, b), b.another()
				w.exec("UPDATE users SET status = '" + status + "' WHERE email = 'ada@example.com'")
				b.get("/me").unauthorized("session_invalid")
				other.get("/me/sessions").unauthorized("session_invalid")
				other.del("/me/sessions").unauthorized("session_invalid")
				b.app().get("/me", bearer(token)).unauthorized("session_invalid")
				if n := w.rows("sessions"); n != 1 {
					t.Errorf("%d sessions are left, not the other user's alone", n)
				}
				w.exec("UPDATE users SET status = 'active' WHERE email = 'ada@example.com'")
				b.get("/me").unauthorized("session_invalid")
				stranger.in(t).get("/me").is(http.StatusOK)
			})
		}
	})
}
