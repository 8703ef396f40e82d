package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store"
)

type reconcileCmd struct {
	Config `embed:""`

	Output     string        `help:"How the differences are shown: table, json or csv." enum:"table,json,csv" default:"table"`
	Repair     string        `help:"Classes to repair, comma-separated: attributes_differ, status_differs, stuck, or all, which is these; and missing_there, which mails those who are created again." placeholder:"CLASS"`
	DryRun     bool          `help:"Repair nothing, and say how much there would be."`
	MaxChanges int           `help:"Repair no more than so many differences, and leave the rest for another run." placeholder:"N"`
	MaxPercent float64       `help:"Repair nothing if that would touch more than this part of the directory, and more than ten users." default:"5"`
	StuckAfter time.Duration `help:"Who waits for longer than this is stuck." default:"1h"`
	Resume     bool          `help:"Go on with the run that was interrupted, and with what it was to repair."`
}

// Run compares the directories, and repairs what was asked for.
func (cmd reconcileCmd) Run(ctx context.Context, env environment, out streams) error {
	plan, err := cmd.plan()
	if err != nil {
		return &UsageError{err}
	}
	config := cmd.Config
	env.files(&config)
	if _, err := config.check(); err != nil {
		return &UsageError{err}
	}
	if config.BeyondLookup != lookupV2 {
		return &UsageError{errors.New("PORTICO_BEYOND_LOOKUP is not v2: users cannot be looked up at the provider, so there is nothing to compare with")}
	}
	ctx = audit.With(ctx, audit.Origin{Actor: audit.Operator(operator())})
	return databaseFlags{DatabaseURL: config.DatabaseURL}.use(ctx, env, func(db *store.DB) error {
		ok, err := current(ctx, db)
		if err != nil {
			return err
		}
		if !ok {
			return errOldSchema
		}
		return cmd.reconcile(ctx, config, db, plan, out)
	})
}

// plan reads what is to be repaired.
func (cmd reconcileCmd) plan() (reconcile.Plan, error) {
	classes, err := reconcile.ParseClasses(cmd.Repair)
	switch {
	case err != nil:
		return reconcile.Plan{}, fmt.Errorf("--repair: %w", err)
	case cmd.Resume && (cmd.Repair != "" || cmd.DryRun):
		return reconcile.Plan{}, errors.New("--resume repairs what the run was to repair: leave --repair and --dry-run out")
	case cmd.DryRun && len(classes) == 0:
		return reconcile.Plan{}, errors.New("--dry-run is for --repair: without that, nothing is changed in any case")
	case cmd.MaxChanges < 0:
		return reconcile.Plan{}, errors.New("--max-changes must not be negative")
	case !(cmd.MaxPercent > 0 && cmd.MaxPercent <= 100):
		return reconcile.Plan{}, errors.New("--max-percent must be more than 0, and 100 at most")
	case cmd.StuckAfter < time.Minute:
		return reconcile.Plan{}, errors.New("--stuck-after must be at least a minute")
	}
	return reconcile.Plan{Repair: classes, MaxChanges: cmd.MaxChanges, MaxPercent: cmd.MaxPercent}, nil
}

func (cmd reconcileCmd) reconcile(ctx context.Context, config Config, db *store.DB, plan reconcile.Plan, out streams) error {
	log := slog.New(utc{slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})})
	q, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Log: log})
	if err != nil {
		return err
	}
	beyond, err := newBeyond(config)
	if err != nil {
		return err
	}
	defer beyond.CloseIdle()
	stored := store.New(db, q)
	service := newReconcile(stored, q, beyond, newGate(config, stored, log), log)
	service.StuckAfter = cmd.StuckAfter
	run, err := cmd.begin(ctx, service, plan)
	if err != nil {
		return err
	}
	watch := &reconcileWatch{progress: newProgress(out.stderr)}
	run, err = service.Finish(ctx, run, watch.at)
	watch.progress.end()
	if run.State != reconcile.Done {
		return fmt.Errorf("%w (portico reconcile --resume goes on)", err)
	}
	if printed := printReconciliation(ctx, stored, run, cmd.Output, out); printed != nil {
		return printed
	}
	if err != nil {
		return err
	}
	if cmd.DryRun {
		return cmd.wouldRepair(ctx, service, run, plan, out)
	}
	return left(run)
}

func (cmd reconcileCmd) begin(ctx context.Context, service *reconcile.Service, plan reconcile.Plan) (reconcile.Run, error) {
	switch {
	case cmd.Resume:
		return service.Resume(ctx)
	case cmd.DryRun:
		return service.Begin(ctx, reconcile.Plan{})
	default:
		return service.Begin(ctx, plan)
	}
}

// wouldRepair says what the run would have repaired.
func (cmd reconcileCmd) wouldRepair(
	ctx context.Context, service *reconcile.Service, run reconcile.Run, plan reconcile.Plan, out streams,
) error {
	ceiling, err := service.Ceiling(ctx, plan)
	if err != nil {
		return err
	}
	run.Plan, run.Ceiling = plan, ceiling
	if err := run.Allows(run.Counts); err != nil {
		return err
	}
	would := 0
	for _, class := range plan.Repair {
		would += run.Counts[class].Found
	}
	if plan.MaxChanges > 0 {
		would = min(would, plan.MaxChanges)
	}
	if _, err := fmt.Fprintf(out.stderr, "%d differences would be repaired, of %d that may be\n", would, ceiling); err != nil {
		return err
	}
	return left(run)
}

// left is how the command ends: with an error if differences are left.
func left(run reconcile.Run) error {
	n := 0
	for _, count := range run.Counts {
		n += count.Found - count.Repaired - count.Gone
	}
	if n > 0 {
		return &DifferencesError{Left: n}
	}
	return nil
}

// reconcileWatch shows how far a run is.
type reconcileWatch struct {
	progress *progress
	state    reconcile.State
	of       int
	waited   string
}

// phases are what a run's states are called.
func phases(state reconcile.State) string {
	switch state {
	case reconcile.Reading:
		return "reading users there"
	case reconcile.Comparing:
		return "comparing"
	case reconcile.Confirming:
		return "looking at suspects"
	case reconcile.Repairing:
		return "repairing"
	case reconcile.Done, reconcile.Abandoned:
	}
	return ""
}

func (w *reconcileWatch) at(p reconcile.Progress) {
	if p.Waiting > 0 {
		if p.Because != "" && p.Because != w.waited {
			_, _ = fmt.Fprintf(w.progress.out, "waiting for the provider: %s\n", p.Because)
		}
		w.waited = p.Because
		return
	}
	if name := phases(p.State); name != "" && (p.State != w.state || p.Of != w.of) {
		w.progress.phase(name, int64(p.Of))
	}
	w.state, w.of = p.State, p.Of
	if w.state != reconcile.Done {
		w.progress.at(int64(p.Done))
	}
}
