package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/ratelimit"
)

// rateLimitRow is a bucket as it was before the call, and what came of it.
type rateLimitRow struct {
	Bucket  string     `gorm:"column:bucket"`
	EmptyAt *time.Time `gorm:"column:empty_at"` // null when the bucket was not there
	Taken   bool       `gorm:"column:taken"`
}

// TakeTokens takes one token from each of the buckets, whose keys differ, or
// none from any. The time of a bucket only moves forward, whatever the callers'
// clocks; a bucket whose limit was raised drains at the old pace for once.
//
// Calls that meet in a bucket that is not there yet may each get a token, even
// if that is too many; they are then owed.
func (s *Store) TakeTokens(ctx context.Context, now time.Time, buckets []ratelimit.Bucket) (ratelimit.Outcome, error) {
	if len(buckets) == 0 {
		return ratelimit.Outcome{Taken: true}, nil
	}
	now = storedTime(now)
	take := s.takeInTurn
	if s.pool != nil {
		take = s.takeAtOnce
	}
	rows, err := take(ctx, now, buckets)
	if err != nil {
		return ratelimit.Outcome{}, translate(err)
	}
	return outcome(now, buckets, rows), nil
}

// outcome puts the rows in the order of the buckets and their times after the
// call.
func outcome(now time.Time, buckets []ratelimit.Bucket, rows []rateLimitRow) ratelimit.Outcome {
	emptyAt := make(map[string]time.Time, len(rows))
	o := ratelimit.Outcome{Taken: true, EmptyAt: make([]time.Time, 0, len(buckets))}
	for _, row := range rows {
		o.Taken = o.Taken && row.Taken
		if row.EmptyAt != nil {
			emptyAt[row.Bucket] = row.EmptyAt.UTC()
		}
	}
	for _, b := range buckets {
		at := emptyAt[b.Key]
		if o.Taken {
			at = b.Limit.Take(at, now)
		}
		o.EmptyAt = append(o.EmptyAt, at)
	}
	return o
}

// takeAtOnce is one statement, for which nobody waits longer than it takes.
//
// It locks the names of the buckets before their rows, since it cannot lock a
// row that is not there yet: of three calls from a new client, one would add
// its row, one find it and one not, and the latter two would wait for each
// other's rows until Postgres noticed, and everybody for them. The order is
// that of the names, by which the bucket that all share is locked last and
// held shortest.
//
// Rows are judged as they are once they are locked, not as the statement's
// snapshot has them. Only a row that was added in between is not seen; what is
// taken from it is added to it all the same.
func (s *Store) takeAtOnce(ctx context.Context, now time.Time, buckets []ratelimit.Bucket) ([]rateLimitRow, error) {
	keys, latest, ifNew := make([]string, len(buckets)), make([]time.Time, len(buckets)), make([]time.Time, len(buckets))
	for i, b := range buckets {
		keys[i], latest[i], ifNew[i] = b.Key, b.Limit.Latest(now), b.Limit.Take(time.Time{}, now)
	}
	var taken []rateLimitRow
	err := sentOnce(func() error {
		rows, _ := s.pool.Query(ctx, takeTokens, keys, latest, ifNew, now) // CollectRows has its error, too
		var err error
		taken, err = pgx.CollectRows(rows, pgx.RowToStructByPos[rateLimitRow])
		return err
	})
	return taken, err
}

const takeTokens = `
	WITH wanted AS (
		SELECT bucket, latest, if_new FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS of (bucket, latest, if_new)
	), locked AS MATERIALIZED (
		SELECT count(pg_advisory_xact_lock(hashtextextended(bucket, 0))) AS names
		FROM (SELECT bucket FROM wanted ORDER BY bucket) AS in_order
	), held AS MATERIALIZED (
		SELECT bucket, empty_at FROM rate_limits
		WHERE bucket = ANY ($1) AND (SELECT names FROM locked) > 0
		FOR UPDATE
	), judged AS MATERIALIZED (
		SELECT bucket, if_new, empty_at, bool_and(empty_at IS NULL OR empty_at <= latest) OVER () AS taken
		FROM wanted LEFT JOIN held USING (bucket)
	), taking AS (
		INSERT INTO rate_limits (bucket, empty_at)
		SELECT bucket, if_new FROM judged WHERE taken
		ON CONFLICT (bucket) DO UPDATE
		SET empty_at = greatest(rate_limits.empty_at, $4) + (excluded.empty_at - $4)
	)
	SELECT bucket, empty_at, taken FROM judged`

// takeInTurn is one transaction, for SQLite, which has one writer at a time and
// no arithmetic for times.
func (s *Store) takeInTurn(ctx context.Context, now time.Time, buckets []ratelimit.Bucket) ([]rateLimitRow, error) {
	var rows []rateLimitRow
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		keys := make([]string, 0, len(buckets))
		for _, b := range buckets {
			keys = append(keys, b.Key)
		}
		if err := tx.Raw(`SELECT bucket, empty_at, true AS taken FROM rate_limits WHERE bucket IN ?`, keys).Scan(&rows).Error; err != nil {
			return err
		}
		emptyAt := make(map[string]time.Time, len(rows))
		for _, row := range rows {
			emptyAt[row.Bucket] = *row.EmptyAt
		}
		args := make([]any, 0, 2*len(buckets))
		for _, b := range buckets {
			at := emptyAt[b.Key]
			if at.After(b.Limit.Latest(now)) {
				for i := range rows {
					rows[i].Taken = false
				}
				return nil
			}
			args = append(args, b.Key, storedTime(b.Limit.Take(at, now)))
		}
		return tx.Exec(`
			INSERT INTO rate_limits (bucket, empty_at)
			VALUES `+strings.Repeat("(?, ?), ", len(buckets)-1)+`(?, ?)
			ON CONFLICT (bucket) DO UPDATE SET empty_at = excluded.empty_at`, args...).Error
	})
	return rows, err
}

// PurgeRateLimits removes at most limit buckets that have been empty since
// before, which must not be later than any replica's clock. It returns how many
// it removed; as many as limit means that there may be more.
func (s *Store) PurgeRateLimits(ctx context.Context, before time.Time, limit int) (int, error) {
	lock := ""
	if s.db.Name() == string(Postgres) {
		lock = "FOR UPDATE SKIP LOCKED" // whoever takes from a bucket goes first
	}
	purged := s.db.WithContext(ctx).Exec(`
		WITH drained AS MATERIALIZED (
			SELECT bucket FROM rate_limits WHERE empty_at < ? LIMIT ? `+lock+`
		)
		DELETE FROM rate_limits WHERE bucket IN (SELECT bucket FROM drained)`, storedTime(before), limit)
	return int(purged.RowsAffected), translate(purged.Error)
}
