package gate_test

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// clock is a time that stands until it is advanced.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)} }

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

// replica is a process: a gate with a database handle and a token of its own.
type replica struct {
	*gate.Gate
	db  *store.DB
	log *await.Log

	mu    sync.Mutex
	token string
}

func (r *replica) inUse() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token
}

// replace is what an operator does to the token's file.
func (r *replica) replace(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token = token
}

// world is some replicas that share a database and a clock.
type world struct {
	clock    *clock
	replicas []*replica
}

func newWorld(t *testing.T, databaseURL string, replicas, perMinute int) *world {
	t.Helper()
	w := &world{clock: newClock()}
	for range replicas {
		r := &replica{db: storetest.Open(t, databaseURL), log: new(await.Log), token: "token-1"}
		r.Gate = &gate.Gate{
			Store: store.New(r.db, nil), PerMinute: perMinute, Token: r.inUse,
			Now: w.clock.now, Log: slog.New(slog.NewTextHandler(r.log, nil)),
		}
		w.replicas = append(w.replicas, r)
	}
	return w
}

// admitted fails the test unless the call may be made.
func (r *replica) admitted(t *testing.T, lane gate.Lane) gate.Permit {
	t.Helper()
	permit, err := r.Admit(t.Context(), lane)
	if err != nil {
		t.Fatal(err)
	}
	return permit
}

// refused fails the test unless the call may not be made for that reason, and
// returns how long it is to wait.
func (r *replica) refused(t *testing.T, lane gate.Lane, because gate.Reason) time.Duration {
	t.Helper()
	_, err := r.Admit(t.Context(), lane)
	closed, ok := errors.AsType[*gate.ClosedError](err)
	if !ok || closed.Because != because || closed.Wait <= 0 {
		t.Fatalf("refused with %v, not because %s", err, because)
	}
	return closed.Wait
}

// call makes a call that ends with err.
func (r *replica) call(t *testing.T, err error) {
	t.Helper()
	r.admitted(t, gate.Signup).Done(t.Context(), err)
}

func (r *replica) state(t *testing.T) gate.State {
	t.Helper()
	state, err := r.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func failure(class beyondidentity.Class) error {
	return &beyondidentity.Error{Op: "create user", Class: class, Status: map[beyondidentity.Class]int{
		beyondidentity.Ambiguous: 503, beyondidentity.Rejected: 400, beyondidentity.Unauthorized: 401,
		beyondidentity.Misconfigured: 404, beyondidentity.NotFound: 404, beyondidentity.Conflict: 409,
		beyondidentity.Duplicate: 200, beyondidentity.RateLimited: 429,
	}[class]}
}

func rateLimited(retryAfter time.Duration) error {
	return &beyondidentity.Error{Op: "create user", Class: beyondidentity.RateLimited, Status: 429, RetryAfter: retryAfter}
}
