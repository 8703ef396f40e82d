package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/importer"
)

// importRow is a row of imports.
type importRow struct {
	ID             string     `gorm:"column:id;primaryKey"`
	Status         string     `gorm:"column:status"`
	Actor          string     `gorm:"column:actor"`
	Source         string     `gorm:"column:source"`
	Format         string     `gorm:"column:format"`
	Adopt          bool       `gorm:"column:adopt"`
	SkipInvalid    bool       `gorm:"column:skip_invalid"`
	RowCount       int64      `gorm:"column:row_count"`
	InvalidCount   int64      `gorm:"column:invalid_count"`
	UnchangedCount int64      `gorm:"column:unchanged_count"`
	CommittedCount int64      `gorm:"column:committed_count"`
	CommittedTo    int64      `gorm:"column:committed_to"`
	Claim          *string    `gorm:"column:claim"`
	ClaimedUntil   *time.Time `gorm:"column:claimed_until"`
	CreatedAt      time.Time  `gorm:"column:created_at"`
	FinishedAt     *time.Time `gorm:"column:finished_at"`
}

func (importRow) TableName() string { return "imports" }

func rowOfImport(i importer.Import) importRow {
	return importRow{
		ID:          string(i.ID),
		Status:      string(i.Status),
		Actor:       i.Actor,
		Source:      i.Source,
		Format:      i.Format,
		Adopt:       i.Adopt,
		SkipInvalid: i.SkipInvalid,
		CreatedAt:   storedTime(i.CreatedAt),
	}
}

func (r importRow) imported() importer.Import {
	return importer.Import{
		ID:     importer.ID(r.ID),
		Status: importer.Status(r.Status),
		Terms:  importer.Terms{Source: r.Source, Format: r.Format, Adopt: r.Adopt, SkipInvalid: r.SkipInvalid},
		Actor:  r.Actor,
		Rows:   r.RowCount, Invalid: r.InvalidCount, Unchanged: r.UnchangedCount, Committed: r.CommittedCount,
		CreatedAt:  r.CreatedAt.UTC(),
		FinishedAt: orZero(r.FinishedAt),
	}
}

// importedRow is a row of import_rows.
type importedRow struct {
	ImportID       string  `gorm:"column:import_id;primaryKey"`
	Line           int64   `gorm:"column:line;primaryKey;autoIncrement:false"`
	UserID         string  `gorm:"column:user_id"`
	ExternalID     string  `gorm:"column:external_id"`
	Email          string  `gorm:"column:email"`
	EmailCanonical *string `gorm:"column:email_canonical"`
	DisplayName    string  `gorm:"column:display_name"`
	Locale         string  `gorm:"column:locale"`
	State          string  `gorm:"column:state"`
	Complaints     string  `gorm:"column:complaints"`
}

func (importedRow) TableName() string { return "import_rows" }

// The states of a row.
const (
	rowValid     = "valid"
	rowInvalid   = "invalid"
	rowUnchanged = "unchanged"
	rowCommitted = "committed"
)

func rowOfImported(id importer.ID, r importer.Row) importedRow {
	row := importedRow{
		ImportID:       string(id),
		Line:           r.Line,
		UserID:         string(r.User),
		ExternalID:     r.ExternalID,
		Email:          r.Email,
		EmailCanonical: orNull(r.Canonical),
		DisplayName:    r.DisplayName,
		Locale:         r.Locale,
		State:          rowValid,
	}
	for _, c := range r.Complaints {
		row.State = rowInvalid
		row.Complaints += complaint(string(c.Column), string(c.Code), c.Text)
	}
	return row
}

// noColumn stands for a row as a whole.
const noColumn = "-"

// complaint is the line that a complaint is kept as.
func complaint(column, code, text string) string {
	if column == "" {
		column = noColumn
	}
	return column + " " + code + " " + strings.ReplaceAll(text, "\n", " ") + "\n"
}

func (r importedRow) record() importer.Record {
	record := importer.Record{
		Line: r.Line, ExternalID: r.ExternalID, Email: r.Email, DisplayName: r.DisplayName, Locale: r.Locale,
	}
	for line := range strings.Lines(r.Complaints) {
		column, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		code, text, _ := strings.Cut(rest, " ")
		if column == noColumn {
			column = ""
		}
		record.Complaints = append(record.Complaints, importer.Complaint{
			Column: importer.Column(column), Code: importer.Code(code), Text: text,
		})
	}
	return record
}

// importLock is the advisory lock under which an import is claimed: only one at
// a time may be worked on.
const importLock = 0x506f727469636f49 // "PorticoI"

// BeginImport stores an import with a claim on it, and discards those whose
// process has died while it read them. It returns an *importer.BusyError.
func (s *Store) BeginImport(ctx context.Context, begun importer.Import, claim importer.Claim) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		if err := s.nobodyImports(tx, begun.CreatedAt); err != nil {
			return err
		}
		var left []string
		if err := tx.Model(&importRow{}).Where("status = ?", string(importer.Staging)).Pluck("id", &left).Error; err != nil {
			return err
		}
		for _, id := range left {
			if err := discardImport(tx, id, begun.CreatedAt); err != nil {
				return err
			}
		}
		row := rowOfImport(begun)
		row.Claim, row.ClaimedUntil = &claim.Token, storedTimeOrNull(claim.Until)
		return tx.Create(&row).Error
	})
}

