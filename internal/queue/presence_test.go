package queue_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// presences returns the server processes behind the signs of life.
func presences(t *testing.T, p *process) []int {
	t.Helper()
	rows, err := p.db.SQL().QueryContext(t.Context(), `
		SELECT pid FROM pg_locks
		WHERE locktype = 'advisory' AND classid = x'706f7274'::int AND granted
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var pids []int
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return pids
}

// busy is a process with a job that goes on until it is let go.
type busy struct {
	*process

	id   signup.ID
	end  chan struct{}
	runs chan signup.ID
}

func newBusy(t *testing.T, databaseURL string) *busy {
	t.Helper()
	b := &busy{process: newProcess(t, databaseURL), end: make(chan struct{}), runs: make(chan signup.ID, 10)}
	b.start(t, func(_ context.Context, id signup.ID) (time.Duration, error) {
		b.runs <- id
		<-b.end
		return 0, nil
	})
	b.id = b.enqueue(t)
	if id := receive(t, "the job", b.runs); id != b.id {
		t.Fatalf("carried %s, not %s", id, b.id)
	}
	return b
}

// second starts another process, which looks for jobs of the dead at once, and
// returns what it carries.
func second(t *testing.T, databaseURL string) (p *process, carried chan signup.ID) {
	t.Helper()
	p, carried = newProcess(t, databaseURL), make(chan signup.ID, 10)
	p.start(t, func(_ context.Context, id signup.ID) (time.Duration, error) {
		carried <- id
		return 0, nil
	})
	return p, carried
}

// finish lets the job go and checks that nobody else had it.
func (b *busy) finish(t *testing.T, carried chan signup.ID) {
	t.Helper()
	if n := b.count(t, `WHERE state = 'running'`); n != 1 {
		t.Errorf("%d jobs are running", n)
	}
	close(b.end)
	await.True(t, "completion", func() bool { return b.count(t, `WHERE state = 'completed' AND attempt = 1`) == 1 })
	if len(carried)+len(b.runs) != 0 {
		t.Error("the job was taken from a process that lives")
	}
}

func TestJobsOfAProcessThatLivesAreLeftToIt(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	living := newBusy(t, databaseURL)
	_, carried := second(t, databaseURL)
	if n := len(presences(t, living.process)); n != 2 {
		t.Errorf("%d signs of life", n)
	}
	living.finish(t, carried)
}

func TestASignOfLifeSurvivesTheLossOfItsConnection(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	living := newBusy(t, databaseURL)
	for range 2 {
		before := presences(t, living.process)
		if len(before) != 1 {
			t.Fatalf("%d signs of life", len(before))
		}
		living.cut(t, before[0])
		await.True(t, "another sign of life", func() bool {
			now := presences(t, living.process)
			return len(now) == 1 && !slices.Equal(now, before)
		})
	}
	_, carried := second(t, databaseURL)
	living.finish(t, carried)
	if log := living.log.String(); !strings.Contains(log, "queue lost its sign of life") {
		t.Errorf("it says\n%s", log)
	}
}

// cut ends a connection as an operator or a failover would.
func (p *process) cut(t *testing.T, pid int) {
	t.Helper()
	if _, err := p.db.SQL().ExecContext(t.Context(), `SELECT pg_terminate_backend($1)`, pid); err != nil {
		t.Fatal(err)
	}
}

func TestAProcessThatStopsTakesItsSignOfLifeWithIt(t *testing.T) {
	t.Parallel()
	p, _ := second(t, storetest.Postgres(t))
	if n := len(presences(t, p)); n != 1 {
		t.Errorf("%d signs of life", n)
	}
	p.stop(t)
	await.True(t, "its end", func() bool { return len(presences(t, p)) == 0 })
}

func TestJobsOfAProcessThatDiesMeanwhileAreHandedBackSoon(t *testing.T) {
	t.Parallel()
	p, carried := second(t, storetest.Postgres(t))
	p.enqueue(t)
	id := receive(t, "the job", carried)
	await.True(t, "completion", func() bool { return p.count(t, `WHERE state = 'completed'`) == 1 })
	p.exec(t, `UPDATE river_job SET finalized_at = NULL, state = 'running'`)
	p.exec(t, abandoned(store.Postgres))
	if again := receive(t, "the job, again", carried); again != id {
		t.Errorf("carried %s, not %s", again, id)
	}
	// The line is written when the job has been handed back, and may be taken.
	await.True(t, "whose it was", func() bool { return strings.Contains(p.log.String(), "portico-dead") })
}

func TestAServerThatRestartsIsReachedAgain(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	p, carried := second(t, databaseURL)
	operator := newProcess(t, databaseURL)
	operator.exec(t, `
		SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	id := operator.enqueue(t)
	if again := receive(t, "the job", carried); again != id {
		t.Errorf("carried %s, not %s", again, id)
	}
	await.True(t, "a sign of life", func() bool { return len(presences(t, operator)) == 1 })
	p.stop(t)
}
