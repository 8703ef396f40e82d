package provision_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
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
	op         string // create, recover, find
	externalID string
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
}

func newTenant(t *testing.T, c *clock) *tenant {
	t.Helper()
	tn := &tenant{clock: c}
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
	c := call{at: tn.clock.now()}
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/manage/users":
		c.op, c.externalID = "create", externalIDIn(body)
	case "POST /v1/manage/recover-user":
		c.op, c.externalID = "recover", externalIDIn(body)
	case "GET /v2/users":
		c.op = "find"
		c.externalID = strings.TrimSuffix(strings.TrimPrefix(r.URL.Query().Get("filter"), `external_id eq "`), `"`)
	}
	tn.mu.Lock()
	tn.calls = append(tn.calls, c)
	answered := tn.answered
	tn.mu.Unlock()
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
