package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Dialect is the kind of database.
type Dialect string

// The dialects.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	sql     *sql.DB
	pool    *pgxpool.Pool // nil on SQLite
	path    string        // SQLite's file
	gorm    *gorm.DB
}

// ErrURL says that a database URL is not usable. Its message never repeats the
// URL, which carries a password.
var ErrURL = errors.New("database URL must be postgres://… or sqlite:PATH")

// Open opens the database that url names, as postgres://… or sqlite:PATH. It
// does not wait for a Postgres to be up; Ping does. It returns ErrURL for
// anything else.
func Open(ctx context.Context, databaseURL string) (*DB, error) {
	return OpenWatched(ctx, databaseURL, nil)
}

// OpenWatched does the same, and tells of each statement. nil is nobody.
func OpenWatched(ctx context.Context, databaseURL string, watch Statements) (*DB, error) {
	if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
		db, err := openSQLite(path)
		if err == nil && watch != nil {
			db.gorm.Logger = gormTracer{Interface: logger.Discard, watch: watch}
		}
		return db, err
	}
	if strings.HasPrefix(databaseURL, "postgres://") || strings.HasPrefix(databaseURL, "postgresql://") {
		return openPostgres(ctx, databaseURL, watch)
	}
	return nil, ErrURL
}

func openPostgres(ctx context.Context, databaseURL string, watch Statements) (*DB, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, ErrURL // pgx's own error may hold parts of the URL
	}
	if !strings.Contains(databaseURL, "pool_max_conns") {
		// More connections than a few a core make Postgres slower, not faster.
		config.MaxConns = int32(max(8, 4*runtime.GOMAXPROCS(0))) //nolint:gosec // the number of cores fits
	}
	config.ConnConfig.RuntimeParams["application_name"] = "portico"
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if watch != nil {
		config.ConnConfig.Tracer = tracer{watch}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	// One pool under GORM and the queue's workers, so that one number bounds
	// the connections of a replica.
	db := stdlib.OpenDBFromPool(pool)
	g, err := openGORM(plainPostgres{&postgres.Dialector{Config: &postgres.Config{Conn: db}}})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &DB{dialect: Postgres, sql: db, pool: pool, gorm: g}, nil
}

func openSQLite(path string) (*DB, error) {
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, ErrURL // every connection would have a memory of its own
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	db, err := sql.Open(sqlite.DriverName, sqliteDSN(path))
	if err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	// SQLite has one writer. With one connection nobody waits on a lock that
	// only a timeout resolves, and the queue's driver asks for it.
	db.SetMaxOpenConns(1)
	g, err := openGORM(plainSQLite{&sqlite.Dialector{Conn: db}})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &DB{dialect: SQLite, sql: db, path: path, gorm: g}, nil
}

// sqliteDSN makes every transaction take the write lock at once, so that none
// fails half way for having read first, and syncs every commit: an accepted
// sign-up must survive a power cut.
func sqliteDSN(path string) string {
	return sqliteFile(path) + "?" + url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
	}.Encode()
}

// sqliteFile is the path as SQLite's file: URI.
func sqliteFile(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// plainPostgres and plainSQLite show a statement as it is. GORM would write its
// values into the text of each one that it scans, for a log that there is not: a
// fifth of the scan's processor time, and values are no log's business.
type (
	plainPostgres struct{ *postgres.Dialector }
	plainSQLite   struct{ *sqlite.Dialector }
)

// Explain returns the statement without its values.
func (plainPostgres) Explain(statement string, _ ...any) string { return statement }

// Explain returns the statement without its values.
func (plainSQLite) Explain(statement string, _ ...any) string { return statement }

func openGORM(dialector gorm.Dialector) (*gorm.DB, error) {
	g, err := gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         false, // GORM's translation forgets which constraint it was
		DisableAutomaticPing:   true,
		// Statements carry addresses. What fails is returned and logged once,
		// by whoever knows what it meant.
		Logger:  logger.Discard,
		NowFunc: func() time.Time { return time.Now().UTC() },
	})
	if err != nil {
		return nil, fmt.Errorf("open gorm: %w", err)
	}
	return g, nil
}

// Dialect says which kind of database it is.
func (db *DB) Dialect() Dialect { return db.dialect }

// SQL returns the database/sql handle, for what shares the connection: the
// queue. Its transactions are what Jobs are enqueued in.
func (db *DB) SQL() *sql.DB { return db.sql }

// Pool returns the pgx pool beneath, or nil on SQLite.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping asks the database for a sign of life. It returns directory.ErrUnavailable.
func (db *DB) Ping(ctx context.Context) error {
	return translate(db.sql.PingContext(ctx))
}

// Close closes every connection.
func (db *DB) Close() error {
	err := db.sql.Close()
	if db.pool != nil {
		db.pool.Close()
	}
	return err
}
