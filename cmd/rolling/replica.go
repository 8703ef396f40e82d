package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// patience is how long a replica may take to end, or to become ready.
const patience = time.Minute

// replica is one place in the fleet, held by one process after another.
type replica struct {
	index    int
	api, ops string // addresses
	binary   string
	settings []string
	log      *os.File

	cmd    *exec.Cmd
	exited chan error // gets how the process ended
}

// start starts the next process.
func (r *replica) start() error {
	cmd := exec.Command(r.binary, "serve") //nolint:gosec,noctx // the binary that we have built; it is told to stop
	cmd.Env = append(slices.Clone(r.settings), "PORTICO_LISTEN="+r.api, "PORTICO_OPS_LISTEN="+r.ops)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	// It dies with us, however we die.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start replica %d: %w", r.index, err)
	}
	r.cmd, r.exited = cmd, make(chan error, 1)
	go func() { r.exited <- cmd.Wait() }()
	return nil
}

// end sends the signal and waits for the process to end. After a SIGTERM it has
// to end with status 0.
func (r *replica) end(ctx context.Context, signal os.Signal) error {
	if err := r.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("signal replica %d: %w", r.index, err)
	}
	select {
	case err := <-r.exited:
		if signal == syscall.SIGTERM && err != nil {
			return fmt.Errorf("replica %d ended with %w", r.index, err)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("replica %d does not end", r.index)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ready waits until the proxy takes the replica for ready.
func (r *replica) ready(ctx context.Context, b *backend) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !b.in.Load() {
		select {
		case <-ticker.C:
		case err := <-r.exited:
			return fmt.Errorf("replica %d has ended: %w", r.index, errors.Join(err, errors.New("see its log (-keep)")))
		case <-ctx.Done():
			return fmt.Errorf("replica %d does not become ready: %w", r.index, ctx.Err())
		}
	}
	return nil
}

// kill ends what is left of it.
func (r *replica) kill() {
	if r.cmd == nil {
		return
	}
	if err := r.cmd.Process.Kill(); err == nil { // else it has ended already
		<-r.exited //nolint:errcheck // it was killed
	}
}
