package importer_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/importer"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// all reads a source to its end.
func all(source importer.Source) (records []importer.Record, err error) {
	for {
		record, err := source.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		records = append(records, record)
	}
}

func fromCSV(text string, mapping importer.Mapping, ignoreUnknown bool) ([]importer.Record, error) {
	source, err := importer.NewCSV(strings.NewReader(text), mapping, ignoreUnknown)
	if err != nil {
		return nil, err
	}
	return all(source)
}

func fromNDJSON(text string, mapping importer.Mapping, ignoreUnknown bool) ([]importer.Record, error) {
	source, err := importer.NewNDJSON(strings.NewReader(text), mapping, ignoreUnknown)
	if err != nil {
		return nil, err
	}
	return all(source)
}

// short is what a record says, in a line.
func short(r importer.Record) string {
	var codes []string
	for _, c := range r.Complaints {
		codes = append(codes, string(c.Column)+":"+string(c.Code))
	}
	return strings.Join([]string{r.ExternalID, r.Email, r.DisplayName, r.Locale}, "|") + " " + strings.Join(codes, ",")
}
