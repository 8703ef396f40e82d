package queue

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// reindexing says when River rebuilds its indexes: at night, as it would, where
// this role may do that. Only the owner of the tables may, and from Postgres 17
// on whom they have given MAINTAIN; for anyone else each night would bring an
// error for each index, which nobody can act on.
func reindexing(ctx context.Context, pool *pgxpool.Pool) (river.PeriodicSchedule, error) {
	var may bool
	err := pool.QueryRow(ctx, `
		SELECT pg_has_role(c.relowner, 'USAGE')
			OR CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END
		FROM pg_class c WHERE c.oid = to_regclass('river_job')`).Scan(&may)
	if err != nil || may {
		return nil, err
	}
	return river.NeverSchedule(), nil
}
