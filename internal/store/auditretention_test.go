package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

const year = 8760 * time.Hour

func TestASVS_14_2_7_EventsOfTheAuditAreRemovedWhenTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		now := time.Now()
		var events []audit.Event
		for _, age := range []time.Duration{0, year - 48*time.Hour, year + 48*time.Hour, 2 * year, 3 * year} {
			events = append(events, audit.Event{At: now.Add(-age), Action: "a.b"})
		}
		if err := s.WriteEvents(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{2, 1, 0, 0} {
			if removed, err := s.RetainAudit(t.Context(), year, 2); removed != want || err != nil {
				t.Errorf("removed %d, not %d: %v", removed, want, err)
			}
		}
		left := page(t, s, audit.Query{Limit: 10})
		for _, e := range left {
			if now.Sub(e.At) > year {
				t.Errorf("%+v is left", e)
			}
		}
		// The mark has moved once, with a line.
		if len(left) != 3 || !slices.ContainsFunc(left, func(e audit.Event) bool {
			return e.Action == audit.Removed && strings.HasPrefix(e.Origin.Actor, "database") && e.Before["removed_before"] != e.After["removed_before"]
		}) {
			t.Errorf("left are %+v", left)
		}
	})
}

func TestARetentionThatWasShortenedCountsADayLater(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		if err := s.WriteEvents(t.Context(), []audit.Event{{At: time.Now().Add(-72 * time.Hour), Action: "a.b"}}); err != nil {
			t.Fatal(err)
		}
		retain := func(retention time.Duration, want int) {
			t.Helper()
			if removed, err := s.RetainAudit(t.Context(), retention, 10); removed != want || err != nil {
				t.Errorf("of %s it removes %d, not %d: %v", retention, removed, want, err)
			}
		}
		retain(24*time.Hour, 0)
		retain(24*time.Hour, 0)
		aDayLater(t, db)
		retain(24*time.Hour, 1)
		var lines []string
		for _, e := range page(t, s, audit.Query{Limit: 10, ActionPrefix: audit.RetentionChanged}) {
			lines = append(lines, fmt.Sprint(e.Before["kept_for_seconds"], " ", e.After["kept_for_seconds"]))
		}
		if !slices.Contains(lines, fmt.Sprint(year.Seconds(), " ", 86400)) {
			t.Errorf("of the change it says %q", lines)
		}
	})
}

func TestWithoutARetentionTheAuditIsKeptForEver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		if err := s.WriteEvents(t.Context(), []audit.Event{{At: time.Now().AddDate(-20, 0, 0), Action: "a.b"}}); err != nil {
			t.Fatal(err)
		}
		for _, retention := range []time.Duration{0, 0, year} { // which is shorter than for ever
			if removed, err := s.RetainAudit(t.Context(), retention, 10); removed != 0 || err != nil {
				t.Errorf("of %s it removes %d: %v", retention, removed, err)
			}
		}
		if left := page(t, s, audit.Query{Limit: 10, ActionPrefix: "a.b"}); len(left) != 1 {
			t.Errorf("left are %+v", left)
		}
	})
}

// aDayLater sets back when the retention was shortened, as only the schema's
// owner can.
func aDayLater(t *testing.T, db *store.DB) {
	t.Helper()
	if db.Dialect() == store.Postgres {
		exec(t, db, `ALTER TABLE audit_retention DISABLE TRIGGER ALL`)
		exec(t, db, `UPDATE audit_retention SET shortened_at = shortened_at - interval '25 hours'`)
		exec(t, db, `ALTER TABLE audit_retention ENABLE ALWAYS TRIGGER audit_retention_moves`)
		exec(t, db, `ALTER TABLE audit_retention ENABLE ALWAYS TRIGGER audit_retention_moved`)
		return
	}
	var trigger string
	row := db.SQL().QueryRowContext(t.Context(), `SELECT sql FROM sqlite_master WHERE name = 'audit_retention_moves'`)
	if err := row.Scan(&trigger); err != nil {
		t.Fatal(err)
	}
	exec(t, db, `DROP TRIGGER audit_retention_moves`)
	exec(t, db, `UPDATE audit_retention SET shortened_at = strftime('%Y-%m-%d %H:%M:%f+00:00', shortened_at, '-25 hours')`)
	exec(t, db, trigger)
}
