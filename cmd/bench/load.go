package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// warmUp is how long there is load before anything counts.
const warmUp = 300 * time.Millisecond

// order is what the load generator is told.
type order struct {
	Address     string
	Connections int
	Duration    time.Duration
	Requests    []request
}

// result is what it found.
type result struct {
	PerSecond float64
	P99       time.Duration
	Answers   int // all of them, those of the warm-up included
}

// load puts load on a contestant from a process of its own.
func load(ctx context.Context, o order) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	orders, err := json.Marshal(o)
	if err != nil {
		return result{}, err
	}
	cmd := exec.CommandContext(ctx, self, "load") //nolint:gosec // ourselves
	cmd.Stdin, cmd.Stderr = bytes.NewReader(orders), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("load: %w", err)
	}
	var r result
	err = json.Unmarshal(out, &r)
	return r, err
}

// generator is the load generator. It speaks just as much HTTP as is needed,
// since net/http's client would cost more than what is measured.
type generator struct {
	order

	counting, stop atomic.Bool
	mu             sync.Mutex
	took           []time.Duration // by those answers that count
	answers        int
}

// generateLoad is the process of the load generator.
func generateLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	g := &generator{}
	if err := json.NewDecoder(in).Decode(&g.order); err != nil {
		return err
	}
	conns, err := g.connect(ctx)
	if err != nil {
		return err
	}
	errs := make(chan error, len(conns))
	for i, conn := range conns {
		go func() { errs <- g.ask(conn, i) }()
	}
	elapsed := g.count(ctx)
	var failed error
	for range conns {
		failed = errors.Join(failed, <-errs)
	}
	if failed != nil {
		return failed
	}
	if len(g.took) == 0 {
		return errors.New("there was no answer")
	}
	slices.Sort(g.took)
	return json.NewEncoder(out).Encode(result{
		PerSecond: float64(len(g.took)) / elapsed.Seconds(),
		P99:       g.took[len(g.took)*99/100],
		Answers:   g.answers,
	})
}

// connect opens all connections. They end with the process.
func (g *generator) connect(ctx context.Context) ([]net.Conn, error) {
	conns := make([]net.Conn, g.Connections)
	for i := range conns {
		var err error
		if conns[i], err = (&net.Dialer{}).DialContext(ctx, "tcp", g.Address); err != nil {
			return nil, err
		}
	}
	return conns, nil
}

// count lets answers count for as long as they shall, and returns how long that
// was.
func (g *generator) count(ctx context.Context) time.Duration {
	wait(ctx, warmUp)
	g.counting.Store(true)
	begun := time.Now()
	wait(ctx, g.Duration)
	g.stop.Store(true)
	return time.Since(begun)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// ask asks over one connection, the next as soon as the last was answered.
func (g *generator) ask(conn net.Conn, number int) error {
	answers := bufio.NewReaderSize(conn, 8<<10)
	var took []time.Duration
	asked := 0
	// Connections begin in different places and go in different steps.
	for i := number * 7919; ; i += 2*number + 1 {
		r := g.Requests[i%len(g.Requests)]
		begun := time.Now()
		if _, err := conn.Write(r.Raw); err != nil {
			return err
		}
		if err := checkAnswer(answers, r.Want); err != nil {
			return err
		}
		asked++
		if g.stop.Load() {
			break
		}
		if g.counting.Load() {
			took = append(took, time.Since(begun))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.took = append(g.took, took...)
	g.answers += asked
	return nil
}

// checkAnswer reads one answer: 200, with a length, and with what is wanted.
func checkAnswer(answers *bufio.Reader, want []byte) error {
	status, err := answers.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered with %q", status)
	}
	length := -1
	for {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(string(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	body, err := answers.Peek(length)
	if err != nil {
		return err
	}
	if !bytes.Contains(body, want) {
		return fmt.Errorf("the answer has no %s: %s", want, body)
	}
	_, err = answers.Discard(length)
	return err
}
