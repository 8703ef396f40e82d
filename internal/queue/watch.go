package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Watch sees jobs being inserted and worked. Package telemetry does.
type Watch interface {
	// Carry is what a job that is inserted takes along of ctx, as a JSON object,
	// or "" for nothing.
	Carry(ctx context.Context) string
	// Work is told that a job is worked, with what it took along, and returns
	// what is to be told how that ended.
	Work(ctx context.Context, job Job) (context.Context, func(outcome string, took time.Duration))
}

// Job is a job that is worked, for who watches.
type Job struct {
	Kind    string
	ID      int64
	Attempt int
	Carried []byte
}

// How a job's work ends, for the log and for who watches.
const (
	done    = "done"
	snoozed = "snoozed" // it is called again, as it has asked for
	failed  = "failed"  // it is tried again
	parked  = "parked"  // an operator has to look at it
)

// metadata is what a job takes along of ctx.
func (q *Queue) metadata(ctx context.Context) []byte {
	if q.config.Watch == nil {
		return nil
	}
	if carried := q.config.Watch.Carry(ctx); carried != "" {
		return []byte(carried)
	}
	return nil
}

// caused are the options of a job that ctx is the reason of; nil for the usual
// ones.
func (q *Queue) caused(ctx context.Context) *river.InsertOpts {
	metadata := q.metadata(ctx)
	if metadata == nil {
		return nil
	}
	return &river.InsertOpts{Metadata: metadata}
}

// SignupMetadata is what the job of SignupInsert takes along of ctx, as JSON.
func (q *Queue) SignupMetadata(ctx context.Context) string {
	if metadata := q.metadata(ctx); metadata != nil {
		return string(metadata)
	}
	return "{}"
}

// watched is River's middleware around every job: one line of the log for each,
// and a word to who watches.
func (q *Queue) watched(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
	begun := time.Now()
	ended := func(string, time.Duration) {}
	if q.config.Watch != nil {
		ctx, ended = q.config.Watch.Work(ctx, Job{Kind: job.Kind, ID: job.ID, Attempt: job.Attempt, Carried: job.Metadata})
	}
	err := work(ctx)
	outcome, took := outcomeOf(job, err), time.Since(begun)
	level := slog.LevelInfo
	if job.Queue == upkeepQueue && outcome == done {
		level = slog.LevelDebug // every few seconds, whether there is anything to do or not
	}
	q.told.LogAttrs(ctx, level, "job", slog.String("kind", job.Kind), slog.Int64("job_id", job.ID), slog.String("outcome", outcome),
		slog.Int("attempt", job.Attempt), slog.Int64("duration_us", took.Microseconds()))
	ended(outcome, took)
	return err
}

// outcomeOf says how a job's work has ended.
func outcomeOf(job *rivertype.JobRow, err error) string {
	if err == nil {
		return done
	}
	if _, ok := errors.AsType[*river.JobSnoozeError](err); ok {
		return snoozed
	}
	if isPoison(job, err) {
		return parked
	}
	return failed
}
