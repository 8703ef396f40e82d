package api_test

import (
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/mail"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/store/storetest"
)

// deleteGrace is how long a closed account can be restored.
const deleteGrace = 72 * time.Hour

// ownAccounts makes what changes users.
func (w *world) ownAccounts(o options, log *slog.Logger) *account.Service {
	w.t.Helper()
	w.accounts = &account.Service{Store: w.store, Policy: o.policy, Grace: deleteGrace, Now: w.clock.now, Log: log}
	if !o.limits.Off() {
		w.accounts.Limits = &ratelimit.Limiter{Store: w.store, Limits: o.limits, Now: w.clock.now}
	}
	if o.mails {
		w.accounts.Mailer = w.mailer()
	}
	return w.accounts
}

// mailer sends to the simulator's mailbox.
func (w *world) mailer() *mail.Mailer {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.sim.ServeSMTP(listener) }()
	w.t.Cleanup(func() {
		_ = listener.Close()
		if err := <-served; err != nil {
			w.t.Error(err)
		}
	})
	server, err := mail.ParseServer("smtp://" + listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := mail.New(mail.Config{Server: server, From: "no-reply@example.com", App: "Example", LoginURL: appOrigin + "/login"})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// in is the world for a step.
func (w *world) in(t *testing.T) *world {
	t.Helper()
	copied := *w
	copied.t = t
	return &copied
}

// texts are the rows of a query for one text, in its order.
func (w *world) texts(query string) (found []string) {
	w.t.Helper()
	rows, err := w.db.SQL().QueryContext(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			w.t.Fatal(err)
		}
		found = append(found, text)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return found
}

// posted does the jobs that mail something.
func (w *world) posted() {
	w.t.Helper()
	for _, id := range w.texts("SELECT id FROM email_changes") {
		if again, err := w.accounts.ProveEmail(w.t.Context(), account.EmailChangeID(id)); again != 0 || err != nil {
			w.t.Fatalf("proving: again in %s: %v", again, err)
		}
	}
	for _, id := range w.texts("SELECT id FROM letters") {
		if again, err := w.accounts.SendLetter(w.t.Context(), account.LetterID(id)); again != 0 || err != nil {
			w.t.Fatalf("sending: again in %s: %v", again, err)
		}
	}
}

var mailedCode = regexp.MustCompile(`\b[0-9A-Z]{5}-[0-9A-Z]{5}\b`)

// mailed is the newest code that was mailed to the address.
func (w *world) mailed(address string) string {
	w.t.Helper()
	for _, m := range w.sim.Mailbox(address) {
		if code := mailedCode.FindString(m.Text); code != "" {
			w.secrets.keep(code, address)
			return code
		}
	}
	w.t.Fatalf("no code was mailed to %s", address)
	return ""
}

func (b *browser) patch(body string, headers ...header) answer {
	b.t.Helper()
	return b.send(b.request(http.MethodPatch, "/me", body, headers...), false)
}

// known is what GET /me says of the user.
func (b *browser) known(headers ...header) (user struct {
	ID, Email, Status, Sync string
	DisplayName             string `json:"display_name"`
},
) {
	b.t.Helper()
	b.get("/me", headers...).is(http.StatusOK).into(&user)
	return user
}

func TestAUserChangesTheirName(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL})
		b = b.in(t)
		w.clock.stop()
		w.in(t).exec("DELETE FROM river_job")
		step(t, "and nothing by a body without a member", func(t *testing.T) {
			b, w := b.in(t), w.in(t)
			if before, after := b.get("/me").body, b.patch(`{}`).is(http.StatusOK).body; after != before {
				t.Errorf("it answers %s, and GET /me %s", after, before)
			}
			if w.rows("river_job") != 0 || b.known().Sync != "synced" {
				t.Error("something is to be carried to the provider")
			}
		})
		step(t, "and sees it at once, while the provider is still to be told", func(t *testing.T) {
			b, w := b.in(t), w.in(t)
			changed := b.patch(`{"display_name":"Ada, Gräfin Lovelace \u200d\ud83d\udc69"}`).is(http.StatusOK)
			if now := b.get("/me").body; now != changed.body {
				t.Errorf("it answers %s, and GET /me %s", changed.body, now)
			}
			if user := b.known(); user.Sync != "pending" || !strings.HasPrefix(user.DisplayName, "Ada, Gräfin") {
				t.Errorf("the user is %+v", user)
			}
			if kinds := w.texts("SELECT kind FROM river_job"); !slices.Equal(kinds, []string{"change"}) {
				t.Errorf("the jobs are %q", kinds)
			}
		})
		step(t, "to none, and in all sessions", func(t *testing.T) {
			b := b.in(t)
			other := b.another()
			b.patch(`{"display_name":""}`).is(http.StatusOK)
			if user := other.known(); user.DisplayName != "" {
				t.Errorf("the user is %+v", user)
			}
		})
		step(t, "a native app does so, too", func(t *testing.T) {
			token := nativeToken(t, w, b.in(t))
			app := b.in(t).app()
			app.patch(`{"display_name":"Ada"}`, bearer(token)).is(http.StatusOK)
			if user := app.known(bearer(token)); user.DisplayName != "Ada" {
				t.Errorf("the user is %+v", user)
			}
		})
		step(t, "not for another site's page", func(t *testing.T) {
			b := b.in(t)
			b.patch(`{"display_name":"Eve"}`, header{"X-CSRF", ""}).is(http.StatusForbidden, "csrf_required")
			b.patch(`{"display_name":"Eve"}`, header{"Origin", "https://evil.example"}).is(http.StatusForbidden, "cross_origin")
			b.app().patch(`{"display_name":"Eve"}`).unauthorized("not_authenticated")
			if user := b.known(); user.DisplayName != "Ada" {
				t.Errorf("the user is %+v", user)
			}
		})
	})
}

