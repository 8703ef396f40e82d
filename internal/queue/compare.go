package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"
)

const (
	// compareLook is how often it is looked whether a comparison is due, or was
	// left behind.
	compareLook = 10 * time.Minute
	// compareLimit is for the one statement of a comparison that can take long.
	compareLimit = 10 * time.Minute
)

type compareArgs struct{}

// Kind is the job's name in the database.
func (compareArgs) Kind() string { return "compare" }

type compareWorker struct {
	river.WorkerDefaults[compareArgs]

	compare func(ctx context.Context) (again time.Duration, err error)
}

// Timeout is longer than that of other jobs.
func (w *compareWorker) Timeout(*river.Job[compareArgs]) time.Duration { return compareLimit }

// Work does a part of the comparison.
func (w *compareWorker) Work(ctx context.Context, _ *river.Job[compareArgs]) error {
	again, err := w.compare(ctx)
	if err == nil && again > 0 {
		return river.JobSnooze(again)
	}
	return err
}

// comparisons look whether a comparison is due, on one replica. A start is no
// reason for one.
func comparisons(every time.Duration) []*river.PeriodicJob {
	if every <= 0 {
		return nil
	}
	look := min(every, compareLook)
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(look), func() (river.JobArgs, *river.InsertOpts) {
		return compareArgs{}, &river.InsertOpts{Queue: upkeepQueue, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByPeriod: look}}
	}, nil)}
}

// Importing reports whether imported users wait for their turn.
func (q *Queue) Importing(ctx context.Context) (waiting bool, err error) {
	err = q.config.DB.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM river_job WHERE queue = 'import'
			AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled'))`).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("look for imports: %w", err)
	}
	return waiting, nil
}
