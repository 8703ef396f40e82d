package api_test

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestWhomALogoutTokenLogsOut(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := hostileWorld(t, options{databaseURL: databaseURL, hostile: true})
		b = b.in(t)
		b.join("eve@example.com")
		// signedIn is everybody, signed in anew: Ada in two browsers at one
		// session of the provider, with an app at another; Eve beside them.
		signedIn := func(t *testing.T) (ada [3]*browser, app header, eve *browser) {
			t.Helper()
			for i, sid := range []string{"session-1", "session-1", "session-2"} {
				w.signsIn("ada@example.com", hostile.Object{"sid": sid})
				ada[i] = w.browser().in(t)
				ada[i].logIn().leadsTo(home)
			}
			app = bearer(nativeToken(t, w, b.in(t))) // at session-2
			w.signsIn("eve@example.com", hostile.Object{"sid": "session-3"})
			eve = w.browser().in(t)
			eve.logIn().leadsTo(home)
			return ada, app, eve
		}
		step(t, "BCL-04 a session: those who began there, and nobody else", func(t *testing.T) {
			ada, app, eve := signedIn(t)
			w.tell(t, form(w.hostile.LogoutToken("", "session-1", func(_, c hostile.Object) { delete(c, "sub") }))).obeyed()
			ada[0].get("/me").unauthorized("session_invalid")
			ada[1].get("/me").unauthorized("session_invalid")
			ada[2].get("/me").is(http.StatusOK)
			ada[2].app().get("/me", app).is(http.StatusOK)
			eve.get("/me").is(http.StatusOK)
		})
		step(t, "BCL-04 a user: all of theirs, a native app's too, and nobody else's", func(t *testing.T) {
			ada, app, eve := signedIn(t)
			w.tell(t, form(w.hostile.LogoutToken(subjectOf("ada@example.com"), "", func(_, c hostile.Object) { delete(c, "sid") }))).obeyed()
			for _, b := range ada {
				b.get("/me").unauthorized("session_invalid")
			}
			ada[0].app().get("/me", app).unauthorized("session_invalid")
			eve.get("/me").is(http.StatusOK)
		})
		step(t, "BCL-04 both: the session, if it is the user's", func(t *testing.T) {
			ada, app, eve := signedIn(t)
			w.tell(t, form(w.hostile.LogoutToken(subjectOf("ada@example.com"), "session-3", nil))).obeyed()
			eve.get("/me").is(http.StatusOK)
			w.tell(t, form(w.hostile.LogoutToken(subjectOf("ada@example.com"), "session-2", nil))).obeyed()
			ada[2].get("/me").unauthorized("session_invalid")
			ada[2].app().get("/me", app).unauthorized("session_invalid")
			ada[0].get("/me").is(http.StatusOK)
			eve.get("/me").is(http.StatusOK)
		})
		step(t, "BCL-04 codes that no app has redeemed go with them", func(t *testing.T) {
			for _, change := range []func(_, claims hostile.Object){
				nil,
				func(_, c hostile.Object) { delete(c, "sid") },
				func(_, c hostile.Object) { delete(c, "sub") },
			} {
				w.signsIn("ada@example.com", nil)
				l := newSystemLogin()
				code := w.browser().in(t).codeFor(l)
				w.tell(t, form(w.logoutToken(change))).obeyed()
				w.browser().in(t).post("/sessions", trade(code, l.verifier)).is(http.StatusBadRequest, "login_code_invalid")
			}
		})
		step(t, "BCL-11 BCL-09 whoever has logged out already is a success", func(t *testing.T) {
			w.signsIn("ada@example.com", nil)
			ada := w.browser().in(t)
			ada.logIn().leadsTo(home)
			ada.post("/logout", "").is(http.StatusOK)
			w.tell(t, form(w.logoutToken(nil))).obeyed()
			w.tell(t, form(w.logoutToken(nil))).obeyed()
		})
		step(t, "BCL-11 so is somebody whom nobody has heard of", func(t *testing.T) {
			w.tell(t, form(w.hostile.LogoutToken("nobody", "nothing", nil))).obeyed()
		})
		step(t, "a login after a logout begins as ever", func(t *testing.T) {
			ada := w.browser().in(t)
			ada.logIn().leadsTo(home)
			ada.get("/me").is(http.StatusOK)
		})
	})
}

func TestALogoutTokenWorksOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := hostileWorld(t, options{databaseURL: databaseURL, hostile: true})
		step(t, "BCL-07 BCL-09 ASVS-10.5.5 the second time it is refused", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(home)
			token := w.logoutToken(nil)
			w.tell(t, form(token)).obeyed()
			b.logIn().leadsTo(home)
			w.tell(t, form(token)).disobeyed()
			b.get("/me").is(http.StatusOK)
		})
		step(t, "BCL-07 ASVS-15.4.2 sixteen at once: one is obeyed", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(home)
			token := w.logoutToken(nil)
			answers := make([]answer, 16)
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() { answers[i] = w.tell(t, form(token)) })
			}
			all.Wait()
			obeyed := 0
			for _, a := range answers {
				if a.status == http.StatusOK {
					obeyed++
				} else {
					a.disobeyed()
				}
			}
			if obeyed != 1 {
				t.Errorf("%d were obeyed", obeyed)
			}
			b.get("/me").unauthorized("session_invalid")
		})
		step(t, "BCL-07 by its id, whatever else it says", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(home)
			w.tell(t, form(w.logoutToken(set("jti", "the same")))).obeyed()
			b.logIn().leadsTo(home)
			w.tell(t, form(w.logoutToken(func(_, c hostile.Object) { c["jti"] = "the same"; delete(c, "sid") }))).disobeyed()
			b.get("/me").is(http.StatusOK)
		})
	})
}

