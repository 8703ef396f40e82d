package queue

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-id/portico/internal/signup"
)

// signupArgs are the arguments of a signup job. They name rows and hold no
// personal data, so the queue's tables need no care of their own.
type signupArgs struct {
	SignupID string `json:"signup_id"`
}

// Kind is the job's name in the database.
func (signupArgs) Kind() string { return "signup" }

type signupWorker struct {
	river.WorkerDefaults[signupArgs]

	carry func(ctx context.Context, id signup.ID) (time.Duration, error)
}

// Work carries the sign-up out. A wish to be called again is a snooze, which
// uses no attempt up.
func (w *signupWorker) Work(ctx context.Context, job *river.Job[signupArgs]) error {
	again, err := w.carry(ctx, signup.ID(job.Args.SignupID))
	if err != nil {
		return err
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

type housekeepingArgs struct{}

// Kind is the job's name in the database.
func (housekeepingArgs) Kind() string { return "housekeeping" }

type housekeepingWorker struct {
	river.WorkerDefaults[housekeepingArgs]

	housekeep func(ctx context.Context) error
}

// Work removes what has expired.
func (w *housekeepingWorker) Work(ctx context.Context, _ *river.Job[housekeepingArgs]) error {
	return w.housekeep(ctx)
}

// housekeeping runs every ten minutes on whichever replica leads.
func housekeeping() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(10*time.Minute),
		func() (river.JobArgs, *river.InsertOpts) {
			return housekeepingArgs{}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: 10 * time.Minute}}
		}, &river.PeriodicJobOpts{RunOnStart: true})
}

// retryPolicy is for errors of ours, which end when the database is back:
// seconds at first, never more than a minute.
type retryPolicy struct{}

// NextRetry returns when to try the job again.
func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	wait := time.Minute
	if errs := len(job.Errors); errs < 6 {
		wait = time.Second << errs
	}
	return time.Now().UTC().Add(wait)
}
