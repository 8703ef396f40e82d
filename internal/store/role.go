package store

import (
	"context"
)

// Role is who we are to the database.
type Role struct {
	Name      string // "" on SQLite, which has none
	Superuser bool
	Lacks     []string // such as "INSERT on users": what serve needs and the role does not have
}

// needed are privileges that serve cannot do without, as Postgres names them.
// Every table has to be readable besides.
//
//nolint:gochecknoglobals // a table
var needed = []struct{ table, privilege string }{
	{"users", "INSERT"}, {"users", "UPDATE"},
	{"signups", "INSERT"}, {"signups", "UPDATE"},
	{"sessions", "INSERT"}, {"sessions", "UPDATE"},
	{"audit_events", "INSERT"},
	{"provider_gate", "UPDATE"},
	{"river_job", "INSERT"}, {"river_job", "UPDATE"}, {"river_job", "DELETE"},
}

// Role returns who we are to the database, and what we lack. It changes
// nothing. It returns directory.ErrUnavailable.
func (db *DB) Role(ctx context.Context) (Role, error) {
	if db.dialect != Postgres {
		return Role{}, nil
	}
	var role Role
	err := db.sql.QueryRowContext(ctx, `SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&role.Name, &role.Superuser)
	if err != nil || role.Superuser {
		return role, translate(err)
	}
	rows, err := db.sql.QueryContext(ctx, `SELECT CASE relkind WHEN 'S' THEN 'USAGE' ELSE 'SELECT' END || ' on ' || relname
		FROM pg_class
		WHERE relnamespace = current_schema()::regnamespace
		  AND CASE relkind WHEN 'S' THEN NOT has_sequence_privilege(oid, 'USAGE')
		      WHEN 'r' THEN NOT has_table_privilege(oid, 'SELECT') ELSE false END
		ORDER BY 1`)
	if err != nil {
		return role, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var lacks string
		if err := rows.Scan(&lacks); err != nil {
			return role, translate(err)
		}
		role.Lacks = append(role.Lacks, lacks)
	}
	if err := rows.Err(); err != nil {
		return role, translate(err)
	}
	for _, n := range needed {
		var has bool
		if err := db.sql.QueryRowContext(ctx, `SELECT has_table_privilege($1, $2)`, n.table, n.privilege).Scan(&has); err != nil {
			return role, translate(err)
		}
		if !has {
			role.Lacks = append(role.Lacks, n.privilege+" on "+n.table)
		}
	}
	return role, nil
}
