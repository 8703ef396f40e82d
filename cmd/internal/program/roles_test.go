package program

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

const rolePassword = "canary-role-5d2c"

// rooms is a database whose roles are those of deploy/postgres.
type rooms struct {
	t        *testing.T
	admin    string
	database string
}

// newRooms makes the roles on a server of its own, since roles are the whole
// server's, and migrates as their owner.
func newRooms(t *testing.T) rooms {
	t.Helper()
	r := rooms{t: t, admin: crashable(t).URL(), database: "portico"}
	r.must(r.admin, "CREATE DATABASE portico")
	r.admin = r.as("", "")
	for range 2 { // the second time changes nothing
		r.must(r.admin, read(t, root+"deploy/postgres/roles.sql"))
	}
	for _, role := range []string{"portico_owner", "portico_app", "portico_reader"} {
		r.must(r.admin, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", role, rolePassword))
	}
	offline(t, r.as("portico_owner", rolePassword)).must("migrate", "up")
	r.grant()
	return r
}

// grant runs grants.sql as the owner.
func (r rooms) grant() {
	r.t.Helper()
	for range 2 {
		r.must(r.as("portico_owner", rolePassword), read(r.t, root+"deploy/postgres/grants.sql"))
	}
}

// as is the database's URL for a role.
func (r rooms) as(role, password string) string {
	r.t.Helper()
	u, err := url.Parse(r.admin)
	if err != nil {
		r.t.Fatal(err)
	}
	u.Path = "/" + r.database
	if role != "" {
		u.User = url.UserPassword(role, password)
	}
	return u.String()
}

// try runs statements and returns what the last one answers, as text.
func (r rooms) try(databaseURL, statements string) (string, error) {
	r.t.Helper()
	ctx := context.WithoutCancel(r.t.Context())
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	results, err := conn.PgConn().Exec(ctx, statements).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	var out strings.Builder
	for _, row := range results[len(results)-1].Rows {
		for _, cell := range row {
			out.Write(append(cell, ' '))
		}
		out.WriteByte('\n')
	}
	return out.String(), nil
}

func (r rooms) must(databaseURL, statements string) string {
	r.t.Helper()
	out, err := r.try(databaseURL, statements)
	if err != nil {
		r.t.Fatalf("%v\n%.200s", err, statements)
	}
	return out
}

// The subtests are in turn, since a Postgres of one's own takes a while to start.
func TestRolesOfTheDatabase(t *testing.T) { //nolint:tparallel // in turn: they share a server
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts a Postgres of its own")
	}
	r := newRooms(t)
	for _, c := range []struct {
		name string
		test func(t *testing.T, r rooms)
	}{
		{"the program's has what the file says of each table", haveExactly},
		{"a table that comes later is the program's at once, and the file asks for it", haveLaterTables},
		{"ASVS-13.2.2 the program's and the reader's may do nothing else", doNothingElse},
		{"a database that had one role is taken over", adopt},
		{"the program's may do all that it needs", doAll},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			c.test(t, r)
		})
	}
}

