package store

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
)

// enqueue inserts a job about the user in the transaction that causes it.
func (s *Store) enqueue(
	tx *gorm.DB, insert func(ctx context.Context, tx *sql.Tx, id directory.UserID) error, id directory.UserID,
) error {
	sqltx, err := sqlTx(tx)
	if err != nil {
		return err
	}
	return insert(tx.Statement.Context, sqltx, id)
}

// InviteUser stores a new user and the job that carries them to the provider.
// It returns account.ErrEmailTaken or account.ErrExternalIDTaken.
func (s *Store) InviteUser(ctx context.Context, user directory.User) (directory.User, error) {
	row := rowOfUser(user)
	err := s.transact(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		err := s.record(tx, transition{at: user.CreatedAt, user: row.ID, to: user.Status})
		if err != nil {
			return err
		}
		return s.enqueue(tx, s.jobs.EnqueueEnrol, user.ID)
	})
	switch {
	case violates(err, "users_email_canonical_key"):
		return directory.User{}, account.ErrEmailTaken
	case violates(err, "users_external_id_key"):
		return directory.User{}, account.ErrExternalIDTaken
	case err != nil:
		return directory.User{}, err
	}
	return row.user(), nil
}

// rowOfUser is a user who has just been made here, and whom we make at the
// provider.
func rowOfUser(u directory.User) userRow {
	return userRow{
		ID:             string(u.ID),
		ExternalID:     string(u.ExternalID),
		Email:          u.Email.String(),
		EmailCanonical: u.Email.Canonical(),
		DisplayName:    u.DisplayName,
		Status:         string(u.Status),
		Origin:         string(u.Origin),
		Locale:         u.Locale,
		MadeThere:      true,
		Sync:           string(u.Sync),
		Version:        u.Version,
		CreatedAt:      storedTime(u.CreatedAt),
		UpdatedAt:      storedTime(u.UpdatedAt),
	}
}

// RemindUser stores the job that sends the user's enrolment mail again. It
// returns account.ErrNotFound or an *account.StatusError.
func (s *Store) RemindUser(ctx context.Context, id directory.UserID, at time.Time) (directory.User, error) {
	return s.changeUser(ctx, id, account.AnyVersion, func(tx *gorm.DB, before userRow) error {
		if err := account.Remindable(before.user()); err != nil {
			return err
		}
		if err := s.recordChange(tx, before.ID, "user.reminded", at); err != nil {
			return err
		}
		return s.enqueue(tx, s.jobs.EnqueueRemind, id)
	})
}

// RetryUser has the provider asked again about what has failed. It returns
// account.ErrNotFound or an *account.StatusError.
func (s *Store) RetryUser(ctx context.Context, id directory.UserID, at time.Time) (directory.User, error) {
	return s.changeUser(ctx, id, account.AnyVersion, func(tx *gorm.DB, before userRow) error {
		next, err := account.Retried(before.user())
		if err != nil {
			return err
		}
		if string(next) == before.Status {
			if err := s.recordChange(tx, before.ID, "user.retried", at); err != nil {
				return err
			}
			return s.wantSync(tx, id)
		}
		return s.provisionAgain(tx, before, at, map[string]any{"adopt_internal_id": nil})
	})
}

// AdoptUser resolves a conflict in favour of a user of the provider's, who was
// there before us and stays when ours is deleted. It returns
// account.ErrNotFound, account.ErrVersion, account.ErrInternalIDTaken or an
// *account.StatusError.
func (s *Store) AdoptUser(
	ctx context.Context, id directory.UserID, there directory.InternalID, version int64, at time.Time,
) (directory.User, error) {
	return s.changeUser(ctx, id, version, func(tx *gorm.DB, before userRow) error {
		if err := account.Adoptable(before.user()); err != nil {
			return err
		}
		// Whoever gets it between now and then is found by the constraint, when
		// the id is stored.
		var others int64
		err := tx.Model(&userRow{}).Where("internal_id = ?", string(there)).Count(&others).Error
		if err != nil {
			return err
		}
		if others > 0 {
			return account.ErrInternalIDTaken
		}
		return s.provisionAgain(tx, before, at, map[string]any{"adopt_internal_id": string(there), "made_there": false})
	})
}

// provisionAgain has a user carried to the provider whom it has refused.
func (s *Store) provisionAgain(tx *gorm.DB, before userRow, at time.Time, change map[string]any) error {
	change["provision_last_error_class"] = nil
	change["provision_ambiguous_until"] = nil
	if err := s.moveUser(tx, before, directory.Provisioning, at, change); err != nil {
		return err
	}
	return s.enqueue(tx, s.jobs.EnqueueEnrol, directory.UserID(before.ID))
}
