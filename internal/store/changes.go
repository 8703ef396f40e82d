package store

import (
	"gorm.io/gorm"

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