func doNothingElse(t *testing.T, r rooms) {
	t.Helper()
	app, reader := r.as("portico_app", rolePassword), r.as("portico_reader", rolePassword)
	r.must(r.as("portico_owner", rolePassword),
		`INSERT INTO audit_events (id, at, actor, action) VALUES (gen_random_uuid(), now() - interval '3 years', 'portico', 'a.b')`)
	for _, statement := range []string{
		`DROP TABLE users`, `ALTER TABLE users ADD COLUMN password text`, `TRUNCATE users CASCADE`, `DELETE FROM users`, `DELETE FROM signups`,
		`CREATE TABLE mine (id int)`, `CREATE TABLE public.mine (id int)`, `CREATE TEMPORARY TABLE users (id int)`, `CREATE SCHEMA mine`,
		`CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`, `CREATE INDEX ON users (email)`,
		`ALTER TABLE audit_events DISABLE TRIGGER ALL`, `DROP TRIGGER audit_events_stay ON audit_events`, `SET session_replication_role = replica`,
		`UPDATE audit_events SET actor = 'somebody'`, `TRUNCATE audit_events`,
		`UPDATE audit_events SET actor = 'somebody' WHERE false`,
		`INSERT INTO audit_retention VALUES ('audit_events', 86400, '2000-01-01', '2000-01-01')`, `DELETE FROM audit_retention`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`, `DELETE FROM river_migration`,
		`DELETE FROM provider_gate`, `DELETE FROM webhook_deliveries`, `ALTER ROLE portico_app SUPERUSER`, `SET ROLE portico_owner`,
		`ALTER DEFAULT PRIVILEGES FOR ROLE portico_owner GRANT ALL ON TABLES TO portico_app`,
	} {
		r.refused(app, statement, "42501")
	}
	// Deleting is what retention does: what is not old enough, its triggers keep.
	r.refused(app, `DELETE FROM audit_events`, "23001")
	r.refused(app, `UPDATE audit_retention SET removed_before = now()`, "23001")

	for _, statement := range []string{
		`SELECT email, status FROM users`, `SELECT id, user_agent FROM sessions`, `SELECT * FROM audit_events`, `SELECT * FROM river_job`,
		`SELECT url FROM webhook_endpoints`,
	} {
		r.must(reader, statement)
	}
	for _, statement := range []string{
		`SELECT token_hash FROM sessions`, `SELECT receipt_hash FROM signups`, `SELECT * FROM native_codes`, `SELECT * FROM idempotency_keys`,
		`SELECT code_hash FROM email_changes`, `SELECT code_hash FROM invitations`, `SELECT sealed FROM webhook_endpoints`,
		`BEGIN READ WRITE; DELETE FROM sessions`, `BEGIN READ WRITE; UPDATE users SET email = ''`,
	} {
		r.refused(reader, statement, "42501")
	}
	r.refused(reader, `UPDATE users SET email = ''`, "25006")
}

// refused fails the test unless the statement is refused with the SQLSTATE.
func (r rooms) refused(databaseURL, statement, state string) {
	r.t.Helper()
	_, err := r.try(databaseURL, statement)
	if err == nil || !strings.Contains(err.Error(), "SQLSTATE "+state) {
		r.t.Errorf("%s: %v", statement, err)
	}
}

func haveLaterTables(t *testing.T, r rooms) {
	t.Helper()
	owner, app := r.as("portico_owner", rolePassword), r.as("portico_app", rolePassword)
	r.must(owner, `CREATE TABLE later (id bigserial)`)
	r.must(app, `INSERT INTO later DEFAULT VALUES; UPDATE later SET id = 7; DELETE FROM later`)
	_, err := r.try(owner, read(t, root+"deploy/postgres/grants.sql"))
	if err == nil || !strings.Contains(err.Error(), "grants.sql does not know later") {
		t.Fatalf("grants.sql says %v", err)
	}
	r.must(app, `INSERT INTO later DEFAULT VALUES`) // nothing was taken away
	r.must(owner, `DROP TABLE later`)
}

// adopt is an upgrade from one role for everything.
func adopt(t *testing.T, r rooms) {
	t.Helper()
	r.must(r.admin, "CREATE DATABASE old")
	r.database = "old"
	admin := r.as("", "")
	offline(t, admin).must("migrate", "up")
	for _, file := range []string{"roles", "adopt"} {
		r.must(admin, read(t, root+"deploy/postgres/"+file+".sql"))
	}
	r.grant()
	offline(t, r.as("portico_owner", rolePassword)).must("migrate", "up")
	offline(t, r.as("portico_app", rolePassword)).must("migrate", "status")
	if others := r.must(admin, `SELECT c.oid::regclass FROM pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND pg_get_userbyid(c.relowner) <> 'portico_owner'`); others != "" {
		t.Errorf("these are still another's:\n%s", others)
	}
	r.refused(r.as("portico_app", rolePassword), `DROP FUNCTION audit_stays CASCADE`, "42501")
}

// haveExactly holds what the role has against what it is meant to have, as
// Postgres says it, and makes sure that no table is left out.
func haveExactly(t *testing.T, r rooms) {
	t.Helper()
	var rights map[string]string
	raw := r.must(r.admin, `SELECT coalesce(json_object_agg(table_name, rights), '{}') FROM (
		SELECT table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type) AS rights
		FROM information_schema.table_privileges WHERE grantee = 'portico_app' GROUP BY table_name) AS of`)
	if err := json.Unmarshal([]byte(raw), &rights); err != nil {
		t.Fatal(err)
	}
	const all = "DELETE INSERT SELECT UPDATE"
	for table, want := range map[string]string{
		"users": "INSERT SELECT UPDATE", "signups": "INSERT SELECT UPDATE", "audit_events": "DELETE INSERT SELECT", "audit_retention": "SELECT UPDATE",
		"goose_db_version": "SELECT", "river_migration": "SELECT", "sessions": all, "river_job": all,
	} {
		if rights[table] != want {
			t.Errorf("of %s it has %q, and not %q", table, rights[table], want)
		}
	}
	for _, table := range tablesOfTheSchema(t) {
		if rights[table] == "" {
			t.Errorf("nothing is said of %s", table)
		}
	}
}
