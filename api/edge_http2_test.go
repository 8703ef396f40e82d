package api_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-id/portico/internal/await"
)

// overHTTP2 serves the world's API over HTTP/2, as whoever puts a server of
// theirs around it may.
func (w *world) overHTTP2() *httptest.Server {
	server := httptest.NewUnstartedServer(w.server.Config.Handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	w.t.Cleanup(server.Close)
	return server
}

func TestTheGuardsHoldOverHTTP2(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{secure: true})
	server := w.overHTTP2()
	const name = "__Host-Http-portico="
	ask := func(t *testing.T, host string, headers http.Header) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/me", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Header = host, headers
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.ProtoMajor != 2 {
			t.Fatalf("it was answered over %s: %v", response.Proto, err)
		}
		return answer{t, response.StatusCode, response.Header, string(body)}
	}
	for _, test := range []struct {
		name    string
		headers http.Header
		status  int
		code    string
	}{
		{"a session", http.Header{"Cookie": {name + b.session()}, "X-Csrf": {"1"}}, 200, ""},
		{"no X-CSRF", http.Header{"Cookie": {name + b.session()}}, 403, "csrf_required"},
		// HTTP/2 sends each cookie as a header of its own (RFC 9113 §8.2.3).
		{"two sessions in two crumbs", http.Header{"Cookie": {name + b.session(), name + "planted"}, "X-Csrf": {"1"}}, 400, "credentials_conflict"},
		{"a foreign origin", http.Header{"Cookie": {name + b.session()}, "X-Csrf": {"1"}, "Origin": {"https://evil.example"}}, 403, "cross_origin"},
		{"nobody", http.Header{}, 401, "not_authenticated"},
	} {
		step(t, test.name, func(t *testing.T) {
			for _, host := range []string{"", "evil.example"} {
				a := ask(t, host, test.headers).is(test.status)
				if a.json("code") != test.code || a.header.Get("Connection") != "" || strings.Contains(a.body, "evil") {
					t.Errorf("it is answered with %v %s", a.header, a.body)
				}
			}
		})
	}
}

// TestHeadersThatHTTP2Forbids sends frames by hand, since no client would.
func TestHeadersThatHTTP2Forbids(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{secure: true})
	server := w.overHTTP2()
	tests := []struct {
		name    string
		headers [][2]string
		refused bool
	}{
		{"none of them", nil, false},
		{"ASVS-4.2.3 transfer-encoding", [][2]string{{"transfer-encoding", "chunked"}}, true},
		{"ASVS-4.2.3 connection", [][2]string{{"connection", "keep-alive"}}, true},
		{"ASVS-4.2.3 proxy-connection", [][2]string{{"proxy-connection", "keep-alive"}}, true},
		{"ASVS-4.2.3 keep-alive", [][2]string{{"keep-alive", "timeout=5"}}, true},
		{"ASVS-4.2.3 upgrade", [][2]string{{"upgrade", "h2c"}}, true},
		{"ASVS-4.2.3 te with more than trailers", [][2]string{{"te", "gzip"}}, true},
		{"ASVS-4.2.4 a line break in a value", [][2]string{{"x-a", "b\r\nx-csrf: 1"}}, true},
		{"ASVS-4.2.4 NUL in a value", [][2]string{{"x-a", "b\x00"}}, true},
		{"ASVS-4.2.4 a line break in a name", [][2]string{{"x-a\r\nx-b", "c"}}, true},
		{"a name in capitals", [][2]string{{"X-A", "b"}}, true},
		{"a second path", [][2]string{{":path", "/login"}}, true},
		{"a pseudo-header of no request", [][2]string{{":status", "200"}}, true},
	}
	for _, test := range tests {
		step(t, test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "https://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(await.Patience)); err != nil {
				t.Fatal(err)
			}
			headers := append([][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/me"}}, test.headers...)
			if status := frames(t, overTLS(t, conn, server.Certificate(), "h2"), headers); (status != "401") != test.refused {
				t.Errorf("it was answered with %q", status)
			}
		})
	}
}

// frames sends one request and returns its answer's status, or what else
// became of it.
func frames(t *testing.T, conn net.Conn, headers [][2]string) (status string) {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, h := range headers {
		if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return "the end: " + err.Error()
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "a reset: " + frame.ErrCode.String()
		case *http2.GoAwayFrame:
			return "away: " + frame.ErrCode.String()
		}
	}
}
