package queue

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-id/portico/internal/signup"
)

// The queues. Each has workers of its own, so that slow calls in one do not
// keep the others waiting.
const (
	signupQueue = river.QueueDefault
	resendQueue = "resend"
	mailQueue   = "mail"
	upkeepQueue = "upkeep"
)

// The workers of the queues beside the sign-ups', of one replica.
const (
	resendWorkers = 4
	mailWorkers   = 4
	upkeepWorkers = 2
)

// carry does for a sign-up what can be done now and returns when to call
// again, or zero when nothing is left to do.
type carry func(ctx context.Context, id signup.ID) (again time.Duration, err error)

// work turns a wish to be called again into a snooze, which uses no attempt up.
func (c carry) work(ctx context.Context, id string) error {
	again, err := c(ctx, signup.ID(id))
	if err != nil {
		return err
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// signupArgs are the arguments of a signup job. They name rows and hold no
// personal data, so the queue's tables need no care of their own.
type signupArgs struct {
	SignupID string `json:"signup_id"`
}

// Kind is the job's name in the database.
func (signupArgs) Kind() string { return "signup" }

type signupWorker struct {
	river.WorkerDefaults[signupArgs]

	carry carry
}

// Work carries the sign-up out.
func (w *signupWorker) Work(ctx context.Context, job *river.Job[signupArgs]) error {
	return w.carry.work(ctx, job.Args.SignupID)
}

// resendArgs are the arguments of a resend job.
type resendArgs struct {
	SignupID string `json:"signup_id"`
}

// Kind is the job's name in the database.
func (resendArgs) Kind() string { return "resend" }

// InsertOpts says where the job waits.
func (resendArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: resendQueue} }

type resendWorker struct {
	river.WorkerDefaults[resendArgs]

	carry carry
}

// Work sends the enrolment mail again.
func (w *resendWorker) Work(ctx context.Context, job *river.Job[resendArgs]) error {
	return w.carry.work(ctx, job.Args.SignupID)
}

// noticeArgs are the arguments of a notice job.
type noticeArgs struct {
	SignupID string `json:"signup_id"`
}

// Kind is the job's name in the database.
func (noticeArgs) Kind() string { return "notice" }

// InsertOpts says where the job waits.
func (noticeArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: mailQueue} }

type noticeWorker struct {
	river.WorkerDefaults[noticeArgs]

	carry carry
}

// Work tells the owner of an address of a sign-up with it.
func (w *noticeWorker) Work(ctx context.Context, job *river.Job[noticeArgs]) error {
	return w.carry.work(ctx, job.Args.SignupID)
}

type reconcileArgs struct{}

// Kind is the job's name in the database.
func (reconcileArgs) Kind() string { return "reconcile" }

type reconcileWorker struct {
	river.WorkerDefaults[reconcileArgs]

	reconcile func(ctx context.Context) error
}

// Work mends what the other jobs have left.
func (w *reconcileWorker) Work(ctx context.Context, _ *river.Job[reconcileArgs]) error {
	return w.reconcile(ctx)
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

// The times between two of a periodic job.
const (
	reconcileEvery    = 15 * time.Second
	housekeepingEvery = 10 * time.Minute
)

// periodic are the jobs that run every so often, on one replica: the leader
// inserts them, and one in a period counts.
func periodic() []*river.PeriodicJob {
	every := func(period time.Duration, args river.JobArgs) *river.PeriodicJob {
		return river.NewPeriodicJob(river.PeriodicInterval(period), func() (river.JobArgs, *river.InsertOpts) {
			return args, &river.InsertOpts{
				Queue: upkeepQueue, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByPeriod: period},
			}
		}, &river.PeriodicJobOpts{RunOnStart: true})
	}
	return []*river.PeriodicJob{every(reconcileEvery, reconcileArgs{}), every(housekeepingEvery, housekeepingArgs{})}
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
