package queue_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/store/storetest"
)

// carriedUser is a job that a user's handler was called with.
type carriedUser struct {
	kind string
	id   directory.UserID
}

// noting are handlers that tell which users' jobs are worked.
func noting(carried chan<- carriedUser) queue.Handlers {
	note := func(kind string) func(context.Context, directory.UserID) (time.Duration, error) {
		return func(_ context.Context, id directory.UserID) (time.Duration, error) {
			carried <- carriedUser{kind, id}
			return 0, nil
		}
	}
	handlers := idle()
	handlers.CarryChange, handlers.CarryUser = note("change"), note("enrol")
	handlers.Remind = func(ctx context.Context, id directory.UserID, wished time.Time) (time.Duration, error) {
		if age := time.Since(wished); age < -time.Minute || age > generous {
			return 0, fmt.Errorf("wished for %s ago", age)
		}
		return note("remind")(ctx, id)
	}
	return handlers
}

func TestAJobOfAUserIsWorkedByItsHandlerInItsQueue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		id := directory.NewUserID()
		for _, c := range []struct {
			kind, queue string
			enqueue     func(tx *sql.Tx) error
		}{
			{"change", "change", func(tx *sql.Tx) error { return p.EnqueueChange(t.Context(), tx, id) }},
			{"enrol", "default", func(tx *sql.Tx) error { return p.EnqueueEnrol(t.Context(), tx, id) }},
			{"remind", "resend", func(tx *sql.Tx) error { return p.EnqueueRemind(t.Context(), tx, id) }},
		} {
			p.within(t, func(tx *sql.Tx) {
				if err := c.enqueue(tx); err != nil {
					t.Fatal(err)
				}
			})
			if n := p.users(t, `kind = $1 AND queue = $2`, c.kind, c.queue); n != 1 {
				t.Errorf("%d jobs %s in queue %s", n, c.kind, c.queue)
			}
		}
		carried := make(chan carriedUser, 10)
		p.startWith(t, noting(carried))
		seen := make(map[string]bool)
		for range 3 {
			job := receive(t, "a job", carried)
			if seen[job.kind] || job.id != id {
				t.Errorf("carried %+v", job)
			}
			seen[job.kind] = true
		}
	})
}

func TestAThousandImportsWaitInAQueueOfTheirOwn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		waiting := make(map[directory.UserID]bool)
		var ids []directory.UserID
		for range 1000 {
			id := directory.NewUserID()
			ids, waiting[id] = append(ids, id), true
		}
		p.within(t, func(tx *sql.Tx) {
			for _, some := range [][]directory.UserID{ids, nil} {
				if err := p.EnqueueImports(t.Context(), tx, some); err != nil {
					t.Fatal(err)
				}
			}
		})
		if n := p.users(t, `kind = 'enrol' AND queue = 'import'`); n != len(ids) {
			t.Errorf("%d jobs wait", n)
		}
		carried := make(chan carriedUser, len(ids))
		p.startWith(t, noting(carried))
		for range ids {
			delete(waiting, receive(t, "an import", carried).id)
		}
		if len(waiting) != 0 {
			t.Errorf("%d were not carried", len(waiting))
		}
		await.True(t, "completion", func() bool { return p.users(t, `state = 'completed'`) == len(ids) })
	})
}

func TestImportsWhoseTransactionIsOverAreNotEnqueued(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		tx, err := p.db.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := p.EnqueueImports(t.Context(), tx, []directory.UserID{directory.NewUserID()}); err == nil {
			t.Error("enqueued")
		}
	})
}

// users counts jobs that are about users.
func (p *process) users(t *testing.T, where string, args ...any) int {
	t.Helper()
	var n int
	query := `SELECT count(*) FROM river_job WHERE kind IN ('change', 'enrol', 'remind') AND ` + where
	if err := p.db.SQL().QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
