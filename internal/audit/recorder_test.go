package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is a recorder over a real store, which may be told to fail.
type world struct {
	*audit.Recorder

	t     *testing.T
	store *store.Store
	log   safeBuffer

	mu    sync.Mutex
	now   time.Time
	fails func(events []audit.Event) error
	tried chan int // the length of each batch

	stop  context.CancelFunc
	ended chan struct{}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, store: store.New(storetest.Open(t, storetest.SQLite(t)), nil),
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), tried: make(chan int, 10_000), ended: make(chan struct{}),
	}
	w.Recorder = &audit.Recorder{Store: w, Now: w.clock, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	return w
}

// run starts the recorder.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.stop = cancel
	go func() { defer close(w.ended); w.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-w.ended })
}

// end stops the recorder and returns what is written, oldest first.
func (w *world) end() []audit.Event {
	w.t.Helper()
	w.stop()
	<-w.ended
	var all []audit.Event
	var cursor audit.Cursor
	for {
		// Newest first, so that each page goes before what there is.
		part, err := w.store.AuditEvents(context.WithoutCancel(w.t.Context()), audit.Query{Limit: audit.MaxPage, Cursor: cursor})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range part {
			all = append([]audit.Event{e}, all...)
		}
		if len(part) < audit.MaxPage {
			return all
		}
		cursor = part[len(part)-1].Cursor()
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) failing(fails func(events []audit.Event) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fails = fails
}

// WriteEvents writes to the store, unless it is to fail.
func (w *world) WriteEvents(ctx context.Context, events []audit.Event) error {
	w.mu.Lock()
	fails := w.fails
	w.mu.Unlock()
	var err error
	if fails != nil {
		err = fails(events)
	}
	if err == nil {
		err = w.store.WriteEvents(ctx, events)
	}
	w.tried <- len(events)
	return err
}

func from(address string) context.Context {
	return audit.With(context.Background(), audit.Origin{Actor: audit.Anyone, Address: address, RequestID: "request"})
}

func refusal(n int) audit.Event {
	return audit.Event{Action: audit.LoginRefused, Outcome: audit.Refused, Reason: fmt.Sprint("reason_", n)}
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestWhatIsRecordedIsWrittenUnderItsOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	w.Record(from("192.0.2.1"), refusal(1))
	<-w.tried // before the end
	written := w.end()
	if len(written) != 1 || written[0].Reason != "reason_1" || !written[0].At.Equal(w.clock()) || written[0].Outcome != audit.Refused ||
		written[0].Origin != (audit.Origin{Actor: audit.Anyone, Address: "192.0.2.1", RequestID: "request"}) {
		t.Errorf("written is %+v", written)
	}
}

func TestWhatWaitsIsWrittenAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 250 { // of as many addresses, before anything runs
		w.Record(from(fmt.Sprint("192.0.2.", n)), refusal(n))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.stop = cancel
	go func() { defer close(w.ended); w.Run(ctx) }()
	if written := w.end(); len(written) != 250 {
		t.Errorf("%d are written", len(written))
	}
}

func TestAFloodIsCountedAndNotWritten(t *testing.T) {
	t.Parallel()
	t.Run("of one address, twenty a minute are kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for n := range 1000 {
			w.Record(from("192.0.2.1"), refusal(n))
		}
		w.Record(from("192.0.2.2"), refusal(0)) // somebody else
		w.advance(time.Minute)
		w.Record(from("192.0.2.1"), refusal(0)) // another minute
		w.run()
		kept, sums := told(w.end())
		if kept["192.0.2.1"] != 21 || kept["192.0.2.2"] != 1 || fmt.Sprint(sums) != "map[192.0.2.1:980]" {
			t.Errorf("kept are %v and counted %v", kept, sums)
		}
	})
	t.Run("of one network of IPv6, which is one client's, likewise", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for n := range 100 {
			w.Record(from(fmt.Sprintf("2001:db8::%x", n)), refusal(n))
		}
		w.run()
		kept, sums := told(w.end())
		if len(kept) != 20 || fmt.Sprint(sums) != "map[2001:db8::/64:80]" {
			t.Errorf("kept are %v and counted %v", kept, sums)
		}
	})
	t.Run("of many addresses, six hundred a minute are kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for n := range 5000 {
			w.Record(from(fmt.Sprintf("198.51.%d.%d", n/250, n%250)), refusal(n))
		}
		w.run()
		for n := 0; n < 600; {
			n += <-w.tried
		}
		kept, sums := told(w.end())
		if len(kept) != 600 || fmt.Sprint(sums) != "map[:4400]" {
			t.Errorf("%d are kept and counted %v", len(kept), sums)
		}
	})
}

// told counts what was kept, and what was only counted, by address.
func told(written []audit.Event) (kept, counted map[string]int) {
	kept, counted = make(map[string]int), make(map[string]int)
	for _, e := range written {
		if e.Action == audit.Suppressed {
			n, _ := e.After["count"].(float64)
			counted[e.Origin.Address] += int(n)
			continue
		}
		kept[e.Origin.Address]++
	}
	return kept, counted
}

func TestNobodyWaitsWhileTheDatabaseIsAwayAndItIsAllWrittenOnceItIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.failing(func([]audit.Event) error { return directory.ErrUnavailable })
	w.run()
	w.Record(from("192.0.2.1"), refusal(1))
	<-w.tried
	for n := range 30 {
		w.Record(from(fmt.Sprint("198.51.100.", n)), refusal(n))
	}
	w.failing(nil)
	for n := 0; n < 31; {
		n += <-w.tried
	}
	if written := w.end(); len(written) != 31 {
		t.Errorf("%d are written", len(written))
	}
	if got := strings.Count(w.log.String(), "audit events cannot be written yet"); got != 1 {
		t.Errorf("it says so %d times:\n%s", got, w.log.String())
	}
}

func TestWhatThereIsNoRoomForIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 3000 { // half an hour of which nothing is written
		if n%100 == 0 {
			w.advance(time.Minute)
		}
		w.Record(from(fmt.Sprintf("198.51.%d.%d", n/250, n%250)), refusal(n))
	}
	w.run()
	for n := 0; n < 1024; {
		n += <-w.tried
	}
	written := w.end()
	dropped := 0.0
	for _, e := range written {
		if e.Action == audit.Dropped {
			n, _ := e.After["count"].(float64)
			dropped += n
		}
	}
	if len(written) != 1024+1 || dropped != 3000-1024 || !strings.Contains(w.log.String(), "audit events were dropped") {
		t.Errorf("%d are written, and %v said to be dropped", len(written), dropped)
	}
}

func TestAnEventThatCannotBeWrittenCostsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.failing(func(events []audit.Event) error {
		for _, e := range events {
			if e.Reason == "reason_3" {
				return errors.New("this one is odd")
			}
		}
		return nil
	})
	for n := range 10 {
		w.Record(from("192.0.2.1"), refusal(n))
	}
	w.run()
	for n := 0; n < 10+10; { // together, and one by one
		n += <-w.tried
	}
	if written := w.end(); len(written) != 9 || !strings.Contains(w.log.String(), "audit events are lost") {
		t.Errorf("%d are written:\n%s", len(written), w.log.String())
	}
}

func TestADatabaseThatStaysAwayDoesNotHoldTheEndUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.failing(func([]audit.Event) error { return directory.ErrUnavailable })
	w.run()
	w.Record(from("192.0.2.1"), refusal(1))
	<-w.tried
	if written := w.end(); len(written) != 0 || !strings.Contains(w.log.String(), "audit events are lost") {
		t.Errorf("%d are written:\n%s", len(written), w.log.String())
	}
}
