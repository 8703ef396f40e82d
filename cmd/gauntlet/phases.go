package main

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/portico-id/portico/cmd/gauntlet/check"
)

// gauntlet runs the phases: load and chaos, calm, and the reckoning.
func (w *world) gauntlet(ctx context.Context) error {
	processes, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	failed := make(chan error, len(w.fleet.replicas))
	if w.options.storm {
		w.fleet.calm.Store(true)
	}
	for _, r := range w.fleet.replicas {
		running.Go(func() { failed <- w.fleet.keep(processes, r) })
	}
	began := time.Now()
	if err := w.wreak(ctx); err != nil {
		return err
	}
	lasted := time.Since(began)
	drain, err := w.calmDown(ctx)
	if err != nil {
		return err
	}
	// What the provider has not committed yet, it commits now; and then nothing
	// may change that anybody has to react to.
	pause(ctx, w.options.late+time.Second)
	stop()
	running.Wait()
	select {
	case err := <-failed:
		if err != nil {
			return err
		}
	default:
	}
	e, err := w.evidence(ctx)
	if err != nil {
		return err
	}
	return w.report(e, check.Run(e), lasted, drain)
}

// wreak is load and chaos, for as long as the options say.
func (w *world) wreak(ctx context.Context) error {
	if w.options.storm {
		pause(ctx, 2*time.Second) // all replicas are up
		w.load.storm(ctx, w.options.storms, 100)
		return ctx.Err()
	}
	if err := w.provider.up(ctx, true); err != nil {
		return err
	}
	loading, cancel := context.WithTimeout(ctx, w.options.load())
	defer cancel()
	c := &chaos{
		options: w.options, count: w.count, fleet: w.fleet, cluster: w.cluster, provider: w.provider, say: w.say,
	}
	var all sync.WaitGroup
	var err error
	all.Go(func() { err = c.run(loading) })
	all.Go(func() { w.load.run(loading) })
	all.Go(func() { w.provider.enrol(loading) })
	all.Go(func() { w.progress(loading, w.db.SQL()) })
	all.Wait()
	return errors.Join(err, ctx.Err())
}

// calmDown puts everything right, starts every process anew without
// failpoints, and waits until all has come to rest.
func (w *world) calmDown(ctx context.Context) (time.Duration, error) {
	w.fleet.calm.Store(true)
	for _, p := range w.proxies {
		p.calm.Store(true)
	}
	if err := w.provider.up(ctx, false); err != nil {
		return 0, err
	}
	if w.options.pointChance > 0 {
		for _, r := range w.fleet.replicas {
			if r.kill() {
				w.count.killsAtRandom.Add(1)
			}
		}
	}
	w.say("calm: waiting until all has come to rest")
	return quiet(ctx, w.db.SQL(), w.options.patience, w.say)
}

// progress says how it goes, every ten seconds.
func (w *world) progress(ctx context.Context, db *sql.DB) {
	began := time.Now()
	for {
		pause(ctx, 10*time.Second)
		if ctx.Err() != nil {
			return
		}
		pending := "unknown: Postgres is away"
		if p, err := readPending(ctx, db); err == nil {
			pending = p.String()
		}
		all, atPoints := w.count.kills()
		w.say("%4.0fs  kills %d (%d at points)  restarts %d  Postgres crashes %d  cuts %d  lost COMMITs %d  sign-ups %d  accepted %d  replays %d  pending %s",
			time.Since(began).Seconds(), all, atPoints, w.count.restarts.Load(), w.count.crashes.Load(), w.count.cuts.Load(),
			w.count.lostCommits.Load(), w.count.requests.Load(), w.count.accepted.Load(), w.count.replays.Load(), pending)
	}
}

// evidence collects all ledgers.
func (w *world) evidence(ctx context.Context) (check.Evidence, error) {
	e := check.Evidence{Foreign: w.foreign, MayConflict: make(map[string]bool)}
	for _, who := range w.load.foreign {
		e.MayConflict[canonical(who)] = true
	}
	w.ledger.evidence(&e)
	e.Observed = append(e.Observed, w.fleet.found...)
	atProvider(w.provider.sim, &e)
	if err := stored(ctx, w.db.SQL(), &e); err != nil {
		return e, err
	}
	planted := make(secrets)
	for _, name := range []string{"the API token", "the client secret", "the sealing key", "the database's password"} {
		planted[name] = w.fleet.secrets[name]
	}
	err := given(ctx, w.db.SQL(), planted, &e)
	return e, err
}
