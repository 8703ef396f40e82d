package telemetry

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// accepted is the outcome of a sign-up that was.
const accepted = "accepted"

func (m *Metrics) aboutRequests(c Config) {
	m.requests = m.counter("http_requests_total",
		"Requests that were answered, by the route's pattern and the class of the status.", "listener", "method", "route", "status")
	m.durations = m.histogram("http_request_duration_seconds",
		"What requests took, a wish to wait included.", quick(), "listener", "method", "route")
	m.signups = newCounters(m.counter("signups_total",
		"Requests to sign up: accepted, or the problem's code.", "outcome"), append([]string{accepted}, c.Codes...))
}

// Route is what is counted of a route's requests, found beforehand so that a
// request costs two additions.
type Route struct {
	took    prometheus.Observer
	classes [6]prometheus.Counter // by the status's first digit; [0] for any other
	signups *counters             // nil but for the route of sign-ups

	traces *Traces
	name   string
	about  []attribute.KeyValue
}

// Route returns what watches the requests to one route of a listener. With
// neither method nor path it is for the requests to no route at all. The
// Traces may be nil.
func (m *Metrics) Route(traces *Traces, listener, method, path string) *Route {
	name := method + " " + path
	if path == "" {
		method, path, name = other, other, "HTTP"
	}
	r := &Route{took: m.durations.WithLabelValues(listener, method, path), name: name}
	r.classes[0] = m.requests.WithLabelValues(listener, method, path, other)
	for i, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		r.classes[i+1] = m.requests.WithLabelValues(listener, method, path, class)
	}
	if method == http.MethodPost && path == "/signup" {
		r.signups = &m.signups
	}
	if traces.On() {
		r.traces = traces
		r.about = []attribute.KeyValue{
			attribute.String("http.request.method", method),
			attribute.String("http.route", path),
			attribute.String("portico.listener", listener),
		}
	}
	return r
}

// Begin begins the request's span. Without tracing the context is the request's
// own.
func (r *Route) Begin(request *http.Request) context.Context {
	ctx := request.Context()
	if r.traces == nil {
		return ctx
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(r.about...), trace.WithNewRoot(),
	}
	if theirs := traceOf(request.Header.Get("Traceparent")); theirs.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: theirs}))
	}
	ctx, _ = r.traces.tracer.Start(ctx, r.name, options...)
	return ctx
}

// End counts the request, and ends its span. The code is the problem's, or "".
func (r *Route) End(ctx context.Context, status int, code, requestID string, took time.Duration) {
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	r.classes[class].Inc()
	r.took.Observe(took.Seconds())
	if r.signups != nil {
		r.countSignup(status, code)
	}
	if r.traces == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("portico.request_id", requestID))
	if code != "" {
		span.SetAttributes(attribute.String("portico.problem_code", code))
	}
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, code)
	}
	span.End()
}

func (r *Route) countSignup(status int, code string) {
	if code == "" && status == http.StatusAccepted {
		code = accepted
	}
	r.signups.add(code)
}
