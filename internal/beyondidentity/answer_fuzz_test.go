package beyondidentity

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// classes are all that a call may fail with.
var classes = []Class{
	Unreachable, Ambiguous, Rejected, Unauthorized, Misconfigured, NotFound, Conflict, Duplicate, RateLimited,
}

// checkOutcome holds what every caller relies on, whatever was answered.
func checkOutcome(t *testing.T, op string, user User, err error) {
	t.Helper()
	if err == nil {
		believable := user.ExternalID == ours && isInternalID(string(user.InternalID))
		switch op {
		case opGet:
			believable = user.InternalID == theirs
		case opUpdate:
			believable = believable && user.InternalID == theirs
		case opList:
			believable = believable || user == User{} // it may be of others
		}
		if !believable {
			t.Errorf("%s: believed %+v", op, user)
		}
		return
	}
	e := mustError(t, err)
	switch {
	case user != (User{}):
		t.Errorf("%s: failed with %+v", op, user)
	case !slices.Contains(classes, e.Class) || e.Op != op:
		t.Errorf("%s: class %q of %q", op, e.Class, e.Op)
	case e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter:
		t.Errorf("%s: a wait of %s", op, e.RetryAfter)
	case e.Class == NotFound && (op == opCreate || op == opList), e.Class == Duplicate && op != opFind:
		t.Errorf("%s: class %q", op, e.Class)
	}
	for _, text := range []string{e.Error(), e.LogValue().String(), e.RequestID, e.Code, e.Message} {
		if strings.Contains(text, testToken) {
			t.Errorf("%s: the token is in %q", op, text)
		}
		if strings.ContainsAny(text, "\r\n\x1b") {
			t.Errorf("%s: %q forges lines", op, text)
		}
		if len(text) > 4*maxText+4*maxIDChars {
			t.Errorf("%s: a text of %d bytes", op, len(text))
		}
	}
}

// measured counts what is read of a body.
type measured struct {
	io.Reader

	read int
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.read += n
	return n, err
}

// always answers each request in the same way, without a network.
type always struct {
	status int
	header http.Header
	body   []byte
	repeat int
	got    *measured
}

func (a *always) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	a.got = &measured{Reader: io.MultiReader(bytes.NewReader(a.body), io.LimitReader(blanks{}, int64(a.repeat)))}
	return &http.Response{
		StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: io.NopCloser(a.got), ContentLength: -1, Request: r,
	}, nil
}

// blanks is white space without an end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// FuzzAnswer answers each call with any status, headers and body.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		flatAnswer, `{"user":` + flatAnswer + `}`, listAnswer, userAnswer, notFoundAnswer, ``, `{`, `null`, `{"users":[],"total_size":0}`,
		`{"users":[{"id":null,"external_id":null}],"total_size":1}`, `{"code":8,"message":"slow down ` + testToken + `"}`,
		`{"error":"a\u0000b"}`, strings.Repeat("[", 12_000), "{\"message\":\"\xff\"}",
	} {
		for _, status := range []uint16{200, 201, 204, 400, 401, 404, 409, 429, 500} {
			f.Add(status, "application/json", "7", "", "r-1", []byte(body), uint8(0))
		}
	}
	f.Add(uint16(429), "text/html", "Wed, 21 Oct 2015 07:28:00 GMT", "1772366445000", testToken, []byte("<p>"), uint8(0))
	f.Add(uint16(200), "application/json", "", "", "", []byte(flatAnswer), uint8(255))
	f.Add(uint16(429), "application/x+json", "-99999999999999999999", "1;w=2", "a\x1b[2Jb", []byte("{}"), uint8(255))
	client, err := New(Config{BaseURL: "https://api.example.com", Token: StaticToken(NewToken(testToken))})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status uint16, kind, after, reset, id string, body []byte, more uint8) {
		if status < 100 || status > 999 {
			return // net/http itself refuses it
		}
		repeat := 0
		if more > 250 { // rarely: it takes a thousand times longer
			repeat = 2 * maxBody
		}
		a := &always{status: int(status), body: body, repeat: repeat, header: http.Header{
			"Content-Type": {kind}, "Retry-After": {after}, "Ratelimit-Reset": {reset}, "X-Request-Id": {id},
		}}
		c := &Client{base: client.base, token: client.token, timeout: client.timeout, userAgent: client.userAgent, now: client.now}
		c.http = &http.Client{Transport: a, CheckRedirect: client.http.CheckRedirect}
		for _, call := range remoteCalls {
			user, err := call.do(t.Context(), c, theirs)
			checkOutcome(t, call.op, user, err)
			if err == nil && status/100 != 2 {
				t.Errorf("%s: HTTP %d is taken for a success", call.op, status)
			}
			if a.got.read > maxBody+10*maxUserBody+1+maxDrain+bytes.MinRead {
				t.Errorf("%s: %d bytes of the body were read", call.op, a.got.read)
			}
		}
	})
}

// FuzzWire sends any bytes where an HTTP answer is due, and closes.
func FuzzWire(f *testing.F) {
	for _, raw := range []string{
		okHead + "\r\n" + flatAnswer, okHead + "Content-Length: 9\r\n\r\n" + flatAnswer,
		okHead + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n" + okHead + "\r\n" + listAnswer,
		"HTTP/1.1 101 Switching Protocols\r\nContent-Type: application/json\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{}",
		"HTTP/1.1 429 No\r\nRetry-After: 5\r\nRetry-After: x\r\n\r\n", "HTTP/1.0 204 No\r\n\r\n", "HTTP/1.1 304 No\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + testToken + "\r\n\r\n", "SSH-2.0-x\r\n", "", "\x00\x00\x00", okHead + "Content-Length: -1\r\n\r\n",
		okHead + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}", "HTTP/1.1 307 No\r\nLocation: http://[::1\r\n\r\n",
	} {
		f.Add([]byte(raw), uint8(0))
	}
	f.Fuzz(func(t *testing.T, raw []byte, which uint8) {
		call := remoteCalls[int(which)%len(remoteCalls)]
		c := newClient(t, "http://127.0.0.1:1", time.Second)
		c.transport.Proxy = nil
		c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				req, err := http.ReadRequest(bufio.NewReader(theirs))
				if err == nil {
					_, err = io.Copy(io.Discard, req.Body)
				}
				if err == nil {
					_, _ = theirs.Write(raw)
				}
			}()
			return ours, nil
		}
		user, err := call.do(t.Context(), c, theirs)
		checkOutcome(t, call.op, user, err)
	})
}
