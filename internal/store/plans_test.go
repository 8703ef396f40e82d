package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

// CheckPlans asks the database how it answers what every request asks it. It
// is called for both dialects.
func CheckPlans(t *testing.T, db *DB) {
	t.Helper()
	fill(t, db)
	s := New(db, nil)
	id, user := signup.ID(uuid.Nil.String()), directory.UserID(uuid.Nil.String())
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		ask   func()
		index map[Dialect]string
	}{
		"FindSignup": {
			func() { _, _ = s.FindSignup(t.Context(), signup.Hash{}) },
			map[Dialect]string{Postgres: "signups_receipt_hash_key", SQLite: "(receipt_hash=?)"},
		},
		"FindSignups": {
			func() { _, _ = s.FindSignups(t.Context(), []signup.Hash{{1}, {2}, {3}}) },
			map[Dialect]string{Postgres: "signups_receipt_hash_key", SQLite: "(receipt_hash=?)"},
		},
		"FindKey": {
			func() { _, _ = s.FindKey(t.Context(), signup.Hash{}, now) },
			map[Dialect]string{Postgres: "idempotency_keys_pkey", SQLite: "(key_hash=?)"},
		},
		"FindSubject": {
			func() { _, _ = s.FindSubject(t.Context(), id) },
			map[Dialect]string{Postgres: "signups_pkey", SQLite: "(id=?)"},
		},
		"OverdueSignups": {
			func() { _, _ = s.OverdueSignups(t.Context(), now, id, 200) },
			map[Dialect]string{Postgres: "signups_unsettled_idx", SQLite: "signups_unsettled_idx"},
		},
		"OverdueSignups, the first": {
			func() { _, _ = s.OverdueSignups(t.Context(), now, "", 200) },
			map[Dialect]string{Postgres: "signups_unsettled_idx", SQLite: "signups_unsettled_idx"},
		},
		"DueUsers": {
			func() { _, _ = s.DueUsers(t.Context(), now, 200) },
			map[Dialect]string{Postgres: "users_check_at_idx", SQLite: "users_check_at_idx"},
		},
		"BeginNotice": {
			func() { _, _ = s.BeginNotice(t.Context(), user) },
			map[Dialect]string{Postgres: "users_pkey", SQLite: "(id=?)"},
		},
		"CheckAgain": {
			func() { _ = s.CheckAgain(t.Context(), user, now) },
			map[Dialect]string{Postgres: "users_pkey", SQLite: "(id=?)"},
		},
	} {
		asked := queries(t, db, test.ask)
		if len(asked) != 1 {
			t.Errorf("%s makes %d queries: %v", name, len(asked), asked)
			continue
		}
		got := plan(t, db, asked[0])
		if !strings.Contains(got, test.index[db.dialect]) || strings.Contains(got, "Seq Scan") || strings.Contains(got, "SCAN") {
			t.Errorf("%s is answered by\n%s", name, got)
		}
	}
}

// fill stores thousands of users, and of sign-ups that are settled, for how a
// database goes about a query depends on what there is.
func fill(t *testing.T, db *DB) {
	t.Helper()
	numbers, uuid, hash, analyze := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) `,
		`printf('01890a5d-ac96-774b-bcce-%012d', i)`, `randomblob(32)`, `ANALYZE`
	if db.dialect == Postgres {
		uuid, hash = `CAST('01890a5d-ac96-774b-bcce-' || lpad(CAST(i AS text), 12, '0') AS uuid)`, `sha256(CAST(CAST(i AS text) AS bytea))`
	}
	const at = `'2026-03-01 11:00:00+00:00'`
	for _, statement := range []string{
		`INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, created_at, updated_at, check_at) ` + numbers +
			`SELECT ` + uuid + `, i, i, i, i, '', 'active', t.at, t.at, '2026-03-08 11:00:00+00:00' FROM n, (SELECT CAST(` + at + ` AS TIME) AS at) t`,
		`INSERT INTO signups (id, receipt_hash, user_id, kind, locale, terms_version, created_at, settled_at, resend_after) ` + numbers +
			`SELECT ` + uuid + `, ` + hash + `, ` + uuid + `, 'new', '', '', t.at, t.at, t.at FROM n, (SELECT CAST(` + at + ` AS TIME) AS at) t`,
		`INSERT INTO sessions (id, token_hash, user_id, client, created_at, last_seen_at, expires_at) ` +
			`SELECT id, receipt_hash, user_id, 'browser', created_at, created_at, created_at FROM signups`,
		`INSERT INTO idempotency_keys (key_hash, fingerprint, sealed, created_at, expires_at) ` +
			`SELECT receipt_hash, receipt_hash, receipt_hash, created_at, CAST('2026-03-02 11:00:00+00:00' AS TIME) FROM signups`,
		`UPDATE signups SET settled_at = NULL WHERE receipt_hash IN (SELECT receipt_hash FROM signups LIMIT 3)`,
		`UPDATE users SET check_at = ` + at + ` WHERE external_id IN ('1', '2', '3')`,
		analyze,
	} {
		times := map[Dialect]string{Postgres: "timestamptz", SQLite: "text"}[db.dialect]
		if _, err := db.sql.ExecContext(t.Context(), strings.ReplaceAll(statement, "AS TIME)", "AS "+times+")")); err != nil {
			t.Fatal(err)
		}
	}
}

type query struct {
	text string
	args []any
}

// queries returns the statements that ask sends.
func queries(t *testing.T, db *DB, ask func()) []query {
	t.Helper()
	var sent []query
	note := func(tx *gorm.DB) {
		sent = append(sent, query{tx.Statement.SQL.String(), append([]any(nil), tx.Statement.Vars...)})
	}
	const name = "plans"
	for _, err := range []error{
		db.gorm.Callback().Query().Register(name, note), db.gorm.Callback().Row().Register(name, note),
		db.gorm.Callback().Raw().Register(name, note), db.gorm.Callback().Update().Register(name, note),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ask()
	for _, err := range []error{
		db.gorm.Callback().Query().Remove(name), db.gorm.Callback().Row().Remove(name), db.gorm.Callback().Raw().Remove(name),
		db.gorm.Callback().Update().Remove(name),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return sent
}

// plan returns how the database goes about a query. A table as short as
// these would be scanned for it, so Postgres is asked for what it can do.
func plan(t *testing.T, db *DB, q query) string {
	t.Helper()
	conn, err := db.sql.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	explain := "EXPLAIN QUERY PLAN "
	if db.dialect == Postgres {
		explain = "EXPLAIN "
		if _, err := conn.ExecContext(t.Context(), `SET enable_seqscan = off`); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := conn.QueryContext(t.Context(), explain+q.text, q.args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	values, pointers := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&lines, values[len(values)-1])
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines.String()
}
