package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// Version is set by the linker in release builds.
//
//nolint:gochecknoglobals // the linker can set nothing else
var Version = ""

// UsageError is a wrong command line or configuration.
type UsageError struct{ cause error }

// Error returns the one line that says what is wrong.
func (e *UsageError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.cause }

// DifferencesError says that the two directories differ: nothing has failed.
type DifferencesError struct{ Left int }

// Error says in how much.
func (e *DifferencesError) Error() string {
	if e.Left == 1 {
		return "the directories differ: one difference is left"
	}
	return fmt.Sprintf("the directories differ: %d differences are left", e.Left)
}

// cli is the command line.
type cli struct {
	Serve       serveCmd       `cmd:"" help:"Serve the API and carry sign-ups out, until told to stop."`
	Migrate     migrateCmd     `cmd:"" help:"Look after the database's schema."`
	Check       checkCmd       `cmd:"" help:"Try everything that serve needs: settings, database, provider, API."`
	Users       usersCmd       `cmd:"" help:"Look after users: bring them in, find them, change them."`
	Reconcile   reconcileCmd   `cmd:"" help:"Compare the two directories, and repair what is asked for. Ends with status 3 if they differ."`
	Invitations invitationsCmd `cmd:"" help:"Look after invitations, for sign-up by invitation only."`
	ClientKey   clientKeyCmd   `cmd:"" help:"Look after the key of PORTICO_OIDC_CLIENT_AUTH=private_key_jwt."`
	AdminToken  adminTokenCmd  `cmd:"" help:"Look after administrators' tokens."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// streams are where a command writes.
type streams struct {
	stdout, stderr io.Writer
}

// Run runs the command line until it is done or ctx ends. args are without the
// program's name; environ is as os.Environ returns it. It returns a
// [*UsageError] when nothing was begun.
func Run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	env, err := newEnvironment(environ)
	if err != nil {
		return &UsageError{err}
	}
	var c cli
	exited := false
	parser, err := env.parser(&c, stdout, stderr, func(int) { exited = true })
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exited { // after --help
		return nil
	}
	if err != nil {
		return &UsageError{err}
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed.Run(env, newOpenTelemetry(environ), streams{stdout, stderr})
}

// parser reads flags, and the environment where a flag is not given.
func (env environment) parser(into any, stdout, stderr io.Writer, exit func(int)) (*kong.Kong, error) {
	return kong.New(
		into,
		kong.Name("portico"),
		kong.Description("The front door of an app without passwords. Every flag is also an environment variable; "+
			"secrets may come from a file, named by the variable with _FILE behind it."),
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
		kong.Resolvers(env),
		kong.ExplicitGroups(groups()),
		kong.ValueFormatter(func(v *kong.Value) string {
			if v.Flag == nil || v.Flag.Name == "help" {
				return v.Help
			}
			return fmt.Sprintf("%s ($%s)", kong.DefaultHelpValueFormatter(v), variable(v.Flag.Name))
		}),
	)
}

func groups() []kong.Group {
	return []kong.Group{
		{Key: "http", Title: "HTTP"},
		{Key: "database", Title: "Database"},
		{Key: "signup", Title: "Who may sign up"},
		{Key: "mail", Title: "Mails of our own"},
		{Key: "beyond", Title: "Beyond Identity's management API"},
		{Key: "webhooks", Title: "Webhooks"},
		{Key: "oidc", Title: "OpenID Connect"},
		{Key: "session", Title: "Sessions"},
		{Key: "account", Title: "Accounts"},
		{Key: "misc", Title: "Everything else"},
	}
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(out streams) error {
	_, err := fmt.Fprintf(out.stdout, "portico %s\n", version())
	return err
}

func version() string {
	if Version != "" {
		return Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// errNotReady is what check and migrate status end with when something is
// wrong that their table has shown.
var errNotReady = errors.New("not ready: see the table")
