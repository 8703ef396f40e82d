package store

import (
	"database/sql"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm/schema"

	"github.com/portico-id/portico/internal/store/migrations"
)

// table is a table as the schema tests compare it.
type table struct {
	columns     map[string]bool // whether the column may be null
	constraints []string
	indexes     []string
}

// parse reads the tables out of the migrations' text, in their order.
func parse(t *testing.T, texts ...string) map[string]*table {
	t.Helper()
	tables := make(map[string]*table)
	comment := regexp.MustCompile(`--[^\n]*`)
	for _, text := range texts {
		up, _, _ := strings.Cut(text, "-- +goose Down")
		for statement := range strings.SplitSeq(comment.ReplaceAllString(up, ""), ";") {
			apply(t, tables, strings.TrimSpace(statement))
		}
	}
	for _, found := range tables {
		slices.Sort(found.constraints)
		slices.Sort(found.indexes)
	}
	return tables
}

var (
	createTable = regexp.MustCompile(`(?s)^CREATE (?:UNLOGGED )?TABLE (\w+) \((.*)\)$`)
	createIndex = regexp.MustCompile(`^CREATE INDEX (\w+) ON (\w+)`)
	alterTable  = regexp.MustCompile(`(?s)^ALTER TABLE (\w+)(.*)$`)
	column      = regexp.MustCompile(`(?m)^ {4}(?:ADD COLUMN )?([a-z_]+) +[a-z]+ *(NOT NULL)?`)
	nullness    = regexp.MustCompile(`ALTER COLUMN (\w+) (DROP|SET) NOT NULL`)
	constraint  = regexp.MustCompile(`CONSTRAINT (\w+)`)
)

// apply does to the tables what the statement does.
func apply(t *testing.T, tables map[string]*table, statement string) {
	t.Helper()
	if match := createIndex.FindStringSubmatch(statement); match != nil {
		tables[match[2]].indexes = append(tables[match[2]].indexes, match[1])
		return
	}
	match := createTable.FindStringSubmatch(statement)
	if match != nil {
		tables[match[1]] = &table{columns: make(map[string]bool)}
	} else if match = alterTable.FindStringSubmatch(statement); match == nil {
		return
	}
	changed := tables[match[1]]
	for _, c := range column.FindAllStringSubmatch(match[2], -1) {
		changed.columns[c[1]] = c[2] == ""
	}
	for _, c := range nullness.FindAllStringSubmatch(match[2], -1) {
		changed.columns[c[1]] = c[2] == "DROP"
	}
	for _, c := range constraint.FindAllStringSubmatch(match[2], -1) {
		changed.constraints = append(changed.constraints, c[1])
	}
}

// rateLimitTable is rate_limits as it is stored; rateLimitRow is what taking
// from it answers.
type rateLimitTable struct {
	Bucket  string
	EmptyAt time.Time
}

func rows() map[string]any {
	return map[string]any{
		"users": userRow{}, "signups": signupRow{}, "sessions": sessionRow{}, "used_flows": usedFlowRow{},
		"invitations": invitationRow{}, "provider_gate": gateRow{}, "rate_limits": rateLimitTable{},
		"idempotency_keys": idempotencyKeyRow{}, "audit_events": auditRow{}, "audit_retention": retentionRow{},
		"native_codes": nativeCodeRow{}, "used_logout_tokens": usedLogoutTokenRow{},
		"reconciliations": reconciliationRow{}, "reconciliation_users": reconciliationUserRow{},
		"reconciliation_suspects": suspectRow{}, "reconciliation_findings": findingRow{},
		"imports": importRow{}, "import_rows": importedRow{},
		"email_changes": emailChangeRow{}, "letters": letterRow{},
	}
}

// CheckSchema compares what the database has with the migrations' text and
// with the row structs. It is called for both dialects.
func CheckSchema(t *testing.T, db *DB) {
	t.Helper()
	got := inspect(t, db)
	files, err := fs.Glob(migrations.Postgres, "postgres/*.sql") // sorted by their numbers
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, file := range files {
		text, err := migrations.Postgres.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	want := parse(t, texts...)
	for name, row := range rows() {
		if got[name] == nil || want[name] == nil {
			t.Fatalf("table %s: in the database %v, in the migration %v", name, got[name] != nil, want[name] != nil)
		}
		if !maps.Equal(got[name].columns, want[name].columns) {
			t.Errorf("%s has the columns %v, not %v", name, got[name].columns, want[name].columns)
		}
		if !slices.Equal(got[name].constraints, want[name].constraints) {
			t.Errorf("%s has the constraints %v, not %v", name, got[name].constraints, want[name].constraints)
		}
		if !slices.Equal(got[name].indexes, want[name].indexes) {
			t.Errorf("%s has the indexes %v, not %v", name, got[name].indexes, want[name].indexes)
		}
		if columns := columnsOf(t, row); !maps.Equal(columns, got[name].columns) {
			t.Errorf("%T has the columns %v, its table has %v", row, columns, got[name].columns)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("table %s has no row struct", name)
	}
}

// columnsOf returns a row struct's columns and whether each may be null, which
// a pointer stands for.
func columnsOf(t *testing.T, row any) map[string]bool {
	t.Helper()
	parsed, err := schema.Parse(row, &sync.Map{}, schema.NamingStrategy{})
	if err != nil {
		t.Fatal(err)
	}
	columns := make(map[string]bool)
	for _, field := range parsed.Fields {
		columns[field.DBName] = strings.HasPrefix(field.FieldType.String(), "*")
	}
	return columns
}

func inspect(t *testing.T, db *DB) map[string]*table {
	t.Helper()
	columns := `SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns WHERE table_schema = 'public'`
	constraints := `SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'`
	indexes := `SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE '%\_idx' ORDER BY 2`
	if db.Dialect() == SQLite {
		columns = `SELECT m.name, c.name, c."notnull" = 0 FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'`
		constraints = `SELECT name, sql FROM sqlite_master WHERE type = 'table'`
		indexes = `SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND name LIKE '%\_idx' ESCAPE '\' ORDER BY 2`
	}
	tables := make(map[string]*table)
	each(t, db.SQL(), columns, func(scan func(...any) error) error {
		var name, column string
		var null bool
		err := scan(&name, &column, &null)
		if foreign(name) {
			return err
		}
		if tables[name] == nil {
			tables[name] = &table{columns: make(map[string]bool)}
		}
		tables[name].columns[column] = null
		return err
	})
	each(t, db.SQL(), constraints, func(scan func(...any) error) error {
		var name, text string
		err := scan(&name, &text)
		if foreign(name) {
			return err
		}
		found := []string{text}
		if db.Dialect() == SQLite {
			found = nil
			for _, match := range regexp.MustCompile(`CONSTRAINT (\w+)`).FindAllStringSubmatch(text, -1) {
				found = append(found, match[1])
			}
		}
		tables[name].constraints = append(tables[name].constraints, found...)
		slices.Sort(tables[name].constraints)
		return err
	})
	each(t, db.SQL(), indexes, func(scan func(...any) error) error {
		var name, index string
		err := scan(&name, &index)
		if !foreign(name) {
			tables[name].indexes = append(tables[name].indexes, index)
		}
		return err
	})
	return tables
}

// foreign reports whether a table belongs to goose, the queue or SQLite itself.
func foreign(name string) bool {
	return strings.HasPrefix(name, "goose_") || strings.HasPrefix(name, "river_") || strings.HasPrefix(name, "sqlite_")
}

func each(t *testing.T, db *sql.DB, query string, row func(scan func(...any) error) error) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
