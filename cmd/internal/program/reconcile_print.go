package program

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store"
)

// findingsAtOnce bounds what is held of them in memory.
const findingsAtOnce = 500

// printReconciliation shows a run that is done, as it is told.
func printReconciliation(ctx context.Context, stored *store.Store, run reconcile.Run, output string, out streams) error {
	each := func(do func(reconcile.Finding) error) error {
		after := ""
		for {
			found, err := stored.ListFindings(ctx, run.ID, after, findingsAtOnce)
			if err != nil {
				return err
			}
			for _, finding := range found {
				if err := do(finding); err != nil {
					return err
				}
			}
			if len(found) < findingsAtOnce {
				return nil
			}
			after = found[len(found)-1].ID
		}
	}
	switch output {
	case "json":
		return printFindingsAsJSON(out.stdout, run, each)
	case "csv":
		if err := printFindingsAsCSV(out.stdout, each); err != nil {
			return err
		}
		return printSummary(out.stderr, run)
	}
	if err := printFindings(out.stdout, each); err != nil {
		return err
	}
	return printSummary(out.stdout, run)
}

type eachFinding func(do func(reconcile.Finding) error) error

// columns are the findings' in a table and as CSV.
func columns() []string {
	return []string{"class", "user_id", "external_id", "internal_id", "here", "there", "repair", "outcome"}
}

func cells(f reconcile.Finding) []string {
	outcome := string(f.Outcome)
	if f.Reason != "" {
		outcome += ": " + f.Reason
	}
	id := string(f.UserID)
	if id == "" && f.Signup != "" {
		id = "sign-up " + string(f.Signup)
	}
	return []string{
		string(f.Class), id, string(f.ExternalID), string(f.InternalID), f.Here, f.There, f.Repair, outcome,
	}
}

// printFindings prints a table, of which so many lines at once are in columns.
func printFindings(out io.Writer, each eachFinding) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	err := each(func(f reconcile.Finding) error {
		if n == 0 {
			_, _ = fmt.Fprintln(table, strings.ToUpper(strings.Join(columns(), "\t")))
		}
		row := cells(f)
		for i := range row {
			row[i] = printable(row[i])
		}
		_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
		n++
		if n%findingsAtOnce == 0 {
			return table.Flush()
		}
		return nil
	})
	if err == nil && n > 0 {
		_, _ = fmt.Fprintln(table)
	}
	if err != nil {
		return err
	}
	return table.Flush()
}

// printable is text as a terminal may have it: what the provider's users are
// called may hold sequences that a terminal obeys (CWE-150).
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text
}

func printSummary(out io.Writer, run reconcile.Run) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CLASS\tFOUND\tREPAIRED\tGONE\tREFUSED")
	for _, class := range reconcile.Classes() {
		count := run.Counts[class]
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\n", class, count.Found, count.Repaired, count.Gone, count.Refused)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d users there, %d differences, in %s\n",
		run.Total, run.Differences(), run.EndedAt.Sub(run.StartedAt).Round(100*time.Millisecond))
	return err
}

// printFindingsAsCSV quotes what a spreadsheet would take for a formula
// (CWE-1236).
func printFindingsAsCSV(out io.Writer, each eachFinding) error {
	table := csv.NewWriter(out)
	if err := table.Write(columns()); err != nil {
		return err
	}
	err := each(func(f reconcile.Finding) error {
		row := cells(f)
		for i, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				row[i] = "'" + cell
			}
		}
		return table.Write(row)
	})
	table.Flush()
	if err != nil {
		return err
	}
	return table.Error()
}

// findingJSON is a finding as a program reads it.
type findingJSON struct {
	Class      reconcile.Class `json:"class"`
	UserID     *string         `json:"user_id"`
	SignupID   *string         `json:"signup_id"`
	ExternalID *string         `json:"external_id"`
	InternalID *string         `json:"internal_id"`
	Here       string          `json:"here"`
	There      string          `json:"there"`
	Repair     string          `json:"repair"`
	Outcome    *string         `json:"outcome"`
	Reason     *string         `json:"reason"`
}

// printFindingsAsJSON writes one object, finding by finding: there may be as
// many as users.
func printFindingsAsJSON(out io.Writer, run reconcile.Run, each eachFinding) error {
	head, err := json.Marshal(struct {
		ID         reconcile.RunID                     `json:"id"`
		StartedAt  time.Time                           `json:"started_at"`
		EndedAt    time.Time                           `json:"ended_at"`
		UsersThere int                                 `json:"users_there"`
		Counts     map[reconcile.Class]reconcile.Count `json:"counts"`
	}{run.ID, run.StartedAt, run.EndedAt, run.Total, run.Counts})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "{\"reconciliation\": %s,\n\"findings\": [", head); err != nil {
		return err
	}
	between := "\n"
	err = each(func(f reconcile.Finding) error {
		raw, err := json.Marshal(findingJSON{
			Class: f.Class, UserID: orNull(f.UserID), SignupID: orNull(f.Signup), ExternalID: orNull(f.ExternalID),
			InternalID: orNull(f.InternalID), Here: f.Here, There: f.There, Repair: f.Repair,
			Outcome: orNull(f.Outcome), Reason: orNull(f.Reason),
		})
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, between+string(raw))
		between = ",\n"
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, "\n]}\n")
	return err
}

// orNull is text, or null if there is none.
func orNull[T ~string](text T) *string {
	if text == "" {
		return nil
	}
	plain := string(text)
	return &plain
}
