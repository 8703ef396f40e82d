package store

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// UseFlow marks the flow as finished and reports whether it was the first to.
// The mark is kept until the flow could not be opened any more anyway.
func (s *Store) UseFlow(ctx context.Context, flowID string, expiresAt time.Time) (first bool, err error) {
	row := usedFlowRow{FlowID: flowID, ExpiresAt: storedTime(expiresAt)}
	marked := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	return marked.RowsAffected == 1, translate(marked.Error)
}
