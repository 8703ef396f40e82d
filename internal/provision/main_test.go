package provision_test

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	apiToken   = "canary-provision-token"
	quarantine = time.Minute
	callLimit  = 10 * time.Second
	mailPause  = time.Minute
	// generous is a time that a test on a busy machine does not run into.
	generous = 30 * time.Second
)

// world is a directory in a database and a tenant to carry it out at.
type world struct {
	db      *store.DB
	store   *store.Store
	tenant  *tenant
	clock   *clock
	service *provision.Service
	gate    *gate.Gate
	log     *await.Log
}

// newWorld makes a world with a tenant of its own in a database that may be
// shared: each test's users are its own.
func newWorld(t *testing.T, db *store.DB, lookup bool) *world {
	t.Helper()
	w := &world{
		db:    db,
		clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		log:   &await.Log{},
	}
	var jobs *queue.Queue
	w.store, jobs = storeOver(t, db)
	w.tenant = newTenant(t, w.clock)
	provider := client(t, w.tenant.url, generous)
	log := slog.New(slog.NewTextHandler(w.log, nil))
	// The gate is a database's one. Other tests share this one's.
	w.gate = &gate.Gate{
		Store: store.New(storetest.Open(t, storetest.SQLite(t)), jobs), Token: func() string { return "fingerprint" },
		Now: w.clock.now, Log: log,
	}
	w.service = &provision.Service{
		Store: w.store, Provider: provider, Gate: w.gate, Jobs: jobs,
		Quarantine: quarantine, CallLimit: callLimit, MailPause: mailPause,
		Now: w.clock.now, Log: log,
	}
	if lookup {
		w.service.Lookup, w.service.Changer = provider, provider
	}
	return w
}

