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
	binaryTarget = 40 << 20
)

// printSizes measures what the program takes before anybody asks it for
// anything: until it is ready, when it is idle, and on the disk.
func printSizes(ctx context.Context, o options, databaseURL string, all *summary, out io.Writer) error {
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
	var took []time.Duration
	var idle int64
	for range o.starts {
		one, memory, err := startOnce(ctx, binary, databaseURL)
		if err != nil {
			return err
		}
		took, idle = append(took, one), max(idle, memory)
	}
	slices.Sort(took)
	mib := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	fmt.Fprintf(out, "\n  %-34s%12s%12s\n", "the program by itself", "", "at most")
	for _, l := range []line{
		{what: "from its start until it is ready", ours: took[len(took)/2].Round(time.Millisecond).String(), target: startTarget.String()},
		{what: "memory when idle", ours: mib(idle), target: mib(idleTarget)},
		{what: "binary, stripped", ours: mib(info.Size()), target: mib(binaryTarget)},
	} {
		fmt.Fprintf(out, "  %-34s%12s%12s\n", l.what, l.ours, l.target)
		l.target = "≤ " + l.target
		*all = append(*all, l)
	}
	return nil
}

// startOnce starts the binary, and returns how long it took until it was ready,
// and what memory it has a second later.
func startOnce(ctx context.Context, binary, databaseURL string) (took time.Duration, memory int64, err error) {
	ready := make(chan struct{})
	cmd := exec.CommandContext(ctx, binary, "serve")
	cmd.Env = porticoSettings(setting{DatabaseURL: databaseURL})
	cmd.Stdout = &readyLine{ready: func(string) { close(ready) }}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, cmd.Process.Signal(os.Interrupt), cmd.Wait()) }()
	select {
	case <-ready:
	case <-time.After(time.Minute):
		return 0, 0, fmt.Errorf("portico is not ready after a minute: %s", &complaint)
	}
	took = time.Since(begun)
	wait(ctx, time.Second)
	return took, resident(cmd.Process.Pid), nil
}

// resident is the memory of a process that is resident, or 0 where the system
// does not tell.
func resident(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	kib, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
