package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
)

// FindUser returns account.ErrNotFound when nobody has the id, not even as a
// tombstone.
func (s *Store) FindUser(ctx context.Context, id directory.UserID) (directory.User, error) {
	var row userRow
	err := s.db.WithContext(ctx).Where("id = ?", string(id)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return directory.User{}, account.ErrNotFound
	}
	if err != nil {
		return directory.User{}, translate(err)
	}
	return row.user(), nil
}

// changeUser locks the user, holds their version against the one that is named,
// and returns them as they are after change. It returns account.ErrNotFound,
// for tombstones too, or account.ErrVersion.
func (s *Store) changeUser(
	ctx context.Context, id directory.UserID, version int64, change func(tx *gorm.DB, before userRow) error,
) (directory.User, error) {
	var after userRow
	err := s.transact(ctx, func(tx *gorm.DB) error {
		var before userRow
		// The lock orders changes of one user, and their logins: whichever comes
		// second sees the first.
		err := s.locked(tx).Where("id = ?", string(id)).Take(&before).Error
		switch {
		case errors.Is(err, gorm.ErrRecordNotFound) || err == nil && before.Status == string(directory.Deleted):
			return account.ErrNotFound
		case err != nil:
			return err
		case version != account.AnyVersion && version != before.Version:
			return account.ErrVersion
		}
		if err := change(tx, before); err != nil {
			return err
		}
		// Read again: the version is the schema's to move.
		return tx.Where("id = ?", string(id)).Take(&after).Error
	})
	if violates(err, "users_email_canonical_key") {
		return directory.User{}, account.ErrEmailTaken
	}
	if err != nil {
		return directory.User{}, err
	}
	return after.user(), nil
}

// put stores what has changed of a user who is locked.
func put(tx *gorm.DB, id string, at time.Time, change map[string]any) error {
	change["updated_at"] = storedTime(at)
	return tx.Model(&userRow{}).Where("id = ?", id).UpdateColumns(change).Error
}

// moveUser stores a user's move to another status, with what changes with it,
// and its line of the audit.
func (s *Store) moveUser(tx *gorm.DB, before userRow, to directory.Status, at time.Time, change map[string]any) error {
	if before.Status == string(directory.Active) && to != directory.Active {
		// Before the schema's trigger does so without a word.
		if err := s.shutOut(tx, before); err != nil {
			return err
		}
	}
	was, is := shownValues(before, change)
	change["status"] = string(to)
	if err := put(tx, before.ID, at, change); err != nil {
		return err
	}
	return s.record(tx, transition{
		at: at, user: before.ID, from: directory.Status(before.Status), to: to, before: was, after: is,
	})
}

// UpdateUser changes the user's data, and has the provider told of what it has
// of it. It returns account.ErrNotFound, account.ErrVersion,
// account.ErrEmailTaken or an *account.StatusError.
func (s *Store) UpdateUser(ctx context.Context, id directory.UserID, edit account.Edit, version int64) (directory.User, error) {
	return s.changeUser(ctx, id, version, func(tx *gorm.DB, before userRow) error {
		if err := account.Editable(before.user()); err != nil {
			return err
		}
		return s.edit(tx, before, edit)
	})
}

// edit stores what is new in the edit of a user who is locked.
func (s *Store) edit(tx *gorm.DB, before userRow, edit account.Edit) error {
	change := make(map[string]any)
	if edit.DisplayName != nil && *edit.DisplayName != before.DisplayName {
		change["display_name"] = *edit.DisplayName
	}
	if edit.Email != nil && edit.Email.String() != before.Email {
		change["email"], change["email_canonical"] = edit.Email.String(), edit.Email.Canonical()
	}
	carried := len(change) > 0 // the provider has no locale of ours
	if edit.Locale != nil && *edit.Locale != before.Locale {
		change["locale"] = *edit.Locale
	}
	if len(change) == 0 {
		return nil
	}
	if err := put(tx, before.ID, edit.At, change); err != nil {
		return err
	}
	if err := s.movedOut(tx, before, edit); err != nil {
		return err
	}
	if err := s.recordValues(tx, before, "user.updated", edit.At, change); err != nil || !carried {
		return err
	}
	return s.wantSync(tx, directory.UserID(before.ID))
}

