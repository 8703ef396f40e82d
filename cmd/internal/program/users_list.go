package program

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/importer"
)

// userJSON is a user as a program reads them: as the admin API shows them.
type userJSON struct {
	ID          directory.UserID     `json:"id"`
	ExternalID  directory.ExternalID `json:"external_id"`
	InternalID  *string              `json:"internal_id"`
	Email       string               `json:"email"`
	DisplayName string               `json:"display_name"`
	Status      directory.Status     `json:"status"`
	Sync        directory.Sync       `json:"sync"`
	SyncError   *string              `json:"sync_error"`
	LastError   *string              `json:"last_error"`
	Origin      directory.Origin     `json:"origin"`
	Locale      string               `json:"locale"`
	Version     int64                `json:"version"`
	CreatedAt   time.Time            `json:"created_at"`
	UpdatedAt   time.Time            `json:"updated_at"`
	DeleteAfter *time.Time           `json:"delete_after"`
}

func shownUser(u directory.User) userJSON {
	shown := userJSON{
		ID: u.ID, ExternalID: u.ExternalID, InternalID: orNull(u.InternalID), Email: u.Email.String(),
		DisplayName: u.DisplayName, Status: u.Status, Sync: u.Synced(), SyncError: orNull(u.SyncClass),
		LastError: orNull(u.LastClass), Origin: u.Origin, Locale: u.Locale, Version: u.Version,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
	if !u.DeleteAfter.IsZero() {
		shown.DeleteAfter = &u.DeleteAfter
	}
	return shown
}

// queryFlags say which users.
type queryFlags struct {
	Status        string    `help:"Only those of the status: invited, active, suspended, failed, …" placeholder:"STATUS"`
	Sync          string    `help:"Only those of whom the provider has everything (synced), has not yet (pending), or will not have it (failed)." placeholder:"SYNC"`
	Domain        string    `help:"Only those with an address of the domain." placeholder:"DOMAIN"`
	CreatedAfter  time.Time `help:"Only those who were made at the time or later (RFC 3339)." placeholder:"TIME"`
	CreatedBefore time.Time `help:"Only those who were made before the time." placeholder:"TIME"`
}

func (f queryFlags) query() account.Query {
	return account.Query{
		Status: directory.Status(f.Status), Sync: directory.Sync(f.Sync), Domain: f.Domain,
		CreatedAfter: f.CreatedAfter, CreatedBefore: f.CreatedBefore, Limit: account.MaxPage,
	}
}

// everyUser calls visit for each user that the query asks for, a page at a
// time, the newest first.
func everyUser(ctx context.Context, accounts *account.Service, q account.Query, visit func(directory.User) error) error {
	for {
		page, err := accounts.List(ctx, q)
		if err != nil {
			return err
		}
		for _, u := range page.Users {
			if err := visit(u); err != nil {
				return err
			}
		}
		if page.Next == (account.Cursor{}) {
			return nil
		}
		q.After = page.Next
	}
}

type usersListCmd struct {
	databaseFlags
	queryFlags

	Output string `help:"table or json." enum:"table,json" default:"table"`
}

// Run lists users.
func (cmd usersListCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.users(ctx, env, nil, func(ctx context.Context, d directoryCmd) error {
		list := newUserList(out.stdout, cmd.Output)
		if err := everyUser(ctx, d.accounts, cmd.query(), list.add); err != nil {
			return err
		}
		return list.end()
	})
}

// userList prints users as they come, so that no number of them is held. A
// table's columns are as wide as the rows of its page need.
type userList struct {
	out   io.Writer
	table *tabwriter.Writer // nil for JSON
	n     int
}

func newUserList(out io.Writer, output string) *userList {
	l := &userList{out: out}
	if output != "json" {
		l.table = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(l.table, "ID\tEXTERNAL ID\tINTERNAL ID\tEMAIL\tSTATUS\tSYNC\tORIGIN\tCREATED")
	}
	return l
}

func (l *userList) add(u directory.User) error {
	l.n++
	if l.table != nil {
		_, err := fmt.Fprintf(l.table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", u.ID, u.ExternalID, u.InternalID, u.Email, u.Status,
			u.Synced(), u.Origin, u.CreatedAt.Format(time.RFC3339))
		if err == nil && l.n%account.MaxPage == 0 {
			err = l.table.Flush()
		}
		return err
	}
	text, err := json.MarshalIndent(shownUser(u), "  ", "  ")
	if err != nil {
		return err
	}
	before := ",\n  "
	if l.n == 1 {
		before = "[\n  "
	}
	_, err = fmt.Fprintf(l.out, "%s%s", before, text)
	return err
}

func (l *userList) end() error {
	var err error
	switch {
	case l.table != nil:
		return l.table.Flush()
	case l.n == 0:
		_, err = fmt.Fprintln(l.out, "[]")
	default:
		_, err = fmt.Fprintln(l.out, "\n]")
	}
	return err
}

type usersExportCmd struct {
	databaseFlags
	queryFlags

	Format string `help:"csv or ndjson, as import takes them, or json with all that is known." enum:"csv,ndjson,json" default:"csv"`
}

// Run exports users, without those who are deleted: of them only the ids are
// left.
func (cmd usersExportCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.users(ctx, env, nil, func(ctx context.Context, d directoryCmd) error {
		write, end := exportAsJSON(out.stdout)
		if cmd.Format != "json" {
			names := make([]string, len(importer.Columns()))
			for i, c := range importer.Columns() {
				names[i] = string(c)
			}
			w, err := newRowWriter(out.stdout, cmd.Format, names)
			if err != nil {
				return err
			}
			write = func(u directory.User) error {
				return w.row([]string{string(u.ExternalID), u.Email.String(), u.DisplayName, u.Locale})
			}
			end = w.Close
		}
		err := everyUser(ctx, d.accounts, cmd.query(), func(u directory.User) error {
			if u.Status == directory.Deleted {
				return nil
			}
			return write(u)
		})
		if err != nil {
			return err
		}
		return end()
	})
}

func exportAsJSON(out io.Writer) (write func(directory.User) error, end func() error) {
	list := newUserList(out, "json")
	return list.add, list.end
}

// find returns the one user whom the text names: by id, external_id,
// internal_id or address, in that order. It returns account.ErrNotFound.
func (d directoryCmd) find(ctx context.Context, text string) (directory.User, error) {
	var ways []account.Query
	if id, err := uuid.Parse(text); err == nil && id.String() == text {
		ways = append(ways, account.Query{ID: directory.UserID(text)})
	}
	ways = append(ways, account.Query{ExternalID: directory.ExternalID(text)}, account.Query{InternalID: directory.InternalID(text)})
	if strings.Contains(text, "@") {
		if _, err := directory.ParseEmail(text); err == nil {
			ways = append(ways, account.Query{Email: text})
		}
	}
	for _, q := range ways {
		q.Limit = 1
		page, err := d.accounts.List(ctx, q)
		if err != nil {
			return directory.User{}, err
		}
		if len(page.Users) > 0 {
			return page.Users[0], nil
		}
	}
	return directory.User{}, account.ErrNotFound
}
