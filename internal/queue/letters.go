package queue

import (
	"context"
	"database/sql"
	"time"

	"github.com/riverqueue/river"

	"github.com/portico-id/portico/internal/account"
)

// post does for a letter what can be done now and returns when to call again,
// or zero when nothing is left to do.
type post[ID ~string] func(ctx context.Context, id ID) (again time.Duration, err error)

// work turns a wish to be called again into a snooze, which uses no attempt up.
func (p post[ID]) work(ctx context.Context, id string) error {
	again, err := p(ctx, ID(id))
	if err != nil {
		return err
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// proofArgs are the arguments of a job that mails a code to an address that a
// user wants.
type proofArgs struct {
	ChangeID string `json:"change_id"`
}

// Kind is the job's name in the database.
func (proofArgs) Kind() string { return "email_proof" }

// InsertOpts says where the job waits.
func (proofArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: mailQueue} }

type proofWorker struct {
	river.WorkerDefaults[proofArgs]

	post post[account.EmailChangeID]
}

// Work mails the code.
func (w *proofWorker) Work(ctx context.Context, job *river.Job[proofArgs]) error {
	return w.post.work(ctx, job.Args.ChangeID)
}

// letterArgs are the arguments of a job that sends a letter.
type letterArgs struct {
	LetterID string `json:"letter_id"`
}

// Kind is the job's name in the database.
func (letterArgs) Kind() string { return "letter" }

// InsertOpts says where the job waits.
func (letterArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: mailQueue} }

type letterWorker struct {
	river.WorkerDefaults[letterArgs]

	post post[account.LetterID]
}

// Work sends the letter.
func (w *letterWorker) Work(ctx context.Context, job *river.Job[letterArgs]) error {
	return w.post.work(ctx, job.Args.LetterID)
}

// EnqueueEmailProof inserts the job that mails a code to the address of the
// wish.
func (q *Queue) EnqueueEmailProof(ctx context.Context, tx *sql.Tx, id account.EmailChangeID) error {
	return q.enqueue(ctx, tx, proofArgs{ChangeID: string(id)})
}

// EnqueueLetter inserts the job that sends the letter.
func (q *Queue) EnqueueLetter(ctx context.Context, tx *sql.Tx, id account.LetterID) error {
	return q.enqueue(ctx, tx, letterArgs{LetterID: string(id)})
}
