package provision_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
)

// clock is a time that stands until it is advanced.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// call is one that arrived at the provider.
type call struct {
	op         string // create, recover, find, get, update, delete
	externalID string // of those that name one
	at         time.Time
}

// tenant is a simulator of the test's own, behind a server that notes what
// arrives.
type tenant struct {
	*simulator.Simulator

	url   string
	clock *clock

	mu       sync.Mutex
	calls    []call
	answered func(op string) // or nil
	lateBy   map[string]time.Duration // of the effect of an op's next call
	late     []lateCall
}

// lateCall is one that was given up on and is still under way.
type lateCall struct {
	at      time.Time // when it takes effect
	request *http.Request
}

func newTenant(t *testing.T, c *clock) *tenant {
	t.Helper()
	tn := &tenant{clock: c, lateBy: make(map[string]time.Duration)}
	server := httptest.NewServer(tn)
	t.Cleanup(server.Close)
	sim, err := simulator.New(simulator.Config{
		BaseURL: server.URL, APIToken: apiToken, ClientID: "client", ClientSecret: "secret",
		RedirectURIs: []string{"http://localhost/callback"}, RegistrationRedirectURI: "http://localhost/login", Now: c.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	tn.Simulator, tn.url = sim, server.URL
	return tn
}

// ServeHTTP notes the call and lets the simulator answer it.
func (tn *tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := call{op: opOf(r), at: tn.clock.now()}
	switch c.op {
	case "create", "recover":
		c.externalID = externalIDIn(body)
	case "find":
		c.externalID = strings.TrimSuffix(strings.TrimPrefix(r.URL.Query().Get("filter"), `external_id eq "`), `"`)
	}
	tn.settle()
	tn.mu.Lock()
	tn.calls = append(tn.calls, c)
	answered := tn.answered
	by, late := tn.lateBy[c.op]
	if late {
		request := r.Clone(context.WithoutCancel(r.Context()))
		request.Body = io.NopCloser(bytes.NewReader(body))
		tn.late = append(tn.late, lateCall{c.at.Add(by), request})
		delete(tn.lateBy, c.op)
	}
	tn.mu.Unlock()
	if late {
		w.WriteHeader(http.StatusGatewayTimeout)
		return
	}
	if answered == nil {
		tn.Simulator.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	tn.Simulator.ServeHTTP(answer, r)
	answered(c.op)
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// opOf names the call.
func opOf(r *http.Request) string {
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/manage/users":
		return "create"
	case "POST /v1/manage/recover-user":
		return "recover"
	case "GET /v2/users":
		return "find"
	}
	if !strings.HasPrefix(r.URL.Path, "/v2/users/") {
		return ""
	}
	return map[string]string{http.MethodGet: "get", http.MethodPatch: "update", http.MethodDelete: "delete"}[r.Method]
}

// createLate lets the next create fail, and take effect that much later by the
// test's clock.
func (tn *tenant) createLate(by time.Duration) { tn.beLate("create", by) }

// beLate does the same for the next call of the op. Zero takes it back.
func (tn *tenant) beLate(op string, by time.Duration) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	if delete(tn.lateBy, op); by > 0 {
		tn.lateBy[op] = by
	}
}

// settle lets late calls take effect whose time has come. Nobody can tell
// whether they did at their time or just before somebody looks.
func (tn *tenant) settle() {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.late = slices.DeleteFunc(tn.late, func(c lateCall) bool {
		if c.at.After(tn.clock.now()) {
			return false
		}
		tn.commit(c.request)
		return true
	})
}

// commit lets a call take effect, which met its fault when it arrived.
func (tn *tenant) commit(call *http.Request) {
	armed := tn.Faults()
	tn.ClearFaults()
	tn.Simulator.ServeHTTP(httptest.NewRecorder(), call)
	for _, fault := range armed {
		if fault.Times -= fault.Hits; fault.Times > 0 {
			if _, err := tn.AddFault(fault); err != nil {
				panic(err) // it was taken before
			}
		}
	}
}

// Users are the users that there are by now.
func (tn *tenant) Users() []simulator.User {
	tn.settle()
	return tn.Simulator.Users()
}

// user returns the one with the external_id.
func (tn *tenant) user(t *testing.T, id directory.ExternalID) simulator.User {
	t.Helper()
	for _, user := range tn.Users() {
		if user.ExternalID == string(id) {
			return user
		}
	}
	t.Fatalf("the provider has no user %s", id)
	return simulator.User{}
}

// enrol registers a passkey by the latest mail to the address.
func (tn *tenant) enrol(t testing.TB, address string) {
	t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, tn.Mailbox(address)[0].Link, http.NoBody)
	tn.Simulator.ServeHTTP(answer, request)
	if answer.Code != http.StatusSeeOther {
		t.Fatalf("enrolment: %d", answer.Code)
	}
}

// forget removes the trace so far.
func (tn *tenant) forget() {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.calls = nil
}

func externalIDIn(body []byte) string {
	var user struct {
		ExternalID string `json:"external_id"`
	}
	_ = json.Unmarshal(body, &user)
	return user.ExternalID
}

// onAnswer has f called with each answer, before it is sent.
func (tn *tenant) onAnswer(f func(op string)) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.answered = f
}

// trace is what arrived, in order, without repetitions of look-ups.
func (tn *tenant) trace() string {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	var ops []string
	for _, c := range tn.calls {
		if c.op != "find" || len(ops) == 0 || ops[len(ops)-1] != "find" {
			ops = append(ops, c.op)
		}
	}
	return strings.Join(ops, " ")
}

func (tn *tenant) all() []call {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	return append([]call(nil), tn.calls...)
}

// client calls the tenant as Portico does.
func client(t *testing.T, base string, timeout time.Duration) *beyondidentity.Client {
	t.Helper()
	c, err := beyondidentity.New(beyondidentity.Config{
		BaseURL: base, Token: beyondidentity.StaticToken(beyondidentity.NewToken(apiToken)), Timeout: timeout, MaxConns: 16,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}
