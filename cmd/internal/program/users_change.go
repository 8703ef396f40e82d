package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
)

// userArg names one user.
type userArg struct {
	databaseFlags

	User   string `arg:"" help:"The user's id, external_id, internal_id or address."`
	Output string `help:"table or json." enum:"table,json" default:"table"`
}

// change finds the user, does to them what do does, and shows what they are
// then.
func (f userArg) change(
	ctx context.Context, env environment, out streams,
	do func(ctx context.Context, accounts *account.Service, u directory.User) (directory.User, error),
) error {
	return f.users(ctx, env, nil, func(ctx context.Context, d directoryCmd) error {
		found, err := d.find(ctx, f.User)
		if err != nil {
			return err
		}
		changed, err := do(ctx, d.accounts, found)
		if err != nil {
			return err
		}
		return printUser(out.stdout, changed, f.Output)
	})
}

func printUser(out io.Writer, u directory.User, output string) error {
	shown := shownUser(u)
	if output == "json" {
		return printJSON(out, shown)
	}
	text := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"id", string(u.ID)},
		{"external_id", string(u.ExternalID)},
		{"internal_id", text(shown.InternalID)},
		{"email", shown.Email},
		{"display_name", u.DisplayName},
		{"locale", u.Locale},
		{"status", string(u.Status)},
		{"last_error", text(shown.LastError)},
		{"sync", string(shown.Sync)},
		{"sync_error", text(shown.SyncError)},
		{"origin", string(u.Origin)},
		{"version", strconv.FormatInt(u.Version, 10)},
		{"created_at", u.CreatedAt.Format(time.RFC3339)},
		{"updated_at", u.UpdatedAt.Format(time.RFC3339)},
	} {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
	}
	if shown.DeleteAfter != nil {
		_, _ = fmt.Fprintf(table, "delete_after\t%s\n", shown.DeleteAfter.Format(time.RFC3339))
	}
	return table.Flush()
}

type usersShowCmd struct{ userArg }

// Run shows a user.
func (cmd usersShowCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.change(ctx, env, out, func(_ context.Context, _ *account.Service, u directory.User) (directory.User, error) {
		return u, nil
	})
}

type usersSuspendCmd struct{ userArg }

// Run suspends a user.
func (cmd usersSuspendCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.change(ctx, env, out, func(ctx context.Context, a *account.Service, u directory.User) (directory.User, error) {
		return a.Suspend(ctx, u.ID, u.Version)
	})
}

type usersRestoreCmd struct{ userArg }

// Run restores a user.
func (cmd usersRestoreCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.change(ctx, env, out, func(ctx context.Context, a *account.Service, u directory.User) (directory.User, error) {
		return a.Restore(ctx, u.ID, u.Version)
	})
}

type usersDeleteCmd struct {
	userArg

	Grace time.Duration `help:"For how long the user can still be restored." default:"0s"`
	Yes   bool          `help:"Yes, delete them."`
}

// Run deletes a user.
func (cmd usersDeleteCmd) Run(ctx context.Context, env environment, out streams) error {
	switch {
	case cmd.Grace < 0:
		return &UsageError{errors.New("--grace cannot be negative")}
	case !cmd.Yes:
		return &UsageError{errors.New("this deletes the user here and at Beyond Identity, for good: say --yes")}
	}
	return cmd.change(ctx, env, out, func(ctx context.Context, a *account.Service, u directory.User) (directory.User, error) {
		return a.Delete(ctx, u.ID, cmd.Grace, u.Version)
	})
}

type usersResendCmd struct{ userArg }

// Run has the enrolment mail sent again.
func (cmd usersResendCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.change(ctx, env, out, func(ctx context.Context, a *account.Service, u directory.User) (directory.User, error) {
		return a.Resend(ctx, u.ID)
	})
}

type usersRetryCmd struct{ userArg }

// Run has the provider asked again.
func (cmd usersRetryCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.change(ctx, env, out, func(ctx context.Context, a *account.Service, u directory.User) (directory.User, error) {
		return a.Retry(ctx, u.ID)
	})
}

type usersResolveCmd struct {
	userArg

	InternalID string `name:"internal-id" help:"The one at Beyond Identity who is this user." placeholder:"ID" required:""`
}

// Run resolves a conflict.
func (cmd usersResolveCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.change(ctx, env, out, func(ctx context.Context, a *account.Service, u directory.User) (directory.User, error) {
		return a.Adopt(ctx, u.ID, directory.InternalID(cmd.InternalID), u.Version)
	})
}
