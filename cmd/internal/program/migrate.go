package program

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/portico-id/portico/internal/store"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the schema up to date. Safe to run at any time and several times at once."`
	Status migrateStatusCmd `cmd:"" help:"Show which steps the database has. Ends with status 1 if one is missing."`
}

// databaseFlags are the settings of commands that need nothing but a database.
type databaseFlags struct {
	DatabaseURL Secret `help:"postgres://… or sqlite:PATH." placeholder:"URL"`
}

// use opens the database for as long as do needs it.
func (f databaseFlags) use(ctx context.Context, env environment, do func(db *store.DB) error) error {
	config := Config{DatabaseURL: f.DatabaseURL}
	if config.DatabaseURL.value == "" {
		return &UsageError{errors.New("PORTICO_DATABASE_URL is not set")}
	}
	env.files(&config)
	db, err := openDatabase(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return do(db)
}

type migrateUpCmd struct {
	databaseFlags
}

// Run migrates.
func (cmd migrateUpCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.use(ctx, env, func(db *store.DB) error {
		if err := migrate(ctx, db); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out.stdout, "the schema is up to date")
		return err
	})
}

type migrateStatusCmd struct {
	databaseFlags
}

// Run prints the steps.
func (cmd migrateStatusCmd) Run(ctx context.Context, env environment, out streams) error {
	return cmd.use(ctx, env, func(db *store.DB) error {
		ok, err := current(ctx, db)
		if err != nil {
			return err
		}
		steps, err := db.Migrations(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "STEP\tSTATE")
		for _, step := range steps {
			state := "missing"
			if step.Applied {
				state = "applied"
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\n", step.Name, state)
		}
		if err := table.Flush(); err != nil {
			return err
		}
		if !ok {
			return errNotReady
		}
		return nil
	})
}
