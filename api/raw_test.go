package api_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/await"
)

// wire is a connection to the API that carries what a well-behaved client
// would not send.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (w *world) wire(t *testing.T) *wire {
	t.Helper()
	_, address, _ := strings.Cut(w.url, "://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(w.url, "https:") {
		conn = overTLS(t, conn, w.server.Certificate(), "http/1.1")
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(await.Patience)); err != nil {
		t.Fatal(err)
	}
	return &wire{t, conn, bufio.NewReader(conn)}
}

// overTLS agrees on TLS, and on the protocol above it.
func overTLS(t *testing.T, conn net.Conn, certificate *x509.Certificate, protocol string) *tls.Conn {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	secured := tls.Client(conn, &tls.Config{
		RootCAs: roots, ServerName: "example.com", NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12,
	})
	if err := secured.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return secured
}

// send writes the bytes as they are. That the server stops reading is its
// right, and not at fault.
func (w *wire) send(request string) *wire {
	_, _ = io.WriteString(w.conn, request)
	return w
}

// answer reads one answer. Its body is read to the end that the answer itself
// announces.
func (w *wire) answer(method string) answer {
	w.t.Helper()
	response, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("no answer: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatalf("the answer is cut off: %v", err)
	}
	if response.Close { // http takes the header away
		response.Header.Set("Connection", "close")
	}
	return answer{w.t, response.StatusCode, response.Header, string(body)}
}

// ends fails unless the server says nothing more and hangs up.
func (w *wire) ends() {
	w.t.Helper()
	more, err := w.in.ReadByte()
	// A server that has not read all of a request hangs up by a reset.
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		w.t.Errorf("it goes on with %q, %v", more, err)
	}
}

