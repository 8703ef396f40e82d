package session_test

import (
	"database/sql"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	idle     = 30 * time.Minute
	absolute = 24 * time.Hour
)

// clock is a time that stands until it is advanced.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a directory with one invited user, whom identity proves.
type world struct {
	db       *store.DB
	store    *store.Store
	clock    *clock
	sessions *session.Service
	identity directory.Identity
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	db := storetest.Open(t, databaseURL)
	log := slog.New(slog.DiscardHandler)
	jobs, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		db:    db,
		store: store.New(db, jobs),
		clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)},
	}
	w.sessions = w.replica(log)
	w.identity = w.invite(t, "anna@example.com")
	return w
}

// replica is another process on the same database.
func (w *world) replica(log *slog.Logger) *session.Service {
	return &session.Service{Store: w.store, Idle: idle, Absolute: absolute, Now: w.clock.now, Log: log}
}

// invite signs a user up whom the provider has, and returns who they are there.
func (w *world) invite(t *testing.T, address string) directory.Identity {
	t.Helper()
	signups := signup.Service{Store: w.store, Now: w.clock.now}
	if _, err := signups.Accept(t.Context(), signup.Request{Email: address}); err != nil {
		t.Fatal(err)
	}
	var accepted string
	row := w.db.SQL().QueryRowContext(t.Context(), `SELECT id FROM signups WHERE email_canonical = $1`, address)
	if err := row.Scan(&accepted); err != nil {
		t.Fatal(err)
	}
	subject, err := w.store.Enlist(t.Context(), signup.ID(accepted), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	id := string(subject.User.ID)
	moved, err := w.store.Invite(t.Context(), subject, directory.InternalID("int-"+id), w.clock.now())
	if !moved || err != nil {
		t.Fatalf("invite: %v, %v", moved, err)
	}
	return directory.Identity{
		Issuer:     "https://auth.example/v2",
		Subject:    id,
		ExternalID: directory.ExternalID(id),
		InternalID: directory.InternalID("int-" + id),
	}
}

// login is one of the world's user, of which the provider says no more than it
// has to.
func (w *world) login() session.Login { return session.Login{Identity: w.identity} }

// The example of RFC 7636 appendix B.
const (
	verifier      = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challengeText = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// challenge is the one that verifier answers.
func challenge(t *testing.T) session.Challenge {
	t.Helper()
	parsed, err := session.ParseChallenge(challengeText)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// grant gives the world's user a code that verifier redeems.
func (w *world) grant(t *testing.T, replaces ...session.Hash) session.Code {
	t.Helper()
	code, err := w.sessions.Grant(t.Context(), w.login(), challenge(t), replaces...)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// logout is one of the world's user, wherever they are signed in.
func (w *world) logout(tokenID string) session.ProviderLogout {
	return session.ProviderLogout{
		Issuer: w.identity.Issuer, Subject: w.identity.Subject, TokenID: tokenID, ExpiresAt: w.clock.now().Add(time.Minute),
	}
}

func (w *world) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := w.db.SQL().ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) setStatus(t *testing.T, of directory.Identity, status directory.Status) {
	t.Helper()
	w.exec(t, `UPDATE users SET status = $1 WHERE external_id = $2`, string(status), string(of.ExternalID))
}

// dropTrigger takes away what ends the sessions of whoever is no longer active.
func (w *world) dropTrigger(t *testing.T) {
	t.Helper()
	on := ""
	if w.db.Dialect() == store.Postgres {
		on = " ON users"
	}
	w.exec(t, `DROP TRIGGER users_end_sessions`+on)
}

func (w *world) open(t *testing.T, client session.Client, replaces ...session.Hash) session.Opened {
	t.Helper()
	opened, err := w.sessions.Open(t.Context(), client, w.login(), replaces...)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// recognised fails the test unless the token opens a session.
func (w *world) recognised(t *testing.T, token session.Token) session.Session {
	t.Helper()
	_, found, err := w.sessions.Recognise(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// storedLastSeen is what the database says.
func (w *world) storedLastSeen(t *testing.T, token session.Token) time.Time {
	t.Helper()
	found, err := w.store.FindSessions(t.Context(), []session.Hash{token.Hash()})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d sessions, %v", len(found), err)
	}
	return found[0].Session.LastSeenAt
}

func count(t *testing.T, db *sql.DB, query string, args ...any) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// numbered are n addresses.
func numbered(n int) []string {
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = "user" + strconv.Itoa(i) + "@example.com"
	}
	return addresses
}
