package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/reconcile"
)

// reconciliationRow is a row of reconciliations.
type reconciliationRow struct {
	ID         string     `gorm:"column:id;primaryKey"`
	Actor      string     `gorm:"column:actor"`
	State      string     `gorm:"column:state"`
	Running    *bool      `gorm:"column:running"`
	Holder     string     `gorm:"column:holder"`
	HeldUntil  time.Time  `gorm:"column:held_until"`
	StartedAt  time.Time  `gorm:"column:started_at"`
	EndedAt    *time.Time `gorm:"column:ended_at"`
	Total      int64      `gorm:"column:total"`
	Unread     *int64     `gorm:"column:unread"`
	Repair     string     `gorm:"column:repair"`
	MaxChanges int64      `gorm:"column:max_changes"`
	Ceiling    int64      `gorm:"column:ceiling"`
	Counts     string     `gorm:"column:counts"`
}

func (reconciliationRow) TableName() string { return "reconciliations" }

func rowOfRun(run reconcile.Run) (reconciliationRow, error) {
	counts, err := json.Marshal(run.Counts)
	if err != nil {
		return reconciliationRow{}, err
	}
	repair := make([]string, len(run.Repair))
	for i, class := range run.Repair {
		repair[i] = string(class)
	}
	row := reconciliationRow{
		ID: string(run.ID), Actor: run.Actor, State: string(run.State), Holder: run.Holder,
		StartedAt: storedTime(run.StartedAt), EndedAt: storedTimeOrNull(run.EndedAt), Total: int64(run.Total),
		Repair: strings.Join(repair, ","), MaxChanges: int64(run.MaxChanges), Ceiling: int64(run.Ceiling), Counts: string(counts),
	}
	if run.EndedAt.IsZero() {
		running := true
		row.Running = &running
	}
	if run.Unread >= 0 {
		unread := int64(run.Unread)
		row.Unread = &unread
	}
	return row, nil
}

func (r reconciliationRow) run() (reconcile.Run, error) {
	run := reconcile.Run{
		ID: reconcile.RunID(r.ID), Actor: r.Actor, State: reconcile.State(r.State), Holder: r.Holder,
		StartedAt: r.StartedAt.UTC(), EndedAt: orZero(r.EndedAt), Total: int(r.Total), Unread: -1,
		Plan: reconcile.Plan{MaxChanges: int(r.MaxChanges)}, Ceiling: int(r.Ceiling),
	}
	if r.Unread != nil {
		run.Unread = int(*r.Unread)
	}
	if r.Repair != "" {
		for class := range strings.SplitSeq(r.Repair, ",") {
			run.Repair = append(run.Repair, reconcile.Class(class))
		}
	}
	if err := json.Unmarshal([]byte(r.Counts), &run.Counts); err != nil {
		return reconcile.Run{}, fmt.Errorf("reconciliations.counts: %w", err)
	}
	return run, nil
}

// BeginRun stores the run and gives it to its holder; one that was interrupted
// is abandoned. It returns a *reconcile.BusyError.
func (s *Store) BeginRun(ctx context.Context, run reconcile.Run, until time.Time) error {
	row, err := rowOfRun(run)
	if err != nil {
		return err
	}
	row.HeldUntil = storedTime(until)
	err = s.transact(ctx, func(tx *gorm.DB) error {
		other, err := runningRun(tx, run.StartedAt)
		if err != nil {
			return err
		}
		if other.ID != "" {
			err := tx.Model(&reconciliationRow{}).Where("id = ?", other.ID).Updates(map[string]any{
				"state": string(reconcile.Abandoned), "running": nil, "ended_at": row.StartedAt,
			}).Error
			if err == nil {
				err = forgetCopies(tx, other.ID)
			}
			if err != nil {
				return err
			}
		}
		return tx.Create(&row).Error
	})
	if violates(err, "reconciliations_running_key") {
		// Another was begun at the same moment.
		return &reconcile.BusyError{Actor: run.Actor, Since: run.StartedAt, Until: until}
	}
	return err
}

// runningRun returns the run that has not ended, locked, or an empty one. It
// returns a *reconcile.BusyError while its lease lasts.
func runningRun(tx *gorm.DB, at time.Time) (reconciliationRow, error) {
	var row reconciliationRow
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("running = ?", true).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return reconciliationRow{}, nil
	}
	if err == nil && row.HeldUntil.After(at) {
		return row, &reconcile.BusyError{Actor: row.Actor, Since: row.StartedAt, Until: row.HeldUntil}
	}
	return row, err
}

// forgetCopies removes what a run has copied: people's data, of no more use.
func forgetCopies(tx *gorm.DB, id string) error {
	if err := tx.Exec(`DELETE FROM reconciliation_suspects WHERE run_id = ?`, id).Error; err != nil {
		return err
	}
	return tx.Exec(`DELETE FROM reconciliation_users WHERE run_id = ?`, id).Error
}