func TestASVS_8_2_3_ASVS_15_3_3_OnlyANameCanBeChanged(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	w.clock.stop()
	before := b.get("/me").body
	for _, test := range []struct {
		name, body, code, pointer, field string
	}{
		{"the id", `{"id":"0192f0c1-2345-7abc-8def-0123456789ab"}`, "malformed_body", "/id", "unknown_name"},
		{"the external_id", `{"external_id":"x"}`, "malformed_body", "/external_id", "unknown_name"},
		{"the internal_id", `{"internal_id":"x"}`, "malformed_body", "/internal_id", "unknown_name"},
		{"the address", `{"email":"eve@example.com"}`, "malformed_body", "/email", "unknown_name"},
		{"the address beside the name", `{"display_name":"Eve","email":"eve@example.com"}`, "malformed_body", "/email", "unknown_name"},
		{"the status", `{"status":"suspended"}`, "malformed_body", "/status", "unknown_name"},
		{"sync", `{"sync":"synced"}`, "malformed_body", "/sync", "unknown_name"},
		{"the version", `{"version":1}`, "malformed_body", "/version", "unknown_name"},
		{"the name in capitals", `{"Display_Name":"Eve"}`, "malformed_body", "/Display_Name", "unknown_name"},
		{"the name twice", `{"display_name":"Eve","display_name":"Eve"}`, "malformed_body", "/display_name", "duplicate_name"},
		{"the name to null", `{"display_name":null}`, "malformed_body", "/display_name", "wrong_type"},
		{"the name to a number", `{"display_name":1}`, "malformed_body", "/display_name", "wrong_type"},
		{"the name to one with NUL", `{"display_name":"E\u0000ve"}`, "malformed_body", "/display_name", "nul_character"},
		{"the name to one of two lines", `{"display_name":"Eve\nBcc: x"}`, "invalid_fields", "/display_name", "invalid_value"},
		{"the name to one that reads backwards", `{"display_name":"\u202eevE"}`, "invalid_fields", "/display_name", "invalid_value"},
		{"the name to one with a space before it", `{"display_name":" Eve"}`, "invalid_fields", "/display_name", "invalid_value"},
		{"the name to one that is too long", `{"display_name":"` + strings.Repeat("é", 101) + `"}`, "invalid_fields", "/display_name", "too_long"},
	} {
		step(t, test.name, func(t *testing.T) {
			b := b.in(t)
			status := http.StatusBadRequest
			if test.code == "invalid_fields" {
				status = http.StatusUnprocessableEntity
			}
			var p struct {
				Errors []struct{ Pointer, Code, Detail string }
			}
			b.patch(test.body).is(status, test.code).into(&p)
			if len(p.Errors) != 1 || p.Errors[0].Pointer != test.pointer || p.Errors[0].Code != test.field {
				t.Errorf("errors are %+v", p.Errors)
			}
			if told := strings.Contains(p.Errors[0].Detail, "POST /me/email"); told != (test.pointer == "/email") {
				t.Errorf("it says %q", p.Errors[0].Detail)
			}
		})
	}
	if after := b.get("/me").body; after != before {
		t.Errorf("the user was %s and is %s", before, after)
	}
	if n := w.rows("audit_events WHERE action = 'user.updated'"); n != 0 {
		t.Errorf("%d changes are in the audit", n)
	}
}

