package signup_test

import (
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"time"

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

func newService(t *testing.T, databaseURL string) (*signup.Service, *store.DB) {
	t.Helper()
	db := storetest.Open(t, databaseURL)
	log := slog.New(slog.DiscardHandler)
	jobs, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return over(db, jobs), db
}

func over(db *store.DB, jobs store.Jobs) *signup.Service {
	return &signup.Service{
		Store:       store.New(db, jobs),
		ResendAfter: resendAfter,
		Now:         func() time.Time { return moment },
	}
}

// jobsFunc are jobs that are whatever the function does.
type jobsFunc func(ctx context.Context, tx *sql.Tx, id signup.ID) error

// EnqueueSignup calls the function.
func (f jobsFunc) EnqueueSignup(ctx context.Context, tx *sql.Tx, id signup.ID) error {
	return f(ctx, tx, id)
}

// stored is how many rows there are.
type stored struct{ users, signups, jobs int }

func countRows(t *testing.T, db *store.DB) stored {
	t.Helper()
	var n stored
	for query, into := range map[string]*int{
		`SELECT count(*) FROM users`:     &n.users,
		`SELECT count(*) FROM signups`:   &n.signups,
		`SELECT count(*) FROM river_job`: &n.jobs,
	} {
		if err := db.SQL().QueryRowContext(t.Context(), query).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func accept(t *testing.T, s *signup.Service, address string) signup.Signup {
	t.Helper()
	accepted, err := s.Accept(t.Context(), signup.Request{Email: address})
	if err != nil {
		t.Fatal(err)
	}
	return accepted
}

// exec changes the database behind the service's back.
func exec(t *testing.T, db *store.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.SQL().ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}
