package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", for the maintenance database
	"go.uber.org/goleak"

	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// limit bounds the work on the server for one test.
const limit = 2 * time.Minute

// server is the Postgres that this process's tests share, started by the first
// test that asks for it.
//
//nolint:gochecknoglobals // one a process, ended by Main
var server struct {
	once     sync.Once
	cluster  *pgcluster.Cluster
	template string
	err      error
}

// file is a migrated SQLite file to copy. Migrating each would wait for the
// disk a dozen times.
//
//nolint:gochecknoglobals // one a process
var file struct {
	once    sync.Once
	content []byte
	err     error
}

// Main runs a package's tests, cleans up after them, stops the server that
// they used, and fails when a goroutine is left behind.
func Main(m *testing.M, cleanups ...func() error) {
	code := m.Run()
	if server.cluster != nil {
		cleanups = append(cleanups, server.cluster.Close)
	}
	for _, cleanup := range cleanups {
		if err := cleanup(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code) //nolint:revive // this is TestMain's own exit
}

// Each runs test over both dialects, side by side.
func Each(t *testing.T, test func(t *testing.T, databaseURL string)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
}

// Open opens a database until the test ends. No test cuts the power, so an
// SQLite file is not synced.
func Open(t *testing.T, databaseURL string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	if db.Dialect() == store.SQLite {
		if _, err := db.SQL().ExecContext(t.Context(), "PRAGMA synchronous = OFF"); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// SQLite returns the URL of a migrated file in the test's folder.
func SQLite(t *testing.T) string {
	t.Helper()
	file.once.Do(func() {
		path := filepath.Join(t.TempDir(), "template.db")
		if file.err = migrate(context.WithoutCancel(t.Context()), "sqlite:"+path); file.err == nil {
			file.content, file.err = os.ReadFile(path)
		}
	})
	if file.err != nil {
		t.Fatal(file.err)
	}
	databaseURL := EmptySQLite(t)
	if err := os.WriteFile(strings.TrimPrefix(databaseURL, "sqlite:"), file.content, 0o600); err != nil {
		t.Fatal(err)
	}
	return databaseURL
}

// EmptySQLite returns the URL of a file that does not exist yet.
func EmptySQLite(t *testing.T) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "portico.db")
}

// Postgres returns the URL of a migrated database that goes with the test.
func Postgres(t *testing.T) string {
	t.Helper()
	return create(t, " TEMPLATE "+template(t))
}

// EmptyPostgres returns the URL of a database without a schema.
func EmptyPostgres(t *testing.T) string {
	t.Helper()
	template(t)
	return create(t, "")
}

// create makes a database and drops it when the test ends.
func create(t *testing.T, options string) string {
	t.Helper()
	name := "portico_test_" + strings.ToLower(rand.Text())
	if err := administer(t.Context(), "CREATE DATABASE "+name+options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := administer(context.WithoutCancel(t.Context()), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return at(name)
}

// template returns the name of a migrated database to clone, which takes a
// tenth of the time of migrating each.
func template(t *testing.T) string {
	t.Helper()
	server.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
		defer cancel()
		if server.cluster, server.err = pgcluster.Acquire(ctx); server.err != nil {
			return
		}
		server.template = "portico_template_" + strings.ToLower(rand.Text())
		if server.err = administer(ctx, "CREATE DATABASE "+server.template); server.err != nil {
			return
		}
		server.err = migrate(ctx, at(server.template))
	})
	if server.err != nil {
		t.Fatal(server.err)
	}
	return server.template
}

// at returns the URL of a database on the server.
func at(name string) string {
	u, err := url.Parse(server.cluster.URL())
	if err != nil {
		panic(err) // pgcluster has used it already
	}
	u.Path = "/" + name
	return u.String()
}

// administer runs a statement outside of any test's database.
func administer(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	db, err := sql.Open("pgx", server.cluster.URL())
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

func migrate(ctx context.Context, databaseURL string) error {
	db, err := store.Open(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx, queue.Migrate(db.Dialect() == store.Postgres))
}
