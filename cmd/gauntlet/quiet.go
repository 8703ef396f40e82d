package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// pending is what has not come to rest.
type pending struct{ users, signups, jobs int }

func (p pending) String() string {
	return fmt.Sprintf("%d users, %d sign-ups, %d jobs", p.users, p.signups, p.jobs)
}

func (p pending) none() bool { return p == pending{} }

func readPending(ctx context.Context, db *sql.DB) (pending, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var p pending
	err := db.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM users WHERE status IN ('received', 'provisioning')),
		       (SELECT count(*) FROM signups WHERE settled_at IS NULL),
		       (SELECT count(*) FROM river_job WHERE args <> '{}'
		        AND state NOT IN ('completed', 'cancelled', 'discarded'))`).Scan(&p.users, &p.signups, &p.jobs)
	return p, err
}

// quiet waits until nothing is pending and returns how long that took. When
// patience ends first, what is still pending is for the checker to report.
func quiet(ctx context.Context, db *sql.DB, patience time.Duration, say func(string, ...any)) (took time.Duration, err error) {
	began := time.Now()
	last := began
	for {
		p, err := readPending(ctx, db)
		switch {
		case ctx.Err() != nil:
			return time.Since(began), ctx.Err()
		case err == nil && p.none():
			return time.Since(began), nil
		case time.Since(began) > patience:
			say("patience ends after %s: %v pending, %v", patience, p, err)
			return time.Since(began), nil
		case time.Since(last) > 10*time.Second:
			last = time.Now()
			say("%4.0fs  pending %v %v", time.Since(began).Seconds(), p, errText(err))
		}
		pause(ctx, 200*time.Millisecond)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
