package api_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

// wants asks for another address.
func (b *browser) wants(address string, headers ...header) answer {
	b.t.Helper()
	return b.post("/me/email", `{"email":"`+address+`"}`, headers...)
}

// confirms sends a code.
func (b *browser) confirms(code string, headers ...header) answer {
	b.t.Helper()
	return b.post("/me/email/confirm", `{"code":"`+code+`"}`, headers...)
}

func TestAUserChangesTheirAddress(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL, mails: true})
		w, b = w.in(t), b.in(t)
		w.clock.stop()
		w.secrets.keep("ada@example.com")
		other := b.another()
		id := b.known().ID
		step(t, "not before the new one is proven", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			var said struct {
				ExpiresAt time.Time `json:"expires_at"`
			}
			b.wants("Ada@Example.org").is(http.StatusAccepted).into(&said)
			if left := said.ExpiresAt.Sub(w.clock.now()); left < 14*time.Minute || left > 15*time.Minute {
				t.Errorf("the code can be used for %s", left)
			}
			w.posted()
			if user := b.known(); user.Email != "ada@example.com" || user.Sync != "synced" {
				t.Errorf("the user is %+v", user)
			}
			mails := w.sim.Mailbox("Ada@Example.org")
			if len(mails) != 1 || strings.Contains(mails[0].Subject, w.mailed("Ada@Example.org")) {
				t.Errorf("the mails are %+v", mails)
			}
		})
		step(t, "ASVS-6.3.7 then at once, and the old one is told", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			code := strings.ToLower(strings.ReplaceAll(w.mailed("Ada@Example.org"), "-", " "))
			changed := b.confirms(code).is(http.StatusOK)
			if now := b.get("/me").body; now != changed.body {
				t.Errorf("it answers %s, and GET /me %s", changed.body, now)
			}
			if user := b.known(); user.Email != "Ada@Example.org" || user.Sync != "pending" || user.ID != id {
				t.Errorf("the user is %+v", user)
			}
			w.posted()
			if mails := w.sim.Mailbox("ada@example.com"); !strings.Contains(mails[0].Subject, "has changed") {
				t.Errorf("the mails to the old address are %+v", mails)
			}
			other.in(t).get("/me").is(http.StatusOK)
		})
		step(t, "and the code is of no use any more", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			b.confirms(w.mailed("Ada@Example.org")).is(http.StatusBadRequest, "email_code_invalid")
			other.in(t).confirms(w.mailed("Ada@Example.org")).is(http.StatusBadRequest, "email_code_invalid")
		})
		step(t, "and signs in as before, since users are not matched by it", func(t *testing.T) {
			b := b.in(t)
			if user := b.another().known(); user.ID != id {
				t.Errorf("the user is %+v", user)
			}
		})
		step(t, "and the old address is free", func(t *testing.T) {
			w, stranger := w.in(t), w.browser().in(t)
			stranger.signUp("eve@example.com")
			stranger.logIn().leadsTo(home)
			stranger.wants("ada@example.com").is(http.StatusAccepted)
			w.posted()
			stranger.confirms(w.mailed("ada@example.com")).is(http.StatusOK)
		})
		step(t, "and everything is in the audit", func(t *testing.T) {
			if n := w.in(t).rows("audit_events WHERE user_id = '" + id + "' AND action IN ('user.email_requested', 'user.updated')"); n != 2 {
				t.Errorf("%d lines", n)
			}
		})
	})
}

