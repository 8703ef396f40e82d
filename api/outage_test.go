package api_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

// later fails unless the answer is a 503 that says when to try again.
func (a answer) later(code string) {
	a.t.Helper()
	a.is(http.StatusServiceUnavailable, code)
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 3600 {
		a.t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
}

func TestAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noProvider: true})
	b := w.browser()
	a := b.get("/login")
	a.later("provider_unavailable")
	if len(a.header.Values("Set-Cookie")) != 0 {
		t.Error("a cookie was set")
	}
	b.post("/login", `{"client":"native"}`).later("provider_unavailable")
	b.post("/login", `{"client":"browser"}`).later("provider_unavailable")
	step(t, "ASVS-16.5.2 the rest answers all the same", func(t *testing.T) {
		b := b.in(t)
		receipt := b.post("/signup", `{"email":"ada@example.com"}`).is(http.StatusAccepted)
		w.secrets.keep(receipt.json("signup_id"), "ada@example.com")
		b.get("/signup/" + receipt.json("signup_id")).is(http.StatusOK)
		b.get("/me").unauthorized("not_authenticated")
	})
}

// cable carries connections to a server until it is cut.
type cable struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	cut      bool
	answers  atomic.Int64 // still to come until one is lost, and its connection with it
	running  sync.WaitGroup
}

// lay returns a cable to the database and the URL that goes through it.
func lay(t *testing.T, databaseURL string) (c *cable, through string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", u.Host
	query := u.Query()
	if host := query.Get("host"); strings.HasPrefix(host, "/") {
		port := query.Get("port")
		if port == "" {
			port = "5432"
		}
		network, address = "unix", host+"/.s.PGSQL."+port
	}
	query.Del("host")
	query.Del("port")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = listener.Addr().String(), query.Encode()
	c = &cable{listener: listener}
	c.running.Go(func() { c.carry(network, address) })
	t.Cleanup(func() {
		c.sever()
		_ = listener.Close()
		c.running.Wait()
	})
	return c, u.String()
}

func (c *cable) carry(network, address string) {
	for {
		near, err := c.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		far, err := net.Dial(network, address)
		if err != nil || !c.add(near, far) {
			_ = near.Close()
			if far != nil {
				_ = far.Close()
			}
			continue
		}
		answers := lossy{near, &c.answers}
		for _, way := range []struct {
			to   io.Writer
			from net.Conn
		}{{answers, far}, {far, near}} {
			c.running.Go(func() {
				_, _ = io.Copy(way.to, way.from)
				_ = near.Close()
				_ = far.Close()
			})
		}
	}
}

// lossy is a connection that loses one of the answers which are written to it.
type lossy struct {
	net.Conn

	left *atomic.Int64
}

func (l lossy) Write(p []byte) (int, error) {
	if l.left.Add(-1) == 0 {
		return 0, io.ErrClosedPipe
	}
	return l.Conn.Write(p)
}

func (c *cable) add(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut {
		c.conns = append(c.conns, conns...)
	}
	return !c.cut
}

func (c *cable) sever() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
}

func TestADatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	line, through := lay(t, storetest.Postgres(t))
	w, b := signedInBrowser(t, options{databaseURL: through})
	bearer := nativeToken(t, w, b)
	app := b.app()
	flow, callback := app.startNative()
	browserCallback := b.authorize("")
	jobs := len(w.enqueued("signup"))
	line.sever()
	step(t, "ASVS-16.5.3 nobody is taken for a stranger", func(t *testing.T) {
		b, app := b.in(t), app.in(t)
		for range 3 {
			b.get("/me").later("unavailable")
			b.post("/logout", "").later("unavailable")
			app.get("/me", header{"Authorization", "Bearer " + bearer}).later("unavailable")
		}
	})
	step(t, "ASVS-16.5.3 nothing is accepted", func(t *testing.T) {
		b, app := b.in(t), app.in(t)
		b.post("/signup", `{"email":"new@example.com"}`).later("unavailable")
		b.get("/signup/" + strings.Repeat("A", 22)).later("unavailable")
		app.post("/callback", callbackBody(t, callback, flow)).later("unavailable")
		b.returns(browserCallback).leadsTo(home + "?error=unavailable")
	})
	step(t, "what needs no database answers as ever", func(t *testing.T) {
		b := b.in(t)
		w.browser().in(t).get("/me").unauthorized("not_authenticated")
		b.get("/login").is(http.StatusSeeOther)
		b.post("/signup", `{}`).is(http.StatusUnprocessableEntity, "invalid_fields")
	})
	line.mend()
	if got := len(w.enqueued("signup")); got != jobs {
		t.Errorf("ASVS-16.5.3 %d jobs were enqueued", got-jobs)
	}
	step(t, "and all is well when it is back", func(t *testing.T) {
		b.in(t).get("/me").is(http.StatusOK)
		app := app.in(t)
		w.secrets.keep(app.post("/callback", callbackBody(t, callback, flow)).is(http.StatusOK).json("session_token"))
	})
}

func TestADatabaseThatIsClosed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL})
		b = b.in(t)
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		b.get("/me").later("unavailable")
		b.post("/logout", "").later("unavailable")
		b.post("/signup", `{"email":"new@example.com"}`).later("unavailable")
	})
}

// A logout that is answered 200 has happened. One that is not may have happened
// too: the database did as it was told and could not say so.
func TestALogoutWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	line, through := lay(t, storetest.Postgres(t))
	_, b := signedInBrowser(t, options{databaseURL: through})
	done, gone, there := 0, 0, 0
	step(t, "ASVS-16.5.3 is not said to have succeeded, whichever answer of the database it is", func(t *testing.T) {
		b := b.in(t)
		for nth := range int64(16) {
			if nth%2 == 0 {
				b.another().post("/logout", "").is(http.StatusOK) // so that a connection knows the statement
			}
			other := b.another()
			token := header{"Cookie", "portico=" + other.session()}
			line.answers.Store(1 + nth/2)
			a := other.raw(other.request(http.MethodPost, "/logout", "", token))
			line.answers.Store(0)
			still := other.raw(other.request(http.MethodGet, "/me", "", token))
			switch {
			case a.status == http.StatusOK:
				done++
				still.unauthorized("session_invalid")
				continue
			case still.status == http.StatusOK:
				there++
				other.raw(other.request(http.MethodPost, "/logout", "", token)).is(http.StatusOK)
			default:
				gone++
				still.unauthorized("session_invalid")
			}
			a.later("unavailable")
			if a.header.Get("Clear-Site-Data") != "" || len(a.header.Values("Set-Cookie")) != 0 {
				t.Errorf("the browser is told to forget: %v", a.header)
			}
		}
		if done == 0 || gone == 0 || there == 0 {
			t.Errorf("%d logouts succeeded, %d happened without an answer, %d did not happen", done, gone, there)
		}
	})
}
