package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/telemetry"
)

const (
	// databaseWait is how long serve waits for a database that is not up yet.
	databaseWait = 30 * time.Second
	// providerWait is how long a start waits for the provider's metadata.
	providerWait = 3 * time.Second
	// drain is how long requests, and then jobs, may take to end.
	drain = 20 * time.Second
)

type serveCmd struct {
	Config `embed:""`
}

// Run serves until ctx ends.
func (cmd serveCmd) Run(ctx context.Context, env environment, otel openTelemetry, out streams) error {
	env.files(&cmd.Config)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	collectLess()
	return Serve(ctx, cmd.Config, Options{Log: out.stdout, Reload: reload, OpenTelemetry: otel})
}

// gcPercent lets the heap grow to three times what is in use before it is
// collected, instead of twice. Little is in use, so that this costs a few MiB,
// and it saves a good part of what the collector takes under load.
const gcPercent = 200

// collectLess sets gcPercent, unless the operator has set GOGC.
func collectLess() {
	const untouched = 100
	if before := debug.SetGCPercent(gcPercent); before != untouched {
		debug.SetGCPercent(before)
	}
}

// Options are what serve takes that is no setting.
type Options struct {
	Log io.Writer // gets one JSON object a line
	// Reload asks for the files of secrets to be read again at once.
	Reload <-chan os.Signal
	// OpenTelemetry are that SDK's own variables, which say whether there are
	// traces and where they go.
	OpenTelemetry map[string]string
}

// Serve runs Portico until ctx ends, and then stops it gracefully: readiness
// goes off, PORTICO_SHUTDOWN_DELAY passes, requests under way are answered, no
// more jobs are taken, those under way end or are handed back, and everything
// is closed.
func Serve(ctx context.Context, config Config, options Options) error {
	p, err := config.check()
	if err != nil {
		return &UsageError{err}
	}
	log := slog.New(telemetry.LogHandler{Handler: utc{slog.NewJSONHandler(options.Log, &slog.HandlerOptions{Level: p.level})}})
	log.InfoContext(ctx, "starting", slog.String("version", version()), slog.Any("config", config))
	for _, warning := range p.warnings {
		log.WarnContext(ctx, "the configuration will disappoint", slog.String("because", warning))
	}
	ops, err := startOperations(ctx, config, log)
	if err != nil {
		return err
	}
	defer func() { _ = ops.close() }()
	traces, err := telemetry.NewTraces(ctx, openTelemetry(options.OpenTelemetry).get, version(), options.Log, log)
	if err != nil {
		return &UsageError{err}
	}
	defer func() { _ = traces.Close(ctx) }() // what cannot be sent is said by then
	db, err := openWatched(ctx, config, statements(traces))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := prepare(ctx, config, db, log); err != nil {
		return err
	}
	all, err := wire(config, p, db, newWitness(traces), log) //nolint:contextcheck // each request and job brings a context of its own
	if err != nil {
		return err
	}
	defer all.close()
	all.reload = newReloader(config, p.secrets, options.Reload, log)
	listener, err := listen(ctx, config)
	if err != nil {
		return err
	}
	return all.serve(ctx, listener, ops, config.ShutdownDelay)
}

// utc writes the log's times in UTC (ASVS 16.2.2). As a handler it costs next to
// nothing; slog's own ReplaceAttr is asked about every attribute of every line.
type utc struct{ slog.Handler }

// Handle writes the record.
func (h utc) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that writes attrs with each record.
func (h utc) WithAttrs(attrs []slog.Attr) slog.Handler { return utc{h.Handler.WithAttrs(attrs)} }

// WithGroup returns a handler that writes into a group.
func (h utc) WithGroup(name string) slog.Handler { return utc{h.Handler.WithGroup(name)} }

var errOldSchema = errors.New("the database's schema is not up to date: run `portico migrate up`")

