package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(orders), &complaint
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("load: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	var r result
	err = json.Unmarshal(out, &r)
	return r, err
}

// generator is the load generator. It speaks just as much HTTP as is needed,
// since net/http's client would cost more than what is measured.
type generator struct {
	order

	fresh          atomic.Int64
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
	g.fresh.Store(time.Now().UnixNano())
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
	var raw []byte
	// Connections begin in different places and go in different steps.
	for i := number * 7919; ; i += 2*number + 1 {
		r := g.Requests[i%len(g.Requests)]
		raw = g.written(raw[:0], r)
		begun := time.Now()
		if _, err := conn.Write(raw); err != nil {
			return err
		}
		if err := g.check(conn, answers, r); err != nil {
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

// check reads the answer, and asks on where that is not all.
func (g *generator) check(conn net.Conn, answers *bufio.Reader, r request) error {
	if r.Login == 0 {
		return checkAnswer(answers, r)
	}
	header, err := redirected(answers)
	if err != nil {
		return err
	}
	next, err := callback(header, r.Login)
	if err != nil {
		return err
	}
	if _, err := conn.Write(next); err != nil {
		return err
	}
	if header, err = redirected(answers); err == nil && !signedIn(header) {
		err = fmt.Errorf("the callback leads to %s without a session", header.Get("Location"))
	}
	return err
}

// redirected reads an answer that leads elsewhere.
func redirected(answers *bufio.Reader) (http.Header, error) {
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("answered with %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.Header, err
}

// written appends the request as it is sent, which no other is like if it asks
// for that: its number counts on from the time at which the load began.
func (g *generator) written(to []byte, r request) []byte {
	to = append(to, r.Raw...)
	if r.Fresh > 0 {
		copy(to[r.Fresh:], fmt.Appendf(nil, "%0*d", freshDigits, g.fresh.Add(1)))
	}
	return to
}

// checkAnswer reads one answer: of the status, with a length, and with what is
// wanted.
func checkAnswer(answers *bufio.Reader, r request) error {
	status, err := answers.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, fmt.Appendf(nil, "HTTP/1.1 %d ", cmp.Or(r.Status, http.StatusOK))) {
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
	if !bytes.Contains(body, r.Want) {
		return fmt.Errorf("the answer has no %s: %s", r.Want, body)
	}
	_, err = answers.Discard(length)
	return err
}
