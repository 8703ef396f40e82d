package queue

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// forgottenAfter is for how long a job must have looked forgotten. River
// writes down how jobs ended a little later than they did, and tries for some
// seconds.
const forgottenAfter = 20 * time.Second

// forgotten hands back jobs of this process that nobody here works on: when
// the database is away for long, River gives up writing down how a job ended,
// and would come back to it after minutes. A job that had ended well is worked
// once more, and finds nothing to do.
type forgotten struct {
	db    *sql.DB
	owner string // "" where one process owns all jobs
	log   *slog.Logger
	after time.Duration

	mu       sync.Mutex
	working  map[int64]bool
	suspects map[int64]time.Time // since when a running job has not been in working

	cancel context.CancelFunc
	done   chan struct{}
}

func startForgotten(ctx context.Context, db *sql.DB, owner string, log *slog.Logger) *forgotten {
	f := newForgotten(db, owner, log)
	ctx, f.cancel = context.WithCancel(ctx)
	go f.run(ctx)
	return f
}

func newForgotten(db *sql.DB, owner string, log *slog.Logger) *forgotten {
	return &forgotten{
		db: db, owner: owner, log: log, after: forgottenAfter,
		working: make(map[int64]bool), suspects: make(map[int64]time.Time), done: make(chan struct{}),
	}
}

func (f *forgotten) stop() {
	if f != nil {
		f.cancel()
		<-f.done
	}
}

// Work is River's middleware around every job: it knows what is worked on.
func (f *forgotten) Work(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
	f.mark(job.ID, true)
	defer f.mark(job.ID, false)
	return work(ctx)
}

func (f *forgotten) mark(id int64, working bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.suspects, id)
	if working {
		f.working[id] = true
	} else {
		delete(f.working, id)
	}
}

func (f *forgotten) run(ctx context.Context) {
	defer close(f.done)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if err := f.look(ctx, now); err != nil && ctx.Err() == nil {
				f.log.WarnContext(ctx, "queue cannot look for forgotten jobs", slog.Any("error", err))
			}
		}
	}
}

// look hands back the jobs that have looked forgotten for long enough.
func (f *forgotten) look(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	running, err := f.running(ctx)
	if err != nil {
		return err
	}
	for _, id := range f.judge(running, now) {
		// As it stands in the database: whoever has moved it on meanwhile wins.
		statement := fmt.Sprintf(`UPDATE river_job SET state = 'available' WHERE id = %d AND state = 'running'`, id)
		if _, err := f.db.ExecContext(ctx, statement); err != nil {
			return err
		}
		f.log.WarnContext(ctx, "a job that was forgotten is handed back", slog.Int64("job_id", id))
	}
	return nil
}

// running returns the jobs that the database thinks we are working on.
func (f *forgotten) running(ctx context.Context) (ids []int64, err error) {
	query, args := `SELECT id FROM river_job WHERE state = 'running'`, []any(nil)
	if f.owner != "" {
		query, args = query+` AND attempted_by[array_upper(attempted_by, 1)] = $1`, []any{f.owner}
	}
	rows, err := f.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// judge returns those of the running jobs that have been forgotten, and
// remembers the ones that may have been.
func (f *forgotten) judge(running []int64, now time.Time) (sure []int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	suspects := make(map[int64]time.Time)
	for _, id := range running {
		since, known := f.suspects[id]
		switch {
		case f.working[id]:
		case !known:
			suspects[id] = now
		case now.Sub(since) < f.after:
			suspects[id] = since
		default:
			sure = append(sure, id)
		}
	}
	f.suspects = suspects
	return sure
}
