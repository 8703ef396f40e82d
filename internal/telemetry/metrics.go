package telemetry

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeLimit bounds a scrape, and scrapesAtOnce how many there are: the
// listener is private, and a mistake in a scraper's configuration is still not
// to cost anything.
const (
	scrapeLimit   = 10 * time.Second
	scrapesAtOnce = 4
)

// Config says which values the labels have. What is not listed is counted as
// "other".
type Config struct {
	Version string
	// Codes are the codes of problems that the API answers with.
	Codes []string
	// Endings are the reasons for which sessions end.
	Endings []string
	// Statuses are those of users, and Classes those of failed calls to the
	// provider and of what comes of them.
	Statuses, Classes []string
	// Calls are the provider's operations.
	Calls []string
	// Jobs are the kinds of jobs, and Buckets those of limits.
	Jobs, Buckets []string
	// Attempts are the classes of failed requests to webhooks.
	Attempts []string
	// Letters are the kinds of mails of our own.
	Letters []string
	// Differences are the classes of differences between the directories.
	Differences []string
	// Closures are the reasons for which calls to the provider are paused.
	Closures []string
	// Readings reads what the database knows; nil for nothing.
	Readings Source
	Now      func() time.Time
}

// Metrics counts what happens. Its methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	signups   counters

	loginOf map[string]counters
	opened  counters
	ended   counters
	audited counters
	dropped prometheus.Counter
	users   *prometheus.CounterVec

	jobs     *prometheus.CounterVec
	jobTime  *prometheus.HistogramVec
	calls    *prometheus.CounterVec
	callTime *prometheus.HistogramVec
	oidc     counters
	oidcTime prometheus.Observer
	limits   counters
	mails    *prometheus.CounterVec
	webhooks counters

	statuses, classes, kinds, operations, letters, codes map[string]bool
}

// New returns the metrics, on a registry of their own.
func New(c Config) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		statuses: setOf(c.Statuses), classes: setOf(c.Classes), kinds: setOf(c.Jobs), operations: setOf(c.Calls),
		letters: setOf(c.Letters), codes: setOf(c.Codes),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.aboutBuild(c.Version)
	m.aboutRequests(c)
	m.aboutUsers(c)
	m.aboutJobs()
	m.aboutTheOutside(c)
	if c.Readings != nil {
		m.registry.MustRegister(newReader(c))
	}
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeLimit,
	})
	return m
}

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

func (m *Metrics) aboutBuild(version string) {
	build := m.gauge("build_info", "Always 1; the labels say which build this is.", "version", "goversion")
	build.WithLabelValues(version, runtime.Version()).Set(1)
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "portico", Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return vec
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "portico", Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return vec
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "portico", Name: name, Help: help, Buckets: buckets,
	}, labels)
	m.registry.MustRegister(vec)
	return vec
}

// Buckets of what takes a request, and of what takes a job or a call.
func quick() []float64 { return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30} }
func slow() []float64  { return []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60} }
