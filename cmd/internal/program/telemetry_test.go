package program

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/portico-id/portico/internal/store/storetest"
)

// spans is a collector of traces.
type spans struct {
	t *testing.T

	mu  sync.Mutex
	all []*trace.Span
	raw strings.Builder // all that was received, as text
}

// collectSpans has the world's Portico send its spans to a collector.
func (w *world) collectSpans() *spans {
	w.t.Helper()
	s := &spans{t: w.t}
	server := httptest.NewServer(s)
	w.t.Cleanup(server.Close)
	w.settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = server.URL
	return s
}

// ServeHTTP takes spans, as OTLP over HTTP has them.
func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(raw, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		s.t.Errorf("%s: %v", r.URL.Path, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.WriteString(protojson.Format(&request))
	for _, of := range request.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			s.all = append(s.all, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (s *spans) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

// find returns the spans that match.
func (s *spans) find(match func(*trace.Span) bool) (found []*trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.all {
		if match(span) {
			found = append(found, span)
		}
	}
	return found
}

// under returns the spans with the name beneath the other, in order.
func (s *spans) under(parent *trace.Span, name string) []*trace.Span {
	found := s.find(func(span *trace.Span) bool {
		return bytes.Equal(span.GetParentSpanId(), parent.GetSpanId()) && span.GetName() == name
	})
	slices.SortFunc(found, func(a, b *trace.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	return found
}

// tree prints what is beneath the span.
func (s *spans) tree(span *trace.Span, indent string, into *strings.Builder) {
	into.WriteString(indent + span.GetName() + "\n")
	below := s.find(func(other *trace.Span) bool { return bytes.Equal(other.GetParentSpanId(), span.GetSpanId()) })
	slices.SortFunc(below, func(a, b *trace.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	for _, child := range below {
		s.tree(child, indent+"  ", into)
	}
}

// storesTheAnswer is the statement's span.
const storesTheAnswer = "UPDATE users SELECT webhook_endpoints INSERT audit_events"

func TestOneTraceGoesFromASignUpToWhatTheProviderHasAnswered(t *testing.T) {
	t.Parallel()
	w := newKindWorld(t, storetest.Postgres(t))
	w.withSMTP()
	seen := w.collectSpans()
	stop, log := w.start()
	b := w.browser()
	const email, theirs = "canary-ada@example.com", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	var r receipt
	b.do(http.MethodPost, w.public+"/signup", `{"email":"`+email+`","display_name":"Canary Lovelace"}`,
		"Traceparent: "+theirs, "Baggage: canary-baggage=1").want(t, http.StatusAccepted, &r)
	b.await(r, "invited")
	b.enrol(email)
	b.follow(w.public + "/login?return_to=/welcome%3Fcanary-query=1")
	b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
	session := b.cookie("portico")
	metrics := b.do(http.MethodGet, w.opsURL+"/metrics", "").body
	if err := stop(); err != nil { // and what is left is sent
		t.Fatal(err)
	}

	roots := seen.find(func(s *trace.Span) bool { return s.GetName() == "POST /signup" })
	if len(roots) != 1 {
		t.Fatalf("there are %d spans of the request", len(roots))
	}
	root := roots[0]
	var tree strings.Builder
	seen.tree(root, "", &tree)
	t.Log("the trace:\n" + tree.String())
	if len(root.GetParentSpanId()) > 0 || len(root.GetLinks()) != 1 {
		t.Error("the client's trace is joined, or not linked to")
	}
	if len(seen.under(root, "INSERT river_job INSERT signups")) != 1 {
		t.Error("the statement that accepts the sign-up is missing")
	}
	jobs := seen.under(root, "job signup")
	if len(jobs) == 0 {
		t.Fatal("the job is missing")
	}
	calls := seen.under(jobs[0], "provider create_user")
	if len(calls) != 1 {
		t.Fatalf("the job has %d calls to the provider", len(calls))
	}
	if !slices.ContainsFunc(seen.under(jobs[0], storesTheAnswer), func(s *trace.Span) bool {
		return s.GetStartTimeUnixNano() >= calls[0].GetEndTimeUnixNano()
	}) {
		t.Error("the statement that stores the answer is missing")
	}
	for _, secret := range []string{
		email, "Canary", "canary-query", "canary-baggage", r.SignupID, session, testToken, testKey, "canary-client-secret",
	} {
		for where, text := range map[string]string{"spans": seen.text(), "metrics": metrics, "log": log.String()} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s have %q", where, secret)
			}
		}
	}
	carriesIDs(t, log.String(), root)
}

// carriesIDs looks for the trace in the lines of the request and of the job.
func carriesIDs(t *testing.T, log string, root *trace.Span) {
	t.Helper()
	id := `"trace_id":"` + hexOf(root.GetTraceId()) + `"`
	for _, line := range []string{`"msg":"request"`, `"msg":"job"`, `"msg":"user is invited"`} {
		if !slices.ContainsFunc(strings.Split(log, "\n"), func(l string) bool {
			return strings.Contains(l, line) && strings.Contains(l, id) && strings.Contains(l, `"span_id":"`)
		}) {
			t.Errorf("no line with %s has the trace", line)
		}
	}
}
