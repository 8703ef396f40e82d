package queue

import (
	"context"
	"fmt"
	"time"
)

// Kinds returns the kinds of all jobs.
func Kinds() []string {
	return []string{
		signupArgs{}.Kind(), resendArgs{}.Kind(), noticeArgs{}.Kind(), changeArgs{}.Kind(), enrolArgs{}.Kind(), remindArgs{}.Kind(),
		proofArgs{}.Kind(), letterArgs{}.Kind(), webhookEventArgs{}.Kind(), webhookDeliveryArgs{}.Kind(), reconcileArgs{}.Kind(),
		compareArgs{}.Kind(), housekeepingArgs{}.Kind(),
	}
}

// Waiting are the jobs of a kind in a state.
type Waiting struct {
	Kind, State string
	Count       int
	Oldest      time.Time // when the first of them could be worked
}

// mostWaiting bounds what is counted of each state.
const mostWaiting = 100_000

// Waiting returns the jobs that are not done, and those that were parked
// ("cancelled"). It returns the database's errors.
func (q *Queue) Waiting(ctx context.Context) (all []Waiting, err error) {
	for _, state := range []string{"available", "running", "retryable", "scheduled", "cancelled"} {
		condition := "state = '" + state + "'"
		if state == "cancelled" { // as its index has it
			condition += " AND finalized_at IS NOT NULL"
		}
		rows, err := q.waitingIn(ctx, state, fmt.Sprintf(
			`SELECT kind, count(*), min(scheduled_at) FROM (SELECT kind, scheduled_at FROM river_job WHERE %s LIMIT %d) AS counted
			GROUP BY kind`, condition, mostWaiting))
		if err != nil {
			return nil, fmt.Errorf("look at the queue: %w", err)
		}
		all = append(all, rows...)
	}
	return all, nil
}

func (q *Queue) waitingIn(ctx context.Context, state, query string) (found []Waiting, err error) {
	rows, err := q.config.DB.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		w := Waiting{State: state}
		var oldest any // text on SQLite, which forgets a column's type in an aggregate
		if err := rows.Scan(&w.Kind, &w.Count, &oldest); err != nil {
			return nil, err
		}
		w.Oldest = timeOf(oldest)
		found = append(found, w)
	}
	return found, rows.Err()
}

// timeOf reads a time as the drivers give it.
func timeOf(value any) time.Time {
	switch v := value.(type) {
	case time.Time:
		return v.UTC()
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
			if at, err := time.Parse(layout, v); err == nil {
				return at.UTC()
			}
		}
	}
	return time.Time{}
}
