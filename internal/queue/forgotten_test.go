package queue_test

import (
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAJobThatWasForgottenIsHandedBackAndOneThatIsWorkedOnIsNot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		q, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: 2, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		// Both are marked as ours, and only one is in a worker's hands.
		for _, id := range []signup.ID{"one", "two"} {
			tx, err := db.SQL().BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.EnqueueSignup(t.Context(), tx, id); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		owner, by := "", `json('["x"]')`
		if db.Pool() != nil {
			owner, by = "someone", `ARRAY['someone']`
		}
		if _, err := db.SQL().ExecContext(t.Context(), `UPDATE river_job SET state = 'running', attempted_by = `+by); err != nil {
			t.Fatal(err)
		}
		f := queue.NewForgotten(db.SQL(), owner, slog.New(slog.DiscardHandler))
		start := time.Now()
		look := func(after time.Duration) {
			t.Helper()
			if err := f.Look(t.Context(), start.Add(after)); err != nil {
				t.Fatal(err)
			}
		}
		err = f.Work(t.Context(), &rivertype.JobRow{ID: 2}, func(context.Context) error {
			look(0)
			look(queue.ForgottenAfter - time.Second)
			if n := running(t, db.SQL()); n != 2 { //nolint:contextcheck // the test has a context of its own
				t.Errorf("%d jobs are running before the time", n)
			}
			look(queue.ForgottenAfter)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := running(t, db.SQL()); n != 1 {
			t.Errorf("%d jobs are running", n)
		}
		// It has ended; how is about to be written down, so its time starts now.
		look(queue.ForgottenAfter + time.Second)
		if n := running(t, db.SQL()); n != 1 {
			t.Errorf("%d jobs are running just after the other one ended", n)
		}
		look(2*queue.ForgottenAfter + time.Second)
		if n := running(t, db.SQL()); n != 0 {
			t.Errorf("%d jobs are forgotten for good", n)
		}
	})
}

func TestAJobOfAnotherProcessIsNotOurs(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.Postgres(t))
	if _, err := db.SQL().ExecContext(t.Context(), `
		INSERT INTO river_job (kind, args, max_attempts, state, attempted_by)
		VALUES ('signup', '{}', 1, 'running', ARRAY['us', 'another'])`); err != nil {
		t.Fatal(err)
	}
	f := queue.NewForgotten(db.SQL(), "us", slog.New(slog.DiscardHandler))
	for _, at := range []time.Duration{0, 2 * queue.ForgottenAfter} {
		if err := f.Look(t.Context(), time.Now().Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	if n := running(t, db.SQL()); n != 1 {
		t.Error("it was taken from the other process")
	}
}

func running(t *testing.T, db *sql.DB) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE state = 'running'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
