package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// generous is a time that a test on a busy machine does not run into.
const generous = 30 * time.Second

// workers are the sign-ups that a process has under way at once.
const workers = 4

// process is what a replica has of the queue.
type process struct {
	*queue.Queue

	db  *store.DB
	log *await.Log
}

func newProcess(t *testing.T, databaseURL string) *process {
	t.Helper()
	p := &process{db: storetest.Open(t, databaseURL), log: &await.Log{}}
	var err error
	p.Queue, err = queue.New(queue.Config{
		DB: p.db.SQL(), Pool: p.db.Pool(), Workers: workers, Log: slog.New(slog.NewTextHandler(p.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// carry is what a job does in a test.
type carry func(ctx context.Context, id signup.ID) (time.Duration, error)

// idle are handlers for whom there is nothing to do.
func idle() queue.Handlers {
	nothing := func(context.Context, signup.ID) (time.Duration, error) { return 0, nil }
	return queue.Handlers{
		CarrySignup: nothing, Resend: nothing, Notify: nothing,
		Reconcile: func(context.Context) error { return nil },
		Housekeep: func(context.Context) error { return nil },
	}
}

// start works the queue until the test ends.
func (p *process) start(t *testing.T, do carry) {
	t.Helper()
	handlers := idle()
	handlers.CarrySignup = do
	p.startWith(t, handlers)
}

func (p *process) startWith(t *testing.T, handlers queue.Handlers) {
	t.Helper()
	if err := p.Start(t.Context(), handlers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(t) })
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), generous)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// enqueue commits a job and returns the sign-up that it is for.
func (p *process) enqueue(t *testing.T) signup.ID {
	t.Helper()
	id := signup.ID(uuid.NewString())
	p.within(t, func(tx *sql.Tx) {
		if err := p.EnqueueSignup(t.Context(), tx, id); err != nil {
			t.Fatal(err)
		}
	})
	return id
}

// within commits what do does.
func (p *process) within(t *testing.T, do func(tx *sql.Tx)) {
	t.Helper()
	tx, err := p.db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	do(tx)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// said is the log, without what River says of its elections: to give up the
// lead it allows the database a second, which a busy machine may not have.
func (p *process) said() string {
	var said strings.Builder
	for line := range strings.Lines(p.log.String()) {
		if !strings.Contains(line, "leadership.Elector") {
			said.WriteString(line)
		}
	}
	return said.String()
}

// count answers SELECT count(*) FROM river_job with the rest of the query.
func (p *process) count(t *testing.T, rest string) int {
	t.Helper()
	var n int
	if err := p.db.SQL().QueryRowContext(t.Context(), `SELECT count(*) FROM (SELECT * FROM river_job WHERE kind = 'signup') jobs `+rest).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// exec changes the database behind the queue's back.
func (p *process) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := p.db.SQL().ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// receive waits for a signal.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(generous):
		t.Fatalf("%s: not in time", what)
		panic("unreachable")
	}
}

var errBroken = errors.New("broken")
