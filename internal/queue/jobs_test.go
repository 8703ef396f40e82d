package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestASVS_2_3_3_AJobExistsIfAndOnlyIfItsTransactionCommits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		tx, err := p.db.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		id := signup.ID(uuid.NewString())
		if err := p.EnqueueSignup(t.Context(), tx, id); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if n := p.count(t, ""); n != 0 {
			t.Errorf("rolled back, %d jobs", n)
		}
		p.within(t, func(tx *sql.Tx) {
			if err := p.EnqueueSignup(t.Context(), tx, id); err != nil {
				t.Error(err)
			}
		})
		if n := p.count(t, ""); n != 1 {
			t.Errorf("committed, %d jobs", n)
		}
		var kind, args string
		row := p.db.SQL().QueryRowContext(t.Context(), `SELECT kind, CAST(args AS text) FROM river_job`)
		if err := row.Scan(&kind, &args); err != nil {
			t.Fatal(err)
		}
		if want := `{"signup_id":"` + string(id) + `"}`; kind != "signup" || strings.ReplaceAll(args, " ", "") != want {
			t.Errorf("stored a %s of %s, not of %s", kind, args, want)
		}
		if err := p.EnqueueSignup(t.Context(), tx, id); err == nil {
			t.Error("enqueued in a transaction that is over")
		}
	})
}

func TestAJobIsWorkedOnceAndCompletes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		before := p.enqueue(t)
		carried := make(chan signup.ID, 10)
		p.start(t, func(_ context.Context, id signup.ID) (time.Duration, error) {
			carried <- id
			return 0, nil
		})
		if id := receive(t, "the job from before the start", carried); id != before {
			t.Errorf("carried %s, not %s", id, before)
		}
		if after := p.enqueue(t); receive(t, "the job from after the start", carried) != after {
			t.Errorf("carried another than %s", after)
		}
		await.True(t, "completion", func() bool { return p.count(t, `WHERE state = 'completed'`) == 2 })
		if len(carried) != 0 {
			t.Errorf("carried %d times more", len(carried))
		}
	})
}

func TestAJobThatIsNotDoneIsCalledAgainAndUsesNoAttemptUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		p.enqueue(t)
		var calls atomic.Int32
		p.start(t, func(context.Context, signup.ID) (time.Duration, error) {
			if calls.Add(1) == 1 {
				return 20 * time.Millisecond, nil
			}
			return 0, nil
		})
		await.True(t, "completion", func() bool { return p.count(t, `WHERE state = 'completed'`) == 1 })
		if calls.Load() != 2 {
			t.Errorf("called %d times", calls.Load())
		}
		if n := p.count(t, `WHERE attempt = 1 AND errors IS NULL`); n != 1 {
			t.Error("a call that was not the last used an attempt up, or counted as an error")
		}
	})
}

func TestAnErrorIsRetriedAndSoIsAPanic(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		broken, panicking := p.enqueue(t), p.enqueue(t)
		calls := map[signup.ID]*atomic.Int32{broken: {}, panicking: {}}
		p.start(t, func(_ context.Context, id signup.ID) (time.Duration, error) {
			switch first := calls[id].Add(1) == 1; {
			case first && id == panicking:
				panic(errBroken)
			case first:
				return 0, errBroken
			default:
				return 0, nil
			}
		})
		await.True(t, "completion", func() bool { return p.count(t, `WHERE state = 'completed' AND errors IS NOT NULL`) == 2 })
		for id, n := range calls {
			if n.Load() != 2 {
				t.Errorf("%s was called %d times", id, n.Load())
			}
		}
	})
}

func TestPeriodicJobsRunAfterTheStart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		reconciled, kept := make(chan struct{}, 100), make(chan struct{}, 100)
		handlers := idle()
		handlers.Reconcile = func(context.Context) error {
			reconciled <- struct{}{}
			return nil
		}
		handlers.Housekeep = func(context.Context) error {
			kept <- struct{}{}
			return nil
		}
		p.startWith(t, handlers)
		receive(t, "reconciling", reconciled)
		receive(t, "housekeeping", kept)
		var queues, most int
		row := p.db.SQL().QueryRowContext(t.Context(), `
			SELECT count(DISTINCT queue), max(max_attempts) FROM river_job WHERE kind IN ('reconcile', 'housekeeping') AND queue = 'upkeep'`)
		if err := row.Scan(&queues, &most); err != nil || queues != 1 || most != 1 {
			t.Errorf("in %d queues, with at most %d attempts, %v", queues, most, err)
		}
	})
}

func TestASVS_15_4_4_SlowSignupsDoNotHoldUpAnythingElse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		hanging, end := make(chan signup.ID, 100), make(chan struct{})
		others := map[string]chan signup.ID{"resend": make(chan signup.ID, 100), "notice": make(chan signup.ID, 100), "reconcile": make(chan signup.ID, 100)}
		note := func(into chan signup.ID) carry {
			return func(_ context.Context, id signup.ID) (time.Duration, error) {
				into <- id
				return 0, nil
			}
		}
		handlers := queue.Handlers{
			CarrySignup: func(_ context.Context, id signup.ID) (time.Duration, error) {
				hanging <- id
				<-end
				return 0, nil
			},
			Resend: note(others["resend"]), Notify: note(others["notice"]),
			Reconcile: func(context.Context) error {
				others["reconcile"] <- ""
				return nil
			},
			Housekeep: func(context.Context) error { return nil },
		}
		for range workers + 2 {
			p.enqueue(t)
		}
		p.startWith(t, handlers)
		defer close(end)
		for range workers {
			receive(t, "a sign-up that hangs", hanging)
		}
		id := signup.ID(uuid.NewString())
		p.within(t, func(tx *sql.Tx) {
			for range 5 {
				if err := errors.Join(p.EnqueueResend(t.Context(), tx, id), p.EnqueueNotice(t.Context(), tx, id)); err != nil {
					t.Fatal(err)
				}
			}
		})
		for _, kind := range []string{"resend", "notice"} {
			for range 5 {
				if got := receive(t, kind, others[kind]); got != id {
					t.Errorf("%s of %s", kind, got)
				}
			}
		}
		receive(t, "reconciling", others["reconcile"])
		if len(hanging) != 0 {
			t.Error("more sign-ups are under way than there are workers for")
		}
	})
}

func TestTheTablesAreMigratedOnceAndKnownToBe(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{"postgres": storetest.EmptyPostgres(t), "sqlite": storetest.EmptySQLite(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, databaseURL)
			postgres := db.Dialect() == store.Postgres
			if ok, err := queue.UpToDate(t.Context(), postgres, db.SQL()); ok || err != nil {
				t.Errorf("empty: %v, %v", ok, err)
			}
			for range 2 {
				if err := queue.Migrate(postgres)(t.Context(), db.SQL()); err != nil {
					t.Fatal(err)
				}
				if ok, err := queue.UpToDate(t.Context(), postgres, db.SQL()); !ok || err != nil {
					t.Errorf("migrated: %v, %v", ok, err)
				}
			}
		})
	}
}
