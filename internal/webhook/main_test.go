package webhook_test

import (
	"encoding/base64"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
	"github.com/portico-id/portico/internal/webhook"
	"github.com/portico-id/portico/internal/webhook/sender"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if databaseURL := os.Getenv(replicaOf); databaseURL != "" {
		runReplica(databaseURL)
		return
	}
	storetest.Main(m)
}

// generous is a time that a test on a busy machine does not run into.
const generous = 30 * time.Second

var moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that stands still until it is told to go on.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// key is a key ring's.
func key(n byte) string {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(i*i*31) ^ n ^ byte(i<<3)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func ring(tb testing.TB, keys string) *keyring.Ring {
	tb.Helper()
	r, err := keyring.Parse(keys)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// world is a directory with endpoints, and a receiver.
type world struct {
	t        *testing.T
	db       *store.DB
	store    *store.Store
	service  *webhook.Service
	clock    *clock
	log      *await.Log
	receiver *receiver
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	db := storetest.Open(t, databaseURL)
	jobs, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	send := sender.New(sender.Config{UserAgent: "portico/test", Timeout: generous, Loopback: true})
	t.Cleanup(send.CloseIdle)
	w := &world{
		t: t, db: db, store: store.New(db, jobs), clock: &clock{at: moment}, log: &await.Log{}, receiver: newReceiver(t),
	}
	w.service = &webhook.Service{
		Store: w.store, Sender: send, Seals: ring(t, key(1)), Rules: webhook.Rules{Localhost: true},
		Schedule: webhook.Published(), Lease: time.Minute, GiveUpAfter: webhook.DefaultGiveUpAfter, InFlight: 4,
		Now: w.clock.now, Random: func() float64 { return 0 }, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	return w
}

// endpoint sets one up at the receiver.
func (w *world) endpoint(kind webhook.Kind) (webhook.Endpoint, webhook.Secret) {
	w.t.Helper()
	e, secret, err := w.service.Create(w.t.Context(), webhook.Draft{URL: w.receiver.url, Kind: kind})
	if err != nil {
		w.t.Fatal(err)
	}
	return e, secret
}

// happens causes an event and returns its delivery to the endpoint.
func (w *world) happens(id webhook.EndpointID) webhook.Delivery {
	w.t.Helper()
	signUp(w.t, w.store, w.clock.now())
	events, err := w.store.OverdueEvents(w.t.Context(), w.clock.now().Add(time.Hour), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, event := range events {
		if err := w.service.FanOut(w.t.Context(), event); err != nil {
			w.t.Fatal(err)
		}
	}
	found, err := w.service.Deliveries(w.t.Context(), id, webhook.Page{Limit: 1})
	if err != nil || len(found) != 1 {
		w.t.Fatal(found, err)
	}
	return found[0]
}

// signUp makes a user, who is received.
func signUp(t *testing.T, s *store.Store, at time.Time) {
	t.Helper()
	email, err := directory.ParseEmail("ada." + uuid.NewString() + "@example.com")
	if err != nil {
		t.Fatal(err)
	}
	a := signup.Acceptance{
		ID: signup.ID(uuid.Must(uuid.NewV7()).String()), ReceiptHash: signup.Hash(session.NewToken(session.Browser).Hash()),
		Candidate: directory.NewUserID(), Email: email, DisplayName: "Ada", At: at, ResendAfter: at,
	}
	if err := s.AcceptSignup(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enlist(t.Context(), a.ID, at); err != nil {
		t.Fatal(err)
	}
}

// deliver does what can be done now.
func (w *world) deliver(d webhook.Delivery) time.Duration {
	w.t.Helper()
	again, err := w.service.Deliver(w.t.Context(), d.ID, d.Endpoint)
	if err != nil {
		w.t.Fatal(err)
	}
	return again
}

func (w *world) find(d webhook.Delivery) webhook.Delivery {
	w.t.Helper()
	found, err := w.store.FindDelivery(w.t.Context(), d.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func (w *world) get(id webhook.EndpointID) webhook.Endpoint {
	w.t.Helper()
	found, err := w.service.Get(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// receiver answers as it is told, and keeps what it got.
type receiver struct {
	url string

	mu     sync.Mutex
	answer http.HandlerFunc
	got    []received
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{answer: func(http.ResponseWriter, *http.Request) {}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, received{req.Header, body})
		answer := r.answer
		r.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// says has it answer so from now on.
func (r *receiver) says(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// all is what it got so far.
func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// last is what it got last.
func (r *receiver) last(t *testing.T) received {
	t.Helper()
	got := r.all()
	if len(got) == 0 {
		t.Fatal("nothing was received")
	}
	return got[len(got)-1]
}