func TestLogoutTokensInCompatibility(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := hostileWorld(t, options{
			databaseURL: databaseURL, hostile: true,
			login: func(c *login.Config) { c.LogoutTokens = login.LogoutCompat },
		})
		untyped := func(header, _ hostile.Object) { delete(header, "typ") }
		typed := func(typ string) func(header, _ hostile.Object) {
			return func(header, _ hostile.Object) { header["typ"] = typ }
		}
		for name, change := range map[string]func(header, claims hostile.Object){
			"with the type": nil, "untyped": untyped, "typed JWT": typed("JWT"), "without an end": set("exp", nil),
		} {
			step(t, "BCL-08 "+name+" is taken", func(t *testing.T) {
				b := b.in(t)
				b.logIn().leadsTo(home)
				w.tell(t, form(w.logoutToken(change))).obeyed()
				b.get("/me").unauthorized("session_invalid")
			})
		}
		for name, change := range map[string]func(header, claims hostile.Object){
			"typed as an access token": typed("at+jwt"),
			"with a nonce":             func(h, c hostile.Object) { untyped(h, c); c["nonce"] = "n" },
			"about nobody": func(h, c hostile.Object) {
				untyped(h, c)
				maps.DeleteFunc(c, func(name string, _ any) bool { return slices.Contains([]string{"sub", "sid"}, name) })
			},
			"for somebody else": func(h, c hostile.Object) { untyped(h, c); c["aud"] = "somebody-else" },
			"without an event":  func(h, c hostile.Object) { untyped(h, c); delete(c, "events") },
			"that is old": func(h, c hostile.Object) {
				untyped(h, c)
				delete(c, "exp")
				c["iat"] = w.flows.now().Add(-12 * time.Minute).Unix()
			},
		} {
			step(t, "BCL-08 one "+name+" is not", func(t *testing.T) {
				b := b.in(t)
				b.logIn().leadsTo(home)
				w.tell(t, form(w.logoutToken(change))).disobeyed()
				b.get("/me").is(http.StatusOK)
			})
		}
		step(t, "BCL-07 one without an end works once, too, however often the house is kept", func(t *testing.T) {
			b := b.in(t)
			token := w.logoutToken(set("exp", nil))
			w.tell(t, form(token)).obeyed()
			b.logIn().leadsTo(home)
			// For as long as the token is young enough to be obeyed.
			for range 3 {
				if _, err := w.store.PurgeExpired(t.Context(), w.flows.now(), idle, 1000); err != nil {
					t.Fatal(err)
				}
				w.tell(t, form(token)).disobeyed()
				b.get("/me").is(http.StatusOK)
				w.flows.advance(5 * time.Minute)
			}
		})
	})
}

func TestALogoutTokenAtABadTime(t *testing.T) {
	t.Parallel()
	t.Run("is not used up while the database is gone", func(t *testing.T) {
		t.Parallel()
		line, through := lay(t, storetest.Postgres(t))
		w, b := hostileWorld(t, options{databaseURL: through, hostile: true})
		b = b.in(t)
		b.logIn().leadsTo(home)
		token := w.logoutToken(nil)
		line.sever()
		w.tell(t, form(token)).later("unavailable")
		line.mend()
		b.get("/me").is(http.StatusOK)
		w.tell(t, form(token)).obeyed()
		b.get("/me").unauthorized("session_invalid")
	})
	t.Run("is not used up while the provider's keys cannot be had", func(t *testing.T) {
		t.Parallel()
		w, b := hostileWorld(t, options{})
		b = b.in(t)
		b.logIn().leadsTo(home)
		w.hostile.Change(func(of *hostile.Behaviour) {
			of.Signing = hostile.Signing{Algorithm: "ES256", Key: hostile.TestKeys().P256, ID: "new"}
			of.Handlers = map[string]http.HandlerFunc{hostile.PathJWKS: hostile.Reply(503, "text/plain", "")}
		})
		token := w.logoutToken(nil)
		w.tell(t, form(token)).later("provider_unavailable")
		b.get("/me").is(http.StatusOK)
		w.hostile.Change(func(of *hostile.Behaviour) {
			of.Handlers = nil
			of.JWKS = func() []hostile.Object {
				return []hostile.Object{hostile.JWK("new", hostile.TestKeys().P256.Public())}
			}
		})
		w.flows.advance(time.Minute) // or no key would be asked for so soon
		w.tell(t, form(token)).obeyed()
		b.get("/me").unauthorized("session_invalid")
	})
	t.Run("before the provider has been found", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{noProvider: true})
		w.tell(t, form("a.b.c")).later("provider_unavailable")
	})
}

func TestLogoutByTheProviderTurnedOff(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{serve: func(c *api.Config) { c.WithoutProviderLogout = true }})
	b.logIn().leadsTo(home)
	w.tell(t, form(w.logoutToken(nil))).is(http.StatusNotFound, "not_found")
	w.tell(t, "").is(http.StatusNotFound, "not_found")
	b.get("/me").is(http.StatusOK)
}
