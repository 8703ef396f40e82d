package importer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"
)

// Stage reads the whole input into rows of the import, and tells how many they
// are by now. When it fails, or ctx ends, the import is discarded. It returns
// an *InputError where the input cannot be read, ErrLost, or the error of
// whoever gives it.
func (h *Held) Stage(ctx context.Context, source Source, tell func(rows int64)) error {
	err := h.stage(ctx, source, tell)
	if err != nil {
		return errors.Join(err, h.Discard(ctx))
	}
	return nil
}

func (h *Held) stage(ctx context.Context, source Source, tell func(rows int64)) error {
	batch := make([]Row, 0, stageAtOnce)
	store := func() error {
		if err := h.s.Store.StageRows(ctx, h.Import.ID, h.token, batch); err != nil {
			return err
		}
		h.Import.Rows += int64(len(batch))
		batch = batch[:0]
		tell(h.Import.Rows)
		return nil
	}
	for {
		record, err := source.Next(ctx)
		switch {
		case errors.Is(err, io.EOF) && h.Import.Rows == 0 && len(batch) == 0:
			return &InputError{Code: Empty, Text: "there is nobody in it"}
		case errors.Is(err, io.EOF):
			return store()
		case err != nil:
			return err
		}
		if batch = append(batch, check(record, h.s.Policy)); len(batch) < stageAtOnce {
			continue
		}
		if err := store(); err != nil {
			return err
		}
	}
}

// Validate holds the rows against each other and against the directory. It
// returns ErrInvalid when some are not valid and the terms do not skip them;
// Rejected says which.
func (h *Held) Validate(ctx context.Context) error {
	found, err := h.s.Store.ValidateImport(ctx, h.Import.ID, h.token)
	if err != nil {
		return err
	}
	h.Import = found
	if found.Invalid > 0 && !found.SkipInvalid {
		return ErrInvalid
	}
	return nil
}

// batchLimit bounds one batch, which is finished even when ctx has ended.
const batchLimit = time.Minute

// Commit makes users of the valid rows, and tells how many it has made. When
// ctx ends it finishes the batch and returns the context's error; Resume takes
// it up there. It returns ErrLost when another process has the import by then.
func (h *Held) Commit(ctx context.Context, tell func(committed int64)) error {
	for h.Import.Status != Committed {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, err := h.commitBatch(ctx)
		if err != nil {
			return err
		}
		h.Import.Status = Committing
		if batch.Over {
			h.Import.Status = Committed
		}
		h.Import.Committed += batch.Committed
		h.Import.Invalid += batch.Refused
		tell(h.Import.Committed)
	}
	return nil
}

func (h *Held) commitBatch(ctx context.Context) (Batch, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchLimit)
	defer cancel()
	return h.s.Store.CommitRows(ctx, h.Import.ID, h.token, cmp.Or(h.s.Batch, DefaultBatch), h.s.Now())
}

// Discard ends an import of which nothing was written.
func (h *Held) Discard(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchLimit)
	defer cancel()
	if err := h.s.Store.DiscardImport(ctx, h.Import.ID, h.token, h.s.Now()); err != nil {
		return err
	}
	h.Import.Status = Discarded
	return nil
}

// Rejected calls visit for every row that is not valid, by its line.
func (s *Service) Rejected(ctx context.Context, id ID, visit func(Record) error) error {
	var after int64
	for {
		page, err := s.Store.ListRejected(ctx, id, after, rejectedAtOnce)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := visit(r); err != nil {
				return err
			}
			after = r.Line
		}
		if len(page) < rejectedAtOnce {
			return nil
		}
	}
}

// mostListed bounds a list of imports.
const mostListed = 100

// List returns the newest imports first.
func (s *Service) List(ctx context.Context) ([]Import, error) {
	return s.Store.ListImports(ctx, mostListed)
}

// Look says how far the provider has the users of the import.
func (s *Service) Look(ctx context.Context, id ID) (Provisioning, error) {
	return s.Store.Provisioning(ctx, id)
}

// Await looks every second, or less often where looking takes long: it shall
// not cost a tenth of what it waits for.
const (
	look     = time.Second
	lookCost = 10
)

// Await waits until the provider has, or has refused, every user of the
// import, which running replicas carry there. It tells how far they are, and
// returns how it ended.
func (s *Service) Await(ctx context.Context, id ID, tell func(Provisioning)) (Provisioning, error) {
	for {
		begun := s.Now()
		p, err := s.Store.Provisioning(ctx, id)
		if err != nil {
			return p, err
		}
		tell(p)
		if p.Pending == 0 {
			return p, nil
		}
		select {
		case <-time.After(max(look, lookCost*s.Now().Sub(begun))):
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
}
