package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Rows are a query's rows, as they arrive.
type Rows interface {
	// Columns names what the query gives.
	Columns() []string
	// Next returns the next row's values as text, nil for NULL, which are good
	// until the next, or io.EOF after the last.
	Next(ctx context.Context) ([][]byte, error)
}

// Table reads people from a query's rows.
type Table struct {
	rows   Rows
	layout layout
	row    int64
}

// NewTable finds the columns. It returns an *InputError that names those which
// the query has.
func NewTable(rows Rows, mapping Mapping, ignoreUnknown bool) (*Table, error) {
	l, err := layOut(rows.Columns(), mapping, 0, ignoreUnknown)
	return &Table{rows: rows, layout: l}, err
}

// Next returns the next person, or io.EOF after the last.
func (t *Table) Next(ctx context.Context) (Record, error) {
	values, err := t.rows.Next(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		return Record{}, fmt.Errorf("the query, after %d rows: %w", t.row, err)
	}
	if err != nil {
		return Record{}, err
	}
	t.row++
	r := Record{Line: t.row}
	for i, value := range values {
		if column := t.layout[i]; column != "" && value != nil {
			r.put(column, string(value), int64(len(value)))
		}
	}
	return r, nil
}
