package store_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// checkUnavailable asks the database in every way.
func checkUnavailable(t *testing.T, ctx context.Context, db *store.DB, s *store.Store) {
	t.Helper()
	all := methods(s)
	all["Ping"] = db.Ping
	all["UpToDate"] = func(ctx context.Context) error { _, err := db.UpToDate(ctx); return err }
	all["Migrations"] = func(ctx context.Context) error { _, err := db.Migrations(ctx); return err }
	for name, ask := range all {
		err := ask(ctx)
		if !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		for _, known := range []error{
			session.ErrUnknown, signup.ErrNotFound, provision.ErrNotFound, directory.ErrNotRegistered, directory.ErrIdentityMismatch,
		} {
			if errors.Is(err, known) {
				t.Errorf("%s claims to know: %v", name, err)
			}
		}
	}
}

func TestAClosedDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		checkUnavailable(t, t.Context(), db, s)
	})
}

func TestADatabaseThatDoesNotAnswerInTimeIsUnavailable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		late, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		checkUnavailable(t, late, db, s)
	})
}

func TestAPostgresThatNobodyServesIsUnavailable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	db, s := newStore(t, "postgres://portico:hunter2@"+address+"/portico?sslmode=disable")
	checkUnavailable(t, t.Context(), db, s)
	if err := db.Ping(t.Context()); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error holds the password: %v", err)
	}
	if err := db.Migrate(t.Context(), queue.Migrate(true)); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("migrate: %v", err)
	}
}

func TestAQueryThatIsCutOffIsUnavailableAndTheNextIsNot(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	db, s := newStore(t, databaseURL)
	operator := storetest.Open(t, databaseURL).SQL()
	id := invite(t, s, "anna@example.com")

	// A lock holds the login up until its connection is cut.
	tx, err := operator.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), `SELECT FROM users FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := s.OpenSession(t.Context(), identityOf(id), opening())
		failed <- err
	}()
	cutWaiting(t, operator)
	if err := <-failed; !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("cut off: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, `SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions", n)
	}

	// Connections that were cut while idle are noticed or replaced.
	cut(t, operator, `state = 'idle'`)
	if _, _, err := s.FindSession(t.Context(), session.Hash{}, session.Browser); !errors.Is(err, directory.ErrUnavailable) && !errors.Is(err, session.ErrUnknown) {
		t.Errorf("over a connection that was cut: %v", err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for err = db.Ping(t.Context()); err != nil; err = db.Ping(t.Context()) {
		if !errors.Is(err, directory.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if _, err := s.OpenSession(t.Context(), identityOf(id), opening()); err != nil {
		t.Errorf("after the cut: %v", err)
	}
}

// cutWaiting waits for a connection that waits for a lock, and cuts it.
func cutWaiting(t *testing.T, operator *sql.DB) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for cut(t, operator, `wait_event_type = 'Lock'`) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for a lock")
		}
	}
}

// cut ends connections of the test's database as an operator or a failover
// would, and returns how many.
func cut(t *testing.T, operator *sql.DB, which string) int {
	t.Helper()
	var n int
	err := operator.QueryRowContext(t.Context(), `
		SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND `+which).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestALockedSQLiteFileIsUnavailable(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.SQLite(t)
	db, s := newStore(t, databaseURL)
	other := storetest.Open(t, databaseURL)
	tx, err := other.SQL().BeginTx(t.Context(), nil) // takes the write lock at once
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), "PRAGMA busy_timeout = 10"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseFlow(t.Context(), "flow", moment); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("locked: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if first, err := s.UseFlow(t.Context(), "flow", moment); !first || err != nil {
		t.Errorf("unlocked: %v, %v", first, err)
	}
	if n := count(t, db, `SELECT count(*) FROM used_flows`); n != 1 {
		t.Errorf("%d flows", n)
	}
}
