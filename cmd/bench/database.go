package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// database is one of our own, on a Postgres that may be shared.
type database struct {
	cluster *pgcluster.Cluster
	name    string
	url     string
}

// newDatabase makes a database with so many users and sessions.
func newDatabase(ctx context.Context, sessions int) (*database, error) {
	cluster, err := pgcluster.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	d := &database{cluster: cluster, name: "portico_bench_" + strings.ToLower(rand.Text())}
	if err := d.build(ctx, sessions); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

func (d *database) build(ctx context.Context, sessions int) error {
	if err := d.administer(ctx, "CREATE DATABASE "+d.name); err != nil {
		return err
	}
	u, err := url.Parse(d.cluster.URL())
	if err != nil {
		return err
	}
	u.Path = "/" + d.name
	d.url = u.String()
	db, err := store.Open(ctx, d.url)
	if err != nil {
		return err
	}
	err = db.Migrate(ctx, queue.Migrate(true))
	if err == nil {
		err = fill(ctx, db, sessions)
	}
	return errors.Join(err, db.Close())
}

// fill makes users with a session each. Their tokens are those of sessionToken.
func fill(ctx context.Context, db *store.DB, sessions int) error {
	for _, statement := range []string{
		`INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, created_at, updated_at)
		 SELECT id, id, 'int-' || i, 'user' || i || '@example.com', 'user' || i || '@example.com', 'User ' || i,
		        'active', now(), now()
		 FROM generate_series(1, $1::integer) i, CAST('019d2c5e-7c1a-7b7e-9f3c-' || lpad(i::text, 12, '0') AS uuid) id`,
		`INSERT INTO sessions (id, token_hash, user_id, client, created_at, last_seen_at, expires_at, auth_time, acr, amr,
		                       issuer, user_agent, address)
		 SELECT id, sha256(sha256(convert_to('session ' || i, 'UTF8'))), id, 'browser', now(), now(), now() + interval '1 day',
		        now(), 'phr', '["hwk","user"]', 'https://auth.example/v2', '` + userAgent + `', '203.0.113.7'
		 FROM generate_series(1, $1::integer) i, CAST('019d2c5e-7c1a-7b7e-9f3c-' || lpad(i::text, 12, '0') AS uuid) id`,
	} {
		if _, err := db.SQL().ExecContext(ctx, statement, sessions); err != nil {
			return fmt.Errorf("fill the database: %w", err)
		}
	}
	// Sign-ups wait until somebody lets them go.
	_, err := db.SQL().ExecContext(ctx, `INSERT INTO river_queue (name, created_at, updated_at, metadata, paused_at)
		VALUES ('default', now(), now(), '{}', now())`)
	if err != nil {
		return fmt.Errorf("pause the queue: %w", err)
	}
	_, err = db.SQL().ExecContext(ctx, `VACUUM ANALYZE users, sessions`)
	return err
}

// close removes the database, and the server if it is private. It works after
// ctx has ended, too.
func (d *database) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(d.administer(ctx, "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)"), d.cluster.Close())
}

// administer runs a statement outside of the database.
func (d *database) administer(ctx context.Context, statement string) error {
	return execute(ctx, d.cluster.URL(), statement)
}

// exec runs statements in the database.
func (d *database) exec(ctx context.Context, statements ...string) error {
	return execute(ctx, d.url, statements...)
}

func (d *database) connect(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, d.url) }

func execute(ctx context.Context, databaseURL string, statements ...string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err = conn.Exec(ctx, statement); err != nil {
			break
		}
	}
	return errors.Join(err, conn.Close(ctx))
}
