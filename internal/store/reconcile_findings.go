package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/signup"
)

// findingRow is a row of reconciliation_findings.
type findingRow struct {
	ID         string     `gorm:"column:id;primaryKey"`
	RunID      string     `gorm:"column:run_id"`
	Class      string     `gorm:"column:class"`
	UserID     *string    `gorm:"column:user_id"`
	SignupID   *string    `gorm:"column:signup_id"`
	ExternalID string     `gorm:"column:external_id"`
	InternalID string     `gorm:"column:internal_id"`
	Here       string     `gorm:"column:here"`
	There      string     `gorm:"column:there"`
	Repair     string     `gorm:"column:repair"`
	FoundAt    time.Time  `gorm:"column:found_at"`
	Outcome    *string    `gorm:"column:outcome"`
	Reason     *string    `gorm:"column:reason"`
	SettledAt  *time.Time `gorm:"column:settled_at"`
}

func (findingRow) TableName() string { return "reconciliation_findings" }

func rowOfFinding(run reconcile.RunID, f reconcile.Finding, at time.Time) findingRow {
	return findingRow{
		ID: uuid.Must(uuid.NewV7()).String(), RunID: string(run), Class: string(f.Class),
		UserID: orNull(string(f.UserID)), SignupID: orNull(string(f.Signup)),
		ExternalID: storable(string(f.ExternalID)), InternalID: storable(string(f.InternalID)),
		Here: storable(f.Here), There: storable(f.There), Repair: f.Repair, FoundAt: storedTime(at),
	}
}

func (r findingRow) finding() reconcile.Finding {
	return reconcile.Finding{
		ID: r.ID, Class: reconcile.Class(r.Class), UserID: directory.UserID(orEmpty(r.UserID)), Signup: signup.ID(orEmpty(r.SignupID)),
		ExternalID: directory.ExternalID(r.ExternalID), InternalID: directory.InternalID(r.InternalID),
		Here: r.Here, There: r.There, Repair: r.Repair, Outcome: reconcile.Outcome(orEmpty(r.Outcome)), Reason: orEmpty(r.Reason),
	}
}

// ListFindings returns the findings of a run in their order, beyond the one
// named.
func (s *Store) ListFindings(ctx context.Context, run reconcile.RunID, after string, limit int) ([]reconcile.Finding, error) {
	if after == "" {
		after = uuid.Nil.String()
	}
	return findings(s.db.WithContext(ctx).Where("run_id = ?", string(run)).Where("id > ?", after).Order("id").Limit(limit))
}

// NextRepairs returns findings of the classes whose repair was not tried.
func (s *Store) NextRepairs(ctx context.Context, run reconcile.RunID, classes []reconcile.Class, limit int) ([]reconcile.Finding, error) {
	return findings(s.db.WithContext(ctx).Where("run_id = ?", string(run)).Where("class IN ?", classes).
		Where("outcome IS NULL").Order("id").Limit(limit))
}

func findings(query *gorm.DB) ([]reconcile.Finding, error) {
	var rows []findingRow
	err := query.Find(&rows).Error
	found := make([]reconcile.Finding, len(rows))
	for i, row := range rows {
		found[i] = row.finding()
	}
	return found, translate(err)
}

// CountFindings returns what became of a run's findings, by class.
func (s *Store) CountFindings(ctx context.Context, run reconcile.RunID) (map[reconcile.Class]reconcile.Count, error) {
	var rows []struct {
		Class                          string
		Found, Repaired, Gone, Refused int
	}
	err := s.db.WithContext(ctx).Raw(`
		SELECT class, count(*) AS found,
			count(CASE WHEN outcome = 'repaired' THEN 1 END) AS repaired,
			count(CASE WHEN outcome = 'gone' THEN 1 END) AS gone,
			count(CASE WHEN outcome = 'refused' THEN 1 END) AS refused
		FROM reconciliation_findings WHERE run_id = ? GROUP BY class`, string(run)).Scan(&rows).Error
	counts := make(map[reconcile.Class]reconcile.Count, len(rows))
	for _, row := range rows {
		counts[reconcile.Class(row.Class)] = reconcile.Count{
			Found: row.Found, Repaired: row.Repaired, Gone: row.Gone, Refused: row.Refused,
		}
	}
	return counts, translate(err)
}
