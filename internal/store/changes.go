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
	}).Error
	if err != nil {
		return err
	}
	sqltx, err := sqlTx(tx)
	if err != nil {
		return err
	}
	return s.jobs.EnqueueChange(tx.Statement.Context, sqltx, id)
}

// actorOf is on whose behalf the transaction is.
func actorOf(tx *gorm.DB) string { return audit.From(tx.Statement.Context).Actor }

// recordChange writes the line of a change that is no transition, in the
// transaction that makes it.
func (s *Store) recordChange(tx *gorm.DB, user, action string, at time.Time) error {
	return s.note(tx, audit.Event{At: at, Action: action, UserID: directory.UserID(user)})
}
