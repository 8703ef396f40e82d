package queue

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/portico-id/portico/internal/directory"
)

// The queues of what concerns users rather than sign-ups. Imports have workers
// of their own, so that a hundred thousand of them keep nobody waiting.
const (
	changeQueue = "change"
	importQueue = "import"
)

// The workers of these queues, of one replica.
const (
	changeWorkers = 8
	importWorkers = 8
)

// carryUser does for a user what can be done now and returns when to call
// again, or zero when nothing is left to do.
type carryUser func(ctx context.Context, id directory.UserID) (again time.Duration, err error)

// work turns a wish to be called again into a snooze, which uses no attempt up.
func (c carryUser) work(ctx context.Context, id string) error {
	again, err := c(ctx, directory.UserID(id))
	if err != nil {
		return err
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// changeArgs are the arguments of a job that carries what has changed of a user
// to the provider.
type changeArgs struct {
	UserID string `json:"user_id"`
}

// Kind is the job's name in the database.
func (changeArgs) Kind() string { return "change" }

// InsertOpts says where the job waits.
func (changeArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: changeQueue} }

type changeWorker struct {
	river.WorkerDefaults[changeArgs]

	carry carryUser
}

// Work carries the change.
func (w *changeWorker) Work(ctx context.Context, job *river.Job[changeArgs]) error {
	return w.carry.work(ctx, job.Args.UserID)
}

// enrolArgs are the arguments of a job that carries a user without a sign-up
// to the provider: one who was invited by an administrator, or imported.
type enrolArgs struct {
	UserID string `json:"user_id"`
}

// Kind is the job's name in the database.
func (enrolArgs) Kind() string { return "enrol" }

type enrolWorker struct {
	river.WorkerDefaults[enrolArgs]

	carry carryUser
}

// Work carries the user.
func (w *enrolWorker) Work(ctx context.Context, job *river.Job[enrolArgs]) error {
	return w.carry.work(ctx, job.Args.UserID)
}

// remindArgs are the arguments of a job that sends a user's enrolment mail
// again because an administrator asks for it.
type remindArgs struct {
	UserID string `json:"user_id"`
}

// Kind is the job's name in the database.
func (remindArgs) Kind() string { return "remind" }

// InsertOpts says where the job waits.
func (remindArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: resendQueue} }

type remindWorker struct {
	river.WorkerDefaults[remindArgs]

	remind func(ctx context.Context, id directory.UserID, wished time.Time) (again time.Duration, err error)
}

// Work sends the mail again. A job is a wish, which was made when it was.
func (w *remindWorker) Work(ctx context.Context, job *river.Job[remindArgs]) error {
	remind := carryUser(func(ctx context.Context, id directory.UserID) (time.Duration, error) {
		return w.remind(ctx, id, job.CreatedAt.UTC())
	})
	return remind.work(ctx, job.Args.UserID)
}

// EnqueueChange inserts the job that carries what has changed of the user to
// the provider.
func (q *Queue) EnqueueChange(ctx context.Context, tx *sql.Tx, id directory.UserID) error {
	return q.enqueue(ctx, tx, changeArgs{UserID: string(id)})
}

// EnqueueEnrol inserts the job that carries a user without a sign-up to the
// provider, before those who are imported by the thousand.
func (q *Queue) EnqueueEnrol(ctx context.Context, tx *sql.Tx, id directory.UserID) error {
	return q.enqueue(ctx, tx, enrolArgs{UserID: string(id)})
}

// EnqueueImports inserts the jobs that carry imported users to the provider,
// many in one statement, in the queue that keeps nobody else waiting.
func (q *Queue) EnqueueImports(ctx context.Context, tx *sql.Tx, ids []directory.UserID) error {
	if len(ids) == 0 {
		return nil
	}
	jobs := make([]river.InsertManyParams, len(ids))
	for i, id := range ids {
		jobs[i] = importJob(string(id))
	}
	if _, err := q.inserter.InsertManyFastTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("enqueue imports: %w", err)
	}
	return nil
}

// importJob is the job of an imported user.
func importJob(id string) river.InsertManyParams {
	return river.InsertManyParams{
		Args: enrolArgs{UserID: id}, InsertOpts: &river.InsertOpts{Queue: importQueue},
	}
}

// EnqueueRemind inserts the job that sends the user's enrolment mail again.
func (q *Queue) EnqueueRemind(ctx context.Context, tx *sql.Tx, id directory.UserID) error {
	return q.enqueue(ctx, tx, remindArgs{UserID: string(id)})
}