// ResumeRun gives the run that was interrupted to the holder, if it is the
// actor's, where one is named. It returns reconcile.ErrNothing or a
// *reconcile.BusyError.
func (s *Store) ResumeRun(ctx context.Context, holder, actor string, at, until time.Time) (run reconcile.Run, err error) {
	err = s.transact(ctx, func(tx *gorm.DB) error {
		row, err := runningRun(tx, at)
		if err != nil {
			return err
		}
		if row.ID == "" || actor != "" && row.Actor != actor {
			return reconcile.ErrNothing
		}
		row.Holder = holder
		if run, err = row.run(); err != nil {
			return err
		}
		return tx.Model(&reconciliationRow{}).Where("id = ?", row.ID).
			Updates(map[string]any{"holder": holder, "held_until": storedTime(until)}).Error
	})
	return run, err
}

// HoldRun renews the holder's lease.
func (s *Store) HoldRun(ctx context.Context, run reconcile.Run, until time.Time) error {
	return translate(changeRun(s.db.WithContext(ctx), run, map[string]any{"held_until": storedTime(until)}))
}

// changeRun changes a run whose holder still has it. It returns
// reconcile.ErrLost.
func changeRun(tx *gorm.DB, run reconcile.Run, change map[string]any) error {
	changed := tx.Model(&reconciliationRow{}).
		Where("id = ?", string(run.ID)).Where("holder = ?", run.Holder).Where("running = ?", true).
		Updates(change)
	if changed.Error == nil && changed.RowsAffected == 0 {
		return reconcile.ErrLost
	}
	return changed.Error
}

// saveRun is SaveRun within a transaction.
func saveRun(tx *gorm.DB, run reconcile.Run) error {
	row, err := rowOfRun(run)
	if err != nil {
		return err
	}
	return changeRun(tx, run, map[string]any{
		"state": row.State, "running": row.Running, "ended_at": row.EndedAt,
		"total": row.Total, "unread": row.Unread, "counts": row.Counts,
	})
}

// SaveRun stores how far the run has come. One that has ended frees its place,
// and what it has copied is removed.
func (s *Store) SaveRun(ctx context.Context, run reconcile.Run) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		if err := saveRun(tx, run); err != nil || run.EndedAt.IsZero() {
			return err
		}
		return forgetCopies(tx, string(run.ID))
	})
}

// LastRun returns when the latest run was begun, or the zero time.
func (s *Store) LastRun(ctx context.Context) (time.Time, error) {
	var rows []reconciliationRow
	err := s.db.WithContext(ctx).Order("started_at DESC").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return time.Time{}, translate(err)
	}
	return rows[0].StartedAt.UTC(), nil
}

// PurgeRuns removes all runs but the latest that have ended, with their
// findings.
func (s *Store) PurgeRuns(ctx context.Context, keep int) error {
	return translate(s.db.WithContext(ctx).Exec(`
		DELETE FROM reconciliations WHERE ended_at IS NOT NULL AND id NOT IN (
			SELECT id FROM reconciliations WHERE ended_at IS NOT NULL ORDER BY started_at DESC LIMIT ?)`, keep).Error)
}

// reconciliationUserRow is a row of reconciliation_users.
type reconciliationUserRow struct {
	RunID          string `gorm:"column:run_id;primaryKey"`
	InternalID     string `gorm:"column:internal_id;primaryKey"`
	ExternalID     string `gorm:"column:external_id"`
	Email          string `gorm:"column:email"`
	EmailCanonical string `gorm:"column:email_canonical"`
	DisplayName    string `gorm:"column:display_name"`
	State          string `gorm:"column:state"`
}

func (reconciliationUserRow) TableName() string { return "reconciliation_users" }

// stagedAtOnce keeps a statement within SQLite's number of parameters.
const stagedAtOnce = 500

// StageUsers stores a page of the provider's users, and with it how far the run
// has come. Of one who is met twice the later is kept.
func (s *Store) StageUsers(ctx context.Context, run reconcile.Run, users []beyondidentity.User) error {
	rows := make([]reconciliationUserRow, 0, len(users))
	for _, user := range users {
		rows = append(rows, reconciliationUserRow{
			RunID: string(run.ID), InternalID: storable(string(user.InternalID)), ExternalID: storable(string(user.ExternalID)),
			Email: storable(user.Email), EmailCanonical: storable(reconcile.Canonical(user.Email)),
			DisplayName: storable(user.DisplayName), State: storable(strings.ToUpper(user.Status)),
		})
	}
	return s.transact(ctx, func(tx *gorm.DB) error {
		if err := saveRun(tx, run); err != nil || len(rows) == 0 {
			return err
		}
		return tx.Clauses(clause.OnConflict{UpdateAll: true}).CreateInBatches(rows, stagedAtOnce).Error
	})
}

// longestText is the most that an index of Postgres takes, and some.
const longestText = 1024

// storable is text of the provider's as any database takes it. What is changed
// or cut for it is nobody's key.
func storable(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
	if len(text) > longestText {
		text = strings.ToValidUTF8(text[:longestText], "") + "…"
	}
	return text
}

// CountUsers returns how many users there are here, tombstones not counted.
func (s *Store) CountUsers(ctx context.Context) (int, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&userRow{}).Where("status <> ?", string(directory.Deleted)).Count(&n).Error
	return int(n), translate(err)
}
