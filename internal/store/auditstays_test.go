package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// history writes an event of three years ago and one of today, and returns what
// there is.
func history(t *testing.T, db *store.DB, s *store.Store) []audit.Event {
	t.Helper()
	if err := s.WriteEvents(t.Context(), []audit.Event{
		{At: time.Now().AddDate(-3, 0, 0), Action: "user.suspended"}, {Action: "login.refused", Outcome: audit.Refused, Reason: "user_suspended"},
	}); err != nil {
		t.Fatal(err)
	}
	return page(t, s, audit.Query{Limit: 100})
}

func TestNoStatementRewritesTheAudit(t *testing.T) {
	t.Parallel()
	both := []string{
		`UPDATE audit_events SET actor = 'somebody'`,
		`UPDATE audit_events SET reason = NULL WHERE reason IS NOT NULL`,
		`UPDATE audit_events SET at = '2020-01-01 00:00:00+00:00'`,
		`DELETE FROM audit_events`,
		`DELETE FROM audit_events WHERE outcome = 'refused'`,
		`DELETE FROM audit_events WHERE action = 'user.suspended'`, // old, and before the mark has moved
		`INSERT INTO audit_events (id, at, actor, action) SELECT id, at, 'somebody', action FROM audit_events WHERE true
			ON CONFLICT (id) DO UPDATE SET actor = 'somebody'`,
		`INSERT INTO audit_events (id, at, actor, action) SELECT id, at, 'somebody', action FROM audit_events`,
		// The mark is moved to now, and further, and back.
		`UPDATE audit_retention SET removed_before = CURRENT_TIMESTAMP`,
		`UPDATE audit_retention SET removed_before = '9999-01-01 00:00:00+00:00'`,
		`UPDATE audit_retention SET removed_before = '1999-01-01 00:00:00+00:00'`,
		// The retention is shortened beneath its least, or with a time that is not now.
		`UPDATE audit_retention SET kept_for = 1, shortened_at = CURRENT_TIMESTAMP`,
		`UPDATE audit_retention SET kept_for = -1, shortened_at = CURRENT_TIMESTAMP`,
		`UPDATE audit_retention SET kept_for = 86400`,
		`UPDATE audit_retention SET kept_for = 86400, shortened_at = '2001-01-01 00:00:00+00:00'`,
		`UPDATE audit_retention SET kept_for = 86400, shortened_at = '9999-01-01 00:00:00+00:00'`,
		`UPDATE audit_retention SET shortened_at = '1999-01-01 00:00:00+00:00'`,
		`UPDATE audit_retention SET name = 'another'`,
		`DELETE FROM audit_retention`,
		`INSERT INTO audit_retention (name, kept_for, shortened_at, removed_before)
			VALUES ('audit_events', 86400, '2000-01-01 00:00:00+00:00', '9999-01-01 00:00:00+00:00')`,
		`INSERT INTO audit_retention (name, kept_for, shortened_at, removed_before)
			VALUES ('audit_events', 86400, '2000-01-01 00:00:00+00:00', '9999-01-01 00:00:00+00:00')
			ON CONFLICT (name) DO UPDATE SET removed_before = excluded.removed_before`,
	}
	only := map[store.Dialect][]string{
		store.Postgres: {
			`TRUNCATE audit_events`,
			`TRUNCATE audit_retention`,
			`TRUNCATE audit_events, users, signups, sessions, native_codes CASCADE`,
			`WITH gone AS (DELETE FROM audit_events RETURNING id) SELECT count(*) FROM gone`,
			`MERGE INTO audit_events USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE`,
			`MERGE INTO audit_events USING (SELECT 1) AS one ON true WHEN MATCHED THEN UPDATE SET actor = 'somebody'`,
			`UPDATE audit_retention SET removed_before = 'infinity'`,
			`UPDATE audit_retention SET removed_before = now() - interval '364 days'`,
			`UPDATE audit_retention SET kept_for = NULL, removed_before = now()`,
			`UPDATE audit_retention SET kept_for = 86400, shortened_at = now(), removed_before = now() - interval '2 days'`,
		},
		store.SQLite: {
			`INSERT OR REPLACE INTO audit_events (id, at, actor, action) SELECT id, at, 'somebody', action FROM audit_events`,
			`REPLACE INTO audit_events (id, at, actor, action) SELECT id, at, 'somebody', action FROM audit_events`,
			`INSERT OR IGNORE INTO audit_events (id, at, actor, action) SELECT id, at, 'somebody', action FROM audit_events`,
			`UPDATE OR REPLACE audit_events SET id = (SELECT max(id) FROM audit_events)`,
			`UPDATE OR IGNORE audit_events SET actor = 'somebody'`,
			`REPLACE INTO audit_retention (name, kept_for, shortened_at, removed_before)
				VALUES ('audit_events', 86400, '2000-01-01 00:00:00+00:00', '9999-01-01 00:00:00+00:00')`,
			`UPDATE audit_retention SET removed_before = 'zzzz'`,
			`UPDATE audit_retention SET removed_before = datetime('now', '-364 days')`,
			`UPDATE audit_retention SET shortened_at = 'zzzz'`,
			`UPDATE audit_retention SET kept_for = 'zzzz'`,
			`UPDATE audit_retention SET kept_for = NULL, removed_before = datetime('now')`,
		},
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		before := history(t, db, s)
		for _, statement := range append(both, only[db.Dialect()]...) {
			if _, err := db.SQL().ExecContext(t.Context(), statement); err == nil {
				t.Errorf("it lets %s pass", statement)
			}
			if after := page(t, s, audit.Query{Limit: 100}); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Fatalf("after %s there is\n%v, not\n%v", statement, after, before)
			}
		}
	})
}

