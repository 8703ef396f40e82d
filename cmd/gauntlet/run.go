package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/time/rate"

	"github.com/portico-id/portico/internal/loopback"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// errBroken says that a promise was not kept, or a seeded bug not found.
var errBroken = errors.New("broken promises")

// What the processes are told, besides their addresses. The key is 32 bytes.
const (
	publicURL  = "http://localhost:8080"
	sealingKey = "xay0Hc+7vCJAhE/GOtBmFFWxse6/keuanmaBEq/M8xY="
	canaryName = "Canary Lovelace"
)

// run is the program. It returns errBroken when it has found what must not be.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := commandLine(args, out)
	if err != nil {
		return err
	}
	return newWorld(o, out).run(ctx)
}

// world is everything that one run consists of.
type world struct {
	options  options
	count    *counters
	ledger   *ledger
	out      io.Writer
	folder   string // temporary
	cluster  *pgcluster.Cluster
	db       *store.DB
	provider *provider
	sink     string // address of the mail server
	fleet    *fleet
	proxies  []*dbProxy
	load     *load
	foreign  map[string]bool // external_ids of somebody else's users
	closers  []func()
}

func newWorld(o options, out io.Writer) *world {
	return &world{options: o, count: newCounters(), ledger: &ledger{}, out: out}
}

// run builds the world, runs the gauntlet in it and leaves nothing behind.
func (w *world) run(ctx context.Context) error {
	defer w.close()
	if err := w.build(ctx); err != nil {
		return err
	}
	return w.gauntlet(ctx)
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(w.out, format+"\n", args...) }

func (w *world) close() {
	for _, undo := range slices.Backward(w.closers) {
		undo()
	}
}

// build starts everything but the processes.
func (w *world) build(ctx context.Context) error {
	w.say("seed %d", w.options.seed)
	var err error
	if w.folder, err = os.MkdirTemp("", "gauntlet-"); err != nil {
		return err
	}
	if !w.options.keep {
		w.closers = append(w.closers, func() { _ = os.RemoveAll(w.folder) }) //nolint:gosec // our own folder
	}
	for _, step := range []func(context.Context) error{w.buildBinary, w.buildDatabase, w.buildProvider, w.buildFleet} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	w.load = &load{
		options: w.options, count: w.count, ledger: w.ledger,
		balancer: newBalancer(w.count, w.fleet.replicas, w.options.clients),
		pace:     rate.NewLimiter(rate.Limit(w.options.rate), w.options.clients),
	}
	return w.buildForeigners(ctx)
}

func (w *world) buildBinary(ctx context.Context) error {
	if w.options.binary != "" {
		return nil
	}
	w.options.binary = filepath.Join(w.folder, "portico")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "gauntlet", "-o", w.options.binary, //nolint:gosec // our own folder
		"github.com/portico-id/portico/cmd/portico")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build portico: %w: %s", err, out)
	}
	return nil
}

// buildDatabase starts a Postgres of our own with an empty database, whose
// schema the binary's own migrate command makes.
func (w *world) buildDatabase(ctx context.Context) error {
	var err error
	if w.cluster, err = pgcluster.AcquirePrivate(ctx); err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = w.cluster.Close() })
	admin, err := store.Open(ctx, w.cluster.URL())
	if err != nil {
		return err
	}
	_, err = admin.SQL().ExecContext(ctx, `CREATE DATABASE portico`)
	if err := errors.Join(err, admin.Close()); err != nil {
		return err
	}
	address, err := w.databaseAt("")
	if err != nil {
		return err
	}
	if w.db, err = store.Open(ctx, address+"&pool_max_conns=3"); err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = w.db.Close() })
	migrate := exec.CommandContext(ctx, w.options.binary, "migrate", "up") //nolint:gosec // our own binary
	migrate.Env = append(w.settings(), "PORTICO_DATABASE_URL="+address)
	if out, err := migrate.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w: %s", err, out)
	}
	if w.options.unconstraint {
		_, err = w.db.SQL().ExecContext(ctx, `ALTER TABLE users DROP CONSTRAINT users_email_canonical_key`)
	}
	return err
}

