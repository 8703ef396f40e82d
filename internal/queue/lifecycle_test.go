package queue_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestStopWaitsForAJobThatIsUnderWay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		p.enqueue(t)
		begun, end := make(chan struct{}), make(chan struct{})
		var done, cancelled atomic.Bool
		p.start(t, func(ctx context.Context, _ signup.ID) (time.Duration, error) {
			close(begun)
			<-end
			cancelled.Store(ctx.Err() != nil)
			done.Store(true)
			return 0, nil
		})
		receive(t, "the job", begun)
		var stopping sync.WaitGroup
		stopping.Go(func() {
			p.stop(t)
			if !done.Load() {
				t.Error("stopped before the job was done")
			}
		})
		// What comes while it stops is left to the next process.
		left := p.enqueue(t)
		close(end)
		stopping.Wait()
		if cancelled.Load() {
			t.Error("the job was cancelled")
		}
		if n := p.count(t, `WHERE state = 'completed'`); n != 1 {
			t.Errorf("%d jobs completed", n)
		}
		next := newProcess(t, databaseURL)
		carried := make(chan signup.ID, 10)
		next.start(t, func(_ context.Context, id signup.ID) (time.Duration, error) {
			carried <- id
			return 0, nil
		})
		if id := receive(t, "the job that was left", carried); id != left {
			t.Errorf("carried %s, not %s", id, left)
		}
	})
}

func TestStopCancelsAJobWhenItsOwnTimeIsUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		id := p.enqueue(t)
		begun := make(chan struct{})
		p.start(t, func(ctx context.Context, _ signup.ID) (time.Duration, error) {
			close(begun)
			<-ctx.Done()
			return 0, ctx.Err()
		})
		receive(t, "the job", begun)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Stop(ended); err != nil {
			t.Errorf("stop: %v", err)
		}
		if n := p.count(t, `WHERE state IN ('available', 'retryable', 'scheduled')`); n != 1 {
			t.Error("the job is not to be tried again")
		}
		next := newProcess(t, databaseURL)
		carried := make(chan signup.ID, 10)
		next.start(t, func(_ context.Context, id signup.ID) (time.Duration, error) {
			carried <- id
			return 0, nil
		})
		if again := receive(t, "the job, again", carried); again != id {
			t.Errorf("carried %s, not %s", again, id)
		}
	})
}

func TestStopWaitsForNoUpkeep(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		begun := make(chan struct{})
		handlers := idle()
		handlers.Reconcile = func(ctx context.Context) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		}
		if err := p.Start(t.Context(), handlers); err != nil {
			t.Fatal(err)
		}
		receive(t, "the upkeep", begun)
		p.stop(t) // which has a limit
		var state string
		if err := p.db.SQL().QueryRowContext(t.Context(), `SELECT state FROM river_job WHERE kind = 'reconcile'`).Scan(&state); err != nil {
			t.Fatal(err)
		}
		if state != "available" && state != "scheduled" {
			t.Errorf("it is %s: nobody goes on with it", state)
		}
		if log := p.said(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
			t.Errorf("logged %s", log)
		}
	})
}

func TestJobsOutliveTheContextOfTheStart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		ctx, cancel := context.WithCancel(t.Context())
		carried := make(chan error, 10)
		handlers := idle()
		handlers.CarrySignup = func(ctx context.Context, _ signup.ID) (time.Duration, error) {
			carried <- ctx.Err()
			return 0, nil
		}
		if err := p.Start(ctx, handlers); err != nil {
			t.Fatal(err)
		}
		cancel()
		p.enqueue(t)
		if err := receive(t, "the job", carried); err != nil {
			t.Errorf("its context: %v", err)
		}
		p.stop(t)
	})
}

func TestAQueueThatWasNeverStartedStops(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		p.stop(t)
		if err := p.db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(t.Context(), idle()); err == nil {
			t.Error("started on a database that is closed")
		}
		p.stop(t)
	})
}

func TestJobsOfAProcessThatDiedAreHandedBackOnStart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		p := newProcess(t, databaseURL)
		id := p.enqueue(t)
		p.enqueue(t)
		p.exec(t, abandoned(p.db.Dialect()))
		carried := make(chan signup.ID, 10)
		p.start(t, func(_ context.Context, id signup.ID) (time.Duration, error) {
			carried <- id
			return 0, nil
		})
		first, second := receive(t, "the first job", carried), receive(t, "the second job", carried)
		if first != id && second != id {
			t.Errorf("carried %s and %s, not %s", first, second, id)
		}
		await.True(t, "completion", func() bool { return p.count(t, `WHERE state = 'completed'`) == 2 })
	})
}

// abandoned leaves the jobs as a process does that was killed at work.
func abandoned(d store.Dialect) string {
	set := `UPDATE river_job SET state = 'running', attempt = 1, attempted_at = CURRENT_TIMESTAMP, attempted_by = `
	if d == store.Postgres {
		return set + `ARRAY['portico-of-old', 'portico-dead']`
	}
	return set + `'["portico-of-old", "portico-dead"]'`
}
