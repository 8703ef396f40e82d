package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/signup"
)

// The statements that say who is suspected. What they let through is looked at
// one by one: they may name too many, and none too few.
const (
	suspectUsers     = `INSERT INTO reconciliation_suspects (run_id, kind, subject) SELECT @run, 'user', `
	suspectStrangers = `INSERT INTO reconciliation_suspects (run_id, kind, subject) SELECT @run, 'stranger', `
	suspectSignups   = `INSERT INTO reconciliation_suspects (run_id, kind, subject) SELECT @run, 'signup', `
	suspectOnce      = ` ON CONFLICT DO NOTHING`

	// Whom we think to be there under an internal_id: not seen, or otherwise.
	otherThere = ` FROM users u
		LEFT JOIN reconciliation_users t ON t.run_id = @run AND t.internal_id = u.internal_id
		WHERE u.internal_id IS NOT NULL AND (
			u.status IN ('invited', 'active', 'suspended') AND (
				t.internal_id IS NULL
				OR u.sync <> 'pending' AND t.email_canonical <> u.email_canonical AND lower(t.email) <> lower(u.email)
				OR u.sync <> 'pending' AND t.display_name <> u.display_name
					AND (u.display_name <> '' OR u.made_there AND lower(t.display_name) <> lower(u.email)))
			OR u.status IN ('invited', 'active') AND t.state = 'SUSPENDED'
			OR u.status IN ('invited', 'active', 'suspended', 'deleting') AND t.external_id <> u.external_id)`

	// Whom somebody there has the external_id of, who should not.
	there = ` FROM reconciliation_users t JOIN users u ON u.external_id = t.external_id
		WHERE t.run_id = @run AND (
			u.internal_id IS NOT NULL AND u.internal_id <> t.internal_id
			OR u.status IN ('failed', 'provisioning')
			OR u.status = 'deleted' AND u.made_there)`

	// Whom several there have the external_id of.
	severalThere = ` FROM users u WHERE u.external_id IN (
			SELECT external_id FROM reconciliation_users WHERE run_id = @run GROUP BY external_id HAVING count(*) > 1)
		AND (u.status <> 'deleted' OR u.made_there)`

	// Of whom nobody here knows.
	strangers = ` FROM reconciliation_users t
		WHERE t.run_id = @run
		AND NOT EXISTS (SELECT 1 FROM users u WHERE u.external_id = t.external_id)
		AND NOT EXISTS (SELECT 1 FROM users u WHERE u.internal_id = t.internal_id)`

	// Who waits for longer than they should. Since when is looked at later.
	waiting = ` FROM users u
		WHERE u.status IN ('received', 'provisioning') AND u.created_at < @before
			AND NOT (@importing AND u.origin = 'import' AND u.status = 'received')
		OR u.status = 'deleting' AND u.delete_after < @before
		OR u.sync = 'pending' AND u.internal_id IS NOT NULL AND u.status NOT IN ('deleting', 'deleted')
			AND coalesce(u.sync_since, u.updated_at) < @before`

	unsettled = ` FROM signups s LEFT JOIN users u ON u.id = s.user_id
		WHERE s.settled_at IS NULL AND s.created_at < @before
		AND (u.id IS NULL OR u.status NOT IN ('received', 'provisioning'))`
)

