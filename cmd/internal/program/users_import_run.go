package program

import (
	"context"
	"errors"
	"fmt"

	"github.com/portico-id/portico/internal/importer"
)

// mostShown is how many complaints are shown. A file of rejected rows has them
// all.
const mostShown = 50

// importRun is one run of the import command.
type importRun struct {
	cmd      usersImportCmd
	service  *importer.Service
	out      streams
	progress *progress
	report   importReport
}

// begin reads the input and takes it as far as the flags say.
func (r *importRun) begin(ctx context.Context, env environment) error {
	source, closer, err := r.cmd.source(ctx, env)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	held, err := r.service.Begin(ctx, r.cmd.terms())
	if err != nil {
		return err
	}
	defer held.Release(ctx)
	r.progress.phase("reading", 0)
	if err := held.Stage(ctx, source, r.progress.at); err != nil {
		if ctx.Err() != nil {
			return errors.New("stopped while the input was read: nothing was written")
		}
		return fmt.Errorf("%s: %w", held.Import.Source, err)
	}
	_ = closer.Close() // nobody has to keep a connection for what follows
	r.progress.phase("checking", 0)
	invalid := held.Validate(ctx)
	if invalid != nil && !errors.Is(invalid, importer.ErrInvalid) {
		return errors.Join(invalid, held.Discard(ctx))
	}
	r.progress.end()
	if invalid != nil || r.cmd.DryRun {
		return r.refuse(ctx, held)
	}
	return r.carry(ctx, held)
}

// refuse says what is wrong, and forgets what was read.
func (r *importRun) refuse(ctx context.Context, held *importer.Held) error {
	err := r.collect(ctx, held.Import)
	if err := errors.Join(err, held.Discard(ctx)); err != nil {
		return err
	}
	r.report.Import = shownImport(held.Import)
	if err := r.report.write(r.out.stdout, r.cmd.Output); err != nil {
		return err
	}
	if held.Import.Invalid > 0 {
		return fmt.Errorf("%d of %d rows are not valid: nothing was written", held.Import.Invalid, held.Import.Rows)
	}
	return nil
}

// resume goes on where an import was stopped.
func (r *importRun) resume(ctx context.Context) error {
	id, err := importer.ParseID(r.cmd.Resume)
	if err != nil {
		return &UsageError{fmt.Errorf("%w: portico users imports lists them", err)}
	}
	held, err := r.service.Resume(ctx, id)
	if err != nil {
		return err
	}
	defer held.Release(ctx)
	if r.cmd.format() == "" {
		r.cmd.Format = held.Import.Format
	}
	return r.carry(ctx, held)
}

// carry makes the users, and waits until the provider has them.
func (r *importRun) carry(ctx context.Context, held *importer.Held) error {
	again := fmt.Sprintf("go on with: portico users import --resume %s", held.Import.ID)
	r.progress.phase("making users", held.Import.Wanted())
	r.progress.at(held.Import.Committed)
	if err := held.Commit(ctx, r.progress.at); err != nil {
		r.progress.end()
		if ctx.Err() != nil {
			return fmt.Errorf("stopped after %d of %d users: %s", held.Import.Committed, held.Import.Wanted(), again)
		}
		return fmt.Errorf("%w: after %d of %d users; %s", err, held.Import.Committed, held.Import.Wanted(), again)
	}
	r.progress.end()
	if err := r.collect(ctx, held.Import); err != nil {
		return err
	}
	held.Release(ctx) // whoever begins another does not have to wait for the provider
	if err := r.await(ctx, held.Import, again); err != nil {
		return err
	}
	r.report.Import = shownImport(held.Import)
	if err := r.report.write(r.out.stdout, r.cmd.Output); err != nil {
		return err
	}
	if n := r.report.Refused; n > 0 {
		return fmt.Errorf("the provider will not have %d of %d users: portico users list --status failed, or conflict, shows them",
			n, held.Import.Committed)
	}
	return nil
}

// await waits for the provider, or only looks how far it has them.
func (r *importRun) await(ctx context.Context, i importer.Import, again string) error {
	if r.cmd.NoWait {
		p, err := r.service.Look(ctx, i.ID)
		r.report.Settled, r.report.Refused, r.report.Pending = p.Settled, p.Refused, p.Pending
		return err
	}
	r.progress.phase("provisioning", i.Committed)
	p, err := r.service.Await(ctx, i.ID, func(p importer.Provisioning) { r.progress.at(p.Settled + p.Refused) })
	r.progress.end()
	r.report.Settled, r.report.Refused, r.report.Pending = p.Settled, p.Refused, p.Pending
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("stopped waiting: all %d users are made, and the replicas carry the %d that are left to the provider; wait again with: %s",
			i.Committed, p.Pending, again)
	}
	return err
}

// collect takes what is wrong with rows into the report and the file of
// rejected rows.
func (r *importRun) collect(ctx context.Context, i importer.Import) error {
	if i.Invalid == 0 {
		return nil
	}
	rejects, err := openRejects(r.cmd.Rejects, r.cmd.format(), r.cmd.mapping())
	if err != nil {
		return err
	}
	err = r.service.Rejected(ctx, i.ID, func(record importer.Record) error {
		r.report.add(record)
		return rejects.write(record)
	})
	return errors.Join(err, rejects.Close())
}
