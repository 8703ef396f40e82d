package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// dbProxy stands between a replica and Postgres and loses answers: what the
// client has sent arrives and is carried out, and the connection is gone
// before the answer comes. For a COMMIT it is the worst that can happen: it
// errored, and happened anyway.
type dbProxy struct {
	options options
	count   *counters
	target  string
	calm    atomic.Bool // loses nothing any more

	mu     sync.Mutex
	random dice
}

// commit is a COMMIT as the simple query protocol carries it.
//
//nolint:gochecknoglobals // a constant, but for its type
var commit = []byte("commit\x00")

// serve carries connections until the listener closes.
func (p *dbProxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go p.carry(client)
	}
}

func (p *dbProxy) carry(client net.Conn) {
	defer client.Close()
	dialer := net.Dialer{Timeout: 2 * time.Second}
	server, err := dialer.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return // as Postgres would: nobody there
	}
	defer server.Close()
	done := make(chan struct{})
	var lost atomic.Bool
	go func() {
		defer close(done)
		_, _ = io.Copy(unless{client, &lost}, server)
		_ = client.Close()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := client.Read(buffer)
		if n > 0 {
			lost.Store(p.loses(buffer[:n]))
			if _, err := server.Write(buffer[:n]); err != nil {
				break
			}
		}
		if lost.Load() {
			_ = client.Close()
			break
		}
		if err != nil {
			break
		}
	}
	// The server reads to the end what it was sent, and its answer goes nowhere.
	if tcp, ok := server.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
		_ = server.SetReadDeadline(time.Now().Add(5 * time.Second))
	}
	<-done
}

// loses decides whether the answer to a message is lost.
func (p *dbProxy) loses(message []byte) bool {
	if p.calm.Load() {
		return false
	}
	chance, counter := p.options.cutAnswers, &p.count.lostAnswers
	if bytes.Contains(message, commit) {
		chance, counter = p.options.cutCommits, &p.count.lostCommits
	}
	if chance == 0 {
		return false
	}
	p.mu.Lock()
	hit := p.random.Float64() < chance
	p.mu.Unlock()
	if hit {
		counter.Add(1)
	}
	return hit
}

// unless writes until something is lost.
type unless struct {
	to   io.Writer
	lost *atomic.Bool
}

// Write passes on what has not been lost, and swallows the rest.
func (u unless) Write(b []byte) (int, error) {
	if u.lost.Load() {
		return len(b), nil
	}
	n, err := u.to.Write(b)
	if errors.Is(err, net.ErrClosed) {
		return len(b), nil
	}
	return n, err
}
