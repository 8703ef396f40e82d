package beyondidentity

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// trust makes c accept the certificate of s.
func trust(c *Client, s *httptest.Server) {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	c.transport.TLSClientConfig.RootCAs = pool
}

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

// TestAnAnswerThatIsLostIsAmbiguous plays both halves of each failure: the
// server did not have the request, or had it to the last byte and may have
// acted on it. The client cannot tell, and must not.
func TestAnAnswerThatIsLostIsAmbiguous(t *testing.T) {
	t.Parallel()
	const soon = 150 * time.Millisecond
	tests := []struct {
		name     string
		play     script
		timeout  time.Duration
		happened bool // the server had the whole request
		status   int  // zero where no whole header arrived
	}{
		{name: "the connection closes before anything is read", play: func(*rawServer, *net.TCPConn, *bufio.Reader) {}},
		{name: "the connection is reset after a few bytes", play: func(_ *rawServer, conn *net.TCPConn, r *bufio.Reader) {
			_, _ = r.ReadByte()
			_ = conn.SetLinger(0)
		}},
		{name: "the request is never read and nothing is answered", timeout: soon, play: func(_ *rawServer, _ *net.TCPConn, r *bufio.Reader) {
			waitForClose(r)
		}},
		{name: "the request is read and the connection closes", happened: true, play: saying("")},
		{name: "the request is read and the connection is reset", happened: true, play: func(s *rawServer, conn *net.TCPConn, r *bufio.Reader) {
			s.read(r)
			_ = conn.SetLinger(0)
		}},
		{name: "the request is read and nothing is answered", happened: true, timeout: soon, play: func(s *rawServer, _ *net.TCPConn, r *bufio.Reader) {
			s.read(r)
			waitForClose(r)
		}},
		{name: "the answer breaks off in the status line", happened: true, play: saying("HTTP/1.1 20")},
		{name: "the answer breaks off in the headers", happened: true, play: saying(okHead + "X-Requ")},
		{name: "the answer breaks off in the body", happened: true, status: 200, play: saying(okHead + "Content-Length: 1000\r\n\r\n" + flatAnswer)},
		{name: "the answer breaks off in a chunk", happened: true, status: 200, play: saying(okHead + "Transfer-Encoding: chunked\r\n\r\n400\r\n" + flatAnswer)},
		{name: "the answer is not HTTP", happened: true, play: saying("SSH-2.0-OpenSSH_9.9\r\n\r\n")},
		{name: "the answer's header is too large", happened: true, play: saying("HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n")},
		{name: "the body drips past the timeout", happened: true, status: 200, timeout: soon, play: func(s *rawServer, conn *net.TCPConn, r *bufio.Reader) {
			s.read(r)
			_, _ = io.WriteString(conn, okHead+"Content-Length: 100000\r\n\r\n")
			drip := time.NewTicker(5 * time.Millisecond)
			defer drip.Stop()
			for range drip.C {
				if _, err := io.WriteString(conn, " "); err != nil {
					return
				}
			}
		}},
		{name: "a protocol that nobody asked for", happened: true, status: 101, play: func(s *rawServer, conn *net.TCPConn, r *bufio.Reader) {
			s.read(r)
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Oh\r\nContent-Type: application/json\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
			waitForClose(r)
		}},
		{name: "a 500 whose body never ends", happened: true, status: 500, timeout: soon, play: func(s *rawServer, conn *net.TCPConn, r *bufio.Reader) {
			s.read(r)
			_, _ = io.WriteString(conn, "HTTP/1.1 500 Oh\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
			waitForClose(r)
		}},
	}
	for _, tt := range tests {
		for _, call := range remoteCalls {
			t.Run(tt.name+", "+call.op, func(t *testing.T) {
				t.Parallel()
				s := serveRaw(t, tt.play)
				timeout := tt.timeout
				if timeout == 0 {
					timeout = generous
				}
				c := newClient(t, s.url, timeout)
				_, err := call.do(t.Context(), c, theirs)
				e := mustError(t, err)
				if e.Class != Ambiguous || e.Status != tt.status || e.Op != call.op || ClassOf(err) != Ambiguous {
					t.Errorf("got %v, want ambiguous", err)
				}
				if got := s.requests.Load() == 1; got != tt.happened {
					t.Errorf("the server read %d requests", s.requests.Load())
				}
				if s.conns.Load() != 1 {
					t.Errorf("the client connected %d times, want once", s.conns.Load())
				}
				if tt.timeout != 0 && e.Status == 0 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not match context.DeadlineExceeded", err)
				}
			})
		}
	}
}

