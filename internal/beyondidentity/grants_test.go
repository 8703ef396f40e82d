package beyondidentity

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
)

const (
	tokenPath  = "/v2/oauth2/token" //nolint:gosec // a path
	testSecret = "canary-5d2b/secret +%"
)

// pipes is a network inside a synctest bubble.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.accepted <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// tokenWorld is a simulator, and a client of it that has credentials, in a
// bubble whose time is the test's.
type tokenWorld struct {
	*simulator.Simulator

	t      *testing.T
	client *Client
}

// inBubble runs a test where tokens live for so many seconds.
func inBubble(t *testing.T, life int, test func(t *testing.T, w *tokenWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		const base = "http://localhost:8081"
		sim, err := simulator.New(simulator.Config{
			BaseURL: base, APIToken: testToken, ClientID: "portico/1", ClientSecret: testSecret,
			RegistrationRedirectURI: "http://localhost:8080/login",
		})
		if err != nil {
			t.Fatal(err)
		}
		modes := sim.Modes()
		modes.TokenSeconds = life
		if err := sim.SetModes(modes); err != nil {
			t.Fatal(err)
		}
		network := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: sim, ReadHeaderTimeout: time.Hour}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(network) })
		client, err := New(Config{BaseURL: base, MaxConns: 200, Credentials: &Credentials{
			ClientID: "portico/1", Secret: func() (string, error) { return testSecret, nil },
		}})
		if err != nil {
			t.Fatal(err)
		}
		client.transport.DialContext = network.dial
		client.transport.Proxy = nil
		t.Cleanup(func() {
			client.CloseIdle()
			sim.Close()
			_ = server.Close()
			serving.Wait()
		})
		test(t, &tokenWorld{Simulator: sim, t: t, client: client})
	})
}

// asked counts the calls of a path that were answered with that status, or all.
func (w *tokenWorld) asked(path string, status int) (n int) {
	for _, call := range w.Requests() {
		if call.Path == path && (status == 0 || call.Status == status) {
			n++
		}
	}
	return n
}

func (w *tokenWorld) mustAsk(fetches int, when string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.asked(tokenPath, 0); got != fetches {
		w.t.Fatalf("%s: %d fetches, want %d", when, got, fetches)
	}
}

// mustList makes a call that succeeds.
func (w *tokenWorld) mustList(when string) {
	w.t.Helper()
	if _, err := w.client.ListUsers(w.t.Context(), Page{Size: 1}); err != nil {
		w.t.Fatalf("%s: %v", when, err)
	}
}

// atOnce makes n creates at once, each of a user of their own.
func (w *tokenWorld) atOnce(name string, n int) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			id := name + "-" + strconv.Itoa(i)
			_, errs[i] = w.client.CreateUser(w.t.Context(), NewUser{ExternalID: directory.ExternalID(id), Email: oursMail})
		})
	}
	all.Wait()
	return errs
}

func TestManyCallersFetchOneToken(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, w *tokenWorld) {
		if err := errors.Join(w.atOnce("u", 100)...); err != nil {
			t.Fatal(err)
		}
		w.mustAsk(1, "100 callers at once")
		if got := w.asked("/v1/manage/users", http.StatusOK); got != 100 {
			t.Errorf("%d creates", got)
		}
	})
}

func TestATokenIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	for life, margin := range map[int]time.Duration{100: 20 * time.Second, 5: time.Second, 86400: 5 * time.Minute} {
		t.Run(strconv.Itoa(life), func(t *testing.T) {
			t.Parallel()
			inBubble(t, life, func(t *testing.T, w *tokenWorld) {
				whole := time.Duration(life) * time.Second
				w.mustList("at first")
				time.Sleep(whole - margin - time.Millisecond)
				w.mustList("before the margin")
				w.mustAsk(1, "before the margin")
				time.Sleep(2 * time.Millisecond)
				for range 10 {
					w.mustList("in the margin")
				}
				w.mustAsk(2, "in the margin")
				time.Sleep(margin)
				w.mustList("after the old one's end")
				w.mustAsk(2, "after the old one's end")
				if n := w.asked("/v2/users", http.StatusUnauthorized); n != 0 {
					t.Errorf("%d calls were refused", n)
				}
			})
		})
	}
}

func TestAFailingRenewalIsNoticedOnlyAtTheEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, 300, func(t *testing.T, w *tokenWorld) {
		w.mustList("at first")
		w.outage(simulator.Effect{Status: http.StatusServiceUnavailable})
		time.Sleep(240 * time.Second)
		for range 50 { // the minute that is left
			w.mustList("in the margin")
			time.Sleep(time.Second)
		}
		w.mustAsk(1+5, "one renewal every ten seconds")
		time.Sleep(11 * time.Second)
		calls := w.asked("/v2/users", 0)
		_, err := w.client.UpdateUser(w.t.Context(), theirs, annasChange())
		e := mustError(t, err)
		if e.Class != Unreachable || e.Op != opUpdate || w.asked("/v2/users/a3b1", 0) != 0 || w.asked("/v2/users", 0) != calls {
			t.Errorf("got %v: nothing was sent", err)
		}
		w.ClearFaults()
		w.mustList("after the outage")
	})
}

