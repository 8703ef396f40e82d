package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// How much the tests of drifts plant. The whole of it is 100,000 users with 300
// drifts of each kind.
var (
	usersFlag  = flag.Int("users", 2000, "users in both directories")
	driftsFlag = flag.Int("drifts", 3, "drifts of each kind that are planted")
)

const (
	apiToken = "canary-reconcile-token"
	operator = "operator:anna"
)

// world is a directory in a database, and a tenant that has the same users.
type world struct {
	db       *store.DB
	store    *store.Store
	queue    *queue.Queue
	sim      *simulator.Simulator
	client   *beyondidentity.Client
	accounts *account.Service
	carry    *provision.Service
	service  *reconcile.Service
	log      *await.Log
	people   []person
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := &world{db: storetest.Open(t, databaseURL), log: &await.Log{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	var err error
	w.queue, err = queue.New(queue.Config{DB: w.db.SQL(), Pool: w.db.Pool(), Workers: 8, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w.store = store.New(w.db, w.queue)
	w.sim, err = simulator.New(simulator.Config{
		BaseURL: "http://127.0.0.1:1", APIToken: apiToken, ClientID: "portico", ClientSecret: "canary-secret", RegistrationRedirectURI: "http://127.0.0.1:1/login",
		Modes: simulator.Modes{Uniqueness: simulator.UniqueNone, Lookup: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.sim)
	t.Cleanup(func() {
		w.sim.Close()
		server.CloseClientConnections()
		server.Close()
	})
	w.client, err = beyondidentity.New(beyondidentity.Config{
		BaseURL: server.URL, Timeout: 10 * time.Second, UserAgent: "portico/test", MaxConns: 20,
		Token: func() (beyondidentity.Token, error) { return beyondidentity.NewToken(apiToken), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.CloseIdle)
	outward := &gate.Gate{Store: w.store, Token: func() string { return "fingerprint" }, Now: time.Now, Log: log}
	w.accounts = &account.Service{Store: w.store, Now: time.Now}
	w.carry = &provision.Service{
		Store: w.store, Provider: w.client, Lookup: w.client, Changer: w.client, Gate: outward, Jobs: w.queue,
		Quarantine: time.Second, CallLimit: 10 * time.Second, MailPause: time.Minute, Now: time.Now, Log: log,
	}
	w.service = &reconcile.Service{
		Store: w.store, Provider: w.client, Gate: outward, Accounts: w.accounts, Jobs: w.queue,
		StuckAfter: time.Hour, Now: time.Now, Log: log,
	}
	t.Cleanup(func() {
		if t.Failed() {
			text := w.log.String()
			t.Logf("the log:\n%s", text[max(0, len(text)-8000):])
		}
	})
	return w
}

// work has the jobs worked until the test ends.
func (w *world) work(t *testing.T) {
	t.Helper()
	nothing := func(context.Context) error { return nil }
	if err := w.queue.Start(t.Context(), queue.Handlers{
		CarrySignup: w.carry.Carry, Resend: w.carry.Resend, Notify: w.carry.Notify,
		CarryChange: w.carry.CarryChange, CarryUser: w.carry.CarryUser, Remind: w.carry.Remind,
		Reconcile: nothing, Housekeep: nothing,
		Compare: func(context.Context) (time.Duration, error) { return 0, nil },
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.queue.Stop(context.WithoutCancel(t.Context())) })
}

// idle waits until no job is left that could be worked now, however many there
// are: while they become fewer, there is hope.
func (w *world) idle(t *testing.T) {
	t.Helper()
	const jobs = `SELECT count(*) FROM river_job WHERE state IN ('available', 'running', 'retryable', 'scheduled')`
	for left := w.count(t, jobs); left > 0; {
		await.Until(t, "another job is done", func() error {
			n := w.count(t, jobs)
			if n >= left {
				return fmt.Errorf("%d are left", n)
			}
			left = n
			return nil
		})
	}
}

func (w *world) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := w.db.SQL().ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) count(t *testing.T, query string, args ...any) int {
	t.Helper()
	var n int
	if err := w.db.SQL().QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// asOperator is the context of a command.
func asOperator(ctx context.Context) context.Context {
	return audit.With(ctx, audit.Origin{Actor: operator})
}

// run compares the directories, with repairs if the plan has any.
func (w *world) run(t *testing.T, plan reconcile.Plan) reconcile.Run {
	t.Helper()
	run, err := w.service.Begin(asOperator(t.Context()), plan)
	if err == nil {
		run, err = w.service.Finish(asOperator(t.Context()), run, func(reconcile.Progress) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// findings are what a run has found.
func (w *world) findings(t *testing.T, run reconcile.Run) []reconcile.Finding {
	t.Helper()
	var all []reconcile.Finding
	for after := ""; ; {
		page, err := w.store.ListFindings(t.Context(), run.ID, after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, page...); len(page) < 500 {
			return all
		}
		after = page[len(page)-1].ID
	}
}

// call asks the tenant as an administrator of it would.
func (w *world) call(t *testing.T, method, path, body string, into any) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+apiToken)
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.sim.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	if into != nil {
		if err := json.NewDecoder(bytes.NewReader(answer.Body.Bytes())).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// createThere makes a user at the provider and returns their internal_id.
func (w *world) createThere(t *testing.T, externalID, email, name string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"user": map[string]string{
		"external_id": externalID, "email_address": email, "username": externalID, "display_name": name,
	}})
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		ID string `json:"id"`
	}
	w.call(t, http.MethodPost, "/v2/users", string(body), &made)
	return made.ID
}

// patchThere changes a user at the provider.
func (w *world) patchThere(t *testing.T, internalID, field, value string) {
	t.Helper()
	w.call(t, http.MethodPatch, "/v2/users/"+internalID, fmt.Sprintf(`{"user":{%q:%q}}`, field, value), nil)
}

func (w *world) setThere(t *testing.T, internalID, status string) {
	t.Helper()
	if err := w.sim.SetStatus(internalID, status); err != nil {
		t.Fatal(err)
	}
}

// person is a user of both directories.
type person struct {
	id, external, internal, email, name string
	status                              directory.Status
	madeThere                           bool
}

// seed makes n users who are the same on both sides.
func (w *world) seed(t *testing.T, n int) {
	t.Helper()
	const columns = 13
	long := time.Now().UTC().Add(-48 * time.Hour).Truncate(time.Microsecond)
	var marks []string
	var args []any
	flush := func() {
		if len(marks) > 0 {
			w.exec(t, `INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, made_there,
				origin, provision_attempt, created_at, updated_at, activated_at) VALUES `+strings.Join(marks, ", "), args...)
		}
		marks, args = nil, nil
	}
	for i := range n {
		p := person{
			id: string(directory.NewUserID()), email: fmt.Sprintf("User.%06d@example.com", i), name: fmt.Sprintf("User %06d", i),
			status: directory.Invited, madeThere: i%5 != 4,
		}
		origin := "signup"
		p.external = p.id
		if !p.madeThere {
			p.external, origin = fmt.Sprintf("hr-%06d", i), "import"
		}
		var activated *time.Time
		switch {
		case i%2 == 1:
			p.status, activated = directory.Active, &long
		case i%14 == 6:
			p.status = directory.Suspended
		}
		p.internal = w.createThere(t, p.external, strings.ToLower(p.email), p.name)
		w.people = append(w.people, p)
		row := []any{
			p.id, p.external, p.internal, p.email, strings.ToLower(p.email), p.name, string(p.status), p.madeThere,
			origin, 1, long, long, activated,
		}
		places := make([]string, columns)
		for c := range columns {
			places[c] = fmt.Sprintf("$%d", len(args)+c+1)
		}
		marks, args = append(marks, "("+strings.Join(places, ", ")+")"), append(args, row...)
		if len(marks) == 500 {
			flush()
		}
	}
	flush()
}
