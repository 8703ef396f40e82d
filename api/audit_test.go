package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store/storetest"
)

// ledger reads the audit from where it was read last.
type ledger struct {
	w    *world
	seen map[string]bool
}

func (w *world) ledger() *ledger {
	l := &ledger{w: w, seen: make(map[string]bool)}
	for _, e := range l.events() {
		l.seen[e.ID] = true
	}
	return l
}

func (l *ledger) events() []audit.Event {
	l.w.t.Helper()
	found, err := l.w.store.AuditEvents(l.w.t.Context(), audit.Query{Limit: audit.MaxPage})
	if err != nil {
		l.w.t.Fatal(err)
	}
	return found
}

// has waits until the audit has what is wanted, beyond what was seen before,
// and holds it against that: "actor action outcome reason target", in any order.
func (l *ledger) has(t *testing.T, want ...string) []audit.Event {
	t.Helper()
	slices.Sort(want)
	var found []audit.Event
	await.Until(t, "the audit", func() error {
		found = nil
		var got []string
		for _, e := range l.events() {
			if l.seen[e.ID] {
				continue
			}
			found = append(found, e)
			target := e.Target.Kind
			if target == audit.TargetRoute {
				target = e.Target.ID
			}
			actor, _, _ := strings.Cut(e.Origin.Actor, ":")
			got = append(got, strings.TrimSpace(strings.Join([]string{actor, e.Action, string(e.Outcome), e.Reason, target}, " ")))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("it has %q, not %q", got, want)
		}
		return nil
	})
	for _, e := range found {
		l.seen[e.ID] = true
		if e.Origin.Address != "127.0.0.1" || e.Origin.RequestID == "" {
			t.Errorf("%s comes from %+v", e.Action, e.Origin)
		}
	}
	return found
}

func TestWhoIsSignedInWhoIsNotAndWhyIsWrittenDown(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	l := w.ledger()
	var anna directory.UserID
	step(t, "ASVS-16.3.1 a login", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		// Her first login makes her active.
		for _, e := range l.has(t, "user user.active success", "user login.succeeded success  session") {
			anna = e.UserID
			if e.Origin.Actor != audit.User(anna) || anna == "" {
				t.Errorf("%s is by %s about %q", e.Action, e.Origin.Actor, anna)
			}
		}
	})
	step(t, "and nothing of a session that is looked up, or of nobody's", func(t *testing.T) {
		b := b.in(t)
		b.get("/me").is(http.StatusOK)
		w.browser().in(t).get("/me").unauthorized("not_authenticated")
	})
	step(t, "another, which ends the one before", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		l.has(t, "user login.succeeded success  session", "anyone session.ended success replaced session")
	})
	step(t, "ASVS-16.3.1 one that the provider refuses, without its words", func(t *testing.T) {
		b := b.in(t)
		callback, err := url.Parse(b.authorize(""))
		if err != nil {
			t.Fatal(err)
		}
		answer := url.Values{"state": {callback.Query().Get("state")}, "error": {"access_denied"}, "error_description": {"canary"}}
		if iss := callback.Query().Get("iss"); iss != "" {
			answer.Set("iss", iss)
		}
		b.returns(w.url + "/callback?" + answer.Encode()).leadsTo(home + "?error=access_denied")
		if e := l.has(t, "anyone login.refused refused access_denied")[0]; strings.Contains(fmt.Sprint(e), "canary") {
			t.Errorf("it says %+v", e)
		}
	})
	step(t, "ASVS-16.3.1 one without a flow", func(t *testing.T) {
		b := b.in(t)
		b.returns(w.url+"/callback?code=c&state=s").is(http.StatusBadRequest, "flow_missing")
		b.post("/callback", `{"code":"c","state":"s","flow":"canary"}`).is(http.StatusBadRequest, "flow_invalid")
		l.has(t, "anyone login.refused refused flow_missing", "anyone login.refused refused flow_invalid")
	})
	step(t, "ASVS-16.3.1 one of a user who may not, with who it is", func(t *testing.T) {
		b := b.in(t)
		w.exec("UPDATE users SET status = 'suspended'")
		b.logIn().leadsTo(home + "?error=user_suspended")
		w.exec("UPDATE users SET status = 'active'")
		if e := l.has(t, "anyone login.refused refused user_suspended")[0]; e.UserID != anna {
			t.Errorf("it is about %q", e.UserID)
		}
	})
	step(t, "ASVS-16.3.1 one that fails by a fault of ours", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("")
		w.exec("ALTER TABLE native_codes RENAME TO elsewhere")
		w.exec("ALTER TABLE used_flows RENAME TO elsewhere_too")
		b.returns(callback).leadsTo(home + "?error=internal_error")
		w.exec("ALTER TABLE elsewhere_too RENAME TO used_flows")
		w.exec("ALTER TABLE elsewhere RENAME TO native_codes")
		l.has(t, "anyone login.failed failed internal_error")
	})
	step(t, "a code that is none", func(t *testing.T) {
		b := b.in(t)
		b.post("/sessions", trade("ptc_x", newSystemLogin().verifier)).is(http.StatusBadRequest, "login_code_invalid")
		l.has(t, "anyone login.code_refused refused login_code_invalid")
	})
	step(t, "a logout", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		b.post("/logout", "").is(http.StatusOK)
		for _, e := range l.has(t, "user login.succeeded success  session", "user session.ended success logged_out session") {
			if e.UserID != anna || e.Target.ID != e.Origin.SessionID {
				t.Errorf("%s of %+v is by %+v", e.Action, e.Target, e.Origin)
			}
		}
	})
	step(t, "a logout at the provider, and a token that is none", func(t *testing.T) {
		b := b.in(t)
		b.logIn().leadsTo(home)
		w.tell(t, form("nonsense")).disobeyed()
		w.tell(t, form(w.logoutToken(nil))).obeyed()
		l.has(t, "user login.succeeded success  session", "anyone logout_token.refused refused logout_token_invalid",
			"provider logout_token.accepted success", "provider session.ended success provider_logout session")
	})
}

