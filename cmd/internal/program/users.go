package program

import (
	"context"
	"errors"
	"log/slog"
	"os/user"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/importer"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/store"
)

type usersCmd struct {
	Import  usersImportCmd  `cmd:"" help:"Bring in the users of another directory, from a file or a Postgres."`
	Imports usersImportsCmd `cmd:"" help:"List the imports, newest first."`
}

// policyFlags are the settings of commands that take addresses: the same as
// sign-up's, so that nobody is brought in who could not come.
type policyFlags struct {
	EmailAllow          []string `help:"Addresses that are admitted whatever else is set, as for serve." placeholder:"PATTERN"`
	EmailBlock          []string `help:"Addresses that are not admitted, as for serve." placeholder:"PATTERN"`
	EmailDisposable     string   `help:"Throw-away mailboxes: refuse or allow." default:"refuse"`
	EmailDisposableList string   `help:"File with the domains of throw-away mailboxes, as for serve." placeholder:"PATH"`
	EmailPlus           string   `help:"Addresses with a +tag: allow, refuse or fold." default:"allow"`
}

// policy returns a *UsageError.
func (f policyFlags) policy() (*directory.Policy, error) {
	config := Config{
		EmailAllow: f.EmailAllow, EmailBlock: f.EmailBlock, EmailDisposable: f.EmailDisposable,
		EmailDisposableList: f.EmailDisposableList, EmailPlus: f.EmailPlus,
	}
	policy, err := config.addressPolicy()
	if err != nil {
		return nil, &UsageError{err}
	}
	return policy, nil
}

// directoryCmd is a command's hold on the directory: what an administrator may
// do by HTTP, on the database itself.
type directoryCmd struct {
	store    *store.Store
	accounts *account.Service
	imports  *importer.Service
}

// users runs do over the configured database, once its schema is known to have
// what do needs. What do does is done by the operator who has run the command.
func (f databaseFlags) users(
	ctx context.Context, env environment, policy *directory.Policy, do func(ctx context.Context, d directoryCmd) error,
) error {
	return f.use(ctx, env, func(db *store.DB) error {
		ok, err := current(ctx, db)
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("the database's schema is not up to date: run `portico migrate up`")
		}
		// Jobs are inserted here, and worked by the replicas that serve.
		q, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer func() { _ = q.Stop(ctx) }()
		stored := store.New(db, q)
		return do(audit.With(ctx, audit.Origin{Actor: audit.Operator(operator())}), directoryCmd{
			store:    stored,
			accounts: &account.Service{Store: stored, Policy: policy, Now: time.Now},
			imports:  &importer.Service{Store: stored, Policy: policy, Now: time.Now},
		})
	})
}

// operator is the name of the account that runs the command.
func operator() string {
	who, err := user.Current()
	if err != nil || who.Username == "" {
		return "unknown"
	}
	// Windows says DOMAIN\NAME; the audit's actors have no backslash.
	return strings.ReplaceAll(who.Username, `\`, "/")
}
