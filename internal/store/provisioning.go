package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
)

// FindSubject returns provision.ErrNotFound when there is no such sign-up.
func (s *Store) FindSubject(ctx context.Context, id signup.ID) (provision.Subject, error) {
	var receipt signupRow
	db := s.db.WithContext(ctx)
	err := db.Select("user_id", "kind").Where("id = ?", string(id)).Take(&receipt).Error
	if err == nil {
		var user userRow
		// A receipt whose user is gone compares as NULL, and finds nobody.
		if err = db.Where("id = ?", receipt.UserID).Take(&user).Error; err == nil {
			return user.subject(receipt.Kind), nil
		}
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return provision.Subject{}, provision.ErrNotFound
	}
	return provision.Subject{}, translate(err)
}

// BeginAttempt records that attempt+1 is about to be sent, unless another
// worker has begun it. It reports whether it did.
func (s *Store) BeginAttempt(ctx context.Context, id directory.UserID, attempt int, ambiguousUntil time.Time) (bool, error) {
	return s.moveUser(ctx, id, &attempt, map[string]any{
		"status":                    string(directory.Provisioning),
		"provision_attempt":         attempt + 1,
		"provision_ambiguous_until": storedTime(ambiguousUntil),
	})
}

// Postpone records why the attempt did not settle the user.
func (s *Store) Postpone(ctx context.Context, id directory.UserID, attempt int, ambiguousUntil time.Time, class string) (bool, error) {
	var until *time.Time
	if !ambiguousUntil.IsZero() {
		stored := storedTime(ambiguousUntil)
		until = &stored
	}
	return s.moveUser(ctx, id, &attempt, map[string]any{
		"provision_ambiguous_until":  until,
		"provision_last_error_class": class,
	})
}

// Invite records that the provider has the user, and under which id. The id is
// written once: a user who has one is not touched. It returns
// provision.ErrInternalIDTaken when another user here has that id.
func (s *Store) Invite(ctx context.Context, id directory.UserID, internalID directory.InternalID) (bool, error) {
	moved, err := s.moveUser(ctx, id, nil, map[string]any{
		"status":                     string(directory.Invited),
		"internal_id":                string(internalID),
		"provision_ambiguous_until":  nil,
		"provision_last_error_class": nil,
	})
	if violates(err, "users_internal_id_key") {
		return false, provision.ErrInternalIDTaken
	}
	return moved, err
}

// Refuse ends provisioning in status failed or conflict.
func (s *Store) Refuse(ctx context.Context, id directory.UserID, status directory.Status, class string) (bool, error) {
	return s.moveUser(ctx, id, nil, map[string]any{
		"status":                     string(status),
		"provision_ambiguous_until":  nil,
		"provision_last_error_class": class,
	})
}

// moveUser changes a user who is still to be provisioned, and at that attempt
// where one is given. It reports whether there was one.
func (s *Store) moveUser(ctx context.Context, id directory.UserID, attempt *int, change map[string]any) (bool, error) {
	change["updated_at"] = storedTime(s.db.NowFunc())
	query := s.db.WithContext(ctx).Model(&userRow{}).
		Where("id = ?", string(id)).
		Where("status IN ?", inProvisioning()).
		Where("internal_id IS NULL")
	if attempt != nil {
		query = query.Where("provision_attempt = ?", *attempt)
	}
	moved := query.Updates(change)
	return moved.RowsAffected == 1, translate(moved.Error)
}

// Settle records that nothing is left to do for the sign-up.
func (s *Store) Settle(ctx context.Context, id signup.ID, at time.Time) error {
	return translate(s.db.WithContext(ctx).Model(&signupRow{}).
		Where("id = ?", string(id)).Where("settled_at IS NULL").
		Update("settled_at", storedTime(at)).Error)
}