func storeOver(t *testing.T, db *store.DB) (*store.Store, *queue.Queue) {
	t.Helper()
	jobs, err := queue.New(queue.Config{
		DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return store.New(db, jobs), jobs
}

// accepted is a sign-up that has been.
type accepted struct {
	id     signup.ID
	userID directory.UserID // of its candidate
	hash   signup.Hash
	email  directory.Email
	as     directory.ExternalID // empty for the user's own id
}

func (a accepted) externalID() directory.ExternalID {
	if a.as != "" {
		return a.as
	}
	return directory.ExternalID(a.userID)
}

// accept stores a sign-up with an address of its own.
func (w *world) accept(t *testing.T) accepted {
	t.Helper()
	return w.acceptAs(t, "anna."+uuid.NewString()+"@example.com")
}

func (w *world) acceptAs(t *testing.T, address string) accepted {
	t.Helper()
	return w.acceptWith(t, address, "Anna")
}

func (w *world) acceptWith(t *testing.T, address, name string) accepted {
	t.Helper()
	email, err := directory.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	a := accepted{
		id: signup.ID(uuid.Must(uuid.NewV7()).String()), userID: directory.NewUserID(),
		hash: signup.Hash(session.NewToken(session.Browser).Hash()), email: email,
	}
	err = w.store.AcceptSignup(t.Context(), signup.Acceptance{
		ID: a.id, ReceiptHash: a.hash, Candidate: a.userID, Email: email, DisplayName: name,
		At: w.clock.now(), ResendAfter: w.clock.now().Add(mailPause),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// enlist gives the sign-up its user.
func (w *world) enlist(t *testing.T, a accepted) provision.Subject {
	t.Helper()
	subject, err := w.store.Enlist(t.Context(), a.id, w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	return subject
}

// invite accepts a sign-up and carries it out.
func (w *world) invite(t *testing.T) accepted {
	t.Helper()
	a := w.accept(t)
	w.carryOut(t, a)
	w.tenant.forget()
	return a
}

// set puts the sign-up's user into a status behind Portico's back.
func (w *world) set(t *testing.T, a accepted, status directory.Status) {
	t.Helper()
	w.exec(t, `UPDATE users SET status = $1 WHERE id = $2`, string(status), string(a.userID))
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

// close closes the gate for that long.
func (w *world) close(t *testing.T, d time.Duration) {
	t.Helper()
	permit, err := w.gate.Admit(t.Context(), gate.Signup)
	if err != nil {
		t.Fatal(err)
	}
	permit.Done(t.Context(), &beyondidentity.Error{Class: beyondidentity.RateLimited, Status: 429, RetryAfter: d})
}

// carry does one step and returns when to take the next.
func (w *world) carry(t *testing.T, a accepted) time.Duration {
	t.Helper()
	again, err := w.service.Carry(t.Context(), a.id)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// carryOut takes steps, each when the last one said, until nothing is left to
// do, and returns how long that took.
func (w *world) carryOut(t *testing.T, a accepted) time.Duration {
	t.Helper()
	begun := w.clock.now()
	for range 1000 {
		again := w.carry(t, a)
		if again == 0 {
			return w.clock.now().Sub(begun)
		}
		w.clock.advance(again)
	}
	t.Fatalf("not settled after %s:\n%s", w.clock.now().Sub(begun), w.log)
	return 0
}

// stopping is a provider whose program stops once it has answered.
type stopping struct {
	provision.Provider

	stop context.CancelFunc
}

// CreateUser calls the provider and stops.
func (p stopping) CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error) {
	defer p.stop()
	return p.Provider.CreateUser(ctx, user)
}

// login signs the user in as who they are at the provider.
func (w *world) login(t *testing.T, a accepted, internalID string) {
	t.Helper()
	if _, err := w.open(t, a, internalID); err != nil {
		t.Fatal(err)
	}
}

// open opens a session of who they are at the provider.
func (w *world) open(t *testing.T, a accepted, internalID string) (directory.User, error) {
	t.Helper()
	return w.store.OpenSession(t.Context(), directory.Identity{
		Issuer: w.tenant.Issuer(), Subject: string(a.externalID()),
		ExternalID: a.externalID(), InternalID: directory.InternalID(internalID),
	}, session.Opening{
		Session: session.Session{
			ID: session.ID(uuid.NewString()), Client: session.Browser,
			CreatedAt: w.clock.now(), LastSeenAt: w.clock.now(), ExpiresAt: w.clock.now().Add(time.Hour),
		},
		Hash: session.NewToken(session.Browser).Hash(),
	})
}

// state is how far provisioning has come, as it is stored.
type state struct {
	status  directory.Status
	attempt int
	class   string
	settled bool
}

func (w *world) state(t *testing.T, a accepted) state {
	t.Helper()
	subject, err := w.store.FindSubject(t.Context(), a.id)
	if err != nil {
		t.Fatal(err)
	}
	record, err := w.store.FindSignup(t.Context(), a.hash)
	if err != nil {
		t.Fatal(err)
	}
	var class sql.NullString
	row := w.db.SQL().QueryRowContext(t.Context(), `SELECT provision_last_error_class FROM users WHERE id = $1`, string(a.userID))
	if err := row.Scan(&class); err != nil {
		t.Fatal(err)
	}
	return state{subject.User.Status, subject.Attempt, class.String, !record.SettledAt.IsZero()}
}

func (w *world) ambiguousFor(t *testing.T, a accepted) time.Duration {
	t.Helper()
	subject, err := w.store.FindSubject(t.Context(), a.id)
	if err != nil {
		t.Fatal(err)
	}
	if subject.AmbiguousUntil.IsZero() {
		return 0
	}
	return subject.AmbiguousUntil.Sub(w.clock.now())
}

// check fails the test unless the sign-up stands as wanted, and holds what is
// true of every story: our user is at the provider under one external_id.
func (w *world) check(t *testing.T, a accepted, want state, creates int) {
	t.Helper()
	if got := w.state(t, a); got != want {
		t.Errorf("stands at %+v, not %+v, after %q\n%s", got, want, w.tenant.trace(), w.log)
	}
	made := 0
	for _, user := range w.tenant.Users() {
		if user.ExternalID != string(a.externalID()) {
			continue
		}
		made = user.Creates
		subject, err := w.store.FindSubject(t.Context(), a.id)
		if err != nil {
			t.Fatal(err)
		}
		if want.status == directory.Invited && creates == 1 && subject.User.InternalID != directory.InternalID(user.InternalID) {
			t.Errorf("internal_id is %q here and %q there", subject.User.InternalID, user.InternalID)
		}
	}
	if made != creates {
		t.Errorf("created %d times, not %d, by %q", made, creates, w.tenant.trace())
	}
	for _, c := range w.tenant.all() {
		if c.externalID != "" && c.externalID != string(a.externalID()) {
			t.Errorf("%s was sent with the external_id %q", c.op, c.externalID)
		}
	}
	for _, secret := range []string{a.email.String(), apiToken, "Anna"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, w.log)
		}
	}
}

func (w *world) fault(t *testing.T, f simulator.Fault) {
	t.Helper()
	if _, err := w.tenant.AddFault(f); err != nil {
		t.Fatal(err)
	}
}

func (w *world) modes(t *testing.T, change func(m *simulator.Modes)) {
	t.Helper()
	m := w.tenant.Modes()
	change(&m)
	if err := w.tenant.SetModes(m); err != nil {
		t.Fatal(err)
	}
}

// eachWay runs test over both dialects, with and without a look-up.
func eachWay(t *testing.T, test func(t *testing.T, db *store.DB, lookup bool)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for name, lookup := range map[string]bool{"with look-up": true, "without look-up": false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, db, lookup)
			})
		}
	})
}
