package store

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

// AcceptSignup stores the receipt, the user unless someone has the address,
// and the job, in one transaction.
func (s *Store) AcceptSignup(ctx context.Context, a signup.Acceptance) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		user := rowOfUser(a.User)
		kind := signup.New
		// Of two sign-ups with one address the second waits here for the
		// first to commit, and then finds its row.
		inserted := tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "email_canonical"}},
			DoNothing: true,
		}).Create(&user)
		if inserted.Error != nil {
			return inserted.Error
		}
		userID := user.ID
		if inserted.RowsAffected == 0 {
			kind = signup.Duplicate
			err := tx.Model(&userRow{}).Where("email_canonical = ?", user.EmailCanonical).Select("id").Take(&userID).Error
			if err != nil {
				return err
			}
		}
		receipt := rowOfSignup(a, userID, kind)
		if err := tx.Create(&receipt).Error; err != nil {
			return err
		}
		sqltx, err := sqlTx(tx)
		if err != nil {
			return err
		}
		return s.jobs.EnqueueSignup(ctx, sqltx, a.ID)
	})
}

// FindSignup returns signup.ErrNotFound when no sign-up has the receipt.
func (s *Store) FindSignup(ctx context.Context, hash signup.Hash) (signup.Record, error) {
	var row struct {
		Kind      string
		CreatedAt time.Time
		SettledAt *time.Time
		Status    string
	}
	found := s.db.WithContext(ctx).Raw(`
		SELECT s.kind, s.created_at, s.settled_at, u.status
		FROM signups s JOIN users u ON u.id = s.user_id
		WHERE s.receipt_hash = @hash`, map[string]any{"hash": hash[:]}).Scan(&row)
	if found.Error != nil {
		return signup.Record{}, translate(found.Error)
	}
	if found.RowsAffected == 0 {
		return signup.Record{}, signup.ErrNotFound
	}
	record := signup.Record{
		Kind:       signup.Kind(row.Kind),
		CreatedAt:  row.CreatedAt.UTC(),
		UserStatus: directory.Status(row.Status),
	}
	if row.SettledAt != nil {
		record.SettledAt = row.SettledAt.UTC()
	}
	return record, nil
}
