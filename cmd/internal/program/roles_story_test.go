package program

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/admintoken"
)

// administrator is somebody at the operations listener.
type administrator struct {
	*browser

	token string
}

func (a administrator) ask(method, path, body string, status int, into any, header ...string) answer {
	a.w.t.Helper()
	got := a.do(method, a.w.opsURL+path, body, append(header, "Authorization: Bearer "+a.token)...)
	got.want(a.w.t, status, into)
	return got
}

// change asks for a change of a user as they are now, and again if a job has
// told meanwhile what the provider said of the change before.
func (a administrator) change(method, id, what, body string, status int) {
	a.w.t.Helper()
	for {
		now := a.ask(http.MethodGet, "/admin/users/"+id, "", http.StatusOK, nil)
		got := a.do(method, a.w.opsURL+"/admin/users/"+id+what, body,
			"Authorization: Bearer "+a.token, "If-Match: "+now.header.Get("ETag"))
		if got.status != http.StatusPreconditionFailed {
			got.want(a.w.t, status, nil)
			return
		}
	}
}

// newStaffedWorld is a world on the roles' database, as the program's role, with
// an administrator.
func newStaffedWorld(t *testing.T, r rooms) (*world, administrator) {
	t.Helper()
	w := newKindWorld(t, r.as("portico_app", rolePassword))
	token, entry, err := admintoken.New("on-call", admintoken.Scopes())
	if err != nil {
		t.Fatal(err)
	}
	w.settings["PORTICO_ADMIN_TOKENS"] = entry
	w.settings["PORTICO_MIGRATE_ON_START"] = "false"
	w.settings["PORTICO_DELETE_GRACE"] = "0s"
	w.settings["PORTICO_WEBHOOK_ALLOW_PRIVATE"] = "true"
	return w, administrator{w.browser(), token.Reveal()}
}

// age puts something of everything that ends into the database, ended long ago.
func (r rooms) age(user string) {
	r.t.Helper()
	r.must(r.as("portico_owner", rolePassword), strings.ReplaceAll(`
		INSERT INTO audit_events (id, at, actor, action) SELECT gen_random_uuid(), now() - interval '3 years', 'portico', 'of.old' FROM generate_series(1, 30);
		INSERT INTO sessions (id, token_hash, user_id, client, created_at, last_seen_at, expires_at)
			VALUES (gen_random_uuid(), sha256('a'), 'USER', 'browser', '2020-01-01', '2020-01-01', '2020-01-02');
		INSERT INTO native_codes (code_hash, challenge, user_id, identity, created_at, expires_at)
			VALUES (sha256('a'), sha256('b'), 'USER', '{}', '2020-01-01', '2020-01-02');
		INSERT INTO used_flows VALUES ('a', '2020-01-01');
		INSERT INTO used_logout_tokens VALUES (sha256('a'), '2020-01-01');
		INSERT INTO idempotency_keys VALUES (sha256('a'), 'a', 'a', '2020-01-01', '2020-01-02');
		INSERT INTO rate_limits VALUES ('a', '2020-01-01');
		INSERT INTO email_changes (user_id, id, email, email_canonical, created_at, expires_at)
			VALUES ('USER', gen_random_uuid(), 'a@example.com', 'a@example.com', '2020-01-01', '2020-01-02');
		INSERT INTO letters (id, user_id, kind, address, locale, created_at) VALUES (gen_random_uuid(), 'USER', 'closing', 'a@example.com', 'en', '2020-01-01');
		INSERT INTO webhook_events (id, type, user_id, at, payload, fanned) VALUES (gen_random_uuid(), 'user.created', 'USER', '2020-01-01', '{}', true);
		-- So that the next start keeps house again.
		DELETE FROM river_job WHERE kind = 'housekeeping'`, "USER", user))
}

// doAll walks through everything that the program does, as its role.
func doAll(t *testing.T, r rooms) {
	t.Helper()
	w, admin := newStaffedWorld(t, r)
	w.must("migrate", "status")
	w.must("check")
	stop, first := w.start()
	hook := admin.hook()
	b := w.browser()
	ada := b.comesAndGoes()
	admin.administer(b, ada)
	w.operate()
	admin.delivered(hook)
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	r.age(ada.ID)
	_, second := w.start()
	w.eventually("what has ended is removed", r.clean)
	b.follow(w.public + "/login")
	b.do(http.MethodDelete, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusAccepted, nil)
	w.eventually("the account is deleted", func() error {
		var user struct {
			Status string `json:"status"`
		}
		admin.ask(http.MethodGet, "/admin/users/"+ada.ID, "", http.StatusOK, &user)
		if user.Status != "deleted" {
			return errors.New("it is " + user.Status)
		}
		return nil
	})
	for _, log := range []*watcher{first, second} {
		if strings.Contains(log.String(), "SQLSTATE 42501") || strings.Contains(log.String(), "permission denied") {
			t.Errorf("something is not allowed:\n%s", log)
		}
	}
}