// What a session may set for itself, and which name is found first, changes
// nothing. The tests' role is a superuser, so that the ways of one are tried
// that a program's role does not even have.
func TestNoSettingOfASessionOpensTheAudit(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"triggers are off for replication": {`SET session_replication_role = replica`},
		"a mark of one's own is found first": {
			`CREATE TEMP TABLE audit_retention (removed_before timestamptz)`, `INSERT INTO audit_retention VALUES ('infinity')`,
		},
		"events of one's own are found first": {`CREATE TEMP TABLE gone (at timestamptz)`},
		"an operator of one's own is found first": {
			`CREATE SCHEMA other`,
			`CREATE FUNCTION other.always(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
			`CREATE OPERATOR other.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = other.always)`,
			`SET search_path = other, pg_catalog, public`,
		},
		"a function of one's own is found first": {
			`CREATE SCHEMA other`,
			`CREATE FUNCTION other.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''infinity''::timestamptz'`,
			`SET search_path = other, pg_catalog, public`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, s := newStore(t, storetest.Postgres(t))
			before := history(t, db, s)
			conn := connection(t, db)
			for _, statement := range statements {
				if _, err := conn.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			for _, statement := range []string{
				`DELETE FROM public.audit_events`, `UPDATE public.audit_events SET actor = 'somebody'`, `TRUNCATE public.audit_events`,
				`UPDATE public.audit_retention SET removed_before = now() - interval '1 day'`,
			} {
				if _, err := conn.ExecContext(t.Context(), statement); err == nil {
					t.Errorf("it lets %s pass", statement)
				}
			}
			if after := page(t, s, audit.Query{Limit: 100}); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("there is\n%v, not\n%v", after, before)
			}
		})
	}
	t.Run("on SQLite", func(t *testing.T) {
		t.Parallel()
		db, s := newStore(t, storetest.SQLite(t))
		before := history(t, db, s)
		conn := connection(t, db)
		for _, statement := range []string{
			`PRAGMA recursive_triggers = 1`, `PRAGMA foreign_keys = 0`, `PRAGMA ignore_check_constraints = 1`,
			`CREATE TEMP TABLE audit_retention (removed_before text)`, `INSERT INTO temp.audit_retention VALUES ('9999-01-01')`,
		} {
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		for _, statement := range []string{
			`DELETE FROM audit_events`, `UPDATE audit_events SET actor = 'somebody'`,
			`REPLACE INTO audit_events (id, at, actor, action) SELECT id, at, 'somebody', action FROM audit_events`,
			`UPDATE audit_retention SET kept_for = 1, shortened_at = datetime('now')`,
			`UPDATE audit_retention SET kept_for = 'zzzz', shortened_at = datetime('now')`,
		} {
			if _, err := conn.ExecContext(t.Context(), statement); err == nil {
				t.Errorf("it lets %s pass", statement)
			}
		}
		if err := conn.Close(); err != nil { // of which there is one
			t.Fatal(err)
		}
		if after := page(t, s, audit.Query{Limit: 100}); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("there is\n%v, not\n%v", after, before)
		}
	})
}

// TestARoleThatOwnsNothingCannotTakeTheTriggersAway gives a role what SECURITY.md
// says that serve needs, and no more.
func TestARoleThatOwnsNothingCannotTakeTheTriggersAway(t *testing.T) {
	t.Parallel()
	db, s := newStore(t, storetest.Postgres(t))
	history(t, db, s)
	conn := connection(t, db)
	role := "serves_" + strings.ReplaceAll(strings.ToLower(fmt.Sprintf("%x", time.Now().UnixNano())), "-", "")
	do := func(statement string) {
		t.Helper()
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Fatal(err)
		}
	}
	do(`CREATE ROLE ` + role)
	t.Cleanup(func() { do(`RESET ROLE`); do(`DROP OWNED BY ` + role); do(`DROP ROLE ` + role) })
	do(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ` + role)
	do(`SET ROLE ` + role)
	for _, statement := range []string{
		`ALTER TABLE audit_events DISABLE TRIGGER ALL`,
		`ALTER TABLE audit_retention DISABLE TRIGGER ALL`,
		`DROP TRIGGER audit_events_stay ON audit_events`,
		`DROP TABLE audit_events`,
		`DROP FUNCTION audit_stays() CASCADE`,
		`CREATE OR REPLACE FUNCTION audit_events_outlived() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`CREATE RULE never AS ON INSERT TO audit_events DO INSTEAD NOTHING`,
		`SET session_replication_role = replica`,
		`TRUNCATE audit_events`,
		`DELETE FROM audit_events`,
		`UPDATE audit_events SET actor = 'somebody'`,
		`UPDATE audit_retention SET removed_before = now() - interval '1 day'`,
	} {
		if _, err := conn.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("it lets %s pass", statement)
		}
	}
	// What it is for still works.
	do(`INSERT INTO audit_events (id, at, actor, action) VALUES (gen_random_uuid(), now(), 'portico', 'a.b')`)
	do(`UPDATE audit_retention SET removed_before = now() - interval '2 years'`)
	do(`DELETE FROM audit_events WHERE at < (SELECT removed_before FROM audit_retention)`)
	do(`RESET ROLE`)
	var left []string
	for _, e := range page(t, s, audit.Query{Limit: 10}) {
		left = append(left, e.Origin.Actor+" "+e.Action)
	}
	// The oldest is gone, and that it went is written down, with who it was.
	for _, want := range []string{"database:" + role + " audit.removed", "portico a.b", "portico login.refused"} {
		if !strings.Contains(strings.Join(left, ","), want) || len(left) != 3 {
			t.Errorf("there is %q, without %s", left, want)
		}
	}
}

func connection(t *testing.T, db *store.DB) *sql.Conn {
	t.Helper()
	conn, err := db.SQL().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
