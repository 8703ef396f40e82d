package store

import (
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
)

// wantSync notes that something of the user is to be carried to the provider
// and inserts the job that does, in the transaction that causes it. What is
// still under way is not waited for: its job finds that there is more.
func (s *Store) wantSync(tx *gorm.DB, id directory.UserID) error {
	err := tx.Model(&userRow{}).Where("id = ?", string(id)).UpdateColumns(map[string]any{
		"sync": string(directory.SyncPending), "sync_change": gorm.Expr("sync_change + 1"), "sync_error_class": nil,
		"sync_since": storedTime(tx.NowFunc()),
	}).Error
	if err != nil {
		return err
	}
	return s.enqueueChange(tx, id)
}

// enqueueChange inserts the job that carries what has changed of the user.
func (s *Store) enqueueChange(tx *gorm.DB, id directory.UserID) error {
	sqltx, err := sqlTx(tx)
	if err != nil {
		return err
	}
	return s.jobs.EnqueueChange(tx.Statement.Context, sqltx, id)
}

// recordChange writes the line of a change that is no transition, in the
// transaction that makes it.
func (s *Store) recordChange(tx *gorm.DB, user, action string, at time.Time) error {
	return s.note(tx, audit.Event{At: at, Action: action, UserID: directory.UserID(user)})
}

// recordValues does the same, with what changes of what is shown.
func (s *Store) recordValues(tx *gorm.DB, user userRow, action string, at time.Time, change map[string]any) error {
	before, after := shownValues(user, change)
	return s.note(tx, audit.Event{At: at, Action: action, UserID: directory.UserID(user.ID), Before: before, After: after})
}

// shownValues are what a change makes of what is shown of a user, by the names
// of the contract, and what that was before.
func shownValues(user userRow, change map[string]any) (before, after audit.Values) {
	before, after = make(audit.Values), make(audit.Values)
	for name, was := range map[string]any{
		"email": user.Email, "display_name": user.DisplayName, "locale": user.Locale, "internal_id": user.InternalID,
		"delete_after": user.DeleteAfter, "adopt_internal_id": user.AdoptInternalID,
	} {
		if is, changed := change[name]; changed {
			before[name], after[name] = was, is
		}
	}
	return before, after
}
