package telemetry

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const traceparent = "traceparent" // W3C Trace Context §3.2

// traceOf reads a traceparent. It returns an invalid context for one that is
// none.
func traceOf(header string) trace.SpanContext {
	if header == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: header})
	return trace.SpanContextFromContext(ctx)
}

// carried is what a job takes along in its metadata.
type carried struct {
	Traceparent string `json:"traceparent"`
}

// Carry returns the trace of ctx as a job takes it along, as JSON, or "" for
// nothing. Baggage and tracestate stay behind: they are whatever somebody said.
func (t *Traces) Carry(ctx context.Context) string {
	if !t.On() || !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	raw, err := json.Marshal(carried{Traceparent: carrier[traceparent]})
	if err != nil {
		return ""
	}
	return string(raw)
}

// Job begins the span of a job that is worked, in the trace that its metadata
// names.
func (t *Traces) Job(ctx context.Context, kind string, id int64, attempt int, metadata []byte) (context.Context, func(outcome string)) {
	if !t.On() {
		return ctx, func(string) {}
	}
	var with carried
	_ = json.Unmarshal(metadata, &with) // whatever else is in there, or nothing
	if cause := traceOf(with.Traceparent); cause.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, cause)
	}
	ctx, span := t.tracer.Start(ctx, "job "+kind, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("portico.job.kind", kind), attribute.Int64("portico.job.id", id), attribute.Int("portico.job.attempt", attempt)))
	return ctx, func(outcome string) {
		span.SetAttributes(attribute.String("portico.job.outcome", outcome))
		if outcome == "failed" || outcome == "parked" {
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
	}
}

// Call begins the span of a request to somebody else: what is asked, and of
// whom. How it ended is its status, where there is one, and a failure's class.
func (t *Traces) Call(ctx context.Context, name, peer string) (context.Context, func(status int, class string)) {
	if !t.within(ctx) {
		return ctx, func(int, string) {}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("portico.peer", peer)))
	return ctx, func(status int, class string) {
		if status > 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", status))
		}
		if class != "" {
			span.SetAttributes(attribute.String("error.type", class))
			span.SetStatus(codes.Error, class)
		}
		span.End()
	}
}

// within reports whether ctx has a span that is recorded. What belongs to none
// (the queue's own looks for jobs, the upkeep of connections) would be traces
// of one span each, by the thousand.
func (t *Traces) within(ctx context.Context) bool {
	return t.On() && trace.SpanFromContext(ctx).IsRecording()
}

// Statements records spans of statements.
type Statements struct{ traces *Traces }

// Statements returns what a database tells of its statements, or nil where
// nothing is recorded.
func (t *Traces) Statements() *Statements {
	if !t.On() {
		return nil
	}
	return &Statements{t}
}

type statementKey struct{}

// Begin begins the statement's span. The text is the one that was prepared,
// with placeholders for its values.
func (s *Statements) Begin(ctx context.Context, system, text string) context.Context {
	if !s.traces.within(ctx) {
		return ctx
	}
	// Not the context's span: one that was not begun here is not ended here.
	return context.WithValue(ctx, statementKey{}, s.begin(ctx, system, text))
}

func (s *Statements) begin(ctx context.Context, system, text string, options ...trace.SpanStartOption) trace.Span {
	summary := summarise(text)
	_, span := s.traces.tracer.Start(ctx, summary, append(options, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("db.system.name", system),
		attribute.String("db.query.summary", summary),
		attribute.String("db.query.text", shown(text))))...)
	return span
}

// Ended records a statement that is over.
func (s *Statements) Ended(ctx context.Context, system, text string, begun time.Time, err error) {
	if !s.traces.within(ctx) {
		return
	}
	endStatement(s.begin(ctx, system, text, trace.WithTimestamp(begun)), err)
}

// End ends it.
func (s *Statements) End(ctx context.Context, err error) {
	span, ok := ctx.Value(statementKey{}).(trace.Span)
	if ok && span.IsRecording() {
		endStatement(span, err)
	}
}

func endStatement(span trace.Span, err error) {
	if err != nil {
		// The text of a database's error can hold values.
		span.SetStatus(codes.Error, "failed")
	}
	span.End()
}

// mostText bounds a statement's text, in bytes.
const mostText = 2000

// shown is the statement on one line.
func shown(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > mostText {
		text = strings.ToValidUTF8(text[:mostText], "") + "…"
	}
	return text
}

// tables finds what a statement does to which tables.
var tables = regexp.MustCompile(`(?i)\b(insert\s+into|update|delete\s+from|from|join)\s+"?([a-z_][a-z0-9_]*)"?`)

// mostTables bounds a summary.
const mostTables = 3

// summarise says in a few words what a statement does.
func summarise(text string) string {
	var words []string
	for _, found := range tables.FindAllStringSubmatch(text, -1) {
		verb, _, _ := strings.Cut(strings.ToUpper(found[1]), " ")
		if verb == "FROM" || verb == "JOIN" {
			verb = "SELECT"
		}
		what := verb + " " + strings.ToLower(found[2])
		if verb == "UPDATE" && strings.EqualFold(found[2], "set") {
			continue // the end of ON CONFLICT … DO UPDATE SET
		}
		if len(words) == mostTables {
			break
		}
		words = append(words, what)
	}
	if len(words) > 0 {
		return strings.Join(words, " ")
	}
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return strings.ToUpper(first)
}
