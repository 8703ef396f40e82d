package store

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// retentionRow is the row of audit_retention.
type retentionRow struct {
	Name          string    `gorm:"column:name;primaryKey"`
	KeptFor       *int64    `gorm:"column:kept_for"` // seconds
	ShortenedAt   time.Time `gorm:"column:shortened_at"`
	RemovedBefore time.Time `gorm:"column:removed_before"`
}

func (retentionRow) TableName() string { return "audit_retention" }

// RetainAudit notes for how long the audit's events are kept, 0 for ever, and
// removes at most limit of those that are older. It returns how many it
// removed: as many as limit means that there may be more.
//
// The schema does not take anybody's word for it. What may be removed is what is
// older than a mark, which moves once a day, by the database's clock, and leaves
// an event behind; a retention that was shortened counts a day later.
func (s *Store) RetainAudit(ctx context.Context, retention time.Duration, limit int) (removed int, err error) {
	err = s.transact(ctx, func(tx *gorm.DB) error {
		if err := s.keepFor(tx, retention); err != nil || retention == 0 {
			return err
		}
		if err := s.moveMark(tx); err != nil {
			return err
		}
		gone := tx.Exec(`
			DELETE FROM audit_events WHERE id IN (
				SELECT id FROM audit_events WHERE at < (SELECT removed_before FROM audit_retention) ORDER BY at LIMIT ?
			)`, limit)
		removed = int(gone.RowsAffected)
		return gone.Error
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// keepFor stores the retention, if it is another.
func (s *Store) keepFor(tx *gorm.DB, retention time.Duration) error {
	var seconds *int64
	if retention > 0 {
		whole := int64(retention / time.Second)
		seconds = &whole
	}
	now := s.on(Postgres, "now()") + s.on(SQLite, "strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')")
	return tx.Exec(`
		UPDATE audit_retention SET
			kept_for = @seconds,
			shortened_at = CASE WHEN kept_for IS NULL OR @seconds < kept_for THEN `+now+` ELSE shortened_at END
		WHERE kept_for IS DISTINCT FROM @seconds`,
		map[string]any{"seconds": seconds}).Error
}

// moveMark moves the mark to the beginning of the day before which no event is
// kept.
func (s *Store) moveMark(tx *gorm.DB) error {
	if s.db.Name() == string(Postgres) {
		return tx.Exec(`
			UPDATE audit_retention SET removed_before = date_trunc('day', now() - kept_for * interval '1 second', 'UTC')
			WHERE removed_before < date_trunc('day', now() - kept_for * interval '1 second', 'UTC')
				AND shortened_at <= now() - interval '1 day'`).Error
	}
	return tx.Exec(`
		UPDATE audit_retention SET removed_before = strftime('%Y-%m-%d 00:00:00+00:00', julianday('now') - kept_for / 86400.0)
		WHERE julianday(removed_before) < julianday('now') - kept_for / 86400.0 - 1
			AND julianday(shortened_at) <= julianday('now', '-1 day')`).Error
}
