package api_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/internal/admintoken"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store/storetest"
	"github.com/portico-id/portico/internal/webhook"
	"github.com/portico-id/portico/internal/webhook/sender"
)

// webhooks tells endpoints on this machine of events.
func (w *world) webhooks(t *testing.T, log *slog.Logger) *webhook.Service {
	t.Helper()
	send := sender.New(sender.Config{UserAgent: "portico/test", Timeout: sender.DefaultTimeout, Loopback: true})
	t.Cleanup(send.CloseIdle)
	return &webhook.Service{
		Store: w.store, Sender: send, Seals: w.keys, Rules: webhook.Rules{Localhost: true}, Schedule: webhook.Published(),
		Lease: time.Minute, GiveUpAfter: webhook.DefaultGiveUpAfter, InFlight: 4,
		Now: w.clock.now, Random: func() float64 { return 0 }, Log: log,
	}
}

// hook is where an application listens.
type hook struct {
	url    string
	status atomic.Int64
	got    chan *http.Request
	bodies chan []byte
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{got: make(chan *http.Request, 100), bodies: make(chan []byte, 100)}
	h.status.Store(http.StatusNoContent)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.got <- r
		h.bodies <- body
		w.WriteHeader(int(h.status.Load()))
	}))
	t.Cleanup(server.Close)
	h.url = server.URL + "/hooks"
	return h
}

