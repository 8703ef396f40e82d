package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Source reads what the database knows. It must end with ctx.
type Source interface {
	// Readings returns what it knows now.
	Readings(ctx context.Context) (Readings, error)
	// Pool returns the state of the pool of connections, without asking
	// anybody.
	Pool() Pool
}

// Readings is what the database knows. A time is zero where there is none.
type Readings struct {
	OldestSignup time.Time      // that is not settled
	OldestUser   time.Time      // who waits to be brought to the provider
	Users        map[string]int // by status, where that is not an ordinary one
	Quarantined  int            // users with a create of which nobody knows
	Sessions     int            // that are open

	Deliveries     int // to webhooks that are pending
	OldestDelivery time.Time
	Endpoints      map[string]int // by whether they are enabled
	Imports        map[string]int // by status
	Jobs           []Jobs

	Paused     string // why no calls are made to the provider, or ""
	Budget     int    // calls a minute; 0 for as many as there are
	BudgetLeft int    // calls that may be made at once

	Reconciled  time.Time // when the last comparison of the directories ended
	Differences map[string]int
}

// Jobs are those of a kind in a state.
type Jobs struct {
	Kind, State string
	Count       int
	Oldest      time.Time // when the first of them could be worked
}

// Pool is the state of the connections to the database.
type Pool struct {
	InUse, Idle, Max int
	Waits            int64         // for a connection
	Waited           time.Duration // in all
}

// fresh is for how long readings are kept, readLimit how long they may take.
const (
	fresh     = 10 * time.Second
	readLimit = 2 * time.Second
)

// reader collects the readings. Whoever scrapes waits for them no longer than
// readLimit, and a database that is away makes them absent.
type reader struct {
	source Source
	now    func() time.Time
	jobs   map[string]bool
	closed []string
	differ []string
	about  descriptions

	mu    sync.Mutex
	known Readings
	err   error
	at    time.Time
	under chan struct{} // closed when the reading under way has ended; nil while none is
}

func newReader(c Config) *reader {
	return &reader{
		source: c.Readings, now: c.Now, jobs: setOf(c.Jobs), closed: c.Closures, differ: c.Differences, about: describe(),
	}
}

// read returns what is known, and reads anew what is no longer fresh. Of
// scrapes that come together one reads.
func (r *reader) read() (Readings, error) {
	r.mu.Lock()
	if !r.at.IsZero() && r.now().Sub(r.at) < fresh {
		defer r.mu.Unlock()
		return r.known, r.err
	}
	if r.under == nil {
		r.under = make(chan struct{})
		go r.readNow(r.under)
	}
	under := r.under
	r.mu.Unlock()
	patience := time.NewTimer(readLimit)
	defer patience.Stop()
	select {
	case <-under:
	case <-patience.C:
		return Readings{}, context.DeadlineExceeded
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known, r.err
}

func (r *reader) readNow(ended chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), readLimit)
	defer cancel()
	known, err := r.source.Readings(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known, r.err, r.at, r.under = known, err, r.now(), nil
	close(ended)
}

// Describe tells which metrics there are.
func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range r.about.all() {
		ch <- d
	}
}

// Collect sends them.
func (r *reader) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	pool := r.source.Pool()
	gauge(r.about.poolInUse, float64(pool.InUse))
	gauge(r.about.poolIdle, float64(pool.Idle))
	gauge(r.about.poolMax, float64(pool.Max))
	ch <- prometheus.MustNewConstMetric(r.about.poolWaits, prometheus.CounterValue, float64(pool.Waits))
	ch <- prometheus.MustNewConstMetric(r.about.poolWaited, prometheus.CounterValue, pool.Waited.Seconds())
	known, err := r.read()
	if err != nil {
		gauge(r.about.up, 0)
		return
	}
	gauge(r.about.up, 1)
	r.collectUsers(known, gauge)
	r.collectWork(known, gauge)
	r.collectProvider(known, gauge)
}

// age is how long ago that was, and zero where it never was: nothing waits.
func (r *reader) age(of time.Time) float64 {
	if of.IsZero() {
		return 0
	}
	return max(0, r.now().Sub(of).Seconds())
}

type sendGauge func(d *prometheus.Desc, value float64, labels ...string)

func (r *reader) collectUsers(known Readings, gauge sendGauge) {
	gauge(r.about.oldestSignup, r.age(known.OldestSignup))
	gauge(r.about.oldestUser, r.age(known.OldestUser))
	for status, n := range known.Users {
		gauge(r.about.users, float64(n), status)
	}
	gauge(r.about.quarantined, float64(known.Quarantined))
	gauge(r.about.sessions, float64(known.Sessions))
}

func (r *reader) collectWork(known Readings, gauge sendGauge) {
	gauge(r.about.deliveries, float64(known.Deliveries))
	gauge(r.about.oldestDelivery, r.age(known.OldestDelivery))
	for state, n := range known.Endpoints {
		gauge(r.about.endpoints, float64(n), state)
	}
	for status, n := range known.Imports {
		gauge(r.about.imports, float64(n), status)
	}
	counts, oldest := make(map[[2]string]int), make(map[string]time.Time)
	for kind := range r.jobs {
		oldest[kind], counts[[2]string{kind, "available"}] = time.Time{}, 0
	}
	for _, jobs := range known.Jobs {
		kind := among(r.jobs, jobs.Kind)
		counts[[2]string{kind, jobs.State}] += jobs.Count
		if at := oldest[kind]; jobs.State == "available" && (at.IsZero() || jobs.Oldest.Before(at)) {
			oldest[kind] = jobs.Oldest
		}
	}
	for of, n := range counts {
		gauge(r.about.jobs, float64(n), of[0], of[1])
	}
	for kind, at := range oldest {
		gauge(r.about.oldestJob, r.age(at), kind)
	}
}

func (r *reader) collectProvider(known Readings, gauge sendGauge) {
	for _, reason := range r.closed {
		paused := 0.0
		if reason == known.Paused {
			paused = 1
		}
		gauge(r.about.paused, paused, reason)
	}
	if known.Budget > 0 {
		gauge(r.about.budget, float64(known.Budget))
		gauge(r.about.budgetLeft, float64(known.BudgetLeft))
	}
	if known.Reconciled.IsZero() {
		return
	}
	gauge(r.about.reconciled, float64(known.Reconciled.Unix()))
	for _, class := range r.differ {
		gauge(r.about.differences, float64(known.Differences[class]), class)
	}
}