// comesAndGoes is somebody who signs up, signs in, looks around and logs out.
func (b *browser) comesAndGoes() (who me) {
	b.w.t.Helper()
	t, w := b.w.t, b.w
	const email = "ada@example.com"
	b.arrivesOnce(b.signUp(email), email)
	b.enrol(email)
	b.follow(w.public + "/login")
	b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, &who)
	b.do(http.MethodPatch, w.public+"/me", `{"display_name":"Ada"}`, "X-CSRF: 1").want(t, http.StatusOK, nil)
	b.do(http.MethodGet, w.public+"/me/sessions", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
	b.do(http.MethodGet, w.public+"/me/export", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
	b.do(http.MethodPost, w.public+"/logout", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
	b.signUp(email) // whom there is already
	b.do(http.MethodPost, w.public+"/signup", `{"email":"bob@example.com"}`, "Idempotency-Key: 8e03978e-40d5-43dd-bc93-6894a57f9324").
		want(t, http.StatusAccepted, nil)
	return who
}

// administer is what an administrator does to somebody.
func (a administrator) administer(b *browser, who me) {
	a.w.t.Helper()
	b.follow(a.w.public + "/login")
	a.change(http.MethodPatch, who.ID, "", `{"display_name":"Ada L."}`, http.StatusOK)
	a.change(http.MethodPost, who.ID, "/suspend", "", http.StatusOK)
	b.do(http.MethodGet, a.w.public+"/me", "", "X-CSRF: 1").want(a.w.t, http.StatusUnauthorized, nil)
	a.change(http.MethodPost, who.ID, "/restore", "", http.StatusOK)
	a.ask(http.MethodGet, "/admin/users?limit=10", "", http.StatusOK, nil)
	a.ask(http.MethodGet, "/admin/audit", "", http.StatusOK, nil)
}

// operate is what an operator does at the command line.
func (w *world) operate() {
	w.t.Helper()
	w.must("users", "import", written(w.t, "people.csv", "external_id,email\nann,ann@example.com\n"))
	w.must("users", "suspend", "ann")
	w.must("users", "restore", "ann")
	w.must("invitations", "create")
	w.must("invitations", "list")
	w.eventually("all is carried to the provider", func() error {
		if out := w.must("users", "list", "--output", "json"); strings.Contains(out, `"pending"`) {
			return errors.New(out)
		}
		return nil
	})
	w.must("reconcile")
}

// hook makes a webhook, tries it, and returns its path.
func (a administrator) hook() string {
	a.w.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) }))
	a.w.t.Cleanup(server.Close)
	var made struct {
		Webhook struct {
			ID string `json:"id"`
		} `json:"webhook"`
	}
	a.ask(http.MethodPost, "/admin/webhooks", `{"url":"`+server.URL+`"}`, http.StatusCreated, &made)
	path := "/admin/webhooks/" + made.Webhook.ID
	a.ask(http.MethodPost, path+"/test", "", http.StatusOK, nil)
	return path
}

// delivered waits until the webhook has got everything, and removes it.
func (a administrator) delivered(hook string) {
	a.w.t.Helper()
	a.w.eventually("the webhooks are delivered", func() error {
		var of struct {
			Deliveries []struct {
				Status string `json:"status"`
			} `json:"deliveries"`
		}
		a.ask(http.MethodGet, hook+"/deliveries?limit=200", "", http.StatusOK, &of)
		if len(of.Deliveries) < 2 {
			return errors.New("there are none")
		}
		for _, d := range of.Deliveries {
			if d.Status != "delivered" {
				return errors.New("one is " + d.Status)
			}
		}
		return nil
	})
	a.ask(http.MethodDelete, hook, "", http.StatusNoContent, nil)
}

// clean says what is left of that which has ended.
func (r rooms) clean() error {
	r.t.Helper()
	if left := r.must(r.admin, `SELECT name FROM (VALUES
		('audit', (SELECT count(*) FROM audit_events WHERE action = 'of.old')),
		('session', (SELECT count(*) FROM sessions WHERE expires_at < '2021-01-01')),
		('code', (SELECT count(*) FROM native_codes)),
		('flow', (SELECT count(*) FROM used_flows WHERE flow_id = 'a')),
		('logout token', (SELECT count(*) FROM used_logout_tokens)),
		('idempotency key', (SELECT count(*) FROM idempotency_keys WHERE expires_at < '2021-01-01')),
		('bucket', (SELECT count(*) FROM rate_limits WHERE bucket = 'a')),
		('email change', (SELECT count(*) FROM email_changes)),
		('letter', (SELECT count(*) FROM letters)),
		('webhook event', (SELECT count(*) FROM webhook_events WHERE at < '2021-01-01'))) AS of (name, n) WHERE n > 0`); left != "" {
		return errors.New(left)
	}
	return nil
}
