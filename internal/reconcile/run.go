package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/gate"
)

// Progress is how far a run has come, for somebody who watches.
type Progress struct {
	State   State
	Done    int
	Of      int           // zero while that is not known
	Waiting time.Duration // for the provider, for so long
	Because string        // it is waited for
}

// Begin begins a run. It waits for one whose process may be dead for as long as
// its lease. It returns a *BusyError.
func (s *Service) Begin(ctx context.Context, plan Plan) (Run, error) {
	run, err := s.newRun(ctx, plan)
	if err != nil {
		return Run{}, err
	}
	err = s.outwait(ctx, func() error {
		return s.Store.BeginRun(ctx, run, s.now().Add(lease))
	})
	return run, err
}

func (s *Service) newRun(ctx context.Context, plan Plan) (Run, error) {
	ceiling, err := s.Ceiling(ctx, plan)
	return Run{
		ID: RunID(uuid.Must(uuid.NewV7()).String()), Actor: audit.From(ctx).Actor, State: Reading, Holder: uuid.NewString(),
		StartedAt: s.now(), Unread: -1, Plan: plan, Ceiling: ceiling, Counts: map[Class]Count{},
	}, err
}

// Resume returns the run that was interrupted. It returns ErrNothing, or a
// *BusyError as Begin does.
func (s *Service) Resume(ctx context.Context) (run Run, err error) {
	holder := uuid.NewString()
	err = s.outwait(ctx, func() error {
		now := s.now()
		run, err = s.Store.ResumeRun(ctx, holder, "", now, now.Add(lease))
		return err
	})
	return run, err
}

// outwait tries once more when the lease of a run that is in the way ends.
func (s *Service) outwait(ctx context.Context, try func() error) error {
	err := try()
	busy, ok := errors.AsType[*BusyError](err)
	if !ok {
		return err
	}
	if err := sleep(ctx, busy.Until.Sub(s.now())+time.Millisecond); err != nil {
		return err
	}
	return try()
}

// Finish works on the run until it is done, waiting for the provider as long as
// that takes, and returns it as it is then. It returns a *CeilingError, ErrLost,
// a *gate.ClosedError where only an operator can open the gate, ctx's error, or
// another one of the database's. The run can be resumed after all of them but
// ErrLost.
func (s *Service) Finish(ctx context.Context, run Run, watch func(Progress)) (Run, error) {
	w := &worker{Service: s, run: run, watch: watch}
	defer w.release(ctx)
	for {
		wait, err := w.work(ctx, time.Time{})
		if err != nil || w.run.State == Done {
			return w.run, err
		}
		if w.because == gate.Unauthorized || w.because == gate.Misconfigured { // waiting alone mends neither
			return w.run, &gate.ClosedError{Wait: wait, Because: w.because}
		}
		progress := w.progress()
		progress.Waiting, progress.Because = wait, string(w.because)
		watch(progress)
		if err := w.sleep(ctx, wait); err != nil {
			return w.run, err
		}
	}
}

// worker works on one run.
type worker struct {
	*Service

	run      Run
	watch    func(Progress)
	suspects []Suspect
	repairs  []Finding
	counted  bool // of the state's work, that is
	done, of int
	ending   atomic.Bool
	tried    string      // the finding whose repair was sent and not answered
	size     int         // users a page, once it has shown that it gives fewer
	fails    int         // calls in a row that have told nothing
	because  gate.Reason // why the gate let nobody through
}

// work works on the run until it is done, until a time if one is given, or
// until the provider cannot be called; then it returns when to go on.
func (w *worker) work(ctx context.Context, until time.Time) (wait time.Duration, err error) {
	ctx, stop := w.hold(ctx)
	defer func() {
		if lost := stop(); lost != nil {
			err = lost
		}
	}()
	for w.run.State != Done && (until.IsZero() || w.Now().Before(until)) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		wait, err = w.step(ctx)
		if err != nil || wait > 0 {
			return wait, err
		}
		w.watch(w.progress())
	}
	return 0, nil
}