func TestAnAdministratorLooksAfterWebhooks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		root, h := w.administrator(t), newHook(t)
		var path, secret string
		step(t, "who sets one up", func(t *testing.T) {
			a := root.in(t)
			made := a.do(http.MethodPost, "/admin/webhooks", `{"url":"`+h.url+`","description":"The CRM","events":["user.created"]}`).is(http.StatusCreated)
			path, secret = made.header.Get("Location"), made.json("secret")
			if path != "/admin/webhooks/"+made.json("webhook", "id") || !strings.HasPrefix(secret, "whsec_") {
				t.Errorf("it is at %q", path)
			}
			w.secrets.keep(secret)
			for _, shown := range []answer{a.get(path).is(http.StatusOK), a.get("/admin/webhooks").is(http.StatusOK)} {
				if strings.Contains(shown.body, "whsec_") || !strings.Contains(shown.body, `"events":["user.created"]`) {
					t.Errorf("it is shown as %s", shown.body)
				}
			}
		})
		step(t, "and tries it", func(t *testing.T) {
			a := root.in(t)
			sent := a.do(http.MethodPost, path+"/test", "").is(http.StatusOK)
			if sent.json("status") != "delivered" || sent.json("type") != "portico.test" {
				t.Errorf("it is %s", sent.body)
			}
			request, body := <-h.got, <-h.bodies
			reference, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := reference.VerifyIgnoringTimestamp(body, request.Header); err != nil || request.Header.Get("webhook-id") != sent.json("event_id") {
				t.Error(err)
			}
			h.status.Store(http.StatusTeapot)
			if sent := a.do(http.MethodPost, path+"/test", "").is(http.StatusOK); sent.json("last_error") != "refused" {
				t.Errorf("it is %s", sent.body)
			}
		})
		step(t, "and sees what was sent, page by page", func(t *testing.T) {
			a := root.in(t)
			first := a.get(path + "/deliveries?limit=1").is(http.StatusOK)
			next := a.get(path + "/deliveries?limit=1&page_token=" + first.json("next_page_token")).is(http.StatusOK)
			if !strings.Contains(first.body, `"status":"failed"`) || !strings.Contains(next.body, `"status":"delivered"`) || next.json("next_page_token") != "" {
				t.Errorf("%s, then %s", first.body, next.body)
			}
			if failed := a.get(path + "/deliveries?status=failed").is(http.StatusOK); strings.Count(failed.body, `"webhook_id"`) != 1 {
				t.Errorf("failed are %s", failed.body)
			}
			for _, wrong := range []string{"status=lost", "status=", "limit=0", "limit=201", "page_token=x", "state=failed", "limit=1&limit=2"} {
				a.get(path+"/deliveries?"+wrong).is(http.StatusBadRequest, "invalid_query")
			}
		})
		step(t, "and has it sent again", func(t *testing.T) {
			a := root.in(t)
			failed := a.do(http.MethodPost, path+"/test", "").is(http.StatusOK)
			one := "/admin/webhook-deliveries/" + failed.json("id") + "/replay"
			if again := a.do(http.MethodPost, one, "").is(http.StatusAccepted); again.json("status") != "pending" || again.json("event_id") != failed.json("event_id") {
				t.Errorf("it is %s", again.body)
			}
			since := w.clock.now().Add(-time.Hour).UTC().Format(time.RFC3339)
			if all := a.do(http.MethodPost, path+"/replay", `{"since":"`+since+`"}`).is(http.StatusAccepted); !strings.Contains(all.body, `{"deliveries":1}`) {
				t.Errorf("%s", all.body)
			}
			a.do(http.MethodPatch, path, `{"enabled":false}`).is(http.StatusOK)
			a.do(http.MethodPost, one, "").is(http.StatusConflict, "webhook_disabled")
			a.do(http.MethodPost, path+"/replay", `{"since":"`+since+`"}`).is(http.StatusConflict, "webhook_disabled")
			a.do(http.MethodPost, path+"/replay", `{}`).is(http.StatusUnprocessableEntity, "invalid_fields")
		})
		step(t, "and changes it", func(t *testing.T) {
			a := root.in(t)
			changed := a.do(http.MethodPatch, path, `{"events":[],"description":"","enabled":true}`).is(http.StatusOK)
			if !strings.Contains(changed.body, `"events":[]`) || !strings.Contains(changed.body, `"disabled_because":null`) {
				t.Errorf("it is %s", changed.body)
			}
			rotated := a.do(http.MethodPost, path+"/rotate-secret", `{"overlap_seconds":60}`).is(http.StatusOK)
			w.secrets.keep(rotated.json("secret"))
			if rotated.json("secret") == secret || rotated.json("webhook", "previous_secret_until") == "" {
				t.Errorf("it is %s", rotated.body)
			}
			a.do(http.MethodPost, path+"/rotate-secret", `{"overlap_seconds":-1}`).
				is(http.StatusUnprocessableEntity, "invalid_fields").field("/overlap_seconds", "invalid_value")
			a.do(http.MethodPost, path+"/rotate-secret", `{"secret":"whsec_short"}`).
				is(http.StatusUnprocessableEntity, "invalid_fields").field("/secret", "invalid_value")
		})
		step(t, "and removes it", func(t *testing.T) {
			a := root.in(t)
			a.do(http.MethodDelete, path, "").is(http.StatusNoContent)
			for _, gone := range []string{path, "/admin/webhooks/" + strings.Repeat("x", 36), "/admin/webhooks/none"} {
				a.get(gone).is(http.StatusNotFound, "webhook_not_found")
				a.do(http.MethodPatch, gone, `{}`).is(http.StatusNotFound, "webhook_not_found")
				a.do(http.MethodDelete, gone, "").is(http.StatusNotFound, "webhook_not_found")
				a.do(http.MethodPost, gone+"/test", "").is(http.StatusNotFound, "webhook_not_found")
				a.do(http.MethodPost, gone+"/rotate-secret", `{}`).is(http.StatusNotFound, "webhook_not_found")
				a.get(gone+"/deliveries").is(http.StatusNotFound, "webhook_not_found")
				a.do(http.MethodPost, gone+"/replay", `{"since":"2026-01-01T00:00:00Z"}`).is(http.StatusNotFound, "webhook_not_found")
			}
			a.do(http.MethodPost, "/admin/webhook-deliveries/none/replay", "").is(http.StatusNotFound, "webhook_delivery_not_found")
		})
	})
}

