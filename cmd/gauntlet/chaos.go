package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// chaos is what goes wrong while the load lasts.
type chaos struct {
	options  options
	count    *counters
	fleet    *fleet
	cluster  *pgcluster.Cluster
	provider *provider
	say      func(format string, args ...any)
}

// run wreaks havoc until ctx ends, and returns when everything but the
// processes' failpoints has been put right.
func (c *chaos) run(ctx context.Context) error {
	errs := make(chan error, 3)
	var all sync.WaitGroup
	all.Go(func() { c.kill(ctx) })
	all.Go(func() { errs <- c.crash(ctx) })
	all.Go(func() { errs <- c.cut(ctx) })
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// kill ends a random replica whenever fewer have died than should have:
// failpoints kill by themselves, and how often depends on the load.
func (c *chaos) kill(ctx context.Context) {
	if c.options.kills == 0 {
		return
	}
	r := c.options.random("kills")
	began := time.Now()
	for ctx.Err() == nil {
		pause(ctx, around(r, time.Duration(float64(time.Second)/c.options.kills)))
		victim := oneOf(r, c.fleet.replicas)
		all, _ := c.count.kills()
		if float64(all) >= time.Since(began).Seconds()*c.options.kills || ctx.Err() != nil {
			continue
		}
		if victim.kill() {
			c.count.killsAtRandom.Add(1)
		}
	}
}

// crash stops Postgres as a failing machine would, and starts it again.
func (c *chaos) crash(ctx context.Context) error {
	if c.options.crashEvery == 0 {
		return nil
	}
	r := c.options.random("crashes")
	for {
		pause(ctx, around(r, c.options.crashEvery))
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of the chaos is not a failure
		}
		if err := c.cluster.Crash(); err != nil {
			return fmt.Errorf("crash Postgres: %w", err)
		}
		c.count.crashes.Add(1)
		pause(ctx, time.Duration(r.ExpFloat64()*float64(700*time.Millisecond)))
		if err := c.cluster.Restart(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("restart Postgres: %w", err)
		}
	}
}

// cut takes the provider away now and then, in one of several ways; and once
// for long, where that is asked for.
func (c *chaos) cut(ctx context.Context) error {
	r := c.options.random("cuts")
	alive := context.WithoutCancel(ctx)
	outageAt := time.Now().Add(c.options.load() - c.options.outage)
	for ctx.Err() == nil {
		if c.options.outage > 0 && time.Now().After(outageAt) {
			c.say("the provider is away for %s", c.options.outage)
			c.provider.down()
			c.count.cuts.Add(1)
			<-ctx.Done()
			break
		}
		if c.options.cutEvery == 0 {
			pause(ctx, time.Until(outageAt)+time.Millisecond)
			continue
		}
		pause(ctx, around(r, c.options.cutEvery))
		if how := r.IntN(8); ctx.Err() == nil {
			c.count.cuts.Add(1)
			if how < 4 {
				c.provider.down()
			} else {
				c.provider.failing(how)
			}
			pause(ctx, time.Duration(200+r.IntN(3000))*time.Millisecond)
			if err := c.provider.up(alive, true); err != nil {
				return err
			}
		}
	}
	return nil
}
