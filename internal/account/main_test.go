package account_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const grace = 72 * time.Hour

// world is the accounts of a database of the test's own.
type world struct {
	t        *testing.T
	db       *store.DB
	store    *store.Store
	accounts *account.Service
	at       time.Time
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := &world{t: t, db: storetest.Open(t, databaseURL), at: moment}
	jobs, err := queue.New(queue.Config{DB: w.db.SQL(), Pool: w.db.Pool(), Workers: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.store = store.New(w.db, jobs)
	w.accounts = &account.Service{Store: w.store, Grace: grace, Now: func() time.Time { return w.at }}
	return w
}

// in is the world for a subtest.
func (w *world) in(t *testing.T) *world {
	t.Helper()
	inner := *w
	inner.t = t
	inner.accounts = &account.Service{Store: w.store, Policy: w.accounts.Policy, Grace: grace, Now: func() time.Time { return inner.at }}
	return &inner
}

// identity is who the provider says the user is.
func identity(id directory.UserID) directory.Identity {
	return directory.Identity{
		Issuer: "https://auth.example/v2", Subject: string(id),
		ExternalID: directory.ExternalID(id), InternalID: directory.InternalID("int-" + id),
	}
}

// invited is a new user, whom an administrator has made.
func (w *world) invited(email string) directory.User {
	w.t.Helper()
	user, err := w.accounts.Invite(w.t.Context(), account.Invitation{Email: email, DisplayName: "Anna", Locale: "de"})
	if err != nil {
		w.t.Fatal(err)
	}
	return user
}

// user is a user in that status. Whom the provider has has an internal_id, and
// who has come so far has a session.
func (w *world) user(email string, status directory.Status) directory.User {
	w.t.Helper()
	user := w.invited(email)
	switch status {
	case directory.Invited, directory.Active, directory.Suspended, directory.Deleting, directory.Deleted:
		w.exec(`UPDATE users SET status = 'invited', internal_id = $1 WHERE id = $2`, string(identity(user.ID).InternalID), string(user.ID))
	case directory.Received, directory.Provisioning, directory.Failed, directory.Conflict:
	}
	if status == directory.Active || status == directory.Suspended || status == directory.Deleting {
		if err := w.logIn(user.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	switch status {
	case directory.Deleting:
		if _, err := w.accounts.Delete(w.t.Context(), user.ID, grace, account.AnyVersion); err != nil {
			w.t.Fatal(err)
		}
	default:
		w.exec(`UPDATE users SET status = $1 WHERE id = $2`, string(status), string(user.ID))
	}
	w.exec(`DELETE FROM river_job`)
	w.exec(`DELETE FROM audit_events`)
	return w.get(user.ID)
}

func (w *world) get(id directory.UserID) directory.User {
	w.t.Helper()
	user, err := w.accounts.Get(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return user
}

// logIn opens a session, as a login does.
func (w *world) logIn(id directory.UserID) error {
	_, err := w.store.OpenSession(w.t.Context(), identity(id), session.Opening{
		Session: session.Session{
			ID: session.ID(uuid.Must(uuid.NewV7()).String()), Client: session.Browser,
			CreatedAt: w.at, LastSeenAt: w.at, ExpiresAt: w.at.Add(24 * time.Hour),
		},
		Hash: session.NewToken(session.Browser).Hash(),
	})
	return err
}

func (w *world) exec(statement string, args ...any) {
	w.t.Helper()
	if _, err := w.db.SQL().ExecContext(w.t.Context(), statement, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	if err := w.db.SQL().QueryRowContext(w.t.Context(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// texts are the rows of a query for one text, in its order.
func (w *world) texts(query string, args ...any) (found []string) {
	w.t.Helper()
	rows, err := w.db.SQL().QueryContext(w.t.Context(), query, args...)
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

// jobs are the kinds of the jobs that wait, in the order of their making.
func (w *world) jobs() []string {
	w.t.Helper()
	return w.texts(`SELECT kind FROM river_job ORDER BY id`)
}

// audited are the lines of the audit about a user.
func (w *world) audited(id directory.UserID) []string {
	w.t.Helper()
	return w.texts(`SELECT actor || ' ' || action FROM audit_events WHERE user_id = $1 ORDER BY id`, string(id))
}
