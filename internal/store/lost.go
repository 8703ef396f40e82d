package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
)

// PendingChanges returns users of whom something is to be carried to the
// provider by now, in the order of their ids, beyond those up to after.
func (s *Store) PendingChanges(ctx context.Context, now time.Time, after directory.UserID, limit int) ([]directory.UserID, error) {
	return pluckUsers(s.beyond(ctx, after, limit).Where("sync = ?", string(directory.SyncPending)).
		Where("CASE status WHEN 'deleting' THEN delete_after <= ? WHEN 'deleted' THEN FALSE ELSE internal_id IS NOT NULL END",
			storedTime(now)))
}

// PendingUsers returns users who are not at the provider yet and have no
// sign-up under way: those who were imported, or all others.
func (s *Store) PendingUsers(ctx context.Context, imported bool, after directory.UserID, limit int) ([]directory.UserID, error) {
	from := "origin <> ?"
	if imported {
		from = "origin = ?"
	}
	return pluckUsers(s.beyond(ctx, after, limit).
		Where("status IN ?", []string{string(directory.Received), string(directory.Provisioning)}).
		Where(from, string(directory.FromImport)).
		Where("NOT EXISTS (SELECT 1 FROM signups s WHERE s.user_id = users.id AND s.kind = 'new' AND s.settled_at IS NULL)"))
}

// beyond is a query for users in the order of their ids.
func (s *Store) beyond(ctx context.Context, after directory.UserID, limit int) *gorm.DB {
	if after == "" {
		after = directory.UserID(uuid.Nil.String())
	}
	return s.db.WithContext(ctx).Model(&userRow{}).Where("id > ?", string(after)).Order("id").Limit(limit)
}

func pluckUsers(query *gorm.DB) ([]directory.UserID, error) {
	var ids []directory.UserID
	err := query.Pluck("id", &ids).Error
	return ids, translate(err)
}

// ReviveUnsupported makes up to limit changes pending again that there was no
// interface for, with their jobs. It returns how many.
func (s *Store) ReviveUnsupported(ctx context.Context, limit int) (int, error) {
	var ids []directory.UserID
	err := s.transact(ctx, func(tx *gorm.DB) error {
		err := s.locked(tx).Model(&userRow{}).
			Where("sync = ?", string(directory.SyncFailed)).Where("sync_error_class = ?", provision.ClassUnsupported).
			Order("id").Limit(limit).Pluck("id", &ids).Error
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := s.wantSync(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	return len(ids), err
}
