package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/glebarez/sqlite"
	"github.com/pressly/goose/v3"

	"github.com/portico-id/portico/internal/store/migrations"
)

// migrationLock is the key of the Postgres advisory lock under which a schema
// is migrated: "portico" in ASCII.
const migrationLock = 0x706f727469636f

// Migration is one numbered step of the schema.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// Other brings another owner's tables in the same database up to date: the
// queue's. It gets a handle that may use the database while the lock is held.
type Other func(ctx context.Context, db *sql.DB) error

// Migrate brings the schema up to date, and others with it, under a lock: of
// several replicas that start at once, one migrates and the rest wait and then
// find nothing to do. It never goes back.
func (db *DB) Migrate(ctx context.Context, others ...Other) error {
	return translate(db.locked(ctx, func(handle *sql.DB) error {
		provider, err := db.goose(handle)
		if err != nil {
			return err
		}
		if _, err := provider.Up(ctx); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		for _, other := range others {
			if err := other(ctx, handle); err != nil {
				return fmt.Errorf("migrate: %w", err)
			}
		}
		return nil
	}))
}

// Migrations returns every step that this program knows and whether the
// database has it.
func (db *DB) Migrations(ctx context.Context) ([]Migration, error) {
	provider, err := db.goose(db.sql)
	if err != nil {
		return nil, err
	}
	statuses, err := provider.Status(ctx)
	if err != nil {
		return nil, translate(fmt.Errorf("migration status: %w", err))
	}
	steps := make([]Migration, 0, len(statuses))
	for _, s := range statuses {
		steps = append(steps, Migration{
			Version: s.Source.Version,
			Name:    s.Source.Path,
			Applied: s.State == goose.StateApplied,
		})
	}
	return steps, nil
}

// UpToDate reports whether the database has every step that this program
// knows. It writes nothing.
func (db *DB) UpToDate(ctx context.Context) (bool, error) {
	exists := `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version')`
	if db.dialect == Postgres {
		exists = `SELECT to_regclass('goose_db_version') IS NOT NULL`
	}
	var there bool
	if err := db.sql.QueryRowContext(ctx, exists).Scan(&there); err != nil {
		return false, translate(err)
	}
	if !there {
		return false, nil
	}
	provider, err := db.goose(db.sql)
	if err != nil {
		return false, err
	}
	pending, err := provider.HasPending(ctx)
	return !pending, translate(err)
}

func (db *DB) goose(handle *sql.DB) (*goose.Provider, error) {
	dialect, files, folder := goose.DialectSQLite3, migrations.SQLite, "sqlite"
	if db.dialect == Postgres {
		dialect, files, folder = goose.DialectPostgres, migrations.Postgres, "postgres"
	}
	sub, err := fs.Sub(files, folder)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, handle, sub, goose.WithDisableGlobalRegistry(true))
}

// locked runs do while no other process can migrate the same database.
func (db *DB) locked(ctx context.Context, do func(*sql.DB) error) error {
	if db.dialect == SQLite {
		return db.lockedSQLite(ctx, do)
	}
	// The lock belongs to the connection, so it goes with a process that dies.
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return err
	}
	err = do(db.sql)
	_, unlock := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock)
	return errors.Join(err, unlock)
}

// lockedSQLite holds the write lock of a database file beside the real one,
// which goes with a process that dies, as no lock file would. The real one
// cannot be locked so: its own connections would be kept out as well.
func (db *DB) lockedSQLite(ctx context.Context, do func(*sql.DB) error) (err error) {
	lock, err := sql.Open(sqlite.DriverName, sqliteFile(db.path+"-migrating")+"?_txlock=exclusive&_pragma=busy_timeout(60000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	tx, err := lock.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	return do(db.sql)
}
