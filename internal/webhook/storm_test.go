package webhook_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
	"github.com/portico-id/portico/internal/webhook"
	"github.com/portico-id/portico/internal/webhook/sender"
)

// stormEvents is how many events there are; 1000 for the whole.
var stormEvents = flag.Int("storm-events", 60, "how many events go through the storm")

// replicaOf is set for a process that is one of the replicas.
const replicaOf = "PORTICO_TEST_WEBHOOK_REPLICA"

// runReplica works the queue until the process is killed.
func runReplica(databaseURL string) {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:revive // a process of its own
		}
	}
	db, err := store.Open(ctx, databaseURL)
	fail(err)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	jobs, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: log})
	fail(err)
	keys, err := keyring.Parse(key(1))
	fail(err)
	service := &webhook.Service{
		Store:  store.New(db, jobs),
		Sender: sender.New(sender.Config{UserAgent: "portico/test", Timeout: 2 * time.Second, Loopback: true}),
		Seals:  keys, Schedule: stormSchedule(), Lease: 5 * time.Second, GiveUpAfter: time.Hour, InFlight: 4,
		Now: time.Now, Random: rand.Float64, Log: log, //nolint:forbidigo // chance, no secret
	}
	nothing := func(context.Context) error { return nil }
	noUser := func(context.Context, directory.UserID) (time.Duration, error) { return 0, nil }
	noSignup := func(context.Context, signup.ID) (time.Duration, error) { return 0, nil }
	fail(jobs.Start(ctx, queue.Handlers{
		CarrySignup: noSignup, Resend: noSignup, Notify: noSignup, CarryChange: noUser, CarryUser: noUser,
		FanOut: service.FanOut, Deliver: service.Deliver, Reconcile: nothing, Housekeep: nothing,
	}))
	fmt.Println("ready")                 //nolint:forbidigo // the parent reads it
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test goes away
	os.Exit(0)                           //nolint:revive // a process of its own
}

// stormSchedule is the published one, as if a day had some seconds, and longer.
func stormSchedule() webhook.Schedule {
	s := webhook.Schedule{0, 20 * time.Millisecond, 100 * time.Millisecond}
	for range 200 {
		s = append(s, 300*time.Millisecond)
	}
	return s
}

// replica is a process that can be killed.
type replica struct {
	cmd *exec.Cmd
	log *await.Log
}

func startReplica(t *testing.T, databaseURL string) *replica {
	t.Helper()
	r := &replica{cmd: exec.Command(os.Args[0]), log: &await.Log{}} // this test itself
	r.cmd.Env = append(os.Environ(), replicaOf+"="+databaseURL)
	r.cmd.Stderr = r.log
	stdin, err := r.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		r.kill()
		if t.Failed() {
			t.Logf("a replica's log:\n%s", r.log)
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("it says %q: %v\n%s", line, err, r.log)
	}
	return r
}

// kill ends the process as a power cut would.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// stormReceiver fails half the time, in every way, and can be switched off.
type stormReceiver struct {
	t       *testing.T
	address string
	verify  map[string]func(received) error // by path

	mu       sync.Mutex
	dice     func(n int) int
	server   *http.Server
	arrived  map[string]map[string]string // path, webhook-id, body
	attempts int
	twice    int
	failures map[string]int
}

func newStormReceiver(t *testing.T) *stormReceiver {
	t.Helper()
	r := &stormReceiver{
		t: t, verify: make(map[string]func(received) error), dice: rand.New(rand.NewPCG(1, 2)).IntN, //nolint:forbidigo // chance, no secret
		arrived: map[string]map[string]string{"/v1": {}, "/v1a": {}}, failures: make(map[string]int), address: "127.0.0.1:0",
	}
	r.up()
	t.Cleanup(r.down)
	return r
}

func (r *stormReceiver) up() {
	r.t.Helper()
	var listener net.Listener
	await.Until(r.t, "the receiver listens", func() (err error) {
		listener, err = new(net.ListenConfig).Listen(r.t.Context(), "tcp", r.address)
		return err
	})
	r.address = listener.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(r.handle), ReadHeaderTimeout: generous}
	r.server = server
	go func() { _ = server.Serve(listener) }()
}

// down cuts every connection.
func (r *stormReceiver) down() { _ = r.server.Close() }

func (r *stormReceiver) handle(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	fault := ""
	r.attempts++
	if r.dice(2) == 0 {
		faults := []string{"500", "503", "302", "reset", "garbage", "timeout", "half"}
		fault = faults[r.dice(len(faults))]
		r.failures[fault]++
	}
	r.mu.Unlock()
	// What it does before it fails is up to it: it may have arrived.
	if fault == "" || fault == "reset" || fault == "half" {
		r.arrive(req, body)
	}
	r.fail(w, req, fault)
}