func TestWhatIsRefusedToWhomIsWrittenDown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL})
		l := w.ledger()
		step(t, "ASVS-16.3.3 a request that another site may have caused", func(t *testing.T) {
			b := b.in(t)
			b.get("/me", header{"X-CSRF", ""}).is(http.StatusForbidden, "csrf_required")
			b.post("/logout", "", header{"Origin", "https://evil.example"}).is(http.StatusForbidden, "cross_origin")
			l.has(t, "anyone request.refused refused csrf_required GET /me", "anyone request.refused refused cross_origin POST /logout")
		})
		step(t, "ASVS-16.3.2 what needs a recent login, with who it was and in which session", func(t *testing.T) {
			b := b.in(t)
			w.clock.advance(recentLogin)
			b.del("/me/sessions").asksForALogin(recentLogin)
			w.clock.advance(-recentLogin) // the provider's clock has not moved
			e := l.has(t, "user request.refused refused recent_login_required DELETE /me/sessions")[0]
			if me := b.get("/me").is(http.StatusOK); e.UserID != directory.UserID(me.json("id")) || e.Origin.SessionID != me.json("session", "id") {
				t.Errorf("it is by %+v about %q", e.Origin, e.UserID)
			}
		})
		step(t, "ASVS-16.3.2 a session of somebody else's, or nobody's", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(home)
			id := uuid.NewString()
			b.del("/me/sessions/"+id).is(http.StatusNotFound, "session_not_found")
			b.del("/me/sessions/canary").is(http.StatusNotFound, "session_not_found")
			for _, e := range l.has(t, "user login.succeeded success  session", "anyone session.ended success replaced session",
				"user request.refused refused session_not_found session",
				"user request.refused refused session_not_found DELETE /me/sessions/{session_id}") {
				if e.Reason == "session_not_found" && e.Target.Kind == audit.TargetSession && e.Target.ID != id || strings.Contains(e.Target.ID, "canary") {
					t.Errorf("it is about %+v", e.Target)
				}
			}
		})
		step(t, "and what was done", func(t *testing.T) {
			b := b.in(t)
			b.del("/me/sessions/" + b.me().ID).is(http.StatusNoContent)
			l.has(t, "user session.ended success revoked session")
		})
	})
}
