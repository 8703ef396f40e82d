package store

import (
	"context"
	"time"
)

// PurgeExpired removes at most limit rows of each kind that have been of no use
// since before: sessions past their absolute end, or not used for as long as
// idle then, marks of flows and of logout tokens that can no longer be opened,
// codes of native apps, addresses that were not proven in time, letters that
// nobody has sent for a week, and idempotency keys that are forgotten. It returns how
// many it removed of the kind of which it removed most; as many as limit means
// that there may be more.
//
// It holds few rows for the time of one statement, and on Postgres passes over
// those that somebody else has locked: there will be another purge.
func (s *Store) PurgeExpired(ctx context.Context, before time.Time, idle time.Duration, limit int) (int, error) {
	most := 0
	for _, of := range []struct {
		table, key, since string
		before            time.Time
	}{
		{"sessions", "id", "expires_at", before},
		// There is no index over this: it would turn every batch of uses into
		// as many writes to it. A scan in ten minutes costs less.
		{"sessions", "id", "last_seen_at", before.Add(-idle)},
		{"native_codes", "code_hash", "expires_at", before},
		{"used_flows", "flow_id", "expires_at", before},
		{"used_logout_tokens", "token_hash", "expires_at", before},
		{"email_changes", "user_id", "expires_at", before},
		{"letters", "id", "created_at", before.Add(-7 * 24 * time.Hour)},
		{"idempotency_keys", "key_hash", "expires_at", before},
	} {
		purged := s.db.WithContext(ctx).Exec(`
			WITH gone AS MATERIALIZED (
				SELECT `+of.key+` FROM `+of.table+` WHERE `+of.since+` < @before LIMIT @limit `+s.on(Postgres, "FOR UPDATE SKIP LOCKED")+`
			)
			DELETE FROM `+of.table+` WHERE `+of.key+` IN (SELECT `+of.key+` FROM gone)`,
			map[string]any{"before": storedTime(of.before), "limit": limit})
		if purged.Error != nil {
			return most, translate(purged.Error)
		}
		most = max(most, int(purged.RowsAffected))
	}
	return most, nil
}
