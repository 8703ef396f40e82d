package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// Exit codes of our own, as a shell's: the command's own are passed on.
const (
	exitFailed   = 125 // no cluster, or it could not be removed
	exitNoRun    = 126 // the command is there and cannot be run
	exitNotFound = 127
	exitSignal   = 128 // plus the signal's number
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, signals))
}

// run runs the command that args name and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(stderr, "usage: withpostgres -- command [argument …]")
		return exitFailed
	}
	cluster, err := acquire(signals)
	if err != nil {
		fmt.Fprintln(stderr, "withpostgres:", err)
		return exitFailed
	}
	code, err := runWith(cluster.URL(), args, stdin, stdout, stderr, signals)
	if err != nil {
		fmt.Fprintln(stderr, "withpostgres:", err)
	}
	if err := cluster.Close(); err != nil {
		fmt.Fprintln(stderr, "withpostgres:", err)
		return max(code, exitFailed)
	}
	return code
}

// acquire acquires the cluster, unless a signal comes first.
func acquire(signals <-chan os.Signal) (*pgcluster.Cluster, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	type result struct {
		cluster *pgcluster.Cluster
		err     error
	}
	done := make(chan result, 1)
	go func() {
		c, err := pgcluster.Acquire(ctx)
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		return r.cluster, r.err
	case s := <-signals:
		cancel(fmt.Errorf("stopped by signal: %v", s))
		if r := <-done; r.err == nil {
			return nil, errors.Join(context.Cause(ctx), r.cluster.Close())
		}
		return nil, context.Cause(ctx)
	}
}

// runWith runs the command with the cluster's address in its environment. The
// error is for what the command has not said itself.
func runWith(url string, args []string, stdin io.Reader, stdout, stderr io.Writer, signals <-chan os.Signal) (int, error) {
	// No context: the command ends when it wants to, or by a signal of ours.
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // see above
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.Env = append(os.Environ(), pgcluster.EnvURL+"="+url)
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return exitNotFound, err
		}
		return exitNoRun, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may have ended meanwhile
		case err := <-done:
			return exitCode(err)
		}
	}
}

func exitCode(err error) (int, error) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		if err != nil {
			return exitFailed, err
		}
		return 0, nil
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
