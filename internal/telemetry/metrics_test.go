package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/telemetry"
)

// away is a database that does not answer, or not with anything good.
type away struct{ hang bool }

func (a away) Readings(ctx context.Context) (telemetry.Readings, error) {
	if a.hang {
		<-ctx.Done()
	}
	return telemetry.Readings{}, errors.New("away")
}

func (away) Pool() telemetry.Pool { return telemetry.Pool{Max: 8} }

// there is one that answers, and counts how often it was asked.
type there struct{ asked *int }

func (s there) Readings(context.Context) (telemetry.Readings, error) {
	*s.asked++
	return telemetry.Readings{
		Users: map[string]int{"failed": 2}, Paused: "failing", Budget: 60, BudgetLeft: 6,
		Jobs: []telemetry.Jobs{{Kind: "signup", State: "available", Count: 3, Oldest: time.Now().Add(-time.Minute)}},
	}, nil
}

func (there) Pool() telemetry.Pool { return telemetry.Pool{Max: 8} }

func newMetrics(read telemetry.Source) *telemetry.Metrics {
	return telemetry.New(telemetry.Config{
		Version: "1", Codes: []string{"too_many_requests"}, Endings: []string{"revoked"}, Statuses: []string{"failed"},
		Classes: []string{"ambiguous"}, Calls: []string{"create_user"}, Jobs: []string{"signup"}, Buckets: []string{"client"},
		Attempts: []string{"gone"}, Letters: []string{"notice"}, Closures: []string{"failing"}, Differences: []string{"stuck"},
		Readings: read, Now: time.Now,
	})
}

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if w.Code != 200 {
		t.Fatalf("a scrape answers %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// series counts ours: the runtime's come and go.
func series(text string) (n int) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "portico_") {
			n++
		}
	}
	return n
}

func TestNobodyCanAddASeries(t *testing.T) {
	t.Parallel()
	m := newMetrics(nil)
	storm := func(text string) {
		m.SessionEnded(text)
		m.LoginRefused(text)
		m.LoginFailed(text)
		m.UserMoved(text, text)
		m.Audited(text)
		m.LimitHit(text)
		m.WebhookTried(text)
		m.Mailed(text, nil)
		m.Called(m.WithJob(t.Context(), text), text, text, time.Second)
		m.Worked(text, "done", time.Second)
		m.Route(nil, "public", "POST", "/signup").End(t.Context(), 422, text, text, time.Second)
		m.Route(nil, "public", "", "").End(t.Context(), len(text)*100, text, text, time.Second)
	}
	storm("first")
	before := series(scrape(t, m))
	for i := range 1000 {
		storm(fmt.Sprintf("made-up-%d", i))
	}
	after := scrape(t, m)
	if series(after) != before {
		t.Errorf("%d series have become %d", before, series(after))
	}
	if strings.Contains(after, "made-up") {
		t.Error("a label has what came from outside")
	}
}

func TestADatabaseThatIsAwayCostsItsGaugesAndNotTheScrape(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		source telemetry.Source
	}{
		{"it says so at once", away{}},
		{"it says nothing at all", away{hang: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, begun := newMetrics(test.source), time.Now()
				text := scrape(t, m)
				if took := time.Since(begun); took > 3*time.Second {
					t.Errorf("the scrape takes %v", took)
				}
				if !strings.Contains(text, "\nportico_database_up 0\n") || strings.Contains(text, "portico_users{") {
					t.Errorf("the scrape says\n%s", text)
				}
				if !strings.Contains(text, "\nportico_database_connections_max 8\n") {
					t.Error("the pool's state, which asks nobody, is missing")
				}
				time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time: whoever reads has given up by then
			})
		})
	}
}

func TestADatabaseIsAskedOnceInAWhileHoweverOftenItIsScraped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		m := newMetrics(there{&asked})
		for range 20 {
			text := scrape(t, m)
			for _, line := range []string{
				"portico_database_up 1", `portico_users{status="failed"} 2`, `portico_provider_paused{reason="failing"} 1`,
				"portico_provider_budget_left_calls 6", `portico_jobs{kind="signup",state="available"} 3`,
				`portico_job_oldest_available_age_seconds{kind="signup"} 60`,
			} {
				if !strings.Contains(text, "\n"+line+"\n") {
					t.Fatalf("%s is missing in\n%s", line, text)
				}
			}
		}
		if asked != 1 {
			t.Errorf("it is asked %d times", asked)
		}
		time.Sleep(11 * time.Second) //nolint:forbidigo // the bubble's time
		scrape(t, m)
		if asked != 2 {
			t.Errorf("later it has been asked %d times", asked)
		}
	})
}

func BenchmarkARequest(b *testing.B) {
	route := newMetrics(nil).Route(nil, "public", http.MethodGet, "/me")
	request := httptest.NewRequest(http.MethodGet, "/me", http.NoBody)
	b.ReportAllocs()
	for b.Loop() {
		ctx := route.Begin(request)
		route.End(ctx, 200, "", "", time.Millisecond)
	}
}