// outage lets fetches meet something.
func (w *tokenWorld) outage(e simulator.Effect) {
	w.t.Helper()
	if _, err := w.AddFault(simulator.Fault{Match: simulator.Match{Path: tokenPath}, Effect: e}); err != nil {
		w.t.Fatal(err)
	}
}

// TestAStormOfRefusalsFetchesOnce revokes the token under a hundred callers,
// several times. Each is served, once.
func TestAStormOfRefusalsFetchesOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, w *tokenWorld) {
		w.mustList("at first")
		for storm := range 5 {
			w.RevokeTokens()
			if err := errors.Join(w.atOnce("storm"+strconv.Itoa(storm), 100)...); err != nil {
				t.Fatal(err)
			}
			w.mustAsk(storm+2, "after the storm")
		}
		ledger := w.Ledger()
		if len(ledger.Creates) != 500 || ledger.Counts[simulator.KindCreated] != 500 {
			t.Errorf("%d users, created %d times", len(ledger.Creates), ledger.Counts[simulator.KindCreated])
		}
		if refused := w.asked("/v1/manage/users", http.StatusUnauthorized); refused == 0 || refused > 500 {
			t.Errorf("%d calls were refused", refused)
		}
	})
}

// TestACallIsRepeatedOnceAndNotMore has the API refuse every token.
func TestACallIsRepeatedOnceAndNotMore(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		for _, call := range remoteCalls {
			t.Run(strconv.Itoa(status)+", "+call.op, func(t *testing.T) {
				t.Parallel()
				inBubble(t, 0, func(_ *testing.T, w *tokenWorld) { w.refuseAll(status, call.do) })
			})
		}
	}
}

func (w *tokenWorld) refuseAll(status int, do func(context.Context, *Client, directory.InternalID) (User, error)) {
	t := w.t
	for _, path := range []string{"/v1/*", "/v2/users*"} {
		if _, err := w.AddFault(simulator.Fault{Match: simulator.Match{Path: path}, Effect: simulator.Effect{Status: status}}); err != nil {
			t.Fatal(err)
		}
	}
	made := 0
	for _, step := range []struct {
		when           string
		wait           time.Duration
		calls, fetches int
	}{
		{"the first call is repeated with a new token", 0, 2, 2},
		{"another is not: the new token was refused as well", 0, 1, 2},
		{"nor is one soon after", 59 * time.Second, 1, 2},
		{"one a minute later is", 2 * time.Second, 2, 3},
	} {
		time.Sleep(step.wait)
		_, err := do(t.Context(), w.client, theirs)
		if e := mustError(t, err); e.Class != Unauthorized || e.Status != status {
			t.Fatalf("%s: got %v", step.when, err)
		}
		w.mustAsk(step.fetches, step.when)
		made += step.calls
		if got := len(w.Requests()) - step.fetches; got != made {
			t.Fatalf("%s: %d calls, want %d", step.when, got, made)
		}
	}
	w.ClearFaults()
	if status == http.StatusUnauthorized {
		w.mustList("when tokens are taken again")
	}
}

func TestARefusalThatAFetchCannotMendIsNotAmbiguous(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, w *tokenWorld) {
		w.mustList("at first")
		w.RevokeTokens()
		w.outage(simulator.Effect{Drop: true})
		errs := w.atOnce("u", 20)
		for _, err := range errs {
			if ClassOf(err) != Unreachable {
				t.Fatalf("got %v, want unreachable", err)
			}
		}
		if got := len(w.Users()); got != 0 {
			t.Errorf("%d users", got)
		}
		w.ClearFaults()
		if err := errors.Join(w.atOnce("u", 20)...); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoGivesUpWaitingLeavesTheFetchToTheOthers cancels the caller who began
// the fetch.
func TestWhoGivesUpWaitingLeavesTheFetchToTheOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, w *tokenWorld) {
		w.outage(simulator.Effect{DelayMS: 5000})
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := w.client.CreateUser(ctx, NewUser{ExternalID: ours, Email: oursMail}); first <- err }()
		synctest.Wait()
		go func() { second <- w.client.Authenticate(t.Context()) }()
		synctest.Wait()
		cancel()
		if err := <-first; ClassOf(err) != Unreachable || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := <-second; err != nil {
			t.Error(err)
		}
		w.mustAsk(1, "two callers")
		if len(w.Users()) != 0 {
			t.Error("the call that was given up was made")
		}
	})
}

// TestAFetchThatHangsIsGivenUp: nobody waits longer than for a call.
func TestAFetchThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, w *tokenWorld) {
		w.outage(simulator.Effect{DelayMS: 60_000})
		began := time.Now()
		_, err := w.client.FindUser(t.Context(), ours)
		if ClassOf(err) != Unreachable || time.Since(began) != DefaultTimeout {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		w.ClearFaults()
		synctest.Wait()
		if err := w.client.Authenticate(t.Context()); err != nil {
			t.Errorf("after a fetch that hung: %v", err)
		}
	})
}
