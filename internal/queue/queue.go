package queue

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/webhook"
)

const (
	// jobLimit is longer than all calls that one job makes can take.
	jobLimit = 45 * time.Second
	// rescueAfter is River's own net beneath the sign of life.
	rescueAfter = 3 * time.Minute
	// maxAttempts is for errors of ours, such as a database that is away. A
	// sign-up is never given up by counting.
	maxAttempts = 10_000
	// fetchCooldown is the pause between two fetches, each of which takes no
	// more jobs than there are idle workers. River's default of 100 ms would
	// keep most workers idle when calls are quick.
	fetchCooldown = 5 * time.Millisecond
	// parkedFor is how long a parked job is kept for an operator to look at.
	parkedFor = 30 * 24 * time.Hour
	// sqlitePoll is how soon a sign-up's job is noticed where nothing notifies, and
	// sqliteRest how soon another is: each look keeps the one connection there is
	// from whoever else needs it.
	sqlitePoll = 100 * time.Millisecond
	sqliteRest = time.Second
)

// Handlers are what the jobs do.
type Handlers struct {
	// CarrySignup does for the sign-up what can be done now and returns when
	// to call again, or zero when nothing is left to do. A *ParkError says
	// that nothing ever can be; any other error has it called again.
	CarrySignup func(ctx context.Context, id signup.ID) (again time.Duration, err error)
	// Resend does the same for the wish for another enrolment mail.
	Resend func(ctx context.Context, id signup.ID) (again time.Duration, err error)
	// Notify does the same for telling the owner of the address.
	Notify func(ctx context.Context, id signup.ID) (again time.Duration, err error)
	// CarryChange carries what has changed of a user to the provider, or the
	// user's deletion.
	CarryChange func(ctx context.Context, id directory.UserID) (again time.Duration, err error)
	// CarryUser carries a user without a sign-up to the provider.
	CarryUser func(ctx context.Context, id directory.UserID) (again time.Duration, err error)
	// Remind sends a user's enrolment mail again, as was wished for at that
	// time.
	Remind func(ctx context.Context, id directory.UserID, wished time.Time) (again time.Duration, err error)
	// ProveEmail mails the code that proves an address, as CarrySignup does its
	// work.
	ProveEmail func(ctx context.Context, id account.EmailChangeID) (again time.Duration, err error)
	// SendLetter sends a letter.
	SendLetter func(ctx context.Context, id account.LetterID) (again time.Duration, err error)
	// FanOut makes the deliveries of an event that endpoints are told of.
	FanOut func(ctx context.Context, id webhook.EventID) error
	// Deliver sends one of them.
	Deliver func(ctx context.Context, id webhook.DeliveryID, endpoint webhook.EndpointID) (again time.Duration, err error)
	// Reconcile mends what the others have left.
	Reconcile func(ctx context.Context) error
	// Compare does a part of the comparison of the directories and returns
	// when to call again, or zero when nothing is left to do for now.
	Compare func(ctx context.Context) (again time.Duration, err error)
	// Housekeep removes what has expired.
	Housekeep func(ctx context.Context) error
}

// Config says what the queue runs on.
type Config struct {
	DB      *sql.DB
	Pool    *pgxpool.Pool // nil on SQLite
	Workers int           // sign-ups under way at once
	// CompareEvery is the time between two comparisons of the directories; 0
	// for none.
	CompareEvery time.Duration
	Watch        Watch // nil for nobody
	Log          *slog.Logger
}

// Queue inserts jobs and, once started, works them.
type Queue struct {
	config   Config
	told     *slog.Logger // the jobs' own, where config's drops River's news
	id       string
	inserter *river.Client[*sql.Tx]

	announcer announcer
	worker    worker
	presence  *presence
	forgotten *forgotten
	leaving   context.Context //nolint:containedctx // it has ended once Stop is called
	leave     context.CancelFunc
}

// worker is what starting and stopping needs of River's client, whose type
// depends on the driver.
type worker interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

// New returns a queue that can insert. Start lets it work.
func New(config Config) (*Queue, error) {
	told := config.Log
	config.Log = slog.New(warnings{config.Log.Handler()})
	q := &Queue{config: config, told: told, id: "portico-" + rand.Text()}
	settings := &river.Config{Logger: config.Log, MaxAttempts: maxAttempts}
	var err error
	if config.Pool == nil {
		q.inserter, err = river.NewClient(riversqlite.New(config.DB), settings)
	} else {
		q.inserter, err = river.NewClient(riverdatabasesql.New(config.DB), settings)
	}
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	return q, nil
}

// EnqueueSignup inserts the job that carries the sign-up out. It exists when,
// and only when, tx commits.
func (q *Queue) EnqueueSignup(ctx context.Context, tx *sql.Tx, id signup.ID) error {
	return q.enqueue(ctx, tx, signupArgs{SignupID: string(id)})
}

// EnqueueResend inserts the job that sends the enrolment mail again.
func (q *Queue) EnqueueResend(ctx context.Context, tx *sql.Tx, id signup.ID) error {
	return q.enqueue(ctx, tx, resendArgs{SignupID: string(id)})
}

// EnqueueNotice inserts the job that tells the owner of the sign-up's address.
func (q *Queue) EnqueueNotice(ctx context.Context, tx *sql.Tx, id signup.ID) error {
	return q.enqueue(ctx, tx, noticeArgs{SignupID: string(id)})
}

