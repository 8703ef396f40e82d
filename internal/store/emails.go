package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
)

// emailChangeRow is a row of email_changes.
type emailChangeRow struct {
	UserID         string    `gorm:"column:user_id;primaryKey"`
	ID             string    `gorm:"column:id"`
	Email          string    `gorm:"column:email"`
	EmailCanonical string    `gorm:"column:email_canonical"`
	CodeHash       *[]byte   `gorm:"column:code_hash"`
	Tries          int       `gorm:"column:tries"`
	CreatedAt      time.Time `gorm:"column:created_at"`
	ExpiresAt      time.Time `gorm:"column:expires_at"`
}

func (emailChangeRow) TableName() string { return "email_changes" }

func (r emailChangeRow) change() account.EmailChange {
	change := account.EmailChange{
		ID:        account.EmailChangeID(r.ID),
		User:      directory.UserID(r.UserID),
		Email:     directory.RestoreEmail(r.Email, r.EmailCanonical),
		Tries:     r.Tries,
		At:        r.CreatedAt.UTC(),
		ExpiresAt: r.ExpiresAt.UTC(),
	}
	if r.CodeHash != nil {
		hash := account.CodeHash(*r.CodeHash) // the schema holds the length
		change.Hash = &hash
	}
	return change
}

// RequestEmail stores the wish in place of the user's last, and the job that
// mails its code. It does the same whoever has the address. It returns
// account.ErrNotFound or an *account.StatusError.
func (s *Store) RequestEmail(ctx context.Context, change account.EmailChange) error {
	_, err := s.changeUser(ctx, change.User, account.AnyVersion, func(tx *gorm.DB, before userRow) error {
		if err := account.Editable(before.user()); err != nil {
			return err
		}
		row := emailChangeRow{
			UserID: before.ID, ID: string(change.ID), Email: change.Email.String(), EmailCanonical: change.Email.Canonical(),
			CreatedAt: storedTime(change.At), ExpiresAt: storedTime(change.ExpiresAt),
		}
		instead := clause.OnConflict{Columns: []clause.Column{{Name: "user_id"}}, UpdateAll: true}
		if err := tx.Clauses(instead).Create(&row).Error; err != nil {
			return err
		}
		if err := s.recordChange(tx, before.ID, "user.email_requested", change.At); err != nil {
			return err
		}
		sqltx, err := sqlTx(tx)
		if err != nil {
			return err
		}
		return s.jobs.EnqueueEmailProof(ctx, sqltx, change.ID)
	})
	return err
}

// FindEmailChange returns account.ErrNotFound when there is no such wish, or no
// longer.
func (s *Store) FindEmailChange(ctx context.Context, id account.EmailChangeID) (account.PendingEmail, error) {
	db := s.db.WithContext(ctx)
	var wish emailChangeRow
	var user userRow
	err := db.Where("id = ?", string(id)).Take(&wish).Error
	if err == nil {
		err = db.Where("id = ?", wish.UserID).Take(&user).Error
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return account.PendingEmail{}, account.ErrNotFound
	}
	if err != nil {
		return account.PendingEmail{}, translate(err)
	}
	pending := account.PendingEmail{Change: wish.change(), User: user.user()}
	var owner userRow
	err = db.Where("email_canonical = ?", wish.EmailCanonical).Take(&owner).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return pending, nil
	}
	pending.Owner = owner.user()
	return pending, translate(err)
}

// KeepCode stores the hash of the code that is about to be mailed. It reports
// whether the wish was still there.
func (s *Store) KeepCode(ctx context.Context, id account.EmailChangeID, hash account.CodeHash) (bool, error) {
	kept := s.db.WithContext(ctx).Model(&emailChangeRow{}).Where("id = ?", string(id)).UpdateColumn("code_hash", hash[:])
	return kept.RowsAffected == 1, translate(kept.Error)
}

