package reconcile

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
)

// plan moves a run whose suspects have all been looked at to its repairs, or
// to its end. It returns a *CeilingError where the repairs would be too many,
// at its end.
func (w *worker) plan(ctx context.Context) error {
	if len(w.run.Repair) == 0 {
		return w.enter(ctx, Done)
	}
	counts, err := w.Store.CountFindings(ctx, w.run.ID)
	if err != nil {
		return err
	}
	if err := w.run.Allows(counts); err != nil {
		return errors.Join(err, w.enter(ctx, Done))
	}
	return w.enter(ctx, Repairing)
}

// Allows returns a *CeilingError if the run's plan would repair more of the
// findings than it may.
func (r Run) Allows(counts map[Class]Count) error {
	wanted := 0
	for _, class := range r.Repair {
		wanted += counts[class].Found
	}
	if r.MaxChanges > 0 {
		wanted = min(wanted, r.MaxChanges)
	}
	if wanted > r.Ceiling {
		return &CeilingError{Wanted: wanted, Ceiling: r.Ceiling}
	}
	return nil
}

// repair repairs one difference.
func (w *worker) repair(ctx context.Context) (time.Duration, error) {
	if !w.counted {
		counts, err := w.Store.CountFindings(ctx, w.run.ID)
		if err != nil {
			return 0, err
		}
		for _, class := range w.run.Repair {
			w.of += counts[class].Found
			w.done += counts[class].Repaired
		}
		w.counted = true
	}
	if len(w.repairs) == 0 {
		var err error
		if w.repairs, err = w.Store.NextRepairs(ctx, w.run.ID, w.run.Repair, suspectsAtOnce); err != nil {
			return 0, err
		}
	}
	if len(w.repairs) == 0 || w.run.MaxChanges > 0 && w.done >= w.run.MaxChanges {
		return 0, w.enter(ctx, Done)
	}
	finding, wait, err := w.mend(ctx, w.repairs[0])
	if errors.Is(err, ErrGone) {
		finding.Outcome, err = Gone, w.Store.SettleRepair(ctx, w.run, settled(finding, Gone, ""), w.now())
	}
	if err != nil || wait > 0 {
		return wait, err
	}
	if finding.Outcome == Repaired {
		w.done++
	}
	w.repairs = w.repairs[1:]
	return 0, nil
}

func settled(finding Finding, outcome Outcome, reason string) Finding {
	finding.Outcome, finding.Reason = outcome, reason
	return finding
}

// mend repairs a difference if it is still there, and settles the finding. It
// returns ErrGone if it is not, and then settles nothing.
func (w *worker) mend(ctx context.Context, finding Finding) (Finding, time.Duration, error) {
	if finding.Signup != "" {
		found, err := w.lookAtSignup(ctx, finding.Signup)
		if err == nil && len(found) == 0 {
			err = ErrGone
		}
		if err == nil {
			err = w.Store.JobAgain(ctx, w.run, settled(finding, Repaired, ""), 0, w.now())
		}
		return settled(finding, Repaired, ""), 0, err
	}
	v, wait, err := w.look(ctx, finding.UserID)
	if err != nil || wait > 0 {
		return finding, wait, err
	}
	if !slices.ContainsFunc(v.found, func(f Finding) bool { return f.Class == finding.Class }) {
		if w.tried == finding.ID { // and its answer was lost
			finding = settled(finding, Repaired, "")
			return finding, 0, w.Store.SettleRepair(ctx, w.run, finding, w.now())
		}
		return finding, 0, ErrGone
	}
	repaired := settled(finding, Repaired, "")
	switch finding.Class {
	case AttributesDiffer:
		return repaired, 0, w.Store.SendAgain(ctx, w.run, repaired, v.here.Version, w.now())
	case MissingThere:
		return repaired, 0, w.Store.CreateAgain(ctx, w.run, repaired, v.here, w.now())
	case Stuck:
		return repaired, 0, w.Store.JobAgain(ctx, w.run, repaired, v.here.Version, w.now())
	case StatusDiffers:
		return w.mendStatus(ctx, finding, v)
	case UnknownHere, IDsDiffer, Duplicate:
	}
	return w.refuse(ctx, finding, byOperator)
}

func (w *worker) refuse(ctx context.Context, finding Finding, reason string) (Finding, time.Duration, error) {
	finding = settled(finding, Refused, reason)
	return finding, 0, w.Store.SettleRepair(ctx, w.run, finding, w.now())
}

// mendStatus repairs a status that differs.
func (w *worker) mendStatus(ctx context.Context, finding Finding, v view) (Finding, time.Duration, error) {
	var err error
	switch v.here.Status {
	case directory.Invited, directory.Active:
		_, err = w.Accounts.Suspend(ctx, v.here.ID, v.here.Version)
	case directory.Failed:
		_, err = w.Accounts.Retry(ctx, v.here.ID)
	case directory.Provisioning:
		repaired := settled(finding, Repaired, "")
		return repaired, 0, w.Store.JobAgain(ctx, w.run, repaired, v.here.Version, w.now())
	case directory.Deleted:
		return w.deleteThere(ctx, finding, v)
	case directory.Received, directory.Suspended, directory.Conflict, directory.Deleting:
		err = ErrGone
	}
	if _, other := errors.AsType[*account.StatusError](err); other || errors.Is(err, account.ErrVersion) || errors.Is(err, account.ErrNotFound) {
		err = ErrGone
	}
	if err != nil {
		return finding, 0, err
	}
	finding = settled(finding, Repaired, "")
	return finding, 0, w.Store.SettleRepair(ctx, w.run, finding, w.now())
}

// deleteThere deletes a user at the provider whom we made and have deleted.
// That it is about to be tried is written first.
func (w *worker) deleteThere(ctx context.Context, finding Finding, v view) (Finding, time.Duration, error) {
	if !madeByUs(v.here, *v.there.byExternal) {
		return w.refuse(ctx, finding, "it is not certain that we made them")
	}
	if w.tried != finding.ID {
		if err := w.Store.NoteRepair(ctx, w.run, finding, w.now()); err != nil {
			return finding, 0, err
		}
		w.tried = finding.ID
	}
	wait, answer, err := w.ask(ctx, func() error {
		return w.Provider.DeleteUser(ctx, v.there.byExternal.InternalID)
	})
	if err != nil || wait > 0 {
		return finding, wait, err
	}
	if class := beyondidentity.ClassOf(answer); class != "" && class != beyondidentity.NotFound {
		return w.refuse(ctx, finding, "the provider refuses it: "+string(class))
	}
	finding = settled(finding, Repaired, "")
	return finding, 0, w.Store.SettleRepair(ctx, w.run, finding, w.now())
}