func TestWithoutAConnectionNothingWasSent(t *testing.T) {
	t.Parallel()
	trusting := func(t *testing.T) *Client {
		t.Helper()
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }))
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.StartTLS()
		t.Cleanup(s.Close)
		return newClient(t, s.URL, generous)
	}
	tests := []struct {
		name  string
		start func(*testing.T) (context.Context, *Client)
		is    error
	}{
		{name: "nobody listens", is: syscall.ECONNREFUSED, start: func(t *testing.T) (context.Context, *Client) {
			t.Helper()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_ = ln.Close()
			return t.Context(), newClient(t, "http://"+ln.Addr().String(), generous)
		}},
		{name: "the name does not exist", start: func(t *testing.T) (context.Context, *Client) {
			t.Helper()
			c := newClient(t, "https://nobody.invalid", 2*time.Second)
			c.transport.Proxy = nil
			return t.Context(), c
		}},
		{name: "the certificate is not trusted", start: func(t *testing.T) (context.Context, *Client) {
			t.Helper()
			return t.Context(), trusting(t)
		}},
		{name: "the server does not speak TLS", start: func(t *testing.T) (context.Context, *Client) {
			t.Helper()
			s := serveRaw(t, func(_ *rawServer, conn *net.TCPConn, r *bufio.Reader) {
				_, _ = r.ReadByte()
				_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			})
			return t.Context(), newClient(t, "https://"+s.addr, generous)
		}},
		{name: "the server falls silent in the TLS handshake", start: func(t *testing.T) (context.Context, *Client) {
			t.Helper()
			s := serveRaw(t, func(_ *rawServer, _ *net.TCPConn, r *bufio.Reader) { waitForClose(r) })
			return t.Context(), newClient(t, "https://"+s.addr, 150*time.Millisecond)
		}},
		{name: "the server only speaks TLS 1.1", start: func(t *testing.T) (context.Context, *Client) {
			t.Helper()
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }))
			s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
			s.StartTLS()
			t.Cleanup(s.Close)
			c := newClient(t, s.URL, generous)
			trust(c, s)
			return t.Context(), c
		}},
		{name: "the proxy refuses to connect", start: func(t *testing.T) (context.Context, *Client) {
			t.Helper()
			s := serveRaw(t, saying("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
			c := newClient(t, "https://api.example.com", generous)
			c.transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: s.addr})
			return t.Context(), c
		}},
		{name: "the caller gave up before", is: context.Canceled, start: func(t *testing.T) (context.Context, *Client) {
			t.Helper()
			s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx, newClient(t, s.URL, generous)
		}},
	}
	for _, tt := range tests {
		for _, call := range remoteCalls {
			t.Run(tt.name+", "+call.op, func(t *testing.T) {
				t.Parallel()
				ctx, c := tt.start(t)
				_, err := call.do(ctx, c, theirs)
				if e := mustError(t, err); e.Class != Unreachable || e.Status != 0 {
					t.Errorf("got %v, want unreachable", err)
				}
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("%v does not match %v", err, tt.is)
				}
			})
		}
	}
}

func TestWaitingInVainForAFreeConnectionSendsNothing(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		answer(w, http.StatusOK, flatAnswer)
	})
	c, err := New(Config{BaseURL: s.URL, Token: StaticToken(NewToken(testToken)), Timeout: generous, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	first := make(chan error, 1)
	go func() { _, err := c.RecoverUser(t.Context(), ours); first <- err }()
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.RecoverUser(ctx, ours); ClassOf(err) != Unreachable {
		t.Errorf("got %v, want unreachable", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if len(arrived) != 0 {
		t.Error("the call that gave up was sent")
	}
}

func TestACallerWhoGivesUpAfterSendingLeavesItAmbiguous(t *testing.T) {
	t.Parallel()
	for _, call := range remoteCalls {
		t.Run(call.op, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			s := serveRaw(t, func(s *rawServer, _ *net.TCPConn, r *bufio.Reader) {
				s.read(r)
				cancel()
				waitForClose(r)
			})
			_, err := call.do(ctx, newClient(t, s.url, generous), theirs)
			if ClassOf(err) != Ambiguous || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestAPostIsNeverSentTwice breaks a kept connection at the moment of the
// second request, which is when net/http repeats what it deems safe.
func TestAPostIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, func(s *rawServer, conn *net.TCPConn, r *bufio.Reader) {
		if s.read(r) {
			_, _ = io.WriteString(conn, okHead+"Content-Length: "+strconv.Itoa(len(flatAnswer))+"\r\n\r\n"+flatAnswer)
		}
		s.read(r)
	})
	c := newClient(t, s.url, generous)
	user := NewUser{ExternalID: ours, Email: oursMail}
	if _, err := c.CreateUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateUser(t.Context(), user); ClassOf(err) != Ambiguous {
		t.Errorf("got %v, want ambiguous", err)
	}
	if s.requests.Load() != 2 || s.conns.Load() != 1 {
		t.Errorf("two calls became %d requests on %d connections", s.requests.Load(), s.conns.Load())
	}
}

func TestARequestCannotBeRewoundByTheTransport(t *testing.T) {
	t.Parallel()
	c := newClient(t, "https://api.example.com", generous)
	req, err := c.newRequest(t.Context(), request{op: opCreate, method: http.MethodPost, path: "/x", body: []byte("{}")}, &exchange{})
	if err != nil {
		t.Fatal(err)
	}
	if req.GetBody != nil || req.ContentLength != 2 {
		t.Errorf("GetBody is set: %t, length %d", req.GetBody != nil, req.ContentLength)
	}
}

func TestConnectionsAreReusedAfterSuccessesAndRefusals(t *testing.T) {
	t.Parallel()
	answers := []string{
		okHead + "Content-Length: " + strconv.Itoa(len(flatAnswer)) + "\r\n\r\n" + flatAnswer,
		"HTTP/1.1 400 No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 502 No\r\nContent-Type: text/html\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000),
		"HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No\r\n\r\n",
	}
	s := serveRaw(t, func(s *rawServer, conn *net.TCPConn, r *bufio.Reader) {
		for s.read(r) {
			_, _ = io.WriteString(conn, answers[int(s.requests.Load()-1)%len(answers)])
		}
	})
	c := newClient(t, s.url, generous)
	for range 2 * len(answers) {
		_, _ = c.RecoverUser(t.Context(), ours)
	}
	if s.conns.Load() != 1 || int(s.requests.Load()) != 2*len(answers) {
		t.Errorf("%d requests on %d connections", s.requests.Load(), s.conns.Load())
	}
	c.CloseIdle()
}

func TestATrustedServerIsCalledOverTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("called over %s", r.Proto)
		}
		answer(w, http.StatusOK, flatAnswer)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL, generous)
	trust(c, s)
	if _, err := c.RecoverUser(t.Context(), ours); err != nil {
		t.Error(err)
	}
}
