package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/loopback"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// errFailed says that a request has failed, or that a sign-up is lost.
var errFailed = errors.New("requests have failed")

// What the replicas are told. The key is 32 bytes; frontend is where logins
// end, and nobody listens there.
const (
	frontend     = "http://127.0.0.1:3000"
	apiToken     = "rolling-api-token-2f7c1b"
	clientSecret = "rolling-client-secret-9a8b"
	sealingKey   = "xay0Hc+7vCJAhE/GOtBmFFWxse6/keuanmaBEq/M8xY="
)

// world is everything that one run consists of.
type world struct {
	options  options
	out      io.Writer
	folder   string // temporary
	public   string // the proxy's address
	sim      *simulator.Simulator
	simURL   string
	database string
	replicas []*replica
	proxy    *proxy
	tally    *tally
	pace     *rate.Limiter
	people   atomic.Int64
	newest   atomic.Pointer[string] // the newest receipt
	closers  []func()
}

// run is the program. It returns errFailed when it has found what must not be.
func run(ctx context.Context, o options, out io.Writer) error {
	w := &world{options: o, out: out, tally: newTally(), pace: rate.NewLimiter(rate.Limit(o.rate), o.clients)}
	defer func() {
		for _, undo := range slices.Backward(w.closers) {
			undo()
		}
	}()
	for _, step := range []func(context.Context) error{w.build, w.startDatabase, w.startSimulator, w.migrate, w.startReplicas} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return w.roll(ctx)
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(w.out, format+"\n", args...) }

func (w *world) build(ctx context.Context) error {
	var err error
	if w.folder, err = os.MkdirTemp("", "rolling-"); err != nil {
		return err
	}
	if w.options.keep {
		w.say("logs are kept in %s", w.folder)
	} else {
		w.closers = append(w.closers, func() { _ = os.RemoveAll(w.folder) })
	}
	if w.options.binary != "" {
		return nil
	}
	w.options.binary = filepath.Join(w.folder, "portico")
	build := exec.CommandContext(ctx, "go", "build", "-o", w.options.binary, "github.com/portico-id/portico/cmd/portico") //nolint:gosec // our own folder
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build portico: %w: %s", err, out)
	}
	return nil
}

func (w *world) startDatabase(ctx context.Context) error {
	cluster, err := pgcluster.AcquirePrivate(ctx)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = cluster.Close() })
	admin, err := store.Open(ctx, cluster.URL())
	if err != nil {
		return err
	}
	_, err = admin.SQL().ExecContext(ctx, `CREATE DATABASE portico`)
	if err := errors.Join(err, admin.Close()); err != nil {
		return err
	}
	u, err := url.Parse(cluster.URL())
	if err != nil {
		return err
	}
	u.Path = "/portico"
	w.database = u.String()
	return nil
}

// migrate makes the schema, in its own time: serve gives up on a database that
// takes too long.
func (w *world) migrate(ctx context.Context) error {
	migrate := exec.CommandContext(ctx, w.options.binary, "migrate", "up") //nolint:gosec // the binary that we have built
	migrate.Env = w.settings()
	if out, err := migrate.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w: %s", err, out)
	}
	return nil
}

// settings are what every replica is told.
func (w *world) settings() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), //nolint:forbidigo // a process needs one
		"PORTICO_PUBLIC_URL=" + w.public,
		"PORTICO_DATABASE_URL=" + w.database,
		"PORTICO_FRONTEND_ORIGINS=" + frontend,
		"PORTICO_TRUSTED_PROXIES=127.0.0.1/32",
		"PORTICO_BEYOND_API_URL=" + w.simURL,
		"PORTICO_BEYOND_API_TOKEN=" + apiToken,
		"PORTICO_OIDC_ISSUER=" + w.simURL + "/v2",
		"PORTICO_OIDC_CLIENT_ID=portico",
		"PORTICO_OIDC_CLIENT_SECRET=" + clientSecret,
		"PORTICO_KEYS=" + sealingKey,
		"PORTICO_RATE_LIMITS=off",
		"PORTICO_SHUTDOWN_DELAY=" + w.options.delay.String(),
		"PORTICO_ALLOW_INSECURE_LOCALHOST=true",
	}
}

// listen serves a handler at an address of its own, which it returns.
func (w *world) listen(ctx context.Context) (net.Listener, string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	return l, "http://" + l.Addr().String(), nil
}

func (w *world) serve(l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	w.closers = append(w.closers, func() { _ = server.Close() })
}

