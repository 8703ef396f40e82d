package sender_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/webhook"
	"github.com/portico-id/portico/internal/webhook/sender"
)

func TestARequestIsWhatTheSpecificationAsksFor(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	body := make(chan string, 1)
	server, s := receive(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body <- string(raw)
		got <- r
		w.WriteHeader(http.StatusAccepted)
	})
	if a := s.Send(t.Context(), requestTo(server.URL+"/hooks?a=b")); a != (webhook.Answer{Status: 202}) {
		t.Errorf("the answer is %+v", a)
	}
	r := <-got
	if r.Method != http.MethodPost || r.URL.String() != "/hooks?a=b" || <-body != `{"type":"x"}` {
		t.Errorf("%s %s", r.Method, r.URL)
	}
	for name, want := range map[string]string{
		"webhook-id": "msg_1", "webhook-timestamp": "1614265330", "webhook-signature": "v1,abc v1,def",
		"content-type": "application/json", "user-agent": "portico/test", "authorization": "", "cookie": "", "accept-encoding": "",
	} {
		if value := r.Header.Get(name); value != want {
			t.Errorf("%s: %s", name, value)
		}
	}
}

func TestAnswersAreTakenByTheirStatus(t *testing.T) {
	t.Parallel()
	for status, class := range map[int]webhook.Class{
		200: "", 201: "", 202: "", 204: "", 299: "",
		301: webhook.ClassRedirect, 302: webhook.ClassRedirect, 304: webhook.ClassRedirect, 307: webhook.ClassRedirect, 308: webhook.ClassRedirect,
		400: webhook.ClassRefused, 401: webhook.ClassRefused, 404: webhook.ClassRefused, 410: webhook.ClassGone, 429: webhook.ClassThrottled,
		500: webhook.ClassServer, 502: webhook.ClassServer, 503: webhook.ClassServer, 504: webhook.ClassServer, 599: webhook.ClassServer,
		600: webhook.ClassBroken, 999: webhook.ClassBroken,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			server, s := receive(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			if a := s.Send(t.Context(), requestTo(server.URL)); a.Status != status || a.Class != class {
				t.Errorf("the answer is %+v", a)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	defer elsewhere.Close()
	server, s := receive(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			followed.Store(true)
		}
		w.Header().Set("Location", map[string]string{"/": elsewhere.URL, "/self": "/again"}[r.URL.Path])
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	if a := s.Send(t.Context(), requestTo(server.URL)); a.Class != webhook.ClassRedirect || followed.Load() {
		t.Errorf("it is followed: %+v", a)
	}
}

func TestRetryAfterIsHeardWhereAnAnswerPutsOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		value  string
		least  time.Duration
		most   time.Duration
	}{
		"seconds with 429":       {429, "120", 2 * time.Minute, 2 * time.Minute},
		"seconds with 503":       {503, "1", time.Second, time.Second},
		"a date":                 {503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 58 * time.Minute, time.Hour},
		"a date that has passed": {503, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
		"with another status":    {500, "120", 0, 0},
		"with a success":         {200, "120", 0, 0},
		"nothing":                {503, "", 0, 0},
		"less than nothing":      {503, "-5", 0, 0},
		"a word":                 {503, "soon", 0, 0},
		"more than there is":     {503, "99999999999999999999", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, s := receive(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", c.value)
				w.WriteHeader(c.status)
			})
			if a := s.Send(t.Context(), requestTo(server.URL)); a.RetryAfter < c.least || a.RetryAfter > c.most {
				t.Errorf("it waits for %v", a.RetryAfter)
			}
		})
	}
}

