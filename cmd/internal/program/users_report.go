package program

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/portico-id/portico/internal/importer"
)

// importJSON is an import as a program reads it.
type importJSON struct {
	ID         importer.ID     `json:"id"`
	Status     importer.Status `json:"status"`
	Source     string          `json:"source"`
	Actor      string          `json:"actor"`
	Rows       int64           `json:"rows"`
	Invalid    int64           `json:"invalid"`
	Unchanged  int64           `json:"unchanged"`
	Committed  int64           `json:"committed"`
	CreatedAt  time.Time       `json:"created_at"`
	FinishedAt *time.Time      `json:"finished_at"`
}

func shownImport(i importer.Import) importJSON {
	shown := importJSON{
		ID: i.ID, Status: i.Status, Source: i.Source, Actor: i.Actor, Rows: i.Rows, Invalid: i.Invalid,
		Unchanged: i.Unchanged, Committed: i.Committed, CreatedAt: i.CreatedAt,
	}
	if !i.FinishedAt.IsZero() {
		shown.FinishedAt = &i.FinishedAt
	}
	return shown
}

// complaintJSON is what is wrong with a row.
type complaintJSON struct {
	Line   int64           `json:"line"`
	Column importer.Column `json:"column"` // empty for the row as a whole
	Code   importer.Code   `json:"code"`
	Text   string          `json:"text"`
}

// importReport is what a run has come to.
type importReport struct {
	Import     importJSON      `json:"import"`
	Settled    int64           `json:"provisioned"`
	Refused    int64           `json:"refused"`
	Pending    int64           `json:"pending"`
	Complaints []complaintJSON `json:"complaints"` // the first of them
	Omitted    int64           `json:"complaints_omitted"`
}

func (r *importReport) add(record importer.Record) {
	for _, c := range record.Complaints {
		if len(r.Complaints) == mostShown {
			r.Omitted++
			continue
		}
		r.Complaints = append(r.Complaints, complaintJSON{record.Line, c.Column, c.Code, c.Text})
	}
}

func (r *importReport) write(out io.Writer, output string) error {
	if output == "json" {
		if r.Complaints == nil {
			r.Complaints = []complaintJSON{} // none is [], not null
		}
		return printJSON(out, r)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(r.Complaints) > 0 {
		_, _ = fmt.Fprintln(table, "LINE\tCOLUMN\tCODE\tTEXT")
		for _, c := range r.Complaints {
			column := c.Column
			if column == "" {
				column = "-"
			}
			_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", c.Line, column, c.Code, c.Text)
		}
		_ = table.Flush()
		if r.Omitted > 0 {
			_, _ = fmt.Fprintf(out, "and %d more: a file named by --rejects gets them all\n", r.Omitted)
		}
		_, _ = fmt.Fprintln(out)
	}
	for _, line := range []struct {
		name  string
		value any
	}{
		{"import", r.Import.ID},
		{"status", r.Import.Status},
		{"rows", r.Import.Rows},
		{"not valid", r.Import.Invalid},
		{"unchanged", r.Import.Unchanged},
		{"made users", r.Import.Committed},
		{"at the provider", r.Settled},
		{"refused there", r.Refused},
		{"on their way there", r.Pending},
	} {
		_, _ = fmt.Fprintf(table, "%s\t%v\n", line.name, line.value)
	}
	return table.Flush()
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

type usersImportsCmd struct {
	databaseFlags

	Output string `help:"table or json." enum:"table,json" default:"table"`
}

// Run lists the imports.
func (cmd usersImportsCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.users(ctx, env, nil, func(ctx context.Context, d directoryCmd) error {
		found, err := d.imports.List(ctx)
		if err != nil {
			return err
		}
		shown := make([]importJSON, len(found))
		for i := range found {
			shown[i] = shownImport(found[i])
		}
		if cmd.Output == "json" {
			return printJSON(out.stdout, shown)
		}
		table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tSTATUS\tROWS\tNOT VALID\tUNCHANGED\tMADE USERS\tBEGUN\tBY\tSOURCE")
		for _, i := range shown {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", i.ID, i.Status, i.Rows, i.Invalid, i.Unchanged,
				i.Committed, i.CreatedAt.Format(time.RFC3339), i.Actor, i.Source)
		}
		return table.Flush()
	})
}