// arrive takes the event in, if its signature is good.
func (r *stormReceiver) arrive(req *http.Request, body []byte) {
	if err := r.verify[req.URL.Path](received{req.Header, body}); err != nil {
		r.t.Errorf("%s: %v", req.URL.Path, err)
		return
	}
	id := req.Header.Get("webhook-id")
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.arrived[req.URL.Path][id]
	if known {
		r.twice++
		if before != string(body) {
			r.t.Errorf("%s comes with another body", id)
		}
	}
	r.arrived[req.URL.Path][id] = string(body)
}

func (r *stormReceiver) fail(w http.ResponseWriter, req *http.Request, fault string) {
	switch fault {
	case "":
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
	case "503":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	case "302":
		w.Header().Set("Location", "http://"+r.address+"/elsewhere")
		w.WriteHeader(http.StatusFound)
	case "timeout":
		<-req.Context().Done()
	default:
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		if fault == "garbage" {
			_, _ = io.WriteString(conn, "\x16\x03\x01 not HTTP\r\n\r\n")
		}
		if fault == "half" {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Le")
		}
		if tcp, ok := conn.(*net.TCPConn); ok && fault == "reset" {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// has returns how many events have arrived at both endpoints together.
func (r *stormReceiver) has() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.arrived["/v1"]) + len(r.arrived["/v1a"])
}

// subscribe sets up an endpoint of each kind, and how what comes is verified.
func (r *stormReceiver) subscribe(w *world) {
	r.t.Helper()
	_, shared, err := w.service.Create(r.t.Context(), webhook.Draft{URL: "http://" + r.address + "/v1", Kind: webhook.Symmetric})
	if err != nil {
		r.t.Fatal(err)
	}
	reference, err := standardwebhooks.NewWebhook(shared.Reveal())
	if err != nil {
		r.t.Fatal(err)
	}
	r.verify["/v1"] = func(got received) error { return reference.Verify(got.body, got.header) }
	e, _, err := w.service.Create(r.t.Context(), webhook.Draft{URL: "http://" + r.address + "/v1a", Kind: webhook.Asymmetric})
	if err != nil {
		r.t.Fatal(err)
	}
	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(e.PublicKey, "whpk_"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.verify["/v1a"] = func(got received) error {
		signature, ok := strings.CutPrefix(got.header.Get("webhook-signature"), "v1a,")
		raw, err := base64.StdEncoding.DecodeString(signature)
		signed := got.header.Get("webhook-id") + "." + got.header.Get("webhook-timestamp") + "." + string(got.body)
		if !ok || err != nil || !ed25519.Verify(public, []byte(signed), raw) {
			return errors.New("the signature is not good")
		}
		return nil
	}
}

// Two replicas deliver to a receiver that fails half the time and dies twice.
// One of them is killed.
func TestEveryEventArrivesThroughAStorm(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	w := newWorld(t, databaseURL)
	w.service.Now = time.Now
	r := newStormReceiver(t)
	r.subscribe(w)
	first := startReplica(t, databaseURL)
	startReplica(t, databaseURL)
	all := 2 * *stormEvents
	var happening sync.WaitGroup
	happening.Go(func() {
		for range *stormEvents {
			signUp(t, w.store, time.Now())
		}
	})
	for _, step := range []struct {
		after int
		do    func()
	}{
		{all / 5, func() { r.down(); r.up() }},
		{all * 2 / 5, first.kill},
		{all * 3 / 5, func() { r.down(); r.up() }},
	} {
		await.True(t, "some have arrived", func() bool { return r.has() >= step.after })
		step.do()
	}
	happening.Wait()
	count := func(query string) (n int) {
		if err := w.db.SQL().QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	stormIsOver(t, all, count)
	r.mu.Lock()
	defer r.mu.Unlock()
	for path, arrived := range r.arrived {
		if len(arrived) != *stormEvents {
			t.Errorf("%d of %d events have arrived at %s", len(arrived), *stormEvents, path)
		}
	}
	t.Logf("%d deliveries in %d attempts; %d arrived more than once; failures %v", all, r.attempts, r.twice, r.failures)
}

// stormIsOver waits until all is delivered.
func stormIsOver(t *testing.T, all int, count func(query string) int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Minute)
	for done := 0; done < all && time.Now().Before(deadline); {
		before := done
		await.Until(t, "one more is delivered", func() error {
			if done = count(`SELECT COUNT(*) FROM webhook_deliveries WHERE status = 'delivered'`); done == before && done < all {
				return fmt.Errorf("%d of %d are", done, all)
			}
			return nil
		})
	}
	if n := count(`SELECT COUNT(*) FROM webhook_deliveries WHERE status <> 'delivered'`); n != 0 {
		t.Errorf("%d are not delivered", n)
	}
}