// databaseAt is the database's URL by way of a proxy, or directly.
func (w *world) databaseAt(proxy string) (string, error) {
	u, err := url.Parse(w.cluster.URL())
	if err != nil {
		return "", err
	}
	u.Path = "/portico"
	if proxy != "" {
		u.Host = proxy
	}
	return u.String(), nil
}

func (w *world) buildProvider(ctx context.Context) error {
	address, err := loopback.FreeAddress(ctx)
	if err != nil {
		return err
	}
	if w.provider, err = newProvider(address, w.options); err != nil {
		return err
	}
	w.closers = append(w.closers, func() {
		w.provider.down()
		w.provider.sim.Close()
	})
	var lc net.ListenConfig
	sink, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.sink = sink.Addr().String()
	go func() { _ = w.provider.sim.ServeSMTP(sink) }() //nolint:contextcheck // the simulator's end is its end
	return w.provider.up(ctx, false)
}

// settings are what every process is told. The provider's address is not known
// to the command that migrates, which does not need it.
func (w *world) settings() []string {
	var base string
	if w.provider != nil {
		base = "http://" + w.provider.address
	}
	return []string{
		"PORTICO_PUBLIC_URL=" + publicURL,
		"PORTICO_FRONTEND_ORIGINS=http://localhost:3000",
		"PORTICO_BEYOND_API_URL=" + base,
		"PORTICO_BEYOND_API_TOKEN=" + apiToken,
		"PORTICO_BEYOND_QUARANTINE=" + w.options.quarantine().String(),
		"PORTICO_OIDC_ISSUER=" + base + "/v2",
		"PORTICO_OIDC_CLIENT_ID=portico",
		"PORTICO_OIDC_CLIENT_SECRET=" + clientSecret,
		"PORTICO_KEYS=" + sealingKey,
		"PORTICO_RATE_LIMITS=off",
		"PORTICO_SMTP_URL=smtp://" + w.sink,
		"PORTICO_ALLOW_INSECURE_LOCALHOST=true",
	}
}

func (w *world) buildFleet(ctx context.Context) error {
	u, err := url.Parse(w.cluster.URL())
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	w.fleet = &fleet{
		options: w.options, count: w.count, binary: w.options.binary, settings: w.settings(),
		secrets: secrets{
			"the API token": apiToken, "the client secret": clientSecret, "the sealing key": sealingKey,
			"the database's password": password, "a display name": canaryName, "an address": "grace.h",
		},
	}
	if w.options.keep {
		w.fleet.logs = w.folder
		w.say("logs are kept in %s", w.folder)
	}
	for i := range w.options.replicas {
		if err := w.buildReplica(ctx, i, u.Host); err != nil {
			return err
		}
	}
	return nil
}

// buildReplica gives a replica its addresses and its own way to the database.
func (w *world) buildReplica(ctx context.Context, i int, postgres string) error {
	r := &replica{index: i}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = listener.Close() })
	proxy := &dbProxy{options: w.options, count: w.count, target: postgres, random: w.options.random(fmt.Sprintf("proxy %d", i))}
	go proxy.serve(listener) //nolint:contextcheck // the listener's end is its end
	w.proxies = append(w.proxies, proxy)
	if r.proxied, err = w.databaseAt(listener.Addr().String()); err != nil {
		return err
	}
	if r.api, err = loopback.FreeAddress(ctx); err != nil {
		return err
	}
	if r.ops, err = loopback.FreeAddress(ctx); err != nil {
		return err
	}
	w.fleet.replicas = append(w.fleet.replicas, r)
	return nil
}

// buildForeigners gives some addresses to somebody else at the provider before
// their people sign up here.
func (w *world) buildForeigners(ctx context.Context) error {
	var addresses []string
	for range w.options.foreign {
		who := w.ledger.newPerson()
		w.load.foreign = append(w.load.foreign, who)
		addresses = append(addresses, canonical(who))
	}
	var err error
	w.foreign, err = w.provider.foreigners(ctx, addresses)
	return err
}
