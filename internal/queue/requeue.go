package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/riverqueue/river"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

// Requeue inserts jobs for those of the sign-ups that have none left: theirs
// was removed by hand, or parked an hour ago, so that a poison job raises its
// alarm once an hour. It returns how many.
func (q *Queue) Requeue(ctx context.Context, ids []signup.ID) (int, error) {
	return requeue(ctx, q, signupArgs{}.Kind(), "signup_id", ids, func(id string) river.InsertManyParams {
		return river.InsertManyParams{Args: signupArgs{SignupID: id}}
	})
}

// RequeueChanges does the same for users of whom something is to be carried to
// the provider.
func (q *Queue) RequeueChanges(ctx context.Context, ids []directory.UserID) (int, error) {
	return requeue(ctx, q, changeArgs{}.Kind(), "user_id", ids, func(id string) river.InsertManyParams {
		return river.InsertManyParams{Args: changeArgs{UserID: id}}
	})
}

// RequeueEnrols does the same for users without a sign-up.
func (q *Queue) RequeueEnrols(ctx context.Context, ids []directory.UserID) (int, error) {
	return requeue(ctx, q, enrolArgs{}.Kind(), "user_id", ids, func(id string) river.InsertManyParams {
		return river.InsertManyParams{Args: enrolArgs{UserID: id}}
	})
}

// RequeueImports does the same for users who were imported.
func (q *Queue) RequeueImports(ctx context.Context, ids []directory.UserID) (int, error) {
	return requeue(ctx, q, enrolArgs{}.Kind(), "user_id", ids, importJob)
}

// requeue inserts jobs of the kind for those who have none left. The argument
// names whom a job is about.
func requeue[ID ~string](
	ctx context.Context, q *Queue, kind, argument string, ids []ID, job func(id string) river.InsertManyParams,
) (n int, err error) {
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
	alive, err := alive(ctx, q, tx, kind, argument, ids)
	if err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	var missing []river.InsertManyParams
	for _, id := range ids {
		if !alive[id] {
			missing = append(missing, job(string(id)))
		}
	}
	for some := range slices.Chunk(missing, insertAtOnce) {
		if _, err := q.inserter.InsertManyFastTx(ctx, tx, some); err != nil {
			return 0, fmt.Errorf("requeue: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	return len(missing), nil
}

// alive returns those who have a job of the kind which will be worked, or one
// that was parked not long ago.
func alive[ID ~string](ctx context.Context, q *Queue, tx *sql.Tx, kind, argument string, ids []ID) (map[ID]bool, error) {
	column, anHourAgo := fmt.Sprintf(`args->>'%s'`, argument), `now() - interval '1 hour'`
	mark := func(i int) string { return fmt.Sprintf("$%d", i+1) }
	if q.config.Pool == nil {
		column, anHourAgo = fmt.Sprintf(`json_extract(args, '$.%s')`, argument), `datetime('now', '-1 hour')`
		mark = func(int) string { return "?" }
	}
	marks, args := make([]string, len(ids)), make([]any, len(ids))
	for i, id := range ids {
		marks[i], args[i] = mark(i), string(id)
	}
	query := fmt.Sprintf( //nolint:gosec // of constants
		`SELECT DISTINCT %[1]s FROM river_job
		WHERE kind = '%[4]s' AND %[1]s IN (%[2]s)
		AND (state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		     OR state = 'cancelled' AND finalized_at > %[3]s)`, column, strings.Join(marks, ", "), anHourAgo, kind)
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	alive := make(map[ID]bool)
	for rows.Next() {
		var id ID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		alive[id] = true
	}
	return alive, rows.Err()
}

// insertAtOnce bounds the jobs that one statement inserts.
const insertAtOnce = 1000
