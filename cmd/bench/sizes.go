package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// What the program itself may take, on a database that is migrated.
const (
	startTarget  = 150 * time.Millisecond
	idleTarget   = 40 << 20
	busyTarget   = 80 << 20
	binaryTarget = 40 << 20
	busyWith     = 256 // connections
)

// printSizes measures what the program itself takes, as it is released: until
// it is ready, when it is idle, under load, and on the disk.
func printSizes(ctx context.Context, o options, all *summary, out io.Writer) (err error) {
	// One of its own: logins end the sessions that their users had.
	db, err := newDatabase(ctx, o.sessions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	folder, err := os.MkdirTemp("", "portico-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	binary := filepath.Join(folder, "portico")
	build := exec.CommandContext(ctx, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w", //nolint:gosec // into our own folder
		"-o", binary, "github.com/portico-id/portico/cmd/portico")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, said)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	asked := order{Connections: busyWith, Duration: time.Duration(o.seconds * float64(time.Second)), Requests: meRequests(o.sessions)}
	var took []time.Duration
	var idle, busy int64
	for range o.starts {
		one, err := startOnce(ctx, binary, db.url, asked)
		if err != nil {
			return err
		}
		took, idle, busy = append(took, one.took), max(idle, one.idle), max(busy, one.busy)
		asked.Connections = 0 // once is enough
	}
	slices.Sort(took)
	mib := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	fmt.Fprintf(out, "\n  %-44s%12s%12s\n", "the program by itself", "", "at most")
	for _, l := range []line{
		{what: "from its start until it is ready", ours: took[len(took)/2].Round(time.Millisecond).String(), target: startTarget.String()},
		{what: "memory when idle", ours: mib(idle), target: mib(idleTarget)},
		{what: fmt.Sprintf("memory, GET /me by %d connections", busyWith), ours: mib(busy), target: mib(busyTarget)},
		{what: "binary, stripped", ours: mib(info.Size()), target: mib(binaryTarget)},
	} {
		fmt.Fprintf(out, "  %-44s%12s%12s\n", l.what, l.ours, l.target)
		l.target = "≤ " + l.target
		all.put(l)
	}
	return nil
}

// taken is what one start of the program took.
type taken struct {
	took       time.Duration // until it was ready
	idle, busy int64         // memory, in bytes: a second later, and at most; 0 for unknown
}

// startOnce starts the binary, and looks what it takes. It is put under load if
// the order has connections.
func startOnce(ctx context.Context, binary, databaseURL string, asked order) (t taken, err error) {
	ready := make(chan string, 1)
	cmd := exec.CommandContext(ctx, binary, "serve")
	cmd.Env = porticoSettings(setting{DatabaseURL: databaseURL})
	cmd.Stdout = &readyLine{ready: func(address string) { ready <- address }}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, cmd.Process.Signal(os.Interrupt), cmd.Wait()) }()
	select {
	case asked.Address = <-ready:
	case <-time.After(time.Minute):
		return t, fmt.Errorf("portico is not ready after a minute: %s", &complaint)
	}
	t.took = time.Since(begun)
	wait(ctx, time.Second)
	t.idle = memory(cmd.Process.Pid, "VmRSS:")
	if asked.Connections > 0 {
		if _, err := load(ctx, asked); err != nil {
			return t, err
		}
		t.busy = memory(cmd.Process.Pid, "VmHWM:")
	}
	return t, nil
}

// memory is what /proc says of a process's memory, now (VmRSS) or at most
// (VmHWM); 0 where the system does not tell.
func memory(pid int, which string) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte(which))
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	kib, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