// nobodyImports returns an *importer.BusyError while a process has a claim.
func (s *Store) nobodyImports(tx *gorm.DB, now time.Time) error {
	if s.pool != nil {
		if err := tx.Exec(`SELECT pg_advisory_xact_lock(?)`, int64(importLock)).Error; err != nil {
			return err
		}
	}
	var busy importRow
	err := tx.Where("claimed_until > ?", storedTime(now)).Take(&busy).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return &importer.BusyError{ID: importer.ID(busy.ID), Until: orZero(busy.ClaimedUntil)}
}

// ClaimImport returns importer.ErrNotFound or an *importer.BusyError.
func (s *Store) ClaimImport(ctx context.Context, id importer.ID, claim importer.Claim, now time.Time) (importer.Import, error) {
	var row importRow
	err := s.transact(ctx, func(tx *gorm.DB) error {
		if err := s.nobodyImports(tx, now); err != nil {
			return err
		}
		if err := tx.Where("id = ?", string(id)).Take(&row).Error; err != nil {
			return err
		}
		return tx.Model(&importRow{}).Where("id = ?", string(id)).
			Updates(map[string]any{"claim": claim.Token, "claimed_until": storedTime(claim.Until)}).Error
	})
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return importer.Import{}, importer.ErrNotFound
	}
	return row.imported(), err
}

// RenewImport moves the end of the claim. It returns importer.ErrLost.
func (s *Store) RenewImport(ctx context.Context, id importer.ID, claim importer.Claim) error {
	return translate(held(s.db.WithContext(ctx), id, claim.Token, map[string]any{"claimed_until": storedTime(claim.Until)}))
}

// ReleaseImport ends the claim. It returns importer.ErrLost.
func (s *Store) ReleaseImport(ctx context.Context, id importer.ID, token string) error {
	return translate(held(s.db.WithContext(ctx), id, token, map[string]any{"claim": nil, "claimed_until": nil}))
}

// held changes an import while the process has the claim on it, and keeps
// others from it until the transaction ends. It returns importer.ErrLost.
func held(tx *gorm.DB, id importer.ID, token string, changes map[string]any) error {
	changed := tx.Model(&importRow{}).Where("id = ?", string(id)).Where("claim = ?", token).Updates(changes)
	if changed.Error == nil && changed.RowsAffected == 0 {
		return importer.ErrLost
	}
	return changed.Error
}

// StageRows stores rows of the import's input. It returns importer.ErrLost.
func (s *Store) StageRows(ctx context.Context, id importer.ID, token string, rows []importer.Row) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		count := map[string]any{"row_count": gorm.Expr("row_count + ?", len(rows))}
		if err := held(tx, id, token, count); err != nil || len(rows) == 0 {
			return err
		}
		staged := make([]importedRow, len(rows))
		for i, r := range rows {
			staged[i] = rowOfImported(id, r)
		}
		return tx.Create(&staged).Error
	})
}

// DiscardImport ends an import and removes its rows. It returns
// importer.ErrLost.
func (s *Store) DiscardImport(ctx context.Context, id importer.ID, token string, at time.Time) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		if err := held(tx, id, token, map[string]any{"status": string(importer.Discarded)}); err != nil {
			return err
		}
		return discardImport(tx, string(id), at)
	})
}

func discardImport(tx *gorm.DB, id string, at time.Time) error {
	if err := tx.Where("import_id = ?", id).Delete(&importedRow{}).Error; err != nil {
		return err
	}
	return tx.Model(&importRow{}).Where("id = ?", id).
		Updates(map[string]any{"status": string(importer.Discarded), "finished_at": storedTime(at)}).Error
}

// ListRejected returns up to most of the rows after the line that are not
// valid, in their order.
func (s *Store) ListRejected(ctx context.Context, id importer.ID, after int64, most int) ([]importer.Record, error) {
	var rows []importedRow
	err := s.db.WithContext(ctx).Where("import_id = ?", string(id)).Where("state = ?", rowInvalid).
		Where("line > ?", after).Order("line").Limit(most).Find(&rows).Error
	records := make([]importer.Record, len(rows))
	for i, r := range rows {
		records[i] = r.record()
	}
	return records, translate(err)
}

// ListImports returns the newest first.
func (s *Store) ListImports(ctx context.Context, most int) ([]importer.Import, error) {
	var rows []importRow
	err := s.db.WithContext(ctx).Order("id DESC").Limit(most).Find(&rows).Error
	imports := make([]importer.Import, len(rows))
	for i, r := range rows {
		imports[i] = r.imported()
	}
	return imports, translate(err)
}

// PurgeImports forgets the rows of imports that were begun before the time, up
// to limit of them, and returns how many. Users who were made of them stay.
func (s *Store) PurgeImports(ctx context.Context, before time.Time, limit int) (int, error) {
	old := s.db.Model(&importedRow{}).Select("import_rows.import_id, import_rows.line").
		Joins("JOIN imports i ON i.id = import_rows.import_id").Where("i.created_at < ?", storedTime(before)).Limit(limit)
	gone := s.db.WithContext(ctx).Where("(import_id, line) IN (?)", old).Delete(&importedRow{})
	return int(gone.RowsAffected), translate(gone.Error)
}
