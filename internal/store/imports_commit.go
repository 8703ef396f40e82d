package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/importer"
)

// What is wrong with rows that are fine by themselves.
const (
	alsoOnLine   = "the same is on line "
	idIsTaken    = "the directory has a user with it and another address"
	emailIsTaken = "another user of the directory has it"
	idIsPast     = "a user who was deleted had it, and ids are never reused"
	takenByNow   = "somebody took the address or the external_id while the import was under way"
)

// ValidateImport holds the rows against each other and against the directory,
// and counts them. It returns importer.ErrLost.
func (s *Store) ValidateImport(ctx context.Context, id importer.ID, token string) (importer.Import, error) {
	var row importRow
	err := s.transact(ctx, func(tx *gorm.DB) error {
		if err := held(tx, id, token, map[string]any{"status": string(importer.Validated)}); err != nil {
			return err
		}
		if s.pool != nil {
			// Nobody has counted them yet, and the joins depend on it.
			if err := tx.Exec(`ANALYZE import_rows`).Error; err != nil {
				return err
			}
		}
		with := map[string]any{
			"import": string(id), "deleted": string(directory.Deleted), "valid": rowValid, "invalid": rowInvalid,
			"twiceID":    complaint(string(importer.ExternalID), string(importer.Duplicate), alsoOnLine),
			"twiceEmail": complaint(string(importer.Email), string(importer.Duplicate), alsoOnLine),
			"idTaken":    complaint(string(importer.ExternalID), string(importer.Taken), idIsTaken),
			"idPast":     complaint(string(importer.ExternalID), string(importer.WasDeleted), idIsPast),
			"emailTaken": complaint(string(importer.Email), string(importer.Taken), emailIsTaken),
			"unchanged":  rowUnchanged, "end": "\n",
		}
		for _, step := range validation() {
			if err := tx.Exec(step, with).Error; err != nil {
				return err
			}
		}
		if err := countRows(tx, id); err != nil {
			return err
		}
		return tx.Where("id = ?", string(id)).Take(&row).Error
	})
	return row.imported(), err
}

// validation are the statements that find what one row alone does not show.
// Each is one pass over the rows.
func validation() []string {
	return []string{
		`UPDATE import_rows SET state = @invalid,
			complaints = complaints || rtrim(@twiceID, @end) || CAST(d.other AS text) || @end
		FROM (SELECT line AS at, count(*) OVER same AS times,
				CASE line WHEN min(line) OVER same THEN max(line) OVER same ELSE min(line) OVER same END AS other
			FROM import_rows WHERE import_id = @import AND external_id <> ''
			WINDOW same AS (PARTITION BY external_id)) d
		WHERE import_id = @import AND line = d.at AND d.times > 1`,

		`UPDATE import_rows SET state = @invalid,
			complaints = complaints || rtrim(@twiceEmail, @end) || CAST(d.other AS text) || @end
		FROM (SELECT line AS at, count(*) OVER same AS times,
				CASE line WHEN min(line) OVER same THEN max(line) OVER same ELSE min(line) OVER same END AS other
			FROM import_rows WHERE import_id = @import AND email_canonical IS NOT NULL
			WINDOW same AS (PARTITION BY email_canonical)) d
		WHERE import_id = @import AND line = d.at AND d.times > 1`,

		`UPDATE import_rows SET state = @invalid,
			complaints = complaints || CASE u.status WHEN @deleted THEN @idPast ELSE @idTaken END
		FROM users u
		WHERE import_id = @import AND u.external_id = import_rows.external_id
			AND import_rows.email_canonical IS NOT NULL AND u.email_canonical <> import_rows.email_canonical`,

		`UPDATE import_rows SET state = @invalid, complaints = complaints || @emailTaken
		FROM users u
		WHERE import_id = @import AND u.email_canonical = import_rows.email_canonical
			AND u.external_id <> import_rows.external_id`,

		// Whom the directory has as they are brought, it keeps as they are.
		`UPDATE import_rows SET state = @unchanged
		FROM users u
		WHERE import_id = @import AND state = @valid AND u.external_id = import_rows.external_id
			AND u.email_canonical = import_rows.email_canonical`,
	}
}

// countRows writes down how many of the rows are what.
func countRows(tx *gorm.DB, id importer.ID) error {
	var counted struct{ Invalid, Unchanged int64 }
	err := tx.Model(&importedRow{}).Where("import_id = ?", string(id)).
		Select("count(CASE WHEN state = ? THEN 1 END) AS invalid, count(CASE WHEN state = ? THEN 1 END) AS unchanged",
			rowInvalid, rowUnchanged).Scan(&counted).Error
	if err != nil {
		return err
	}
	return tx.Model(&importRow{}).Where("id = ?", string(id)).
		Updates(map[string]any{"invalid_count": counted.Invalid, "unchanged_count": counted.Unchanged}).Error
}