// CompareDirectories stores who is suspected of a difference, and with it that they are.
func (s *Store) CompareDirectories(ctx context.Context, run reconcile.Run, bounds reconcile.Bounds) error {
	args := map[string]any{"run": string(run.ID), "before": storedTime(bounds.StuckBefore), "importing": bounds.Importing}
	return s.transact(ctx, func(tx *gorm.DB) error {
		if err := saveRun(tx, run); err != nil {
			return err
		}
		if s.db.Name() == string(Postgres) {
			// The copies were made just now, and the planner knows nothing of them.
			if err := tx.Exec(`ANALYZE reconciliation_users`).Error; err != nil {
				return err
			}
		}
		for _, statement := range []string{
			suspectUsers + `CAST(u.id AS text)` + otherThere + suspectOnce,
			suspectUsers + `CAST(u.id AS text)` + there + suspectOnce,
			suspectUsers + `CAST(u.id AS text)` + severalThere + suspectOnce,
			suspectUsers + `CAST(u.id AS text)` + waiting + suspectOnce,
			suspectStrangers + `t.internal_id` + strangers + suspectOnce,
			suspectSignups + `CAST(s.id AS text)` + unsettled + suspectOnce,
		} {
			if err := tx.Exec(statement, args).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// suspectRow is a row of reconciliation_suspects.
type suspectRow struct {
	RunID   string `gorm:"column:run_id;primaryKey"`
	Kind    string `gorm:"column:kind;primaryKey"`
	Subject string `gorm:"column:subject;primaryKey"`
}

func (suspectRow) TableName() string { return "reconciliation_suspects" }

// NextSuspects returns some of those who are still to be looked at.
func (s *Store) NextSuspects(ctx context.Context, run reconcile.RunID, limit int) ([]reconcile.Suspect, error) {
	var rows []suspectRow
	err := s.db.WithContext(ctx).Where("run_id = ?", string(run)).Order("kind, subject").Limit(limit).Find(&rows).Error
	suspects := make([]reconcile.Suspect, len(rows))
	for i, row := range rows {
		suspects[i] = reconcile.Suspect{Kind: reconcile.SuspectKind(row.Kind), Subject: row.Subject}
	}
	return suspects, translate(err)
}

// CountSuspects returns how many are still to be looked at.
func (s *Store) CountSuspects(ctx context.Context, run reconcile.RunID) (int, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&suspectRow{}).Where("run_id = ?", string(run)).Count(&n).Error
	return int(n), translate(err)
}

// ClearSuspect takes the suspect off the list and stores what was found of them.
func (s *Store) ClearSuspect(
	ctx context.Context, run reconcile.Run, suspect reconcile.Suspect, found []reconcile.Finding, at time.Time,
) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		if err := changeRun(tx, run, map[string]any{"state": string(run.State)}); err != nil {
			return err
		}
		cleared := tx.Where("run_id = ?", string(run.ID)).Where("kind = ?", string(suspect.Kind)).
			Where("subject = ?", suspect.Subject).Delete(&suspectRow{})
		if cleared.Error != nil || cleared.RowsAffected == 0 || len(found) == 0 {
			return cleared.Error
		}
		rows := make([]findingRow, len(found))
		for i, finding := range found {
			rows[i] = rowOfFinding(run.ID, finding, at)
		}
		return tx.Create(&rows).Error
	})
}

// LoadHere returns a user as they are here, or false if there is none.
func (s *Store) LoadHere(ctx context.Context, id directory.UserID) (reconcile.Here, bool, error) {
	db := s.db.WithContext(ctx)
	var row userRow
	err := db.Where("id = ?", string(id)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return reconcile.Here{}, false, nil
	}
	if err != nil {
		return reconcile.Here{}, false, translate(err)
	}
	here := reconcile.Here{
		User: row.user(), MadeThere: row.MadeThere, Since: row.CreatedAt.UTC(),
		AmbiguousUntil: orZero(row.ProvisionAmbiguousUntil), DeletedAt: orZero(row.DeletedAt), SyncSince: row.UpdatedAt.UTC(),
	}
	if row.SyncSince != nil {
		here.SyncSince = row.SyncSince.UTC()
	}
	// A user who was restored, or is tried again, was made long ago.
	var moves []auditRow
	err = db.Select("at").Where("user_id = ?", row.ID).Where("to_status = ?", row.Status).
		Order("at DESC").Limit(1).Find(&moves).Error
	if len(moves) > 0 {
		here.Since = moves[0].At.UTC()
	}
	return here, err == nil, translate(err)
}

// KnownHere reports whether somebody here has, or had, one of the ids.
func (s *Store) KnownHere(ctx context.Context, external directory.ExternalID, internal directory.InternalID) (bool, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&userRow{}).
		Where("external_id = ? OR internal_id = ?", storable(string(external)), storable(string(internal))).Count(&n).Error
	return n > 0, translate(err)
}

// SharingAddress returns the internal_id of another user of ours whom the run has seen
// there with the address, or nothing.
func (s *Store) SharingAddress(
	ctx context.Context, run reconcile.RunID, canonical string, but directory.InternalID,
) (directory.InternalID, error) {
	var found []directory.InternalID
	err := s.db.WithContext(ctx).Raw(`
		SELECT t.internal_id FROM reconciliation_users t
		JOIN users u ON u.internal_id = t.internal_id AND u.status IN ('invited', 'active', 'suspended')
		WHERE t.run_id = @run AND t.email_canonical = @email AND t.internal_id <> @but
		ORDER BY t.internal_id LIMIT 1`,
		map[string]any{"run": string(run), "email": storable(canonical), "but": string(but)}).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return "", translate(err)
	}
	return found[0], nil
}

// LoadSignup returns a sign-up that is not settled, or false.
func (s *Store) LoadSignup(ctx context.Context, id signup.ID) (reconcile.Unsettled, bool, error) {
	db := s.db.WithContext(ctx)
	var rows []signupRow
	err := db.Where("id = ?", string(id)).Where("settled_at IS NULL").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return reconcile.Unsettled{}, false, translate(err)
	}
	found := reconcile.Unsettled{ID: id, User: directory.UserID(orEmpty(rows[0].UserID)), AcceptedAt: rows[0].CreatedAt.UTC()}
	if found.User != "" {
		var user userRow
		if err := db.Where("id = ?", string(found.User)).Take(&user).Error; err != nil {
			return reconcile.Unsettled{}, false, translate(err)
		}
		found.Status = directory.Status(user.Status)
	}
	return found, true, nil
}
