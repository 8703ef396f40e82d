package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/portico-id/portico/internal/importer"
	"github.com/portico-id/portico/internal/store"
)

// The formats of files with users.
const (
	formatCSV    = "csv"
	formatNDJSON = "ndjson"
)

// importDatabaseURL names the setting by which another directory's URL, with
// its password, stays out of the list of processes.
const importDatabaseURL = "PORTICO_IMPORT_DATABASE_URL"

type usersImportCmd struct {
	databaseFlags
	policyFlags

	File   string `arg:"" optional:"" help:"File with the users, or - for standard input." placeholder:"FILE"`
	Format string `help:"csv or ndjson. By default what the file's name ends in." enum:"csv,ndjson," default:""`

	FromDatabase string `help:"Postgres of the other directory, in place of a file. Better said by $PORTICO_IMPORT_DATABASE_URL, or $PORTICO_IMPORT_DATABASE_URL_FILE: others can see a command's arguments." placeholder:"URL"`
	Query        string `help:"SELECT that gives the users, in a transaction that cannot write." placeholder:"SQL"`

	ExternalID  string `name:"external-id" help:"What the column or member with the user's key in the other directory is called (external_id)." placeholder:"COL"`
	Email       string `help:"The same, of the address (email)." placeholder:"COL"`
	DisplayName string `help:"The same, of the name (display_name; may be missing)." placeholder:"COL"`
	Locale      string `help:"The same, of the language (locale; may be missing)." placeholder:"COL"`

	IgnoreUnknown bool   `help:"Ignore columns and members that nothing is read from."`
	DryRun        bool   `help:"Read and check everything, say what is wrong, and end there."`
	SkipInvalid   bool   `help:"Bring in the rest where some rows are not valid. By default nobody is."`
	Rejects       string `help:"File that gets the rows that are not valid, in the input's format, to be corrected and brought in." placeholder:"FILE"`
	Adopt         bool   `help:"Take over whom Beyond Identity has already under the same external_id."`
	Resume        string `help:"Go on with an import that was stopped, by its id." placeholder:"ID"`
	Batch         int    `help:"Users that one transaction makes." default:"500"`
	NoWait        bool   `help:"Do not wait until Beyond Identity has them."`
	Output        string `help:"table or json." enum:"table,json" default:"table"`
}

// Run imports users. It ends with an error when rows are not valid, or when
// the provider will not have some of the users.
func (cmd usersImportCmd) Run(ctx context.Context, env environment, out streams) error {
	if err := cmd.check(env); err != nil {
		return &UsageError{err}
	}
	policy, err := cmd.policy()
	if err != nil {
		return err
	}
	return cmd.users(ctx, env, policy, func(ctx context.Context, d directoryCmd) error {
		d.imports.Batch = cmd.Batch
		run := importRun{cmd: cmd, service: d.imports, out: out, progress: newProgress(out.stderr)}
		defer run.progress.end()
		if cmd.Resume != "" {
			return run.resume(ctx)
		}
		return run.begin(ctx, env)
	})
}

// check finds what makes no sense together.
func (cmd usersImportCmd) check(env environment) error {
	database := cmd.FromDatabase != "" || cmd.Query != ""
	switch {
	case cmd.Batch < 1 || cmd.Batch > 5000:
		return errors.New("--batch is 1 to 5000")
	case cmd.Resume != "" && (cmd.File != "" || database || cmd.DryRun):
		return errors.New("--resume goes on with what was read already: it takes no file, no query and no --dry-run")
	case cmd.Resume != "":
		return nil
	}
	return cmd.checkInput(env, database)
}

// checkInput finds what makes no sense of where the users come from: a file,
// or a database.
func (cmd usersImportCmd) checkInput(env environment, database bool) error {
	switch {
	case cmd.File != "" && database:
		return errors.New("there is a file and a query: which is it?")
	case cmd.File == "" && !database:
		return errors.New("from where? Name a file, - for standard input, or --from-database with --query")
	case database && cmd.Query == "":
		return errors.New("--from-database needs --query")
	case database && cmd.FromDatabase == "" && env[importDatabaseURL] == "" && env[importDatabaseURL+fileSuffix] == "":
		return fmt.Errorf("--query needs --from-database, or better %s", importDatabaseURL)
	case !database && cmd.format() == "":
		return errors.New("is it CSV or NDJSON? Say --format")
	}
	return nil
}

// format is the input's, and that of the rows that are rejected.
func (cmd usersImportCmd) format() string {
	switch suffix := strings.ToLower(filepath.Ext(cmd.File)); {
	case cmd.Format != "":
		return cmd.Format
	case cmd.Query != "", suffix == ".csv":
		return formatCSV
	case suffix == ".ndjson", suffix == ".jsonl":
		return formatNDJSON
	default:
		return ""
	}
}

func (cmd usersImportCmd) mapping() importer.Mapping {
	return importer.Mapping{
		importer.ExternalID: cmd.ExternalID, importer.Email: cmd.Email,
		importer.DisplayName: cmd.DisplayName, importer.Locale: cmd.Locale,
	}
}

func (cmd usersImportCmd) terms() importer.Terms {
	source := "a database"
	switch {
	case cmd.File == "-":
		source = "standard input"
	case cmd.File != "":
		source = filepath.Base(cmd.File)
	}
	return importer.Terms{Source: source, Format: cmd.format(), Adopt: cmd.Adopt, SkipInvalid: cmd.SkipInvalid}
}

// source opens the input. Its error says what is wrong with it.
func (cmd usersImportCmd) source(ctx context.Context, env environment) (importer.Source, io.Closer, error) {
	if cmd.Query != "" {
		return cmd.database(ctx, env)
	}
	file := os.Stdin
	if cmd.File != "-" {
		var err error
		if file, err = os.Open(cmd.File); err != nil {
			return nil, nil, err
		}
	}
	var source importer.Source
	var err error
	if cmd.format() == formatCSV {
		source, err = importer.NewCSV(file, cmd.mapping(), cmd.IgnoreUnknown)
	} else {
		source, err = importer.NewNDJSON(file, cmd.mapping(), cmd.IgnoreUnknown)
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("%s: %w", cmd.terms().Source, err)
	}
	return source, file, nil
}

func (cmd usersImportCmd) database(ctx context.Context, env environment) (importer.Source, io.Closer, error) {
	address := cmd.FromDatabase
	if address == "" {
		address = env[importDatabaseURL]
	}
	if path := env[importDatabaseURL+fileSuffix]; address == "" {
		var err error
		if address, err = readSecret(path); err != nil {
			return nil, nil, setting(importDatabaseURL+fileSuffix, err)
		}
	}
	rows, err := store.OpenForeign(ctx, address, cmd.Query)
	if err != nil {
		return nil, nil, fmt.Errorf("the other directory's database: %w", err)
	}
	source, err := importer.NewTable(rows, cmd.mapping(), cmd.IgnoreUnknown)
	if err != nil {
		_ = rows.Close() //nolint:contextcheck // it ends whatever the command's context says
		return nil, nil, fmt.Errorf("the query: %w", err)
	}
	return source, rows, nil
}
