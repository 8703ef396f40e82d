package signup_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const resendAfter = time.Minute

var (
	moment = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
	// rounded is the moment as it is stored.
	rounded = time.Date(2026, 3, 1, 11, 0, 0, 123456000, time.UTC)
)

// clock is a time that only a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *clock) advance(d time.Duration) { c.set(c.now().Add(d)) }

// world is a service over a database.
type world struct {
	*signup.Service

	t     *testing.T
	db    *store.DB
	store *store.Store
	clock *clock
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	db := storetest.Open(t, databaseURL)
	log := slog.New(slog.DiscardHandler)
	jobs, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return over(t, db, jobs)
}

func over(t *testing.T, db *store.DB, jobs store.Jobs) *world {
	t.Helper()
	w := &world{t: t, db: db, store: store.New(db, jobs), clock: &clock{at: moment}}
	w.Service = &signup.Service{Store: w.store, ResendAfter: resendAfter, Now: w.clock.now}
	return w
}

// jobsFunc are the jobs of sign-ups, which are whatever the function does. There
// are no others: nothing here has a user to be changed.
func jobsFunc(do func(ctx context.Context, tx *sql.Tx, id signup.ID) error) store.Jobs {
	return ownJobs{do: do}
}

type ownJobs struct {
	store.Jobs

	do func(ctx context.Context, tx *sql.Tx, id signup.ID) error
}

// EnqueueSignup calls the function.
func (j ownJobs) EnqueueSignup(ctx context.Context, tx *sql.Tx, id signup.ID) error {
	return j.do(ctx, tx, id)
}

// SignupInsert fails. What the function is to see has an idempotency key.
func (ownJobs) SignupInsert() string {
	return `INSERT INTO river_job (kind) VALUES ($1::text || $2::text)`
}

// SignupMetadata is nothing.
func (ownJobs) SignupMetadata(context.Context) string { return "{}" }

// Announce does nothing.
func (ownJobs) Announce() {}

// EnqueueResend calls the function.
func (j ownJobs) EnqueueResend(ctx context.Context, tx *sql.Tx, id signup.ID) error {
	return j.do(ctx, tx, id)
}

// EnqueueNotice calls the function.
func (j ownJobs) EnqueueNotice(ctx context.Context, tx *sql.Tx, id signup.ID) error {
	return j.do(ctx, tx, id)
}

// stored is how many rows there are.
type stored struct{ users, signups, keys, jobs int }

func (w *world) rows() stored {
	w.t.Helper()
	var n stored
	for query, into := range map[string]*int{
		`SELECT count(*) FROM users`:            &n.users,
		`SELECT count(*) FROM signups`:          &n.signups,
		`SELECT count(*) FROM idempotency_keys`: &n.keys,
		`SELECT count(*) FROM river_job`:        &n.jobs,
	} {
		w.scan(query, into)
	}
	return n
}

// scan reads one value.
func (w *world) scan(query string, into any, args ...any) {
	w.t.Helper()
	if err := w.db.SQL().QueryRowContext(w.t.Context(), query, args...).Scan(into); err != nil {
		w.t.Fatal(err)
	}
}

// exec changes the database behind the service's back.
func (w *world) exec(statement string, args ...any) {
	w.t.Helper()
	if _, err := w.db.SQL().ExecContext(w.t.Context(), statement, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) accept(address string) signup.Signup {
	w.t.Helper()
	accepted, err := w.Accept(w.t.Context(), signup.Request{Email: address})
	if err != nil {
		w.t.Fatal(err)
	}
	return accepted
}

// unlisted returns the sign-ups that have no user yet, oldest first.
func (w *world) unlisted() []signup.ID {
	w.t.Helper()
	rows, err := w.db.SQL().QueryContext(w.t.Context(), `SELECT id FROM signups WHERE user_id IS NULL ORDER BY id`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var ids []signup.ID
	for rows.Next() {
		var id signup.ID
		if err := rows.Scan(&id); err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// enlist gives every sign-up its user, as their jobs would.
func (w *world) enlist() {
	w.t.Helper()
	for _, id := range w.unlisted() {
		if _, err := w.store.Enlist(w.t.Context(), id, w.clock.now()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// settle does what the jobs of all sign-ups would have done by at.
func (w *world) settle(at time.Time) {
	w.t.Helper()
	w.enlist()
	w.exec(`UPDATE signups SET settled_at = $1 WHERE settled_at IS NULL`, at.UTC())
}

// registered makes a user of that status with the address.
func (w *world) registered(address string, status directory.Status) {
	w.t.Helper()
	w.accept(address)
	w.settle(w.clock.now())
	w.exec(`UPDATE users SET status = $1, internal_id = $2, activated_at = $3 WHERE email = $4`,
		string(status), "int-"+address, w.clock.now().Add(-time.Hour).UTC(), address)
}

// dump is every value of every row, bytes both as they are and in hexadecimal.
func (w *world) dump() string {
	w.t.Helper()
	var all strings.Builder
	for _, table := range []string{"users", "signups", "idempotency_keys", "rate_limits", "audit_events", "river_job"} {
		for _, row := range w.table(table) {
			for _, value := range row {
				fmt.Fprintf(&all, "%s\n", value)
			}
		}
	}
	return all.String()
}

// table is every row of a table, by column, as text: bytes both as they are
// and in hexadecimal.
func (w *world) table(name string) []map[string]string {
	w.t.Helper()
	rows, err := w.db.SQL().QueryContext(w.t.Context(), `SELECT * FROM `+name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		w.t.Fatal(err)
	}
	var all []map[string]string
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			w.t.Fatal(err)
		}
		row := make(map[string]string)
		for i, value := range values {
			row[columns[i]] = fmt.Sprint(value)
			if raw, ok := value.([]byte); ok {
				row[columns[i]] = fmt.Sprintf("%x %s", raw, raw)
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all
}
