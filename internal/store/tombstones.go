package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
)

// tombDomain is under a name that is reserved for what resolves to nothing
// (RFC 6761 §6.4): the address of a tombstone is nobody's, and its own.
const tombDomain = "@deleted.invalid"

// Bury makes a tombstone of a user who is to be deleted: nothing is left of the
// person but the ids, which are never used again, and their address is free. It
// reports whether the claim still held and the user was still to be deleted.
func (s *Store) Bury(ctx context.Context, c provision.Change, class string, at time.Time) (bool, error) {
	buried := false
	err := s.transact(ctx, func(tx *gorm.DB) error {
		id := string(c.User.ID)
		updated := s.held(tx, c).Where("status = ?", string(directory.Deleting)).UpdateColumns(map[string]any{
			"status":                     string(directory.Deleted),
			"email":                      "",
			"email_canonical":            id + tombDomain,
			"display_name":               "",
			"locale":                     "",
			"internal_id":                nil,
			"issuer":                     nil,
			"subject":                    nil,
			"adopt_internal_id":          nil,
			"provision_ambiguous_until":  nil,
			"provision_last_error_class": nil,
			"sync":                       string(directory.SyncSynced),
			"sync_error_class":           nil,
			"sync_ambiguous_until":       nil,
			"sync_claimed_until":         nil,
			"check_at":                   nil,
			"delete_after":               nil,
			"deleted_at":                 storedTime(at),
			"updated_at":                 storedTime(at),
		})
		if buried = updated.RowsAffected == 1; updated.Error != nil || !buried {
			return updated.Error
		}
		// They ended when the user left, and nobody signs in who is leaving. That
		// none outlives its user is not left to that.
		if err := tx.Where("user_id = ?", id).Delete(&sessionRow{}).Error; err != nil {
			return err
		}
		return s.record(tx, transition{
			at: at, user: id, from: directory.Deleting, to: directory.Deleted, class: class,
		})
	})
	return buried && err == nil, err
}
