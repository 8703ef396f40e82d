package queue

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-id/portico/internal/directory"
)

// mostFaults is how often a job may fail by a fault of its own before it is
// parked. Failures because the database is away are no faults.
const mostFaults = 10

// ParkError says that the job can never succeed.
type ParkError struct{ Cause error }

// Error returns the cause's text.
func (e *ParkError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *ParkError) Unwrap() error { return e.Cause }

// panicError is a panic as an error. The panic's own text may hold anything,
// so that only the place is kept, in the log and with the job.
type panicError struct{ trace string }

// Error returns the place.
func (e *panicError) Error() string { return "panicked: " + e.trace }

// calm is River's middleware around every job: left to itself, River logs a
// panic's text.
func calm(ctx context.Context, _ *rivertype.JobRow, work func(context.Context) error) (err error) {
	defer func() {
		if recover() != nil {
			err = &panicError{trace: string(debug.Stack())}
		}
	}()
	return work(ctx)
}

// poison parks jobs that fail again and again, so that the rest go on: they
// stay in the queue's table as cancelled, with their errors, and the log says
// so once.
type poison struct{ log *slog.Logger }

// HandleError parks a job after too many faults.
func (p poison) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	if !isPoison(job, err) {
		return nil
	}
	return p.park(ctx, job, err)
}

// isPoison reports whether a job that fails with err is to be parked.
func isPoison(job *rivertype.JobRow, err error) bool {
	if _, ok := errors.AsType[*ParkError](err); ok {
		return true
	}
	return !outage(err) && faults(job)+1 >= mostFaults
}

// HandlePanic is not called for jobs, whose panics are errors by then.
func (p poison) HandlePanic(ctx context.Context, job *rivertype.JobRow, _ any, trace string) *river.ErrorHandlerResult {
	return p.HandleError(ctx, job, &panicError{trace})
}

func (p poison) park(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	p.log.ErrorContext(ctx, "job is parked: an operator has to look at it", append(about(job), slog.Any("error", err))...)
	return &river.ErrorHandlerResult{SetCancelled: true}
}

// outage reports whether err is no fault of the job's.
func outage(err error) bool {
	return errors.Is(err, directory.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// faults counts the job's earlier failures that were its own. The queue keeps
// their texts only.
func faults(job *rivertype.JobRow) (n int) {
	for _, failure := range job.Errors {
		if !strings.Contains(failure.Error, directory.ErrUnavailable.Error()) &&
			!strings.Contains(failure.Error, context.Canceled.Error()) &&
			!strings.Contains(failure.Error, context.DeadlineExceeded.Error()) {
			n++
		}
	}
	return n
}

func about(job *rivertype.JobRow) []any {
	return []any{slog.String("kind", job.Kind), slog.Int64("job_id", job.ID)}
}
