package queue

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// announceAfter is how long an announcement waits for others to join it: each is
// a transaction of its own, and wakes every replica.
const announceAfter = 10 * time.Millisecond

// announceLimit bounds the statement. A job that is not announced is found by
// the next look, a second later at most.
const announceLimit = 5 * time.Second

// SignupInsert is the statement of EnqueueSignup on Postgres, for a caller that
// sends it in one with its own: its first parameter is the sign-up's id, and its
// second what SignupMetadata returns, both as text. Call Announce after its
// commit.
func (*Queue) SignupInsert() string {
	return `INSERT INTO river_job (args, kind, max_attempts, metadata, priority, queue, scheduled_at, state, tags)
		VALUES (jsonb_build_object('signup_id', $1::text), 'signup', ` + strconv.Itoa(maxAttempts) + `, CAST($2::text AS jsonb), 1, '` +
		signupQueue + `', now(), 'available', '{}')`
}

// Announce wakes the workers, of every replica, soon.
//
// A NOTIFY in the transaction that inserts a job would do so as well, but
// Postgres lets transactions that notify commit one after the other, each with
// its wait for the disk.
func (q *Queue) Announce() {
	if q.config.Pool != nil {
		q.announcer.soon(q.config.Pool)
	}
}

// announcer joins announcements that come at the same time.
type announcer struct {
	mu    sync.Mutex
	due   *time.Timer // nil while none is
	ended bool
	under sync.WaitGroup
}

func (a *announcer) soon(pool *pgxpool.Pool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.due != nil || a.ended {
		return
	}
	a.under.Add(1)
	a.due = time.AfterFunc(announceAfter, func() {
		defer a.under.Done()
		a.mu.Lock()
		a.due = nil
		a.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), announceLimit)
		defer cancel()
		// What fails here costs a second, and the next statement says why.
		_, _ = pool.Exec(ctx, `SELECT pg_notify(current_schema() || '.river_insert', '{"queue":"`+signupQueue+`"}')`)
	})
}

// stop makes no more announcements and waits for the one under way.
func (a *announcer) stop() {
	a.mu.Lock()
	a.ended = true
	if a.due != nil && a.due.Stop() {
		a.under.Done()
	}
	a.mu.Unlock()
	a.under.Wait()
}