// TestRequestsThatTwoReadersSplitDifferently are request smuggling: what a
// proxy takes for one request must not be two for us (RFC 9112 §11.2).
func TestRequestsThatTwoReadersSplitDifferently(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	const smuggled = "GET /me HTTP/1.1\r\nHost: x\r\n\r\n"
	const body = `{"email":"ada@example.com"}`
	tests := []struct {
		name, head, body string
		status           int
	}{
		{"both lengths", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled, 400},
		{"both lengths, the other way round", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + smuggled, 400},
		{"two lengths", "Content-Length: 2\r\nContent-Length: 27\r\n", body, 400},
		{"two lengths in one", "Content-Length: 2, 27\r\n", body, 400},
		{"a length with a sign", "Content-Length: +27\r\n", body, 400},
		{"a length below nothing", "Content-Length: -1\r\n", body, 400},
		{"a length in hexadecimal", "Content-Length: 0x1b\r\n", body, 400},
		{"a length of nothing", "Content-Length: \r\n", body, 400},
		{"a length beyond numbers", "Content-Length: 99999999999999999999\r\n", body, 400},
		{"an encoding that is none", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" + smuggled, 501},
		{"an encoding besides", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + smuggled, 501},
		{"an encoding twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled, 501},
		{"an encoding with a control character", "Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n" + smuggled, 400},
		{"a space before the colon", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + smuggled, 400},
		{"a header without a name", ": chunked\r\n", "0\r\n\r\n" + smuggled, 400},
		{"a header without a colon", "Transfer-Encoding chunked\r\n", "0\r\n\r\n" + smuggled, 400},
		{"a chunk without a length", "Transfer-Encoding: chunked\r\n", "zz\r\n" + body + "\r\n0\r\n\r\n", 400},
		{"a chunk that is longer than it says", "Transfer-Encoding: chunked\r\n", "2\r\n" + body + "\r\n0\r\n\r\n", 400},
		{"a chunk of more than there can be", "Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n" + body + "\r\n0\r\n\r\n", 400},
	}
	for _, test := range tests {
		step(t, "ASVS-4.2.1 "+test.name, func(t *testing.T) {
			conn := w.wire(t)
			conn.send("POST /signup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + test.head + "\r\n" + test.body).answer("POST").is(test.status)
			conn.ends()
		})
	}
	w.leavesNothing()
	step(t, "ASVS-4.2.1 of both lengths the encoding counts, and nothing is read behind it", func(t *testing.T) {
		conn := w.wire(t)
		conn.send("POST /signup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"1b\r\n" + body + "\r\n0\r\n\r\n" + smuggled).answer("POST").is(http.StatusAccepted)
		conn.ends()
	})
	step(t, "ASVS-4.2.1 two requests in a row are two", func(t *testing.T) {
		conn := w.wire(t)
		conn.send("POST /signup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n" + body + smuggled)
		conn.answer("POST").is(http.StatusAccepted)
		conn.answer("GET").is(http.StatusUnauthorized, "not_authenticated")
	})
}

// TestBodiesThatSayTheyAreHuge are refused by what they say, or by the first
// byte too many, and nobody waits for the rest.
func TestBodiesThatSayTheyAreHuge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, o := range api.Operations() {
		if !o.Body || o.Session {
			continue
		}
		path, _ := sample(o)
		head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		for _, test := range []struct{ name, rest string }{
			{"a length of gigabytes, and nothing behind it", "Content-Length: 9999999999\r\n\r\n"},
			{"a length of one byte too many, most of which never comes", "Content-Length: 65537\r\n\r\n{"},
			{"a length that asks whether to go on", "Content-Length: 65537\r\nExpect: 100-continue\r\n\r\n"},
			{"a chunk of gigabytes", "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n" + strings.Repeat(" ", limit+1)},
			{"a chunk too many", "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat(" ", 0x1000)+"\r\n", 17)},
		} {
			step(t, "ASVS-15.2.2 POST "+path+" with "+test.name, func(t *testing.T) {
				conn := w.wire(t)
				a := conn.send(head+test.rest).answer("POST").is(http.StatusRequestEntityTooLarge, "body_too_large")
				if a.header.Get("Connection") != "close" {
					t.Error("it would read another request behind it")
				}
			})
		}
	}
	w.leavesNothing()
}

func TestASVS_4_2_4_LineBreaksInHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	tests := []struct{ name, head string }{
		{"a carriage return in a value", "X-A: b\rX-Csrf: 1\r\n"},
		{"a carriage return at a value's end", "X-A: b\r\r\n"},
		{"NUL in a value", "X-A: b\x00c\r\n"},
		{"an escape in a value", "X-A: \x1b[2J\r\n"},
		{"a vertical tab in a value", "X-A: b\x0bc\r\n"},
		{"a delete in a value", "X-A: b\x7fc\r\n"},
		{"a carriage return in a name", "X-\rA: b\r\n"},
		{"a space in a name", "X A: b\r\n"},
		{"a letter beyond ASCII in a name", "X-É: b\r\n"},
		{"a header that begins with a space", " X-A: b\r\n"},
	}
	for _, test := range tests {
		step(t, test.name, func(t *testing.T) {
			conn := w.wire(t)
			conn.send("GET /me HTTP/1.1\r\nHost: x\r\n" + test.head + "\r\n").answer("GET").is(http.StatusBadRequest)
			conn.ends()
		})
	}
	step(t, "a line that ends without a carriage return ends all the same", func(t *testing.T) {
		// RFC 9112 §2.2 allows it, so what follows has to be read as a header of
		// its own and not as the rest of a value.
		conn := w.wire(t)
		a := conn.send("GET /me HTTP/1.1\nHost: x\nX-A: b\nAuthorization: Basic eDp5\nAuthorization: Basic eDp5\nConnection: close\n\n").answer("GET")
		a.is(http.StatusBadRequest, "credentials_conflict")
		conn.ends()
	})
	step(t, "a folded line is the value's and no header of its own", func(t *testing.T) {
		conn := w.wire(t)
		conn.send("GET /me HTTP/1.1\r\nHost: x\r\nX-A: b\r\n Authorization: Basic eDp5\r\n\tAuthorization: Basic eDp5\r\nConnection: close\r\n\r\n").
			answer("GET").is(http.StatusUnauthorized, "not_authenticated")
		conn.ends()
	})
	step(t, "what a request says comes back in no header", func(t *testing.T) {
		for _, planted := range []string{
			"%0d%0aSet-Cookie:%20planted=1", "%0aSet-Cookie:%20planted=1", "%0d%0a%0d%0aplanted", "%E5%98%8A%E5%98%8DSet-Cookie:%20planted=1",
		} {
			for _, path := range []string{
				"/login?return_to=/", "/login?return_to=" + appOrigin + "/", "/login?login_hint=", "/callback?state=", "/logout/callback?state=",
				"/signup/", "/",
			} {
				a := w.wire(t).send("GET " + path + planted + " HTTP/1.1\r\nHost: x\r\n\r\n").answer("GET")
				if a.sets("planted") != nil || strings.Contains(a.body, "\nplanted") {
					t.Errorf("%s%s is answered with %v %s", path, planted, a.header, a.body)
				}
			}
		}
	})
}

func TestTheWireItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	tests := []struct {
		name, request string
		status        int
	}{
		{"ASVS-13.4.4 TRACE echoes nothing", "TRACE /me HTTP/1.1\r\nHost: x\r\nX-Canary: canary\r\nConnection: close\r\n\r\n", 405},
		{"OPTIONS for everything", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200},
		{"no host", "GET /me HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
		{"two hosts", "GET /login HTTP/1.1\r\nHost: x\r\nHost: evil.example\r\n\r\n", 400},
		{"two hosts that are the same", "GET /login HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400},
		{"a host that is none", "GET /login HTTP/1.1\r\nHost: x/../y\r\n\r\n", 400},
		{"HTTP/1.0 without a host", "GET /me HTTP/1.0\r\n\r\n", 401},
		{"HTTP/0.9", "GET /me\r\n\r\n", 400},
		{"a version that is none", "GET /me HTTP/1.1.1\r\nHost: x\r\n\r\n", 400},
		{"a version that is to come", "GET /me HTTP/3.0\r\nHost: x\r\n\r\n", 505},
		{"ASVS-4.2.3 the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404},
		{
			"ASVS-4.2.3 an upgrade to HTTP/2 is passed over",
			"GET /me HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", 401,
		},
		{"an expectation that is none", "GET /me HTTP/1.1\r\nHost: x\r\nExpect: the unexpected\r\nConnection: close\r\n\r\n", 417},
		{"a verb with a bracket", "GE<T /me HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"a path that does not begin", "GET me HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"a path with half an escape", "GET /me%2 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
	}
	for _, test := range tests {
		step(t, test.name, func(t *testing.T) {
			conn := w.wire(t)
			a := conn.send(test.request).answer("GET").is(test.status)
			if strings.Contains(a.body, "canary") || a.header.Get("Location") != "" || a.header.Get("Upgrade") != "" {
				t.Errorf("it was answered with %v %s", a.header, a.body)
			}
			conn.ends()
		})
	}
}

// TestBBA13_NothingInARequestIsCalled sends the address of a listener of ours
// as target, host and destination: nobody may come there.
func TestBBA13_NothingInARequestIsCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	lure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan struct{})
	go func() {
		defer close(came)
		if conn, err := lure.Accept(); err == nil {
			_ = conn.Close()
			t.Error("somebody called")
		}
	}()
	there := lure.Addr().String()
	for _, test := range []struct {
		request string
		status  int
	}{
		{"GET http://" + there + "/me HTTP/1.1\r\nHost: " + there, 401},
		{"GET http://" + there + "/login HTTP/1.1\r\nHost: " + there, 303},
		{"GET http://ada@" + there + "/me HTTP/1.1\r\nHost: " + there, 401},
		{"POST http://" + there + "/logout HTTP/1.1\r\nContent-Length: 0\r\nHost: " + there, 401},
		{"CONNECT " + there + " HTTP/1.1\r\nHost: " + there, 404},
		{"GET //" + there + "/me HTTP/1.1\r\nHost: x", 404},
		{"GET /http://" + there + "/ HTTP/1.1\r\nHost: x", 404},
		{"GET /login/..//" + there + " HTTP/1.1\r\nHost: x", 404},
		{"GET /me?url=http://" + there + " HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: " + there + "\r\nX-Original-URL: http://" + there, 401},
		{"GET /callback?iss=http://" + there + "&code=c&state=s HTTP/1.1\r\nHost: x\r\nReferer: http://" + there, 400},
		{"GET /login?iss=http://" + there + "&request_uri=http://" + there + " HTTP/1.1\r\nHost: x", 303},
	} {
		a := w.wire(t).send(test.request + "\r\nConnection: close\r\n\r\n").answer("GET")
		if a.status != test.status || strings.Contains(a.header.Get("Location"), there) {
			t.Errorf("%q is answered with %d, %v", test.request, a.status, a.header)
		}
	}
	_ = lure.Close()
	<-came
}