// prepare waits for the database and sees to its schema. A database that goes
// away again meanwhile is waited for once more.
func prepare(ctx context.Context, config Config, db *store.DB, log *slog.Logger) error {
	wait, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	for try := 1; ; try++ {
		err := prepareNow(wait, config, db, log)
		// A library that asks the database does not always tell that it was the
		// database's fault, which may be back by now.
		if err == nil || errors.Is(err, errOldSchema) || wait.Err() != nil || try > 3 && !isAway(wait, db, err) {
			return err
		}
		log.WarnContext(ctx, "database is not there yet", slog.Any("error", err))
		select {
		case <-wait.Done():
			return fmt.Errorf("database is not reachable: %w", err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// isAway reports whether err is because the database was not there: it says
// so, or its connection broke, which not every library that asks it tells.
func isAway(ctx context.Context, db *store.DB, err error) bool {
	return errors.Is(err, directory.ErrUnavailable) || errors.Is(err, io.ErrUnexpectedEOF) || db.Ping(ctx) != nil
}

// prepareNow sees to the schema.
func prepareNow(ctx context.Context, config Config, db *store.DB, log *slog.Logger) error {
	if err := db.Ping(ctx); err != nil {
		return err
	}
	ok, err := current(ctx, db)
	switch {
	case err != nil:
		return err
	case ok:
		return nil
	case !config.MigrateOnStart:
		return errOldSchema
	}
	log.InfoContext(ctx, "bringing the schema up to date")
	return migrate(ctx, db)
}

// listen takes the API's port, when requests can be answered: whoever came
// before would wait for nothing.
func listen(ctx context.Context, config Config) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("PORTICO_LISTEN: %w", err)
	}
	return listener, nil
}

// newServer bounds everything that a client could drag out: Go's zero values
// wait for ever (slowloris).
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10, // eight flows with the longest return target
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// OPTIONS * is for us to answer, with the headers that every answer has.
		DisableGeneralOptionsHandler: true,
	}
}

// serve starts everything, waits for ctx or for a failure, and stops
// everything in order.
func (p *parts) serve(ctx context.Context, listener net.Listener, ops *operations, delay time.Duration) error {
	log := p.log
	var ready atomic.Bool
	// What runs in the background outlives ctx until requests have been served.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	polls, stopPolls := context.WithCancel(background)
	defer stopPolls()
	handler := &leaving{next: p.api}
	main := newServer(handler, log)
	ops.answerWith(p.api.Ops(func(ctx context.Context) error {
		if !ready.Load() {
			return errors.New("stopping or not yet started")
		}
		return p.db.Ping(ctx)
	}))

	failed := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() {
		if err := main.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	running.Go(func() { _ = p.login.Run(background) })
	running.Go(func() { p.sessions.Run(background) })
	running.Go(func() { p.audit.Run(background) })
	running.Go(func() { p.reload.Run(background) })
	running.Go(func() { p.signups.Run(polls) })
	err := p.startQueue(background)
	if err == nil {
		p.awaitProvider(ctx)
		ready.Store(true)
		log.InfoContext(ctx, "ready", slog.String("api", listener.Addr().String()), slog.String("ops", ops.address))
		select {
		case <-ctx.Done():
		case err = <-failed:
		case err = <-ops.failed:
		}
	}

	ready.Store(false)
	log.InfoContext(ctx, "stopping")
	if err == nil {
		err = handler.linger(background, delay, failed)
	}
	// Requests that wait for news would hold the shutdown up.
	stopPolls()
	err = errors.Join(err, p.stop(background, main))
	stopBackground()
	err = errors.Join(err, ops.close())
	running.Wait()
	log.InfoContext(ctx, "stopped")
	return err
}

// awaitProvider waits until the provider was asked for its metadata once,
// whatever it said: a replica that takes over from another would refuse logins
// for that moment. One that is down, or does not answer, keeps nobody waiting
// for long.
func (p *parts) awaitProvider(ctx context.Context) {
	timer := time.NewTimer(providerWait)
	defer timer.Stop()
	select {
	case <-p.login.Tried():
	case <-timer.C:
	case <-ctx.Done():
	}
}

// startQueue starts the jobs. A database that goes away just then is waited
// for, as prepare does.
func (p *parts) startQueue(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	for try := 1; ; try++ {
		err := p.queue.Start(ctx, p.handlers())
		// Its library does not always tell that it was the database's fault,
		// which may be back by now.
		if err == nil || wait.Err() != nil || try > 3 && !isAway(wait, p.db, err) {
			return err
		}
		p.log.WarnContext(ctx, "jobs cannot be started yet", slog.Any("error", err))
		select {
		case <-wait.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// stop answers the requests under way and ends the jobs.
func (p *parts) stop(ctx context.Context, server *http.Server) error {
	requests, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	err := server.Shutdown(requests)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	jobs, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	return errors.Join(err, p.queue.Stop(jobs))
}
