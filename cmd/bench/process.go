package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// process is a contestant that runs.
type process struct {
	contestant

	address string
	cmd     *exec.Cmd
	leash   io.Closer // it ends when this is closed, and so when we do
}

// start runs a contestant as a process of its own, and returns when it serves.
func start(ctx context.Context, c contestant, s setting, profiles string) (*process, error) {
	if profiles != "" {
		s.Profile = filepath.Join(profiles, c.id)
	}
	p := &process{contestant: c}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// Not CommandContext: it is asked to end, so that it can write its profile.
	p.cmd = exec.Command(self, "serve", c.id) //nolint:noctx,gosec // ourselves; see above
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.leash = in
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(in).Encode(s); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- strings.TrimSpace(text)
	}()
	select {
	case p.address = <-line:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(time.Minute):
	}
	if p.address == "" {
		return nil, errors.Join(fmt.Errorf("%s does not serve", c.title), err, p.stop())
	}
	return p, nil
}

// stop ends the process and waits for that.
func (p *process) stop() error {
	return errors.Join(p.leash.Close(), p.cmd.Wait())
}

// spent is what a process has used in all its life.
type spent struct {
	cpu    time.Duration
	memory int64 // at most, in bytes; 0 where the system does not tell
}

// spent is known when the process has been stopped.
func (p *process) spent() spent {
	s := spent{cpu: p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()}
	if usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && runtime.GOOS == "linux" {
		s.memory = usage.Maxrss << 10 // in KiB there, and in other units elsewhere
	}
	return s
}

// serveContestant is the process of a contestant: it reads its setting, says
// where it serves, and ends when there is no more to read.
func serveContestant(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("serve takes a contestant")
	}
	c, err := contestantWith(args[0])
	if err != nil {
		return err
	}
	settings := json.NewDecoder(in)
	var s setting
	if err := settings.Decode(&s); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	profiled := func() error { return nil }
	if s.Profile != "" {
		if profiled, err = profile(s.Profile); err != nil {
			return err
		}
	}
	err = c.serve(ctx, s, func(address string) { fmt.Fprintln(out, address) })
	return errors.Join(err, profiled())
}

// profile writes a CPU profile until the function that it returns is called,
// and then what was allocated until then.
func profile(path string) (stop func() error, err error) {
	file, err := os.Create(path + ".cpu.pprof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		allocated, err := os.Create(path + ".allocs.pprof")
		if err != nil {
			return errors.Join(err, file.Close())
		}
		return errors.Join(pprof.Lookup("allocs").WriteTo(allocated, 0), allocated.Close(), file.Close())
	}, nil
}

// serveHandler serves on a port of its own until ctx ends.
func serveHandler(ctx context.Context, handler http.Handler, ready func(address string)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	ready(listener.Addr().String())
	select {
	case err = <-done:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}
