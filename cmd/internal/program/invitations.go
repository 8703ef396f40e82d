package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/store"
)

type invitationsCmd struct {
	Create invitationsCreateCmd `cmd:"" help:"Create an invitation and print its code, which nothing can show again."`
	List   invitationsListCmd   `cmd:"" help:"List the invitations, newest first, without their codes."`
	Revoke invitationsRevokeCmd `cmd:"" help:"Make an invitation useless from now on. Who has used it stays."`
}

// invitations runs do over the configured database, once its schema is known
// to have what do needs.
func (f databaseFlags) invitations(ctx context.Context, env environment, do func(*invitation.Service) error) error {
	return f.use(ctx, env, func(db *store.DB) error {
		ok, err := current(ctx, db)
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("the database's schema is not up to date: run `portico migrate up`")
		}
		return do(&invitation.Service{Store: store.New(db, nil), Now: time.Now})
	})
}

type invitationsCreateCmd struct {
	databaseFlags

	Uses    int           `help:"How many may sign up with it." default:"1"`
	Expires time.Duration `help:"How long it is good for." default:"168h"`
	Email   string        `help:"The only address that may use it. Anyone by default." placeholder:"ADDRESS"`
	Note    string        `help:"What it is for, in a line of your own." placeholder:"TEXT"`
}

// Run creates an invitation. Standard output gets the code and nothing else,
// so that a script can take it from there.
func (cmd invitationsCreateCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.invitations(ctx, env, func(service *invitation.Service) error {
		created, err := service.Create(byOperator(ctx), invitation.Terms{
			Uses: cmd.Uses, Life: cmd.Expires, Email: cmd.Email, Note: cmd.Note,
		})
		if errors.Is(err, invitation.ErrTerms) || errors.Is(err, directory.ErrEmail) {
			return &UsageError{err}
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out.stdout, created.Code.Reveal()); err != nil {
			return fmt.Errorf("invitation %s was created and its code is lost: revoke it: %w", created.Invitation.ID, err)
		}
		_, err = fmt.Fprintf(out.stderr, "This code is shown once. It is invitation %s, for %s, until %s.\n",
			created.Invitation.ID, whom(created.Invitation), created.Invitation.ExpiresAt.Format(time.RFC3339))
		return err
	})
}

// whom says who may use an invitation, and how often.
func whom(i invitation.Invitation) string {
	who := "anyone"
	if i.Email != "" {
		who = i.Email
	}
	if i.Uses == 1 {
		return who + ", once"
	}
	return fmt.Sprintf("%s, %d times", who, i.Uses)
}

type invitationsListCmd struct {
	databaseFlags

	Output string `help:"table or json." enum:"table,json" default:"table"`
}

// Run lists the invitations.
func (cmd invitationsListCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.invitations(ctx, env, func(service *invitation.Service) error {
		found, err := everyInvitation(ctx, service)
		if err != nil {
			return err
		}
		if cmd.Output == "json" {
			return printInvitationsAsJSON(out.stdout, found, service.Now())
		}
		return printInvitations(out.stdout, found, service.Now())
	})
}

// everyInvitation reads page by page.
func everyInvitation(ctx context.Context, service *invitation.Service) ([]invitation.Invitation, error) {
	var found []invitation.Invitation
	var before invitation.ID
	for {
		page, err := service.List(ctx, before, invitation.MaxPage)
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
		if len(page) < invitation.MaxPage {
			return found, nil
		}
		before = page[len(page)-1].ID
	}
}

func printInvitations(out io.Writer, found []invitation.Invitation, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tSTATE\tLEFT\tCREATED\tEXPIRES\tEMAIL\tNOTE")
	for _, i := range found {
		email := i.Email
		if email == "" {
			email = "anyone"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d of %d\t%s\t%s\t%s\t%s\n", i.ID, i.State(now), i.UsesLeft, i.Uses,
			i.CreatedAt.Format(time.RFC3339), i.ExpiresAt.Format(time.RFC3339), email, i.Note)
	}
	return table.Flush()
}

// invitationJSON is an invitation as a program reads it.
type invitationJSON struct {
	ID        invitation.ID    `json:"id"`
	State     invitation.State `json:"state"`
	Email     *string          `json:"email"` // null for anyone
	Note      string           `json:"note"`
	Uses      int              `json:"uses"`
	UsesLeft  int              `json:"uses_left"`
	CreatedAt time.Time        `json:"created_at"`
	ExpiresAt time.Time        `json:"expires_at"`
	RevokedAt *time.Time       `json:"revoked_at"`
}

func printInvitationsAsJSON(out io.Writer, found []invitation.Invitation, now time.Time) error {
	list := make([]invitationJSON, 0, len(found)) // none is [], not null
	for _, i := range found {
		shown := invitationJSON{
			ID: i.ID, State: i.State(now), Note: i.Note, Uses: i.Uses, UsesLeft: i.UsesLeft,
			CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt,
		}
		if i.Email != "" {
			shown.Email = &i.Email
		}
		if !i.RevokedAt.IsZero() {
			shown.RevokedAt = &i.RevokedAt
		}
		list = append(list, shown)
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(list)
}

type invitationsRevokeCmd struct {
	databaseFlags

	ID string `arg:"" help:"The invitation's id, as list shows it. Not its code."`
}

// Run revokes the invitation.
func (cmd invitationsRevokeCmd) Run(ctx context.Context, env environment, out streams) error {
	id, err := invitation.ParseID(cmd.ID)
	if err != nil {
		// What was typed is not repeated: it may be a code.
		return &UsageError{fmt.Errorf("%w: list shows the ids", err)}
	}
	return cmd.invitations(ctx, env, func(service *invitation.Service) error {
		if err := service.Revoke(byOperator(ctx), id); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out.stdout, "invitation %s is revoked\n", id)
		return err
	})
}
