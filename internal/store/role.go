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
//
//nolint:gochecknoglobals // a table
var needed = []struct{ table, privilege string }{
	{"users", "SELECT"},
	{"users", "INSERT"},
	{"users", "UPDATE"},
	{"signups", "SELECT"},
	{"signups", "INSERT"},
	{"signups", "UPDATE"},
	{"sessions", "SELECT"},
	{"sessions", "INSERT"},
	{"sessions", "UPDATE"},
	{"audit_events", "SELECT"},
	{"audit_events", "INSERT"},
	{"provider_gate", "SELECT"},
	{"provider_gate", "UPDATE"},
	{"river_job", "SELECT"},
	{"river_job", "INSERT"},
	{"river_job", "UPDATE"},
	{"river_job", "DELETE"},
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