func TestAnAddressThatSomebodyHas(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL, mails: true})
		w, b = w.in(t), b.in(t)
		w.clock.stop()
		owner := w.browser().in(t)
		owner.signUp("eve@example.org")
		owner.logIn().leadsTo(home)
		before := len(w.sim.Mailbox("eve@example.org"))
		notices := func() int { return len(w.sim.Mailbox("eve@example.org")) - before }

		step(t, "ASVS-6.3.8 is answered as any other", func(t *testing.T) {
			b := b.in(t)
			free := b.wants("bob@example.org").is(http.StatusAccepted).shown("")
			taken := b.wants("Eve@example.org").is(http.StatusAccepted).shown("")
			if free != taken {
				t.Errorf("it is answered\n%s, and the other\n%s", taken, free)
			}
		})
		step(t, "has its owner told, and no code", func(t *testing.T) {
			w := w.in(t)
			w.posted()
			if notices() != 1 || mailedCode.MatchString(w.sim.Mailbox("eve@example.org")[0].Text) {
				t.Errorf("the owner has got %d mails: %+v", notices(), w.sim.Mailbox("eve@example.org"))
			}
			if n := w.rows("email_changes WHERE code_hash IS NOT NULL"); n != 0 {
				t.Error("there is a code")
			}
		})
		step(t, "has them told once a day", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			b.wants("eve@example.org").is(http.StatusAccepted)
			w.posted()
			if notices() != 1 {
				t.Errorf("the owner has got %d mails", notices())
			}
		})
		step(t, "by the time of the proof is refused", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			b.wants("kim@example.org").is(http.StatusAccepted)
			w.posted()
			w.browser().in(t).post("/signup", `{"email":"kim@example.org"}`).is(http.StatusAccepted)
			w.provision()
			b.confirms(w.mailed("kim@example.org")).is(http.StatusConflict, "email_taken")
			if user := b.known(); user.Email != "ada@example.com" || user.Sync != "synced" {
				t.Errorf("the user is %+v", user)
			}
		})
	})
}

func TestACodeThatProvesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{
			databaseURL: databaseURL, mails: true, sessions: func(s *session.Service) { s.RecentLogin = 2 * idle },
		})
		w.clock.stop()
		w, b = w.in(t), b.in(t)
		refused := func(b *browser, code string) {
			b.t.Helper()
			b.confirms(code).is(http.StatusBadRequest, "email_code_invalid")
		}
		asked := func(w *world, b *browser) string {
			w.t.Helper()
			b.wants("ada@example.org").is(http.StatusAccepted)
			w.posted()
			return w.mailed("ada@example.org")
		}
		step(t, "where nobody has asked for an address", func(t *testing.T) { refused(b.in(t), "7XK2M-9QD4T") })
		step(t, "what was never a code is no try at the one that is", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			code := asked(w, b)
			for _, text := range []string{"x", "7XK2M-9QD4", "7XK2M-9QD4TT", "7XK2M-9QD4U", "7XK2M_9QD4T", "éééééééééé", "'OR'1'='1", "          "} {
				refused(b, text)
			}
			b.confirms("").is(http.StatusUnprocessableEntity, "invalid_fields")
			if n := w.rows("email_changes WHERE tries > 0"); n != 0 {
				t.Error("they are counted")
			}
			b.confirms(code).is(http.StatusOK)
		})
		step(t, "the fifth that is wrong makes the right one wrong", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			code := asked(w, b)
			for range 4 {
				refused(b, wrong(code))
			}
			b.confirms(code).is(http.StatusOK)
			code = asked(w, b)
			for range 5 {
				refused(b, wrong(code))
			}
			refused(b, code)
			if n := w.rows("audit_events WHERE action = 'user.email_code_refused'"); n != 9 {
				t.Errorf("%d lines in the audit", n)
			}
		})
		step(t, "when it is too old", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			code := asked(w, b)
			w.clock.advance(15 * time.Minute)
			refused(b, code)
		})
		step(t, "when another address was asked for since", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			code := asked(w, b)
			b.wants("ada@example.net").is(http.StatusAccepted)
			refused(b, code)
			w.posted()
			refused(b, code)
			b.confirms(w.mailed("ada@example.net")).is(http.StatusOK)
		})
		step(t, "when it is somebody else's", func(t *testing.T) {
			w, b := w.in(t), b.in(t)
			code := asked(w, b)
			stranger := w.browser().in(t)
			stranger.signUp("eve@example.com")
			stranger.logIn().leadsTo(home)
			stranger.wants("ada@example.org").is(http.StatusAccepted)
			refused(stranger, code)
			b.confirms(code).is(http.StatusOK)
		})
		step(t, "BBA-10 for another site's page", func(t *testing.T) {
			b := b.in(t)
			for _, path := range []string{"/me/email", "/me/email/confirm"} {
				b.post(path, `{}`, header{"X-CSRF", ""}).is(http.StatusForbidden, "csrf_required")
				b.post(path, `{}`, header{"Origin", "https://evil.example"}).is(http.StatusForbidden, "cross_origin")
				b.app().post(path, `{}`).unauthorized("not_authenticated")
			}
		})
	})
}

