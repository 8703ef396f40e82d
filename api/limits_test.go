package api_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login/hostile"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/store/storetest"
)

// tooMany fails unless the answer says that it is enough, and for how long.
func (a answer) tooMany(limit int) {
	a.t.Helper()
	a.is(http.StatusTooManyRequests, "too_many_requests")
	for name, want := range map[string]string{"Ratelimit-Limit": strconv.Itoa(limit), "Ratelimit-Remaining": "0"} {
		if got := a.header.Get(name); got != want {
			a.t.Errorf("%s is %q, not %s", name, got, want)
		}
	}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 60 {
		a.t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	if a.header.Get("Location") != "" || len(a.header.Values("Set-Cookie")) != 0 {
		a.t.Errorf("it leads to %q, with cookies %q", a.header.Get("Location"), a.header.Values("Set-Cookie"))
	}
}

func TestLoginsAreLimited(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL, limits: ratelimit.Limits{Login: ratelimit.Limit{Count: 4, Per: time.Minute}}})
		w.clock.stop()
		b := w.browser().in(t)
		b.signUp("ada@example.com")
		step(t, "ASVS-2.4.1 ASVS-6.3.1 BBA-24 however they are begun, and codes with them", func(t *testing.T) {
			b := b.in(t)
			l := newSystemLogin()
			b.get("/login").is(http.StatusSeeOther)
			b.post("/login", `{"client":"native"}`).is(http.StatusOK)
			b.post("/login", `{"client":"native","redirect_uri":"`+nativeRedirect+`","code_challenge":"`+challengeOf(l.verifier)+`"}`).is(http.StatusOK)
			b.post("/sessions", trade("ptc_x", l.verifier)).is(http.StatusBadRequest, "login_code_invalid")
			b.get("/login").tooMany(4)
			b.get("/login" + l.query()).tooMany(4)
			b.post("/login", `{"client":"browser"}`).tooMany(4)
			b.post("/login", `{"client":"native"}`).tooMany(4)
			b.post("/login", `{"client":"native","redirect_uri":"`+nativeRedirect+`","code_challenge":"`+challengeOf(l.verifier)+`"}`).tooMany(4)
			b.post("/sessions", trade("ptc_x", l.verifier)).tooMany(4)
		})
		step(t, "what was begun may end", func(t *testing.T) {
			b := b.in(t)
			w.clock.advance(15 * time.Second)
			callback := b.authorize("")
			b.get("/login").tooMany(4)
			b.returns(callback).leadsTo(home)
			b.get("/me").is(http.StatusOK)
		})
		step(t, "a code that was refused for the rate is not spent", func(t *testing.T) {
			b := b.in(t)
			w.clock.advance(15 * time.Second)
			l := newSystemLogin()
			code := b.codeFor(l)
			b.post("/sessions", trade(code, l.verifier)).tooMany(4)
			w.clock.advance(15 * time.Second)
			w.browser().in(t).redeem(code, l.verifier)
		})
		step(t, "what is refused for other reasons takes nothing", func(t *testing.T) {
			b := b.in(t)
			w.clock.advance(time.Minute)
			for range 8 {
				b.get("/login?return_to=https://evil.example").is(http.StatusBadRequest)
				b.get("/login", header{"Sec-Purpose", "prefetch"}).is(http.StatusForbidden)
				b.post("/login", `{}`).is(http.StatusUnprocessableEntity)
			}
			b.get("/login").is(http.StatusSeeOther)
		})
	})
}

func TestLogoutTokensAreLimited(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{limits: ratelimit.Limits{Logout: ratelimit.Limit{Count: 3, Per: time.Minute}}})
	w.clock.stop()
	b.logIn().leadsTo(home)
	step(t, "BCL-13 ASVS-2.4.1 good and bad ones alike", func(t *testing.T) {
		w.tell(t, form("nonsense")).disobeyed()
		w.tell(t, "").disobeyed()
		w.tell(t, form(w.logoutToken(set("nonce", "n")))).disobeyed()
		token := w.logoutToken(nil)
		asked := w.hostile.Count(hostile.PathJWKS)
		w.tell(t, form(token)).tooMany(3)
		w.tell(t, form("nonsense")).tooMany(3)
		if w.hostile.Count(hostile.PathJWKS) != asked {
			t.Error("the provider was asked for its keys")
		}
		b.in(t).get("/me").is(http.StatusOK)
		w.clock.advance(20 * time.Second)
		w.tell(t, form(token)).obeyed()
		b.in(t).get("/me").unauthorized("session_invalid")
	})
}
