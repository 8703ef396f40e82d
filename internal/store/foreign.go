package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrForeignURL says that the URL of another directory's database is not
// usable. Its message never repeats the URL, which carries a password.
var ErrForeignURL = errors.New("database URL must be postgres://…")

// Foreign is a query over another directory's Postgres, whose rows are read as
// they arrive.
type Foreign struct {
	conn *pgx.Conn
	tx   pgx.Tx
	rows pgx.Rows
	next bool // the first row is there already
}

// OpenForeign runs the query, which is the operator's own, in a transaction
// that cannot write. The protocol takes no more than one statement, so that no
// other can end it. It returns ErrForeignURL, or what the database says. Close
// the result.
func OpenForeign(ctx context.Context, databaseURL, query string) (*Foreign, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil || !strings.HasPrefix(databaseURL, "postgres") {
		return nil, ErrForeignURL // pgx's own error may hold parts of the URL
	}
	config.RuntimeParams["application_name"] = "portico import"
	config.RuntimeParams["default_transaction_read_only"] = "on"
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(err)
	}
	f := &Foreign{conn: conn}
	if err := f.query(ctx, query); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// connectError leaves out whom, and by which address, the connection was for:
// it is the operator's to know.
func connectError(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return errors.New(pg.Message)
	}
	if cause, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("cannot be reached: %w", cause.Unwrap())
	}
	return err
}

func (f *Foreign) query(ctx context.Context, query string) (err error) {
	if f.tx, err = f.conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}); err != nil {
		return err
	}
	// Every value as the text that Postgres writes for it, whatever its type.
	if f.rows, err = f.tx.Query(ctx, query, pgx.QueryResultFormats{pgx.TextFormatCode}); err != nil { //nolint:gocritic // f keeps its rows, and Close ends them
		return err
	}
	// Its columns, and what is wrong with it, are known with the first row.
	f.next = f.rows.Next()
	if err := f.rows.Err(); err != nil {
		return err
	}
	if len(f.rows.FieldDescriptions()) == 0 {
		return errors.New("the query gives no rows: it has to be a SELECT")
	}
	return nil
}

// Columns names what the query gives.
func (f *Foreign) Columns() []string {
	fields := f.rows.FieldDescriptions()
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = field.Name
	}
	return names
}

// Next returns the next row's values as text, nil for NULL, which are good
// until the next, or io.EOF after the last.
func (f *Foreign) Next(context.Context) ([][]byte, error) {
	if !f.next && !f.rows.Next() {
		if err := f.rows.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	f.next = false
	return f.rows.RawValues(), nil
}

// Close ends the query and the connection.
func (f *Foreign) Close() error {
	// The rows that are left are not waited for, as a rollback would.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := f.conn.Close(ctx)
	if f.rows != nil {
		f.rows.Close()
	}
	return err
}