func (q *Queue) enqueue(ctx context.Context, tx *sql.Tx, args river.JobArgs) error {
	if _, err := q.inserter.InsertTx(ctx, tx, args, &river.InsertOpts{Metadata: q.metadata(ctx)}); err != nil {
		return fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	return nil
}

// Start begins to work jobs, first those that a process left behind when it
// died. They run until Stop, not until ctx ends.
func (q *Queue) Start(ctx context.Context, handlers Handlers) error {
	ctx = context.WithoutCancel(ctx)
	workers := river.NewWorkers()
	river.AddWorker(workers, &signupWorker{carry: handlers.CarrySignup})
	river.AddWorker(workers, &resendWorker{carry: handlers.Resend})
	river.AddWorker(workers, &noticeWorker{carry: handlers.Notify})
	river.AddWorker(workers, &changeWorker{carry: handlers.CarryChange})
	river.AddWorker(workers, &enrolWorker{carry: handlers.CarryUser})
	river.AddWorker(workers, &remindWorker{remind: handlers.Remind})
	river.AddWorker(workers, &proofWorker{post: handlers.ProveEmail})
	river.AddWorker(workers, &letterWorker{post: handlers.SendLetter})
	river.AddWorker(workers, &webhookEventWorker{fanOut: handlers.FanOut})
	river.AddWorker(workers, &webhookDeliveryWorker{deliver: handlers.Deliver})
	river.AddWorker(workers, &reconcileWorker{reconcile: handlers.Reconcile})
	river.AddWorker(workers, &compareWorker{compare: handlers.Compare})
	river.AddWorker(workers, &housekeepingWorker{housekeep: handlers.Housekeep})
	settings := &river.Config{
		ID:           q.id,
		Logger:       q.config.Log,
		Workers:      workers,
		ErrorHandler: poison{log: q.config.Log},
		Queues: map[string]river.QueueConfig{
			signupQueue:  {MaxWorkers: q.config.Workers},
			resendQueue:  {MaxWorkers: resendWorkers},
			mailQueue:    {MaxWorkers: mailWorkers},
			upkeepQueue:  {MaxWorkers: upkeepWorkers},
			changeQueue:  {MaxWorkers: changeWorkers},
			importQueue:  {MaxWorkers: importWorkers},
			webhookQueue: {MaxWorkers: webhookWorkers},
		},
		FetchCooldown:               fetchCooldown,
		JobTimeout:                  jobLimit,
		RescueStuckJobsAfter:        rescueAfter,
		CancelledJobRetentionPeriod: parkedFor,
		MaxAttempts:                 maxAttempts,
		RetryPolicy:                 retryPolicy{},
		PeriodicJobs:                append(periodic(), comparisons(q.config.CompareEvery)...),
	}
	owner := q.id
	if q.config.Pool == nil {
		owner = ""
	}
	q.forgotten = startForgotten(ctx, q.config.DB, owner, q.config.Log)
	settings.Middleware = []rivertype.Middleware{
		river.WorkerMiddlewareFunc(q.watched), river.WorkerMiddlewareFunc(q.forgotten.Work), river.WorkerMiddlewareFunc(q.yielding),
		river.WorkerMiddlewareFunc(calm),
	}
	q.leaving, q.leave = context.WithCancel(ctx)
	err := q.startWorker(ctx, settings)
	if err != nil {
		q.leave()
		q.worker = nil
		q.presence.stop()
		q.forgotten.stop()
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// startWorker hands back what the dead have left and starts River's client.
func (q *Queue) startWorker(ctx context.Context, settings *river.Config) (err error) {
	if q.config.Pool == nil {
		settings.FetchPollInterval = sqlitePoll
		for name, config := range settings.Queues {
			if name != signupQueue {
				config.FetchPollInterval = sqliteRest
				settings.Queues[name] = config
			}
		}
		if err = handBackAll(ctx, q.config.DB); err != nil {
			return err
		}
		q.worker, err = river.NewClient(riversqlite.New(q.config.DB), settings)
	} else {
		if q.presence, err = startPresence(ctx, q.config.Pool, q.id, q.config.Log); err != nil {
			return err
		}
		if settings.ReindexerSchedule, err = reindexing(ctx, q.config.Pool); err != nil {
			return err
		}
		q.worker, err = river.NewClient(riverpgxv5.New(q.config.Pool), settings)
	}
	if err != nil {
		return err
	}
	return q.worker.Start(ctx)
}

// Stop takes no more jobs and waits for those under way, but for the upkeep's,
// which are cancelled. When ctx ends first the others are, too; they write what
// they know and are tried again by whoever works the queue next.
func (q *Queue) Stop(ctx context.Context) error {
	q.announcer.stop()
	if q.worker == nil {
		return nil
	}
	q.leave()
	err := q.worker.Stop(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = q.worker.StopAndCancel(hard)
	}
	q.presence.stop()
	q.forgotten.stop()
	return err
}

// warnings drops River's news of its own workings.
type warnings struct{ slog.Handler }

// Enabled reports whether a record of the level is kept.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// Handle drops what River says of its own work when it is told to stop.
func (w warnings) Handle(ctx context.Context, record slog.Record) error {
	stopping := false
	record.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		stopping = ok && errors.Is(err, context.Canceled) || a.Value.String() == context.Canceled.Error()
		return !stopping
	})
	if stopping {
		return nil
	}
	return w.Handler.Handle(ctx, record)
}

// WithAttrs keeps the threshold.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the threshold.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
