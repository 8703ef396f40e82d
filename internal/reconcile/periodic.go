package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/audit"
)

// slice is for how long a job works on a run before another job may go on.
const slice = 20 * time.Second

// Compare does a part of the periodic comparison, which repairs nothing: it
// begins one if the last was begun every ago, or goes on with its own. It
// returns when to call again, or zero when nothing is left to do for now.
func (s *Service) Compare(ctx context.Context, every time.Duration) (again time.Duration, err error) {
	now := s.now()
	run, err := s.Store.ResumeRun(ctx, uuid.NewString(), audit.Portico, now, now.Add(lease))
	if errors.Is(err, ErrNothing) {
		run, err = s.beginDue(ctx, every)
	}
	if _, busy := errors.AsType[*BusyError](err); busy || err != nil || run.ID == "" {
		if busy {
			err = nil
		}
		return 0, err
	}
	w := &worker{Service: s, run: run, watch: func(Progress) {}}
	defer w.release(ctx)
	wait, err := w.work(ctx, now.Add(slice))
	switch {
	case errors.Is(err, ErrLost):
		return 0, nil // somebody has begun another
	case err != nil:
		return 0, err
	case w.run.State != Done:
		return max(wait, time.Millisecond), nil
	}
	s.report(ctx, w.run)
	return 0, nil
}

// beginDue begins a run if it is time.
func (s *Service) beginDue(ctx context.Context, every time.Duration) (Run, error) {
	last, err := s.Store.LastRun(ctx)
	if err != nil || s.now().Sub(last) < every {
		return Run{}, err
	}
	run, err := s.newRun(ctx, Plan{})
	if err != nil {
		return Run{}, err
	}
	return run, s.Store.BeginRun(ctx, run, s.now().Add(lease))
}

// report says how the directories compare.
func (s *Service) report(ctx context.Context, run Run) {
	about := []any{
		slog.String("reconciliation_id", string(run.ID)), slog.Int("users_there", run.Total),
		slog.Float64("took_s", run.EndedAt.Sub(run.StartedAt).Seconds()),
	}
	if run.Differences() == 0 {
		s.Log.InfoContext(ctx, "the directories agree", about...)
		return
	}
	for _, class := range Classes() {
		if n := run.Counts[class].Found; n > 0 {
			about = append(about, slog.Int(string(class), n))
		}
	}
	s.Log.WarnContext(ctx, "the directories differ: portico reconcile shows in what", about...)
}