// step does the next thing that moves the run on.
func (w *worker) step(ctx context.Context) (time.Duration, error) {
	switch w.run.State {
	case Reading:
		return w.read(ctx)
	case Comparing:
		return 0, w.compare(ctx)
	case Confirming:
		return w.confirm(ctx)
	case Repairing:
		return w.repair(ctx)
	case Done, Abandoned:
	}
	return 0, ErrLost
}

func (w *worker) progress() Progress {
	p := Progress{State: w.run.State, Done: w.done, Of: w.of}
	if w.run.State == Reading {
		p.Of = w.run.Total
		p.Done = max(0, w.run.Total-max(w.run.Unread, 0))
		if w.run.Unread < 0 {
			p.Done = 0
		}
	}
	return p
}

// enter moves the run to the state.
func (w *worker) enter(ctx context.Context, state State) error {
	next := w.run
	next.State = state
	if state == Done {
		w.ending.Store(true) // nobody has a run that is done, and nobody has lost it
		var err error
		if next.Counts, err = w.Store.CountFindings(ctx, w.run.ID); err != nil {
			return err
		}
		next.EndedAt = w.now()
	}
	if err := w.Store.SaveRun(ctx, next); err != nil {
		return err
	}
	w.run, w.done, w.of, w.counted = next, 0, 0, false
	if state == Done {
		return w.Store.PurgeRuns(ctx, keptRuns)
	}
	return nil
}

// hold renews the lease until stop, which returns ErrLost if it could not: the
// context is then over before somebody else begins.
func (w *worker) hold(ctx context.Context) (context.Context, func() error) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	run := w.run // which the worker changes meanwhile, but not whose it is
	go func() {
		defer close(ended)
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			err := w.Store.HoldRun(ctx, run, w.now().Add(lease))
			if errors.Is(err, ErrLost) {
				if !w.ending.Load() {
					cancel(ErrLost)
				}
				return
			}
			if err != nil && ctx.Err() == nil {
				w.Log.WarnContext(ctx, "the hold on a reconciliation was not renewed", slog.Any("error", err))
			}
		}
	}()
	return ctx, func() error {
		cancel(nil)
		<-ended
		if cause := context.Cause(ctx); errors.Is(cause, ErrLost) {
			return cause
		}
		return nil
	}
}

// sleep waits, and keeps the run meanwhile.
func (w *worker) sleep(ctx context.Context, wait time.Duration) error {
	held, stop := w.hold(ctx)
	err := sleep(held, wait)
	if lost := stop(); lost != nil {
		return lost
	}
	return err
}

// release ends the lease of a run that is not done, so that nobody has to wait
// for its end.
func (w *worker) release(ctx context.Context) {
	if w.run.State == Done {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeat)
	defer cancel()
	if err := w.Store.HoldRun(ctx, w.run, w.now()); err != nil && !errors.Is(err, ErrLost) {
		w.Log.WarnContext(ctx, "the hold on a reconciliation was not renewed", slog.Any("error", err))
	}
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// The pauses after calls that have told nothing.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 30 * time.Second
)

// ask makes one call through the gate. What it returns as an error is an
// answer; a call that has told nothing is a wait.
func (w *worker) ask(ctx context.Context, call func() error) (wait time.Duration, answer, err error) {
	permit, err := w.Gate.Admit(ctx, gate.Reconcile)
	if closed, ok := errors.AsType[*gate.ClosedError](err); ok {
		w.because = closed.Because
		return max(closed.Wait, time.Millisecond), nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	w.because = ""
	answer = call()
	permit.Done(ctx, answer)
	switch beyondidentity.ClassOf(answer) {
	case "", beyondidentity.NotFound, beyondidentity.Duplicate, beyondidentity.Rejected, beyondidentity.Conflict:
		w.fails = 0
		return 0, answer, nil
	default: // it has told nothing
	}
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	wait = w.pause()
	if failure, ok := errors.AsType[*beyondidentity.Error](answer); ok && failure.RetryAfter > 0 {
		wait = failure.RetryAfter
	}
	return wait, nil, nil
}

// pause is when to call again after another call that has told nothing.
func (w *worker) pause() time.Duration {
	wait := min(firstPause<<min(w.fails, 10), longestPause)
	w.fails++
	return wait
}