// serve speaks raw bytes to whoever comes, without TLS.
func serve(t *testing.T, speak func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				speak(conn)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// heard reads the request's head.
func heard(conn net.Conn) {
	buffer := make([]byte, 4096)
	_, _ = conn.Read(buffer)
}

func TestWhatIsNoAnswerHasAClass(t *testing.T) {
	t.Parallel()
	closed := serve(t, func(net.Conn) {})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + listener.Addr().String()
	_ = listener.Close()
	endless := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			heard(conn)
			for {
				if _, err := io.WriteString(conn, text); err != nil {
					return
				}
			}
		}
	}
	for name, c := range map[string]struct {
		address string
		class   webhook.Class
		status  int
	}{
		"nobody listens":            {nobody, webhook.ClassUnreachable, 0},
		"it hangs up at once":       {closed, webhook.ClassBroken, 0},
		"it says nothing":           {serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }), webhook.ClassTimeout, 0},
		"it speaks no HTTP":         {serve(t, func(conn net.Conn) { heard(conn); _, _ = io.WriteString(conn, "SSH-2.0-x\r\n") }), webhook.ClassBroken, 0},
		"headers without end":       {serve(t, endless("X-Y: "+strings.Repeat("z", 1000)+"\r\n")), webhook.ClassBroken, 0},
		"informational without end": {serve(t, endless("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("z", 1000)+"\r\n\r\n")), webhook.ClassBroken, 0},
		"it switches protocols": {serve(t, func(conn net.Conn) {
			heard(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		}), webhook.ClassBroken, 101},
		"TLS to whoever speaks none": {strings.Replace(serve(t, func(conn net.Conn) {
			heard(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 400 X\r\n\r\n")
		}), "http:", "https:", 1), webhook.ClassTLS, 0},
		"a success, then a broken body": {serve(t, func(conn net.Conn) {
			heard(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nx")
		}), "", 200},
		"a success with endless text": {serve(t, func(conn net.Conn) {
			heard(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 X\r\n\r\n")
			endless("x")(conn)
		}), "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 30 * time.Second
			if c.class == webhook.ClassTimeout {
				timeout = 100 * time.Millisecond
			}
			s := newSender(t, sender.Config{Loopback: true, Timeout: timeout})
			if a := s.Send(t.Context(), requestTo(c.address)); a.Class != c.class || a.Status != c.status {
				t.Errorf("the answer is %+v", a)
			}
		})
	}
}

func TestWhoCannotProveWhoTheyAreGetsNothing(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	server, _ := receive(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	s := newSender(t, sender.Config{Loopback: true}) // does not know the certificate
	if a := s.Send(t.Context(), requestTo(server.URL)); a.Class != webhook.ClassTLS || asked.Load() {
		t.Errorf("%+v", a)
	}
}

func TestCredentialsInAnAddressAreNotSent(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	server, s := receive(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	address := strings.Replace(server.URL, "https://", "https://user:secret@", 1)
	if a := s.Send(t.Context(), requestTo(address)); a.Class != webhook.ClassAddress || asked.Load() {
		t.Errorf("%+v", a)
	}
}

func TestNoProxyIsAsked(t *testing.T) { // sets the environment: not parallel
	var asked atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	n := names{answers: [][]netip.Addr{{netip.MustParseAddr("127.0.0.1")}}}
	s := newSender(t, sender.Config{Resolver: n.resolver(t)})
	if a := s.Send(t.Context(), requestTo("https://app.example/")); a.Class != webhook.ClassAddress || asked.Load() {
		t.Errorf("%+v", a)
	}
}

func TestASVS_1_3_6_NamesThatLeadInsideAreRefusedWhenTheyAreDialled(t *testing.T) {
	t.Parallel()
	public, inside := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("127.0.0.1")
	for name, answers := range map[string][][]netip.Addr{
		"to this machine":                      {{inside}},
		"to a metadata service":                {{netip.MustParseAddr("169.254.169.254")}},
		"here among other places":              {{public, inside}, {inside, public}},
		"here, after having led elsewhere":     {{public}, {inside}},
		"to every private place, one by one":   {{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.168.0.1"), inside}},
		"to somewhere that does not exist yet": {{netip.MustParseAddr("240.0.0.1")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Bool
			server, _ := receive(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
			_, port, err := net.SplitHostPort(server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			n := names{answers: answers}
			s := newSender(t, sender.Config{Resolver: n.resolver(t), Roots: rootsOf(server)})
			for range 3 {
				// The certificate is for example.com, so that nothing but the
				// guard keeps the request away.
				if a := s.Send(t.Context(), requestTo("https://example.com:"+port+"/")); a.Class == "" {
					t.Errorf("%+v", a)
				}
			}
			if asked.Load() {
				t.Error("it got there")
			}
		})
	}
}

func TestANameThatIsLedInsideIsReachedWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	n := names{answers: [][]netip.Addr{{netip.MustParseAddr("127.0.0.1")}}}
	server, _ := receive(t, func(http.ResponseWriter, *http.Request) {})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newSender(t, sender.Config{Resolver: n.resolver(t), Roots: rootsOf(server), Private: true})
	if a := s.Send(t.Context(), requestTo("https://example.com:"+port+"/")); a.Class != "" {
		t.Errorf("%+v: the tests above would pass for another reason than the guard", a)
	}
}

func TestARequestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	server, s := receive(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		close(begun)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if a := s.Send(ctx, requestTo(server.URL)); a.Class == "" {
		t.Errorf("%+v", a)
	}
}
