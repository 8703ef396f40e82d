package store

import (
	"database/sql"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm/schema"

	"github.com/portico-id/portico/internal/store/migrations"
)

// table is a table as the schema tests compare it.
type table struct {
	columns     map[string]bool // whether the column may be null
	constraints []string
	indexes     []string
}

// parse reads a migration's tables out of its text.
func parse(t *testing.T, text string) map[string]*table {
	t.Helper()
	tables := make(map[string]*table)
	create := regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\);`)
	column := regexp.MustCompile(`(?m)^ {4}([a-z_]+) +[a-z]+ *(NOT NULL)?`)
	constraint := regexp.MustCompile(`CONSTRAINT (\w+)`)
	for _, match := range create.FindAllStringSubmatch(text, -1) {
		found := &table{columns: make(map[string]bool)}
		for _, c := range column.FindAllStringSubmatch(match[2], -1) {
			found.columns[c[1]] = c[2] == ""
		}
		for _, c := range constraint.FindAllStringSubmatch(match[2], -1) {
			found.constraints = append(found.constraints, c[1])
		}
		slices.Sort(found.constraints)
		tables[match[1]] = found
	}
	for _, match := range regexp.MustCompile(`CREATE INDEX (\w+) ON (\w+)`).FindAllStringSubmatch(text, -1) {
		tables[match[2]].indexes = append(tables[match[2]].indexes, match[1])
		slices.Sort(tables[match[2]].indexes)
	}
	return tables
}

func rows() map[string]any {
	return map[string]any{
		"users": userRow{}, "signups": signupRow{}, "sessions": sessionRow{}, "used_flows": usedFlowRow{},
	}
}

// CheckSchema compares what the database has with the migration's text and
// with the row structs. It is called for both dialects.
func CheckSchema(t *testing.T, db *DB) {
	t.Helper()
	got := inspect(t, db)
	postgres, err := migrations.Postgres.ReadFile("postgres/00001_users_signups_sessions.sql")
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, string(postgres))
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
