package program

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/portico-id/portico/internal/importer"
)

// rowWriter writes people in a form that import takes.
type rowWriter struct {
	columns []string
	csv     *csv.Writer
	json    *jsontext.Encoder
	buffer  *bufio.Writer
	file    io.Closer // nil where nothing is to be closed
}

// newRowWriter writes the header, if the format has one.
func newRowWriter(out io.Writer, format string, columns []string) (*rowWriter, error) {
	w := &rowWriter{columns: columns, buffer: bufio.NewWriter(out)}
	if format == formatNDJSON {
		w.json = jsontext.NewEncoder(w.buffer)
		return w, nil
	}
	w.csv = csv.NewWriter(w.buffer)
	return w, w.csv.Write(columns)
}

func (w *rowWriter) row(values []string) error {
	if w.csv != nil {
		return w.csv.Write(values)
	}
	if err := w.json.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for i, value := range values {
		if err := errors.Join(w.json.WriteToken(jsontext.String(w.columns[i])), w.json.WriteToken(jsontext.String(value))); err != nil {
			return err
		}
	}
	return w.json.WriteToken(jsontext.EndObject)
}

// Close writes what is left, and closes the file.
func (w *rowWriter) Close() error {
	if w == nil {
		return nil
	}
	var err error
	if w.csv != nil {
		w.csv.Flush()
		err = w.csv.Error()
	}
	err = errors.Join(err, w.buffer.Flush())
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
	}
	return err
}

// rejects writes rows that are not valid. The zero value writes nothing.
type rejects struct{ *rowWriter }

// openRejects makes the file, which only the operator may read: it holds
// addresses.
func openRejects(path, format string, mapping importer.Mapping) (rejects, error) {
	if path == "" {
		return rejects{}, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return rejects{}, err
	}
	columns := make([]string, 0, len(importer.Columns())+2)
	for _, c := range importer.Columns() {
		columns = append(columns, mapping.Name(c))
	}
	w, err := newRowWriter(file, format, append(columns, importer.LineColumn, importer.ErrorColumn))
	if err != nil {
		return rejects{}, errors.Join(err, file.Close())
	}
	w.file = file
	return rejects{w}, nil
}

func (r rejects) write(record importer.Record) error {
	if r.rowWriter == nil {
		return nil
	}
	values := make([]string, 0, len(r.columns))
	for _, c := range importer.Columns() {
		values = append(values, record.Value(c))
	}
	return r.row(append(values, strconv.FormatInt(record.Line, 10), record.Fault()))
}
