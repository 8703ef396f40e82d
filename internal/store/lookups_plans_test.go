package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/portico-id/portico/internal/session"
)

// CheckLookUpsOnSQLite is CheckPlans for look-ups of sessions.
func CheckLookUpsOnSQLite(t *testing.T, db *DB) {
	t.Helper()
	fill(t, db)
	s := New(db, nil)
	for _, n := range []int{1, 2, 64, 500} {
		asked := queries(t, db, func() {
			if _, err := s.FindSessions(t.Context(), numberedHashes(1, n)); err != nil {
				t.Error(err)
			}
		})
		if len(asked) != 1 {
			t.Errorf("%d sessions are found by %d queries", n, len(asked))
			continue
		}
		if got := plan(t, db, asked[0]); !strings.Contains(got, "(token_hash=?)") || strings.Contains(got, "SCAN") {
			t.Errorf("%d sessions are found by\n%s", n, got)
		}
	}
}

// CheckLookUpsOnPostgres looks sessions up among so many. Unlike CheckPlans it
// does not ask what Postgres can do, but what it does, which depends on how
// many rows there are and on what has been asked before. It returns how many
// pages of 8 KiB the database looks at for one session, and how long it takes
// in a batch.
func CheckLookUpsOnPostgres(t *testing.T, db *DB, sessions int) (pages float64, took time.Duration) {
	t.Helper()
	fillSessions(t, db, sessions)
	conn := &traced{}
	config := db.pool.Config()
	config.MaxConns = 1 // statements are prepared, and planned, by connection
	config.ConnConfig.Tracer = conn
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := &Store{db: db.gorm, pool: pool}
	// Twenty of each, small ones first, are more than enough to decide how the
	// planner goes about it for good.
	for _, n := range []int{1, 2, 3, 8, 15, 16, 64, 256} {
		for round := range 20 {
			hashes := numberedHashes(1+round*sessions/20, n)
			before := conn.queries()
			found, err := s.FindSessions(t.Context(), hashes)
			if err != nil || len(found) != min(n, sessions-round*sessions/20) {
				t.Fatalf("%d of %d sessions found: %v", len(found), n, err)
			}
			if made := conn.queries() - before; made != 1 {
				t.Errorf("%d sessions are found by %d queries", n, made)
			}
		}
	}
	pages = max(
		checkPrepared(t, pool, selectFoundOne, numberedHashes(sessions/2, 1)),
		checkPrepared(t, pool, selectFoundMany, numberedHashes(sessions/2, batch)),
	)
	return pages, fastest(t, s, sessions)
}

const batch = 64

// checkPrepared looks at how the connection carries a statement out by now. It
// returns the pages that are looked at for one session.
func checkPrepared(t *testing.T, pool *pgxpool.Pool, statement string, hashes []session.Hash) float64 {
	t.Helper()
	var name string
	var generic, custom int
	err := pool.QueryRow(t.Context(), `SELECT name, generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1`, statement).
		Scan(&name, &generic, &custom)
	if err != nil {
		t.Fatal(err)
	}
	if custom > 5 { // as many as Postgres tries before it decides
		t.Errorf("planned anew %d times, and %d times not: %s", custom, generic, statement)
	}
	var literals []string
	for _, hash := range hashes {
		literals = append(literals, fmt.Sprintf(`'\x%x'`, hash))
	}
	argument := literals[0]
	if len(literals) > 1 {
		argument = "CAST(ARRAY[" + strings.Join(literals, ", ") + "] AS bytea[])"
	}
	var text string
	err = pool.QueryRow(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE `+name+`(`+argument+`)`, pgx.QueryExecModeSimpleProtocol).
		Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "sessions_token_hash_key") || !strings.Contains(text, "users_pkey") || strings.Contains(text, "Seq Scan") {
		t.Errorf("sessions are found by\n%s", text)
	}
	var plans []struct {
		Plan struct {
			Rows int `json:"Actual Rows"`
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) != 1 || plans[0].Plan.Rows != len(hashes) {
		t.Fatalf("%v: %s", err, text)
	}
	return float64(plans[0].Plan.Hit+plans[0].Plan.Read) / float64(len(hashes))
}

// fastest is how long one of many look-ups takes when nothing else happens on
// this machine.
func fastest(t *testing.T, s *Store, sessions int) time.Duration {
	t.Helper()
	least := time.Hour
	for i := range 500 {
		hashes := make([]session.Hash, batch)
		for j := range hashes {
			hashes[j] = numberedHash(1 + (i*batch+j)*7919%sessions)
		}
		begun := time.Now()
		if _, err := s.FindSessions(t.Context(), hashes); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(begun))
	}
	return least / batch
}

// fillSessions stores as many users, each with one session.
func fillSessions(t *testing.T, db *DB, n int) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, created_at, updated_at)
		 SELECT CAST('01890a5d-ac96-774b-bcce-' || lpad(CAST(i AS text), 12, '0') AS uuid), i, i, i || '@example.com', i || '@example.com', 'Anna',
		        'active', now(), now()
		 FROM generate_series(1, CAST($1 AS integer)) i`,
		`INSERT INTO sessions (id, token_hash, user_id, client, created_at, last_seen_at, expires_at)
		 SELECT id, sha256(CAST(external_id AS bytea)), id, 'browser', now(), now(), now() + interval '1 day' FROM users WHERE $1 > 0`,
	} {
		if _, err := db.sql.ExecContext(t.Context(), statement, n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.sql.ExecContext(t.Context(), `VACUUM ANALYZE users, sessions`); err != nil {
		t.Fatal(err)
	}
}

// numberedHash is that of the i-th session that fillSessions stores.
func numberedHash(i int) session.Hash { return sha256.Sum256([]byte(strconv.Itoa(i))) }

func numberedHashes(first, n int) []session.Hash {
	hashes := make([]session.Hash, n)
	for i := range hashes {
		hashes[i] = numberedHash(first + i)
	}
	return hashes
}

// traced counts the queries of a pool.
type traced struct {
	mu sync.Mutex
	n  int
}

// TraceQueryStart counts a query.
func (c *traced) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return ctx
}

// TraceQueryEnd does nothing.
func (*traced) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *traced) queries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
