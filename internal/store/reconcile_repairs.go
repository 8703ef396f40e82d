package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/signup"
)

// SettleRepair stores what became of the finding's repair, and of one that was made a
// line of the audit.
func (s *Store) SettleRepair(ctx context.Context, run reconcile.Run, finding reconcile.Finding, at time.Time) error {
	return s.transact(ctx, func(tx *gorm.DB) error { return s.settle(tx, run, finding, at) })
}

func (s *Store) settle(tx *gorm.DB, run reconcile.Run, finding reconcile.Finding, at time.Time) error {
	if err := changeRun(tx, run, map[string]any{"state": string(run.State)}); err != nil {
		return err
	}
	settled := tx.Model(&findingRow{}).Where("id = ?", finding.ID).Where("outcome IS NULL").Updates(map[string]any{
		"outcome": string(finding.Outcome), "reason": orNull(finding.Reason), "settled_at": storedTime(at),
	})
	if settled.Error != nil || settled.RowsAffected == 0 || finding.Outcome != reconcile.Repaired {
		return settled.Error
	}
	return s.noteRepair(tx, run, finding, "user.reconciled", at)
}

// NoteRepair writes that a repair is about to be tried at the provider.
func (s *Store) NoteRepair(ctx context.Context, run reconcile.Run, finding reconcile.Finding, at time.Time) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		if err := changeRun(tx, run, map[string]any{"state": string(run.State)}); err != nil {
			return err
		}
		return s.noteRepair(tx, run, finding, "user.reconciling", at)
	})
}

// noteRepair writes the audit's line of a repair.
func (s *Store) noteRepair(tx *gorm.DB, run reconcile.Run, finding reconcile.Finding, action string, at time.Time) error {
	return s.note(tx, audit.Event{
		At: at, Action: action, UserID: finding.UserID, SignupID: string(finding.Signup), Class: string(finding.Class),
		Target: audit.Target{Kind: "reconciliation", ID: string(run.ID)},
	})
}

// mend changes a user who is still of the version, by do, and settles the
// finding. It returns reconcile.ErrGone where the user is another by now.
func (s *Store) mend(
	ctx context.Context, run reconcile.Run, finding reconcile.Finding, version int64, at time.Time, do func(tx *gorm.DB, user userRow) error,
) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		var user userRow
		err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).
			Where("id = ?", string(finding.UserID)).Where("version = ?", version).Take(&user).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return reconcile.ErrGone
		}
		if err != nil {
			return err
		}
		if err := s.settle(tx, run, finding, at); err != nil {
			return err
		}
		return do(tx, user)
	})
}

// SendAgain has the change job send the provider what is known here of the
// user. It returns reconcile.ErrGone where they are another by now.
func (s *Store) SendAgain(ctx context.Context, run reconcile.Run, finding reconcile.Finding, version int64, at time.Time) error {
	return s.mend(ctx, run, finding, version, at, func(tx *gorm.DB, user userRow) error {
		return s.wantSync(tx, directory.UserID(user.ID))
	})
}

// CreateAgain takes the internal_id, which means nothing any more, from the
// user, with the end of their sessions, and has one whom we made created again.
// One whom the provider had before us ends in conflict; one who is suspended
// stays so. It returns reconcile.ErrGone where they are another by now.
func (s *Store) CreateAgain(ctx context.Context, run reconcile.Run, finding reconcile.Finding, here reconcile.Here, at time.Time) error {
	return s.mend(ctx, run, finding, here.Version, at, func(tx *gorm.DB, user userRow) error {
		from, to := directory.Status(user.Status), directory.Provisioning
		switch {
		case from == directory.Suspended:
			to = from
		case !user.MadeThere:
			to = directory.Conflict
		}
		err := tx.Model(&userRow{}).Where("id = ?", user.ID).Updates(map[string]any{
			"status": string(to), "internal_id": nil, "issuer": nil, "subject": nil, "activated_at": nil, "check_at": nil,
			"sync": string(directory.SyncSynced), "sync_error_class": nil, "sync_ambiguous_until": nil,
			"provision_ambiguous_until": nil, "provision_last_error_class": classMissing(to), "updated_at": storedTime(at),
			// Whoever has been asked for before is looked for before they are
			// created again.
			"provision_attempt": max(user.ProvisionAttempt, 1),
		}).Error
		if err != nil || from == to {
			return err
		}
		if err := s.shutOut(tx, user); err != nil {
			return err
		}
		err = s.record(tx, transition{at: at, user: user.ID, from: from, to: to, class: string(reconcile.MissingThere)})
		if err != nil || to != directory.Provisioning {
			return err
		}
		return s.enrolAgain(tx, user.ID)
	})
}

// classMissing is why a user is in conflict whom the provider had before us.
func classMissing(to directory.Status) *string {
	if to != directory.Conflict {
		return nil
	}
	return orNull(string(reconcile.MissingThere))
}

// JobAgain gives a user who waits for the provider, or whose change does,
// another job; or a sign-up, where the finding names one. It returns
// reconcile.ErrGone where the user is another by now.
func (s *Store) JobAgain(ctx context.Context, run reconcile.Run, finding reconcile.Finding, version int64, at time.Time) error {
	if finding.Signup != "" {
		return s.transact(ctx, func(tx *gorm.DB) error {
			if err := s.settle(tx, run, finding, at); err != nil {
				return err
			}
			return s.signUpAgain(tx, finding.Signup)
		})
	}
	return s.mend(ctx, run, finding, version, at, func(tx *gorm.DB, user userRow) error {
		switch directory.Status(user.Status) {
		case directory.Received, directory.Provisioning:
			return s.enrolAgain(tx, user.ID)
		default:
			if user.Sync != string(directory.SyncPending) {
				return s.wantSync(tx, directory.UserID(user.ID))
			}
			return s.enqueueChange(tx, directory.UserID(user.ID))
		}
	})
}

// enrolAgain inserts the job that carries the user to the provider: their
// sign-up's, if that is not settled, as it settles it too.
func (s *Store) enrolAgain(tx *gorm.DB, userID string) error {
	var made []signupRow
	err := tx.Where("user_id = ?", userID).Where("kind = ?", string(signup.New)).Where("settled_at IS NULL").
		Limit(1).Find(&made).Error
	if err != nil {
		return err
	}
	if len(made) > 0 {
		return s.signUpAgain(tx, signup.ID(made[0].ID))
	}
	sqltx, err := sqlTx(tx)
	if err != nil {
		return err
	}
	return s.jobs.EnqueueEnrol(tx.Statement.Context, sqltx, directory.UserID(userID))
}

func (s *Store) signUpAgain(tx *gorm.DB, id signup.ID) error {
	sqltx, err := sqlTx(tx)
	if err != nil {
		return err
	}
	return s.jobs.EnqueueSignup(tx.Statement.Context, sqltx, id)
}