// CommitRows makes users of the next rows, up to most of them, with the jobs
// that carry them to the provider. The rows' marks are in the same transaction:
// all of the batch is made, or nothing. It returns importer.ErrLost.
func (s *Store) CommitRows(ctx context.Context, id importer.ID, token string, most int, at time.Time) (batch importer.Batch, err error) {
	err = s.transact(ctx, func(tx *gorm.DB) error {
		if err := held(tx, id, token, map[string]any{"status": string(importer.Committing)}); err != nil {
			return err
		}
		var row importRow
		if err := tx.Where("id = ?", string(id)).Take(&row).Error; err != nil {
			return err
		}
		var lines []int64
		err := tx.Model(&importedRow{}).Where("import_id = ?", string(id)).Where("line > ?", row.CommittedTo).
			Where("state = ?", rowValid).Order("line").Limit(most).Pluck("line", &lines).Error
		if err != nil {
			return err
		}
		status := importer.Committing
		if batch.Over = len(lines) < most; batch.Over {
			status = importer.Committed
		}
		if len(lines) == 0 {
			return held(tx, id, token, map[string]any{"status": string(status)})
		}
		last := lines[len(lines)-1]
		made, err := s.makeUsers(tx, id, lines[0], last, at)
		if err != nil {
			return err
		}
		batch.Committed, batch.Refused = int64(len(made)), int64(len(lines)-len(made))
		return held(tx, id, token, map[string]any{
			"status": string(status), "committed_to": last,
			"committed_count": gorm.Expr("committed_count + ?", batch.Committed),
			"invalid_count":   gorm.Expr("invalid_count + ?", batch.Refused),
		})
	})
	return batch, err
}

// makeUsers makes users of the valid rows between two lines, and returns their
// ids. Whose address or id somebody has taken since the rows were validated is
// marked invalid; of the others the row forgets all but the id.
func (s *Store) makeUsers(tx *gorm.DB, id importer.ID, first, last int64, at time.Time) ([]directory.UserID, error) {
	with := map[string]any{
		"import": string(id), "first": first, "last": last, "at": storedTime(at),
		"received": string(directory.Received), "origin": string(directory.FromImport), "synced": string(directory.SyncSynced),
		"valid": rowValid, "invalid": rowInvalid, "committed": rowCommitted,
		"taken": complaint("", string(importer.Taken), takenByNow),
	}
	now := "@at"
	if s.pool != nil {
		now = "CAST(@at AS timestamptz)" // what is selected has the type of text otherwise
	}
	for _, step := range []string{
		`INSERT INTO users (id, external_id, email, email_canonical, display_name, locale, status, origin, sync,
				made_there, adopt, created_at, updated_at)
			SELECT r.user_id, r.external_id, r.email, r.email_canonical, r.display_name, r.locale, @received, @origin, @synced,
				true, i.adopt, ` + now + `, ` + now + `
			FROM import_rows r JOIN imports i ON i.id = r.import_id
			WHERE r.import_id = @import AND r.line BETWEEN @first AND @last AND r.state = @valid
			ORDER BY r.line
			ON CONFLICT DO NOTHING`,
		`UPDATE import_rows SET state = @committed, external_id = '', email = '', email_canonical = NULL, display_name = '', locale = ''
			WHERE import_id = @import AND line BETWEEN @first AND @last AND state = @valid
				AND EXISTS (SELECT 1 FROM users u WHERE u.id = import_rows.user_id)`,
		`UPDATE import_rows SET state = @invalid, complaints = @taken
			WHERE import_id = @import AND line BETWEEN @first AND @last AND state = @valid`,
	} {
		if err := tx.Exec(step, with).Error; err != nil {
			return nil, err
		}
	}
	var made []directory.UserID
	err := tx.Model(&importedRow{}).Where("import_id = ?", string(id)).Where("line BETWEEN ? AND ?", first, last).
		Where("state = ?", rowCommitted).Order("line").Pluck("user_id", &made).Error
	if err != nil {
		return nil, err
	}
	received := make([]transition, len(made))
	for i, user := range made {
		received[i] = transition{at: at, user: string(user), to: directory.Received}
	}
	if err := s.record(tx, received...); err != nil {
		return nil, err
	}
	sqltx, err := sqlTx(tx)
	if err != nil {
		return nil, err
	}
	return made, s.jobs.EnqueueImports(tx.Statement.Context, sqltx, made)
}

// Provisioning says how far the provider has the users of an import.
func (s *Store) Provisioning(ctx context.Context, id importer.ID) (importer.Provisioning, error) {
	var counted []struct {
		Status string
		Users  int64
	}
	err := s.db.WithContext(ctx).Raw(`
		SELECT u.status AS status, count(*) AS users
		FROM import_rows r JOIN users u ON u.id = r.user_id
		WHERE r.import_id = @import AND r.state = @committed GROUP BY u.status`,
		map[string]any{"import": string(id), "committed": rowCommitted}).Scan(&counted).Error
	var p importer.Provisioning
	for _, c := range counted {
		switch directory.Status(c.Status) {
		case directory.Received, directory.Provisioning:
			p.Pending += c.Users
		case directory.Failed, directory.Conflict:
			p.Refused += c.Users
		default:
			p.Settled += c.Users
		}
	}
	return p, translate(err)
}
