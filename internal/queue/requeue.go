package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/riverqueue/river"

	"github.com/portico-id/portico/internal/signup"
)

// Requeue inserts jobs for those of the sign-ups that have none left: theirs
// was parked, or removed by hand. It returns how many.
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
	argument, mark := `args->>'signup_id'`, func(i int) string { return fmt.Sprintf("$%d", i+1) }
	if q.config.Pool == nil {
		argument, mark = `json_extract(args, '$.signup_id')`, func(int) string { return "?" }
	}
	marks, args := make([]string, len(ids)), make([]any, len(ids))
	for i, id := range ids {
		marks[i], args[i] = mark(i), string(id)
	}
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT `+argument+` FROM river_job
		WHERE kind = 'signup' AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		AND `+argument+` IN (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	alive := make(map[signup.ID]bool)
	for rows.Next() {
		var id signup.ID
		if err := rows.Scan(&id); err != nil {
			return 0, errors.Join(fmt.Errorf("requeue: %w", err), rows.Close())
		}
		alive[id] = true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
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
