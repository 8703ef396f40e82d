package store

import (
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
)

// CheckAuditPlans asks the database how it finds one page of many events.
func CheckAuditPlans(t *testing.T, db *DB) {
	t.Helper()
	fillAudit(t, db)
	s := New(db, nil)
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		query audit.Query
		index string
	}{
		"all":                {audit.Query{}, "audit_events_at_idx"},
		"beyond a cursor":    {audit.Query{Cursor: audit.Cursor{At: day.Add(time.Hour), ID: eventID}}, "audit_events_at_idx"},
		"of a time":          {audit.Query{After: day.Add(time.Hour), Before: day.Add(2 * time.Hour)}, "audit_events_at_idx"},
		"of a user":          {audit.Query{UserID: directory.UserID(eventID)}, "audit_events_user_id_idx"},
		"of an actor":        {audit.Query{Actor: "admin:bot"}, "audit_events_actor_idx"},
		"of the program":     {audit.Query{Actor: audit.Portico}, "audit_events_at_idx"},
		"of an action":       {audit.Query{ActionPrefix: "webhook.created"}, "audit_events_action_idx"},
		"of a kind":          {audit.Query{ActionPrefix: "webhook"}, "audit_events_action_idx"},
		"what was refused":   {audit.Query{Outcome: audit.Refused}, "audit_events_outcome_idx"},
		"refused, and later": {audit.Query{Outcome: audit.Refused, After: day.Add(time.Hour)}, "audit_events_outcome_idx"},
	} {
		test.query.Limit = 50
		asked := queries(t, db, func() {
			if _, err := s.AuditEvents(t.Context(), test.query); err != nil {
				t.Error(err)
			}
		})
		if len(asked) != 1 {
			t.Errorf("%s: %d queries", name, len(asked))
			continue
		}
		if got := plan(t, db, asked[0]); !strings.Contains(got, test.index) || strings.Contains(got, "Seq Scan") {
			t.Errorf("%s is found by\n%s", name, got)
		}
	}
}

const eventID = "01890a5d-ac96-774b-bcce-000000000007"

// fillAudit stores thousands of events, a second apart, of which few are of an
// administrator, of a webhook or refused.
func fillAudit(t *testing.T, db *DB) {
	t.Helper()
	id, at := `printf('01890a5d-ac96-774b-bcce-%012d', i)`, `strftime('%Y-%m-%d %H:%M:%S+00:00', 1772323200 + i, 'unixepoch')`
	user := `printf('01890a5d-ac96-774b-bcce-%012d', i % 3000)`
	if db.dialect == Postgres {
		number := func(n string) string {
			return `CAST('01890a5d-ac96-774b-bcce-' || lpad(CAST(` + n + ` AS text), 12, '0') AS uuid)`
		}
		id, user, at = number("i"), number("i % 3000"), `to_timestamp(1772323200 + i)`
	}
	for _, statement := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
		INSERT INTO audit_events (id, at, actor, action, user_id, outcome)
		SELECT ` + id + `, ` + at + `,
			CASE WHEN i % 1000 = 0 THEN 'admin:bot' WHEN i % 10 = 0 THEN 'anyone' ELSE 'portico' END,
			CASE WHEN i % 1000 = 1 THEN 'webhook.created' WHEN i % 3 = 0 THEN 'user.invited' ELSE 'login.succeeded' END,
			` + user + `, CASE WHEN i % 500 = 2 THEN 'refused' ELSE 'success' END FROM n`,
		`ANALYZE`,
	} {
		if _, err := db.sql.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}