func TestASVS_7_5_1_WhatCountsNeedsARecentLogin(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{mails: true})
	w.clock.advance(recentLogin + time.Second)
	b.post("/me/email", `{"email":"ada@example.org"}`).asksForALogin(recentLogin)
	b.post("/me/email/confirm", `{"code":"7XK2M-9QD4T"}`).asksForALogin(recentLogin)
	b.get("/me/export").asksForALogin(recentLogin)
	b.del("/me").asksForALogin(recentLogin)
	if w.rows("email_changes") != 0 || b.known().Status != "active" {
		t.Error("something was done all the same")
	}
	b.patch(`{"display_name":"Ada"}`).is(http.StatusOK)
}

func TestAUserClosesTheirAccount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL, mails: true})
		b, w = b.in(t), w.in(t)
		w.clock.stop()
		w.secrets.keep("ada@example.com")
		stranger := w.browser().in(t)
		stranger.signUp("eve@example.com")
		stranger.logIn().leadsTo(home)
		token, other, cookie := nativeToken(t, w, b), b.another(), header{"Cookie", "portico=" + b.session()}
		l := newSystemLogin()
		code := b.app().codeFor(l)
		b.get("/login")
		callback := other.authorize("")
		b.post("/me/email", `{"email":"ada@example.org"}`).is(http.StatusAccepted)

		closed := b.del("/me").is(http.StatusAccepted)
		step(t, "ASVS-7.4.2 ASVS-14.3.1 all sessions end, and nothing stays in the browser", func(t *testing.T) {
			b := b.in(t)
			if closed.header.Get("Clear-Site-Data") != `"cache", "storage"` || len(b.cookies) != 0 {
				t.Errorf("Clear-Site-Data is %q, cookies are left: %v", closed.header.Get("Clear-Site-Data"), b.cookies)
			}
			b.app().get("/me", cookie).unauthorized("session_invalid")
			b.app().del("/me", cookie).unauthorized("session_invalid")
			other.in(t).get("/me").unauthorized("session_invalid")
			app := w.browser().in(t)
			app.get("/me", bearer(token)).unauthorized("session_invalid")
			app.post("/sessions", trade(code, l.verifier)).is(http.StatusBadRequest, "login_code_invalid")
			stranger.in(t).get("/me").is(http.StatusOK)
		})
		step(t, "it says when the grace period is over, and so does a letter", func(t *testing.T) {
			w := w.in(t)
			var said struct {
				Status      string
				DeleteAfter time.Time `json:"delete_after"`
			}
			closed.into(&said)
			if said.Status != "deleting" || !said.DeleteAfter.Equal(w.clock.now().UTC().Truncate(time.Microsecond).Add(deleteGrace)) {
				t.Errorf("it says %+v", said)
			}
			w.posted()
			mails := w.sim.Mailbox("ada@example.com")
			if len(mails) == 0 || !strings.Contains(mails[0].Text, said.DeleteAfter.UTC().Format("2006-01-02 15:04 UTC")) {
				t.Errorf("the mails are %+v", mails)
			}
			if w.rows("letters") != 0 {
				t.Error("a letter that has been sent is kept")
			}
		})
		step(t, "what was under way of the account comes to nothing", func(t *testing.T) {
			w := w.in(t)
			if w.rows("email_changes") != 0 || len(w.sim.Mailbox("ada@example.org")) != 0 {
				t.Error("the new address can still be proven")
			}
		})
		step(t, "nobody signs in meanwhile, and they are told why", func(t *testing.T) {
			other.in(t).returns(callback).leadsTo(home + "?error=user_deleting")
			b.in(t).logIn().leadsTo(home + "?error=user_deleting")
			flow, callback := b.in(t).app().startNative()
			b.in(t).app().post("/callback", callbackBody(t, callback, flow)).is(http.StatusForbidden, "user_deleting")
		})
		step(t, "until an operator restores it", func(t *testing.T) {
			b, w := b.in(t), w.in(t)
			id := w.texts("SELECT id FROM users WHERE email = 'ada@example.com'")[0]
			if _, err := w.accounts.Restore(t.Context(), directory.UserID(id), account.AnyVersion); err != nil {
				t.Fatal(err)
			}
			b.logIn().leadsTo(home)
			if user := b.known(); user.Status != "active" || user.ID != id {
				t.Errorf("the user is %+v", user)
			}
		})
	})
}