// startSimulator takes the proxy's port as well, since logins end there.
func (w *world) startSimulator(ctx context.Context) error {
	front, public, err := w.listen(ctx)
	if err != nil {
		return err
	}
	back, simURL, err := w.listen(ctx)
	if err != nil {
		return errors.Join(err, front.Close())
	}
	w.public, w.simURL = public, simURL
	w.sim, err = simulator.New(simulator.Config{
		BaseURL: simURL, APIToken: apiToken, ClientID: "portico", ClientSecret: clientSecret,
		RedirectURIs: []string{public + "/callback"}, RegistrationRedirectURI: public + "/login",
	})
	if err != nil {
		return errors.Join(err, front.Close(), back.Close())
	}
	w.closers = append(w.closers, w.sim.Close)
	w.serve(back, w.sim)
	for i := range w.options.replicas {
		r := &replica{index: i, binary: w.options.binary}
		if r.api, err = loopback.FreeAddress(ctx); err == nil {
			r.ops, err = loopback.FreeAddress(ctx)
		}
		if err == nil {
			r.log, err = os.Create(filepath.Join(w.folder, fmt.Sprintf("replica-%d.log", i)))
		}
		if err != nil {
			return errors.Join(err, front.Close())
		}
		w.replicas = append(w.replicas, r)
	}
	w.proxy = newProxy(w.replicas, w.options.clients)
	w.serve(front, w.proxy)
	return nil
}

// startReplicas starts one after the other.
func (w *world) startReplicas(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	w.closers = append(w.closers, func() {
		stop()
		watchers.Wait()
	})
	for i, r := range w.replicas {
		r.settings = w.settings()
		w.closers = append(w.closers, func() {
			r.kill()
			_ = r.log.Close()
		})
		if err := r.start(); err != nil {
			return err
		}
		watchers.Go(func() { w.proxy.backends[i].watch(watching, w.options.check) })
		if err := r.ready(ctx, w.proxy.backends[i]); err != nil {
			return err
		}
	}
	return nil
}

// roll restarts the replicas in turn under load, and says what came of it.
func (w *world) roll(ctx context.Context) error {
	people, err := w.gather(ctx)
	if err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		w.load(loading, people)
	}()
	begun := time.Now()
	var down time.Duration
	for i := 0; i < w.options.restarts && err == nil; i++ {
		at := time.Now()
		err = w.restart(ctx, i%len(w.replicas))
		down = max(down, time.Since(at))
	}
	took := time.Since(begun)
	stop()
	<-loaded
	if err != nil {
		return err
	}
	w.say("%d restarts by %s of %d replicas in %s, the longest %s; %d clients, %g requests a second, readiness looked at every %s and %d times, %s to notice",
		w.options.restarts, signalName(w.options.signal), w.options.replicas, took.Round(time.Second),
		down.Round(time.Millisecond), w.options.clients, w.options.rate, w.options.check, fall, w.options.delay)
	if err := w.tally.write(w.out); err != nil {
		return err
	}
	return w.verdict(ctx)
}

func signalName(s os.Signal) string {
	if s == syscall.SIGKILL {
		return "SIGKILL"
	}
	return "SIGTERM"
}

// restart ends a replica, starts the next in its place, and waits until the
// proxy has it back. One that was killed is not known to be gone: what the proxy
// took it for before is not taken for the next one's readiness.
func (w *world) restart(ctx context.Context, i int) error {
	if err := w.replicas[i].end(ctx, w.options.signal); err != nil {
		return err
	}
	if err := w.gone(ctx, w.proxy.backends[i]); err != nil {
		return err
	}
	if err := w.replicas[i].start(); err != nil {
		return err
	}
	return w.replicas[i].ready(ctx, w.proxy.backends[i])
}

// gone waits until the proxy has noticed that nobody is there.
func (w *world) gone(ctx context.Context, b *backend) error {
	ticker := time.NewTicker(w.options.check / 4)
	defer ticker.Stop()
	for b.in.Load() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// verdict returns errFailed for a request that has failed, and for a sign-up
// that was accepted and is not in the database.
func (w *world) verdict(ctx context.Context) error {
	db, err := store.Open(ctx, w.database)
	if err != nil {
		return err
	}
	var kept int
	err = db.SQL().QueryRowContext(ctx, `SELECT count(*) FROM signups`).Scan(&kept)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	w.say("%d sign-ups were accepted, %d are in the database; net/http sent %d requests again by itself", w.tally.accepted, kept, w.proxy.resent.Load())
	switch failures := w.tally.failures(); {
	case failures > 0:
		return fmt.Errorf("%w: %d", errFailed, failures)
	case kept < w.tally.accepted:
		return fmt.Errorf("%w: sign-ups are lost", errFailed)
	}
	return nil
}