func TestASVS_1_3_6_AWebhookWhoseAddressIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{databaseURL: storetest.SQLite(t)})
	a := w.administrator(t)
	for body, pointer := range map[string]string{
		`{"url":"http://app.example/"}`:                                     "/url",
		`{"url":"https://user:pass@app.example/"}`:                          "/url",
		`{"url":"https://app.example:25/"}`:                                 "/url",
		`{"url":"file:///etc/passwd"}`:                                      "/url",
		`{"url":""}`:                                                        "/url",
		`{"url":"https://app.example/","events":["user.exploded"]}`:         "/events",
		`{"url":"https://app.example/","kind":"v2"}`:                        "/kind",
		`{"url":"https://app.example/","description":"a\u0007"}`:            "/description",
		`{"url":"https://app.example/","kind":"v1a","secret":"whsec_AAAA"}`: "/secret",
	} {
		refused := a.do(http.MethodPost, "/admin/webhooks", body).is(http.StatusUnprocessableEntity, "invalid_fields")
		if !strings.Contains(refused.body, `"pointer":"`+pointer+`"`) {
			t.Errorf("%s: %s", body, refused.body)
		}
	}
	pair := a.do(http.MethodPost, "/admin/webhooks", `{"url":"https://app.example/","kind":"v1a","enabled":false}`).is(http.StatusCreated)
	if pair.json("secret") != "" || !strings.HasPrefix(pair.json("webhook", "public_key"), "whpk_") || strings.Contains(pair.body, "whsk_") {
		t.Errorf("it is %s", pair.body)
	}
	for range webhook.MaxEndpoints - 1 {
		a.do(http.MethodPost, "/admin/webhooks", `{"url":"https://app.example/"}`).is(http.StatusCreated)
	}
	a.do(http.MethodPost, "/admin/webhooks", `{"url":"https://app.example/"}`).is(http.StatusConflict, "webhook_limit_reached")
}

func TestWebhooksAreForWhoHasTheScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{databaseURL: storetest.SQLite(t)})
	tokens := w.admit(t, map[string][]admintoken.Scope{
		"reader": {admintoken.WebhooksRead}, "other": {admintoken.UsersRead, admintoken.UsersWrite, admintoken.AuditRead},
	})
	reader, other := w.with(t, tokens["reader"]), w.with(t, tokens["other"])
	reader.get("/admin/webhooks").is(http.StatusOK)
	reader.do(http.MethodPost, "/admin/webhooks", `{"url":"https://app.example/"}`).is(http.StatusForbidden, "scope_missing")
	other.get("/admin/webhooks").is(http.StatusForbidden, "scope_missing")
}

// What is sent is what the contract says, of every type.
func TestEveryEventFitsTheContract(t *testing.T) {
	t.Parallel()
	contract, err := apitest.Shared()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)
	id := directory.NewUserID()
	user := directory.User{
		ID: id, ExternalID: directory.ExternalID(id), Email: directory.RestoreEmail("a@example.com", "a@example.com"),
		Status: directory.Failed, LastClass: "rejected", Version: 3, CreatedAt: at, UpdatedAt: at,
	}
	test, err := webhook.OfTest(webhook.NewEndpointID(), at)
	if err != nil {
		t.Fatal(err)
	}
	events := map[string][]webhook.Event{"WebhookTestEvent": {test}}
	for _, kind := range webhook.Types() {
		for _, internal := range []directory.InternalID{"", "int-1"} {
			user.InternalID = internal
			event, err := webhook.OfUser(kind, user, at)
			if err != nil {
				t.Fatal(err)
			}
			schema := "WebhookUserEvent"
			if kind == webhook.UserDeleted {
				schema = "WebhookUserDeletedEvent"
			}
			events[schema] = append(events[schema], event)
		}
	}
	for schema, all := range events {
		for _, event := range all {
			var value any
			if err := json.Unmarshal(event.Payload, &value); err != nil {
				t.Fatal(err)
			}
			if err := apitest.Fits(contract.Doc.Components.Schemas[schema], value); err != nil {
				t.Errorf("%s: %v", event.Type, err)
			}
		}
	}
	hooks := contract.Doc.Webhooks
	for _, kind := range append(webhook.Types(), webhook.Test) {
		if _, there := hooks[string(kind)]; !there {
			t.Errorf("the contract does not say what %s is", kind)
		}
	}
	if want := len(webhook.Types()) + 1; len(hooks) != want {
		t.Errorf("the contract has %d events, not %d", len(hooks), want)
	}
}
