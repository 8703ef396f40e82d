package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/jackc/pgx/v5"
)

// EnvURL names the environment variable that holds the URL of a Postgres to
// use instead of a private cluster: postgres://… of a role that may create
// databases.
const EnvURL = "PORTICO_TEST_DATABASE_URL"

// ErrNotPrivate is returned by Crash and Restart for a server that was given
// by EnvURL: others may be using it.
var ErrNotPrivate = errors.New("pgcluster: not a private cluster")

// ErrClosed is returned by Crash and Restart after Close.
var ErrClosed = errors.New("pgcluster: closed")

// Cluster is a Postgres server for tests. Its methods may be called by several
// goroutines at once.
type Cluster struct {
	url string

	mu     sync.Mutex
	server *server // nil for a given server, and after Close
	given  bool
}

// Acquire returns a Postgres to test on: that of EnvURL, or a private cluster,
// which the caller must Close. ctx bounds the start, not the cluster's life.
// Its errors are one line that says what to do.
func Acquire(ctx context.Context) (*Cluster, error) {
	return acquire(ctx, os.Getenv(EnvURL))
}

// AcquirePrivate returns a private cluster even where EnvURL names a server:
// for tests that crash it.
func AcquirePrivate(ctx context.Context) (*Cluster, error) {
	return acquire(ctx, "")
}

// acquire is Acquire with the environment's value as an argument.
func acquire(ctx context.Context, given string) (*Cluster, error) {
	if given != "" {
		if err := checkGiven(ctx, given); err != nil {
			return nil, err
		}
		return &Cluster{url: given, given: true}, nil
	}
	bin, err := findOrInstall(ctx)
	if err != nil {
		return nil, err
	}
	s, err := newServer(ctx, bin)
	if err != nil {
		return nil, err
	}
	return &Cluster{url: s.url, server: s}, nil
}

// URL returns the address of the server's maintenance database as a role that
// may create databases: postgres://…/postgres?sslmode=disable for a private
// cluster. It stays the same over Crash and Restart.
func (c *Cluster) URL() string { return c.url }

// Private reports whether the cluster belongs to this process alone.
func (c *Cluster) Private() bool { return !c.given }

// Close stops and removes a private cluster; it does nothing to a given
// server, and nothing the second time.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return nil
	}
	err := c.server.close()
	c.server = nil
	return err
}

// Crash stops a private cluster as a failing machine would: open connections
// break, open transactions are lost, nothing is written that a commit did not
// write. What was committed survives until Restart. It does nothing to a
// server that is already down. It returns ErrNotPrivate or ErrClosed.
func (c *Cluster) Crash() error {
	return c.withServer(func(s *server) error { return s.stop() })
}

// Restart starts a private cluster again, at the same URL, with crash
// recovery. A server that is running is crashed first. It returns
// ErrNotPrivate or ErrClosed, and an error if another process has taken the
// port meanwhile.
func (c *Cluster) Restart(ctx context.Context) error {
	return c.withServer(func(s *server) error {
		if err := s.stop(); err != nil {
			return err
		}
		return s.start(ctx)
	})
}

func (c *Cluster) withServer(do func(*server) error) error {
	if c.given {
		return ErrNotPrivate
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return ErrClosed
	}
	return do(c.server)
}

// checkGiven makes sure that a given server answers and that its role may
// create databases. Its errors do not repeat the URL, which holds a password.
func checkGiven(ctx context.Context, url string) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("%s is not a Postgres URL (postgres://user:password@host:port/postgres)", EnvURL)
	}
	where := fmt.Sprintf("%s (%s:%d)", EnvURL, cfg.Host, cfg.Port)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("%s does not answer; start that server, or unset the variable to test on a private one: %w", where, err)
	}
	defer closeConn(ctx, conn)
	var mayCreate bool
	err = conn.QueryRow(ctx, `SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&mayCreate)
	switch {
	case err != nil:
		return fmt.Errorf("%s: cannot read the role's rights: %w", where, err)
	case !mayCreate:
		return fmt.Errorf("%s: role %q may not create databases; run: ALTER ROLE %q CREATEDB", where, cfg.User, cfg.User)
	}
	return nil
}

// closeConn says good-bye to the server; that it may have gone first is fine.
func closeConn(ctx context.Context, conn *pgx.Conn) { _ = conn.Close(ctx) }
