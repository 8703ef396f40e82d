package queue

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// yieldFor is how soon whoever works the queue next goes on with the upkeep.
const yieldFor = time.Second

// yielding is River's middleware around every job: it ends one of the upkeep as
// soon as the queue is to stop. Nobody waits for what it does, it can have a
// whole directory to look at, and another replica goes on where it was.
func (q *Queue) yielding(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
	if job.Queue != upkeepQueue {
		return work(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := context.AfterFunc(q.leaving, cancel) //nolint:contextcheck // the end of the queue, beside that of the job
	defer done()
	err := work(ctx)
	if errors.Is(err, context.Canceled) && q.leaving.Err() != nil {
		return river.JobSnooze(yieldFor)
	}
	return err
}
