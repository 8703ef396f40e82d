package beyondidentity

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// rawServer accepts connections and hands each to a script, so that a test can
// break off at any byte.
type rawServer struct {
	url      string
	addr     string
	conns    atomic.Int32 // accepted
	requests atomic.Int32 // read to their last byte
}

// script plays the server's part on one connection. It is closed afterwards.
type script func(s *rawServer, conn *net.TCPConn, r *bufio.Reader)

func serveRaw(t *testing.T, play script) *rawServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{url: "http://" + ln.Addr().String(), addr: ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			wg.Go(func() {
				defer conn.Close() //nolint:errcheck // The script may have closed it.
				play(s, conn.(*net.TCPConn), bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return s
}

// read takes one whole request off the connection.
func (s *rawServer) read(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	s.requests.Add(1)
	return true
}

// waitForClose returns when the client has closed its end.
func waitForClose(r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }

// saying returns a script that reads a request, answers text, and closes.
func saying(text string) script {
	return func(s *rawServer, conn *net.TCPConn, r *bufio.Reader) {
		if s.read(r) {
			_, _ = io.WriteString(conn, text)
		}
	}
}
