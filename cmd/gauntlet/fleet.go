package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/portico-id/portico/cmd/gauntlet/check"
	"github.com/portico-id/portico/internal/failpoint"
)

// fleet keeps the replicas running, whatever ends them.
type fleet struct {
	options  options
	count    *counters
	binary   string
	settings []string // common to all
	secrets  secrets
	logs     string // folder for everything they say; "" keeps nothing
	replicas []*replica
	calm     atomic.Bool // no failpoints in processes that start from now on

	mu    sync.Mutex
	found []check.Violation
	last  []string // what the process said that last ended by itself
}

// replica is one place in the fleet, held by one process after another.
type replica struct {
	index   int
	api     string // address
	ops     string
	proxied string // the database, by the replica's own way to it

	mu  sync.Mutex
	cmd *exec.Cmd // nil between two processes
}

// keep runs one process after another until ctx ends.
func (f *fleet) keep(ctx context.Context, r *replica) error {
	out, closeOut, err := f.copyOf(r)
	if err != nil {
		return err
	}
	defer closeOut()
	plan := f.options.random(fmt.Sprintf("failpoints of replica %d", r.index))
	for generation := 0; ctx.Err() == nil; generation++ {
		if generation > 0 {
			f.count.restarts.Add(1)
		}
		log := newProcessLog(f.secrets, f.count, out)
		byItself, err := f.runOnce(ctx, r, log, f.arm(plan))
		if err != nil {
			return err
		}
		ended := log.end()
		ended.byItself = byItself && ctx.Err() == nil
		f.judge(r, ended)
		if ended.byItself {
			// It refuses to run: starting it again without pause helps nobody.
			pause(ctx, 200*time.Millisecond)
		}
	}
	return nil
}

// copyOf opens the replica's log file, where logs are kept.
func (f *fleet) copyOf(r *replica) (w io.Writer, closeFile func(), err error) {
	if f.logs == "" {
		return nil, func() {}, nil
	}
	file, err := os.Create(filepath.Join(f.logs, fmt.Sprintf("replica-%d.log", r.index))) //nolint:gosec // our own folder
	if err != nil {
		return nil, nil, err
	}
	return file, func() { _ = file.Close() }, nil
}

// arm plans one process's failpoints: kills at two points, most of the time,
// and delays that widen the gaps in which another replica may come first.
func (f *fleet) arm(r dice) failpoint.Spec {
	if f.calm.Load() || f.options.pointChance == 0 {
		return failpoint.Spec{}
	}
	spec := failpoint.Spec{Seed: r.Uint64()}
	kills := 0
	if r.Float64() < f.options.pointChance {
		kills = 2
	}
	points := slices.Clone(f.options.points)
	r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	for i, point := range points[:min(kills+r.IntN(3), len(points))] {
		rule := failpoint.Rule{Point: point, Probability: 1}
		if i < kills {
			// A process does not live long: most kills come at once.
			rule.Action, rule.Nth = failpoint.Kill, 1+int(r.ExpFloat64()*2)
		} else {
			rule.Action, rule.Delay = failpoint.Delay, time.Duration(1+r.IntN(80))*time.Millisecond
			rule.Probability = 0.1
		}
		spec.Rules = append(spec.Rules, rule)
	}
	return spec
}

// runOnce runs one process to its end and reports whether nobody had killed it.
func (f *fleet) runOnce(ctx context.Context, r *replica, log *processLog, spec failpoint.Spec) (byItself bool, err error) {
	// It is killed below: a context of its own would end it in the same way.
	cmd := exec.Command(f.binary, "serve") //nolint:gosec,noctx // the binary that we have built
	cmd.Env = append(slices.Clone(f.settings),
		"PATH="+os.Getenv("PATH"), //nolint:forbidigo // a process needs one
		"PORTICO_LISTEN="+r.api, "PORTICO_OPS_LISTEN="+r.ops, "PORTICO_DATABASE_URL="+r.proxied,
		failpoint.EnvPoints+"="+spec.String())
	if f.options.bug != "" && !f.options.control {
		cmd.Env = append(cmd.Env, failpoint.EnvBug+"="+f.options.bug)
	}
	cmd.Stdout, cmd.Stderr = log, log
	// It dies with us, however we die.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start portico: %w", err)
	}
	r.set(cmd)
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	stop()
	r.set(nil)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status, ok := exit.Sys().(syscall.WaitStatus)
		return !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL, nil
	}
	return true, nil
}

// judge counts a process's end and keeps what it has given away.
func (f *fleet) judge(r *replica, e end) {
	if e.killed != "" {
		f.count.killedAt(e.killed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, leak := range e.leaks {
		f.found = appendBounded(f.found, check.Violation{Rule: check.Leak, Text: leak})
	}
	for _, line := range e.panics {
		f.found = appendBounded(f.found, check.Violation{Rule: check.Panicked, Text: fmt.Sprintf("replica %d: %s", r.index, line)})
	}
	if e.byItself {
		f.count.exits.Add(1)
		f.last = e.last
	}
}

// maxObserved bounds what is kept of one kind of violation.
const maxObserved = 1000

func appendBounded(found []check.Violation, v check.Violation) []check.Violation {
	if len(found) >= maxObserved {
		return found
	}
	return append(found, v)
}

func (r *replica) set(cmd *exec.Cmd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cmd = cmd
}

// kill ends the replica's process without a word to it, and reports whether
// there was one.
func (r *replica) kill() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd != nil && r.cmd.Process.Kill() == nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