// wrong is another code.
func wrong(code string) string {
	last := "0"
	if strings.HasSuffix(code, last) {
		last = "1"
	}
	return code[:len(code)-1] + last
}

func TestASVS_15_4_2_OfManyWhoUseOneCodeAtOnceOneChangesTheAddress(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL, mails: true})
		w, b = w.in(t), b.in(t)
		for _, address := range []string{"ada@example.org", "ada@example.net", "ada@example.edu"} {
			b.wants(address).is(http.StatusAccepted)
			w.posted()
			code, cookie := w.mailed(address), header{"Cookie", "portico=" + b.session()}
			var won atomic.Int32
			var all sync.WaitGroup
			start := make(chan struct{})
			for range 16 {
				all.Go(func() {
					<-start
					if a := b.app().confirms(code, cookie); a.status == http.StatusOK {
						won.Add(1)
					} else {
						a.is(http.StatusBadRequest, "email_code_invalid")
					}
				})
			}
			close(start)
			all.Wait()
			if won.Load() != 1 || b.known().Email != address {
				t.Errorf("%d have changed the address to %s, and it is %s", won.Load(), address, b.known().Email)
			}
			if n := w.rows("letters"); n != 1 {
				t.Errorf("%d letters", n)
			}
			w.posted()
		}
	})
}

func TestWhoCannotAskForAnAddress(t *testing.T) {
	t.Parallel()
	limits, err := ratelimit.ParseLimits("email=2/1h")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := directory.ParsePolicy(directory.PolicySettings{Block: []string{"blocked.example"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("anybody, where there is no mail server", func(t *testing.T) {
		t.Parallel()
		w, b := signedInBrowser(t, options{})
		b.in(t).wants("ada@example.org").is(http.StatusConflict, "email_change_unavailable")
		if w.in(t).rows("email_changes") != 0 {
			t.Error("a wish is kept")
		}
	})
	t.Run("whose address the policy refuses, which costs them nothing", func(t *testing.T) {
		t.Parallel()
		_, b := signedInBrowser(t, options{mails: true, limits: limits, policy: policy})
		b = b.in(t)
		for address, code := range map[string]string{"ada@blocked.example": "email_not_admitted", "ada": "invalid_email", "a\u202e@b.c": "invalid_email"} {
			var p struct {
				Errors []struct{ Pointer, Code string }
			}
			b.wants(address).is(http.StatusUnprocessableEntity, "invalid_fields").into(&p)
			if len(p.Errors) != 1 || p.Errors[0].Pointer != "/email" || p.Errors[0].Code != code {
				t.Errorf("%s: %+v", address, p)
			}
		}
		b.wants("ada@example.org").is(http.StatusAccepted)
	})
	t.Run("ASVS-2.4.1 who has asked too often", func(t *testing.T) {
		t.Parallel()
		w, b := signedInBrowser(t, options{mails: true, limits: limits})
		w, b = w.in(t), b.in(t)
		b.wants("ada@example.org").is(http.StatusAccepted)
		b.wants("bob@example.org").is(http.StatusAccepted)
		a := b.wants("eve@example.org").is(http.StatusTooManyRequests, "too_many_requests")
		if a.header.Get("Retry-After") != "1800" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
		if n := w.rows("email_changes WHERE email = 'bob@example.org'"); n != 1 {
			t.Error("the last wish that was taken is gone")
		}
	})
}
