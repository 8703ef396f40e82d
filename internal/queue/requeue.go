package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/riverqueue/river"

	"github.com/portico-id/portico/internal/signup"
)

// Requeue inserts jobs for those of the sign-ups that have none left: theirs
// was removed by hand, or parked an hour ago, so that a poison job raises its
// alarm once an hour. It returns how many.
func (q *Queue) Requeue(ctx context.Context, ids []signup.ID) (n int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	tx, err := q.config.DB.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	alive, err := q.alive(ctx, tx, ids)
	if err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	var missing []river.InsertManyParams
	for _, id := range ids {
		if !alive[id] {
			missing = append(missing, river.InsertManyParams{Args: signupArgs{SignupID: string(id)}})
		}
	}
	if len(missing) > 0 {
		if _, err := q.inserter.InsertManyFastTx(ctx, tx, missing); err != nil {
			return 0, fmt.Errorf("requeue: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	return len(missing), nil
}

// alive returns those of the sign-ups that have a job which will be worked, or
// one that was parked not long ago.
func (q *Queue) alive(ctx context.Context, tx *sql.Tx, ids []signup.ID) (map[signup.ID]bool, error) {
	argument, anHourAgo := `args->>'signup_id'`, `now() - interval '1 hour'`
	mark := func(i int) string { return fmt.Sprintf("$%d", i+1) }
	if q.config.Pool == nil {
		argument, anHourAgo = `json_extract(args, '$.signup_id')`, `datetime('now', '-1 hour')`
		mark = func(int) string { return "?" }
	}
	marks, args := make([]string, len(ids)), make([]any, len(ids))
	for i, id := range ids {
		marks[i], args[i] = mark(i), string(id)
	}
	query := fmt.Sprintf( //nolint:gosec // of constants
		`SELECT DISTINCT %[1]s FROM river_job
		WHERE kind = 'signup' AND %[1]s IN (%[2]s)
		AND (state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		     OR state = 'cancelled' AND finalized_at > %[3]s)`, argument, strings.Join(marks, ", "), anHourAgo)
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	alive := make(map[signup.ID]bool)
	for rows.Next() {
		var id signup.ID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		alive[id] = true
	}
	return alive, rows.Err()
}
