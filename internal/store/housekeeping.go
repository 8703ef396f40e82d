package store

import (
	"context"
	"time"
)

// PurgeExpired removes at most limit rows of each kind that have been of no
// use since before: sessions past their absolute end, marks of flows that can
// no longer be opened, and idempotency keys that are forgotten. It returns how many it removed; as many as limit
// means that there may be more.
func (s *Store) PurgeExpired(ctx context.Context, before time.Time, limit int) (int, error) {
	args := map[string]any{"before": storedTime(before), "limit": limit}
	sessions := s.db.WithContext(ctx).Exec(`DELETE FROM sessions WHERE id IN (
		SELECT id FROM sessions WHERE expires_at < @before ORDER BY expires_at LIMIT @limit)`, args)
	if sessions.Error != nil {
		return 0, translate(sessions.Error)
	}
	flows := s.db.WithContext(ctx).Exec(`DELETE FROM used_flows WHERE flow_id IN (
		SELECT flow_id FROM used_flows WHERE expires_at < @before ORDER BY expires_at LIMIT @limit)`, args)
	if flows.Error != nil {
		return 0, translate(flows.Error)
	}
	keys := s.db.WithContext(ctx).Exec(`DELETE FROM idempotency_keys WHERE key_hash IN (
		SELECT key_hash FROM idempotency_keys WHERE expires_at < @before ORDER BY expires_at LIMIT @limit)`, args)
	if keys.Error != nil {
		return 0, translate(keys.Error)
	}
	return int(max(sessions.RowsAffected, flows.RowsAffected, keys.RowsAffected)), nil
}
