package queue

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// presenceClass is the first key of the advisory locks: "port" in ASCII.
	presenceClass = 0x706f7274
	// lookEvery is how often the queue looks for jobs of the dead.
	lookEvery = 5 * time.Second
	// lookLimit ends a look over a connection that is dead and does not say so.
	lookLimit = 10 * time.Second
	// reappearAfter keeps a server that drops every connection from being
	// asked for one without pause.
	reappearAfter = 100 * time.Millisecond
)

// presence shows that this process lives, by an advisory lock that Postgres
// drops with its connection, and hands back the jobs of processes that show
// no such lock. River alone would leave them for minutes.
type presence struct {
	pool   *pgxpool.Pool
	id     string
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}
}

// startPresence takes the lock, hands back once, and goes on in the background
// until stop.
func startPresence(ctx context.Context, pool *pgxpool.Pool, id string, log *slog.Logger) (*presence, error) {
	p := &presence{pool: pool, id: id, log: log, done: make(chan struct{})}
	conn, err := p.appear(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.handBack(ctx, conn); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	ctx, p.cancel = context.WithCancel(ctx)
	go p.run(ctx, conn)
	return p, nil
}

func (p *presence) stop() {
	if p != nil {
		p.cancel()
		<-p.done
	}
}

// appear connects and takes the lock. The connection is not the pool's: it is
// held for life and would be one fewer for requests.
func (p *presence) appear(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, p.pool.Config().ConnConfig.Copy())
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, hashtext($2))`, presenceClass, p.id); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// run looks for jobs of the dead, and appears again as soon as the connection,
// and the lock with it, is lost: until then this process looks dead itself.
func (p *presence) run(ctx context.Context, conn *pgx.Conn) {
	defer close(p.done)
	for {
		lost := p.rest(ctx, conn)
		if ctx.Err() != nil || lost != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		if ctx.Err() != nil {
			return
		}
		if lost != nil {
			p.log.WarnContext(ctx, "queue lost its sign of life", slog.Any("error", lost))
			if conn = p.reappear(ctx); conn == nil {
				return
			}
		}
		if err := p.handBack(ctx, conn); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "queue cannot look for jobs left behind", slog.Any("error", err))
		}
	}
}

// rest waits until it is time to look. It returns an error as soon as the
// connection is lost. Nobody notifies it: waiting for that is how a connection
// that asks nothing hears of its end.
func (p *presence) rest(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	_, err := conn.WaitForNotification(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// reappear appears as soon as that is possible. It returns nil when ctx ends
// before.
func (p *presence) reappear(ctx context.Context) *pgx.Conn {
	wait := reappearAfter
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		conn, err := p.appear(ctx)
		if err == nil {
			return conn
		}
		if ctx.Err() == nil {
			p.log.WarnContext(ctx, "queue cannot show a sign of life", slog.Any("error", err))
		}
		wait = lookEvery
	}
}

// handBack makes the running jobs of the dead available again. What such a job
// may have done at the provider is in the user's row, not in the queue.
func (p *presence) handBack(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	rows, err := conn.Query(ctx, `
		SELECT DISTINCT attempted_by[array_upper(attempted_by, 1)]
		FROM river_job WHERE state = 'running' AND attempted_by IS NOT NULL`)
	if err != nil {
		return err
	}
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, owner := range owners {
		if owner == p.id {
			continue
		}
		var dead bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, hashtext($2))`, presenceClass, owner).Scan(&dead); err != nil {
			return err
		}
		if !dead {
			continue
		}
		tag, err := conn.Exec(ctx, `
			UPDATE river_job SET state = 'available', scheduled_at = now()
			WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1`, owner)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock($1, hashtext($2))`, presenceClass, owner); err != nil {
			return err
		}
		p.log.WarnContext(ctx, "jobs of a process that died are handed back",
			slog.String("process", owner), slog.Int64("jobs", tag.RowsAffected()))
	}
	return nil
}

// handBackAll does the same on SQLite, where no other process can be at work.
func handBackAll(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running'`)
	if err != nil {
		return fmt.Errorf("hand back jobs: %w", err)
	}
	return nil
}