// ConfirmEmail gives the user the address that the code proves, and counts one
// that proves nothing. It returns account.ErrNotFound, account.ErrEmailCode,
// account.ErrEmailTaken or an *account.StatusError.
func (s *Store) ConfirmEmail(
	ctx context.Context, user directory.UserID, code account.EmailCode, tell bool, at time.Time,
) (directory.User, error) {
	proven := false
	// The user's lock orders those who try at once: each sees the tries of the
	// one before, and the wish of who was right is gone.
	after, err := s.changeUser(ctx, user, account.AnyVersion, func(tx *gorm.DB, before userRow) error {
		if err := account.Editable(before.user()); err != nil {
			return err
		}
		var wish emailChangeRow
		err := tx.Where("user_id = ?", before.ID).Take(&wish).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return account.ErrEmailCode
		}
		if err != nil {
			return err
		}
		change := wish.change()
		switch proven = change.Proves(code, at); {
		case !proven && change.Open(at):
			return s.countTry(tx, before.ID, at)
		case !proven:
			return account.ErrEmailCode
		}
		if err := forgetWish(tx, before.ID); err != nil {
			return err
		}
		return s.edit(tx, before, account.Edit{Email: &change.Email, At: at, Tell: tell})
	})
	if err == nil && !proven { // what was tried is committed
		return directory.User{}, account.ErrEmailCode
	}
	return after, err
}

// countTry notes that a code was wrong.
func (s *Store) countTry(tx *gorm.DB, user string, at time.Time) error {
	err := tx.Model(&emailChangeRow{}).Where("user_id = ?", user).UpdateColumn("tries", gorm.Expr("tries + 1")).Error
	if err != nil {
		return err
	}
	return s.recordChange(tx, user, "user.email_code_refused", at)
}

// forgetWish makes the code of the user's wish for another address useless, if
// there is one.
func forgetWish(tx *gorm.DB, user string) error {
	return tx.Where("user_id = ?", user).Delete(&emailChangeRow{}).Error
}

// letterRow is a row of letters.
type letterRow struct {
	ID        string     `gorm:"column:id;primaryKey"`
	UserID    string     `gorm:"column:user_id"`
	Kind      string     `gorm:"column:kind"`
	Address   string     `gorm:"column:address"`
	Locale    string     `gorm:"column:locale"`
	DueAt     *time.Time `gorm:"column:due_at"`
	CreatedAt time.Time  `gorm:"column:created_at"`
}

func (letterRow) TableName() string { return "letters" }

// letterAbout is a letter to the address that the user has now.
func letterAbout(user userRow, kind account.LetterKind, at time.Time) letterRow {
	return letterRow{
		ID: uuid.Must(uuid.NewV7()).String(), UserID: user.ID, Kind: string(kind),
		Address: user.Email, Locale: user.Locale, CreatedAt: storedTime(at),
	}
}

// write stores a letter and the job that sends it.
func (s *Store) write(tx *gorm.DB, letter letterRow) error {
	if err := tx.Create(&letter).Error; err != nil {
		return err
	}
	sqltx, err := sqlTx(tx)
	if err != nil {
		return err
	}
	return s.jobs.EnqueueLetter(tx.Statement.Context, sqltx, account.LetterID(letter.ID))
}

// FindLetter returns account.ErrNotFound when the letter has been sent or
// dropped.
func (s *Store) FindLetter(ctx context.Context, id account.LetterID) (account.Letter, error) {
	var row letterRow
	err := s.db.WithContext(ctx).Where("id = ?", string(id)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return account.Letter{}, account.ErrNotFound
	}
	if err != nil {
		return account.Letter{}, translate(err)
	}
	return account.Letter{
		ID: id, User: directory.UserID(row.UserID), Kind: account.LetterKind(row.Kind),
		To: row.Address, Locale: row.Locale, When: orZero(row.DueAt), At: row.CreatedAt.UTC(),
	}, nil
}

// DropLetter forgets the letter.
func (s *Store) DropLetter(ctx context.Context, id account.LetterID) error {
	return translate(s.db.WithContext(ctx).Where("id = ?", string(id)).Delete(&letterRow{}).Error)
}

// BeginOwnerNotice marks the owner of an address as told of the wish for it,
// which is as old as they say, unless they were told of another since before.
// It reports whether it did.
func (s *Store) BeginOwnerNotice(ctx context.Context, owner directory.UserID, wish, before time.Time) (bool, error) {
	begun := s.db.WithContext(ctx).Model(&userRow{}).Where("id = ?", string(owner)).
		Where("notice_at IS NULL OR notice_at <= ? OR notice_at = ? AND notice_sent_at IS NULL", storedTime(before), storedTime(wish)).
		UpdateColumns(map[string]any{"notice_at": storedTime(wish), "notice_sent_at": storedTime(wish)})
	return begun.RowsAffected == 1, translate(begun.Error)
}
