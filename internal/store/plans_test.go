package store

import (
	"fmt"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
)

// CheckPlans asks the database how it answers what every request asks it. It
// is called for both dialects.
func CheckPlans(t *testing.T, db *DB) {
	t.Helper()
	s := New(db, nil)
	for name, test := range map[string]struct {
		ask   func()
		index map[Dialect]string
	}{
		"FindSession": {
			func() { _, _, _ = s.FindSession(t.Context(), session.Hash{}, session.Browser) },
			map[Dialect]string{Postgres: "sessions_token_hash_key", SQLite: "(token_hash=?)"},
		},
		"FindSignup": {
			func() { _, _ = s.FindSignup(t.Context(), signup.Hash{}) },
			map[Dialect]string{Postgres: "signups_receipt_hash_key", SQLite: "(receipt_hash=?)"},
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
		db.gorm.Callback().Raw().Register(name, note),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ask()
	for _, err := range []error{
		db.gorm.Callback().Query().Remove(name), db.gorm.Callback().Row().Remove(name), db.gorm.Callback().Raw().Remove(name),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return sent
}

// plan returns how the database goes about a query. An empty table would be
// scanned for being short, so Postgres is asked for what it can do.
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