// movedOut sees to what follows from another address, if the edit has one: a
// code for yet another is of no use any more, and the old one is told.
func (s *Store) movedOut(tx *gorm.DB, before userRow, edit account.Edit) error {
	if edit.Email == nil || edit.Email.Canonical() == before.EmailCanonical {
		return nil
	}
	if err := forgetWish(tx, before.ID); err != nil {
		return err
	}
	// Before they were active it may have been somebody else's, by a mistake in
	// typing.
	if !edit.Tell || before.ActivatedAt == nil {
		return nil
	}
	return s.write(tx, letterAbout(before, account.LetterEmailChanged, edit.At))
}

// SuspendUser ends the user's sessions and lets them sign in no more. The
// provider is not told: it knows no suspension. It returns account.ErrNotFound,
// account.ErrVersion or an *account.StatusError.
func (s *Store) SuspendUser(ctx context.Context, id directory.UserID, version int64, at time.Time) (directory.User, error) {
	return s.changeUser(ctx, id, version, func(tx *gorm.DB, before userRow) error {
		changes, err := account.Suspended(before.user())
		if err != nil || !changes {
			return err
		}
		err = s.moveUser(tx, before, directory.Suspended, at, map[string]any{"suspended_at": storedTime(at)})
		if err != nil {
			return err
		}
		return s.shutOut(tx, before)
	})
}

// shutOut ends all that the user could act by. A trigger of the schema has done
// so for who was active; others have nothing, unless something went wrong.
func (s *Store) shutOut(tx *gorm.DB, user userRow) error {
	if _, err := s.endOfUsers(tx, audit.Revoked, []string{user.ID}, tx.Model(&sessionRow{}), tx); err != nil {
		return err
	}
	return forgetWish(tx, user.ID)
}

// RestoreUser undoes a suspension or, within its grace period, a deletion. It
// returns account.ErrNotFound, account.ErrVersion or an *account.StatusError.
func (s *Store) RestoreUser(ctx context.Context, id directory.UserID, version int64, at time.Time) (directory.User, error) {
	return s.changeUser(ctx, id, version, func(tx *gorm.DB, before userRow) error {
		next, err := account.Restored(before.user(), before.ActivatedAt != nil, at)
		if err != nil {
			return err
		}
		change := map[string]any{"delete_after": nil}
		if next != directory.Suspended {
			change["suspended_at"] = nil
		}
		err = s.moveUser(tx, before, next, at, change)
		switch {
		case err != nil:
			return err
		case next == directory.Provisioning:
			return s.enqueue(tx, s.jobs.EnqueueEnrol, id)
		case before.Status == string(directory.Suspended):
			return nil
		default: // what was about to be deleted there is to stay, as it now is
			return s.wantSync(tx, id)
		}
	})
}

// DeleteUser ends the user's sessions and has them deleted when the grace
// period is over. It returns account.ErrNotFound, account.ErrVersion or an
// *account.StatusError.
func (s *Store) DeleteUser(ctx context.Context, id directory.UserID, deletion account.Deletion, version int64) (directory.User, error) {
	return s.changeUser(ctx, id, version, func(tx *gorm.DB, before userRow) error {
		err := account.Deletable(before.user(), deletion.After)
		if err != nil {
			return err
		}
		change := map[string]any{"delete_after": storedTime(deletion.After)}
		if before.Status == string(directory.Deleting) {
			err = s.hasten(tx, before, deletion.At, change)
		} else {
			err = s.moveUser(tx, before, directory.Deleting, deletion.At, change)
		}
		if err != nil {
			return err
		}
		if err := s.shutOut(tx, before); err != nil {
			return err
		}
		if deletion.Tell {
			letter := letterAbout(before, account.LetterClosing, deletion.At)
			letter.DueAt = storedTimeOrNull(deletion.After)
			if err := s.write(tx, letter); err != nil {
				return err
			}
		}
		return s.wantSync(tx, id)
	})
}

// hasten brings the deletion of a user forward.
func (s *Store) hasten(tx *gorm.DB, before userRow, at time.Time, change map[string]any) error {
	if err := put(tx, before.ID, at, change); err != nil {
		return err
	}
	return s.recordValues(tx, before, "user.deletion_hastened", at, change)
}
