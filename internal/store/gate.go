package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/gate"
)

// gateName is the row of the management API's gate. The migration made it.
const gateName = "manage"

// gateRow is a row of provider_gate.
type gateRow struct {
	Name          string     `gorm:"column:name;primaryKey"`
	EmptyAt       time.Time  `gorm:"column:empty_at"`
	Failures      int        `gorm:"column:failures"`
	Closures      int        `gorm:"column:closures"`
	ClosedBecause *string    `gorm:"column:closed_because"`
	ClosedSince   *time.Time `gorm:"column:closed_since"`
	ClosedUntil   *time.Time `gorm:"column:closed_until"`
	RefusedToken  *string    `gorm:"column:refused_token"`
}

func (gateRow) TableName() string { return "provider_gate" }

func (r gateRow) state() gate.State {
	s := gate.State{
		EmptyAt:      r.EmptyAt.UTC(),
		Failures:     r.Failures,
		Closures:     r.Closures,
		Because:      gate.Reason(orEmpty(r.ClosedBecause)),
		RefusedToken: orEmpty(r.RefusedToken),
	}
	if r.ClosedSince != nil && r.ClosedUntil != nil {
		s.Since, s.Until = r.ClosedSince.UTC(), r.ClosedUntil.UTC()
	}
	return s
}

func rowOfGate(s gate.State) gateRow {
	row := gateRow{
		Name:          gateName,
		EmptyAt:       storedTime(s.EmptyAt),
		Failures:      s.Failures,
		Closures:      s.Closures,
		ClosedBecause: orNull(string(s.Because)),
		RefusedToken:  orNull(s.RefusedToken),
	}
	if !s.Open() {
		since, until := storedTime(s.Since), storedTime(s.Until)
		row.ClosedSince, row.ClosedUntil = &since, &until
	}
	return row
}

// LoadGate returns what the replicas know of the provider.
func (s *Store) LoadGate(ctx context.Context) (gate.State, error) {
	row, err := loadGate(s.db.WithContext(ctx))
	if err != nil {
		return gate.State{}, translate(err)
	}
	return row.state(), nil
}

func loadGate(db *gorm.DB) (gateRow, error) {
	// By the handle beneath GORM: every call to the provider asks, before it and
	// after it.
	row := gateRow{Name: gateName}
	err := db.Statement.ConnPool.QueryRowContext(db.Statement.Context, `
		SELECT empty_at, failures, closures, closed_because, closed_since, closed_until, refused_token
		FROM provider_gate WHERE name = '`+gateName+`'`).
		Scan(&row.EmptyAt, &row.Failures, &row.Closures, &row.ClosedBecause, &row.ClosedSince, &row.ClosedUntil, &row.RefusedToken)
	if errors.Is(err, sql.ErrNoRows) {
		return gateRow{}, errNoGate
	}
	return row, err
}

var errNoGate = errors.New("provider_gate has lost its row: insert it as its migration did")

// DrawCall takes one call out of the budget, if the gate is open and the
// budget has room for it, and reports whether it did.
func (s *Store) DrawCall(ctx context.Context, draw gate.Draw) (bool, error) {
	if s.db.Name() != string(Postgres) {
		return s.drawCallLocked(ctx, draw)
	}
	// One statement: whoever waits for the row is judged by what it then says.
	drawn := s.db.WithContext(ctx).Exec(`
		UPDATE provider_gate
		SET empty_at = GREATEST(empty_at, @now) + CAST(@step AS double precision) * interval '1 microsecond'
		WHERE name = @name AND closed_because IS NULL AND empty_at <= @latest
		  AND (@token = '' OR refused_token IS DISTINCT FROM @token)`,
		map[string]any{
			"name": gateName, "now": storedTime(draw.Now), "latest": storedTime(draw.Latest),
			"step": draw.Step.Microseconds(), "token": draw.Token,
		})
	return drawn.RowsAffected == 1, translate(drawn.Error)
}

// drawCallLocked is DrawCall on SQLite, which adds milliseconds to a time at
// best. Its transactions take turns.
func (s *Store) drawCallLocked(ctx context.Context, draw gate.Draw) (drawn bool, err error) {
	err = s.transact(ctx, func(tx *gorm.DB) error {
		row, err := loadGate(tx)
		if err != nil {
			return err
		}
		var after gate.State
		if after, drawn = draw.From(row.state()); !drawn {
			return nil
		}
		return tx.Model(&gateRow{}).Where("name = ?", gateName).Update("empty_at", storedTime(after.EmptyAt)).Error
	})
	return drawn && err == nil, err
}

// SwapGate puts to in from's place and reports whether it was still there.
// EmptyAt is compared and written only where the two differ in it: under load
// it has moved by the time that a failure is to be counted.
func (s *Store) SwapGate(ctx context.Context, from, to gate.State) (bool, error) {
	before, after := rowOfGate(from), rowOfGate(to)
	query := s.db.WithContext(ctx).Model(&gateRow{}).
		Where("name = ?", gateName).
		Where("failures = ?", before.Failures).
		Where("closures = ?", before.Closures).
		Where("closed_because IS NOT DISTINCT FROM ?", before.ClosedBecause).
		Where("closed_since IS NOT DISTINCT FROM ?", before.ClosedSince).
		Where("closed_until IS NOT DISTINCT FROM ?", before.ClosedUntil).
		Where("refused_token IS NOT DISTINCT FROM ?", before.RefusedToken)
	change := map[string]any{
		"failures":       after.Failures,
		"closures":       after.Closures,
		"closed_because": after.ClosedBecause,
		"closed_since":   after.ClosedSince,
		"closed_until":   after.ClosedUntil,
		"refused_token":  after.RefusedToken,
	}
	if !before.EmptyAt.Equal(after.EmptyAt) {
		query = query.Where("empty_at = ?", before.EmptyAt)
		change["empty_at"] = after.EmptyAt
	}
	swapped := query.Updates(change)
	return swapped.RowsAffected == 1, translate(swapped.Error)
}