func TestAUserTakesTheirDataAway(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL, mails: true})
		w, b = w.in(t), b.in(t)
		stranger := w.browser().in(t)
		stranger.signUp("eve@example.com")
		stranger.logIn().leadsTo(home)
		other, id := b.another(), b.known().ID
		b.patch(`{"display_name":"Ada L."}`).is(http.StatusOK)
		b.wants("ada@example.org").is(http.StatusAccepted)
		asAdmin := audit.With(t.Context(), audit.Origin{Actor: "admin:canary-name", Address: "198.51.100.77", RequestID: "canary-request"})
		if _, err := w.accounts.Update(asAdmin, directory.UserID(id), account.Change{Locale: new("fr")}, account.AnyVersion); err != nil {
			t.Fatal(err)
		}
		a := b.get("/me/export").is(http.StatusOK)
		if a.header.Get("Content-Disposition") != `attachment; filename="account.json"` {
			t.Errorf("Content-Disposition is %q", a.header.Get("Content-Disposition"))
		}
		var held struct {
			User        map[string]any
			Sessions    []map[string]any
			Signups     []map[string]any
			EmailChange map[string]any   `json:"email_change"`
			AuditEvents []map[string]any `json:"audit_events"`
		}
		a.into(&held)
		step(t, "with what is known of them", func(t *testing.T) {
			if held.User["id"] != id || held.User["email"] != "ada@example.com" || held.User["display_name"] != "Ada L." ||
				held.User["locale"] != "fr" || held.User["made_there"] != true || held.User["suspended_at"] != nil {
				t.Errorf("the user is %v", held.User)
			}
			if len(held.Sessions) != 2 || len(held.Signups) != 1 || held.EmailChange["email"] != "ada@example.org" || len(held.AuditEvents) < 5 {
				t.Errorf("it has %d sessions, %d sign-ups, %v, %d events", len(held.Sessions), len(held.Signups), held.EmailChange, len(held.AuditEvents))
			}
		})
		step(t, "ASVS-8.2.2 and nothing of anybody else", func(t *testing.T) {
			theirs := stranger.in(t).known()
			for _, secret := range []string{
				theirs.ID, "eve@example.com", "canary-name", "198.51.100.77", "canary-request", "hash", b.session(), other.session(),
			} {
				if strings.Contains(a.body, secret) {
					t.Errorf("it holds %q: %s", secret, a.body)
				}
			}
		})
	})
}
