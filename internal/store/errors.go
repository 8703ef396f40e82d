package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/portico-id/portico/internal/directory"
)

// SQLite's result codes (https://sqlite.org/rescode.html) that say it cannot
// be reached rather than that it was asked wrongly.
const (
	sqliteBusy      = 5
	sqliteLocked    = 6
	sqliteInterrupt = 9 // how its driver tells that a statement's time was up
	sqliteIOErr     = 10
	sqliteFull      = 13
	sqliteCantOpen  = 14
)

// What database/sql, and pgx's pool, say of a handle that was closed. They
// export no values for it.
const (
	errClosed     = "sql: database is closed"
	errPoolClosed = "closed pool"
)

// translate returns err as the domain knows it: directory.ErrUnavailable when
// the database could not be reached or could not answer in time, and err
// itself otherwise.
func translate(err error) error {
	if err == nil || !unavailable(err) {
		return err
	}
	return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
}

// unavailable reports whether err says that the database was not there, as
// opposed to what it said when it was.
func unavailable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code[:min(2, len(pg.Code))] {
		case "08", "53", "57", "58": // connection, resources, operator, system
			return true
		}
		return pg.Code == "25006" // read-only: a standby, just before it is promoted
	}
	if lite, ok := errors.AsType[*gosqlite.Error](err); ok {
		switch lite.Code() & 0xff {
		case sqliteBusy, sqliteLocked, sqliteInterrupt, sqliteIOErr, sqliteFull, sqliteCantOpen:
			return true
		}
		return false
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, sql.ErrTxDone) || // its context ended before the commit
		strings.HasSuffix(err.Error(), errClosed) || strings.HasSuffix(err.Error(), errPoolClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err)
}

// violates reports whether err is a violation of the named constraint.
func violates(err error, constraint string) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.ConstraintName == constraint
	}
	lite, ok := errors.AsType[*gosqlite.Error](err)
	if !ok {
		return false
	}
	// SQLite names a CHECK, but tells only the columns of a UNIQUE.
	if _, rest, ok := strings.Cut(lite.Error(), "UNIQUE constraint failed: "); ok {
		columns, _, _ := strings.Cut(rest, " (")
		return uniqueName(columns) == constraint
	}
	_, rest, _ := strings.Cut(lite.Error(), "CHECK constraint failed: ")
	name, _, _ := strings.Cut(rest, " (")
	return name == constraint
}

// uniqueName returns the name that a UNIQUE over the columns has in the
// schema: "users.issuer, users.subject" is users_issuer_subject_key.
func uniqueName(columns string) string {
	var name strings.Builder
	for column := range strings.SplitSeq(columns, ", ") {
		table, column, _ := strings.Cut(column, ".")
		if name.Len() == 0 {
			name.WriteString(table)
		}
		name.WriteString("_" + column)
	}
	return name.String() + "_key"
}
