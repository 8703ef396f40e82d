package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
)

// FindUserSubject returns provision.ErrNotFound when there is no such user.
func (s *Store) FindUserSubject(ctx context.Context, id directory.UserID) (provision.Subject, error) {
	var row userRow
	err := s.db.WithContext(ctx).Where("id = ?", string(id)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return provision.Subject{}, provision.ErrNotFound
	}
	if err != nil {
		return provision.Subject{}, translate(err)
	}
	subject := provision.Subject{AcceptedAt: row.CreatedAt.UTC(), Locale: row.Locale}
	row.into(&subject)
	return subject, nil
}

// BeginLook records that the provider is asked about the user. It reports
// whether they are as the subject says.
func (s *Store) BeginLook(ctx context.Context, subject provision.Subject, at time.Time) (bool, error) {
	return s.move(ctx, subject, transition{at: at, to: directory.Provisioning}, map[string]any{}, sameAttempt)
}

// TakeOver records that somebody whom the provider had before is the user. It
// returns provision.ErrInternalIDTaken when another user here has that id.
func (s *Store) TakeOver(ctx context.Context, subject provision.Subject, t provision.Takeover) (bool, error) {
	change := map[string]any{
		"internal_id":                string(t.InternalID),
		"made_there":                 false,
		"adopt_internal_id":          nil,
		"provision_ambiguous_until":  nil,
		"provision_last_error_class": nil,
		"check_at":                   storedTime(t.At.Add(firstCheck)),
	}
	to := directory.Invited
	if t.Active {
		to = directory.Active
		change["activated_at"] = storedTime(t.At)
	}
	if t.Differs {
		change["sync"], change["sync_since"] = string(directory.SyncPending), storedTime(t.At)
		change["sync_change"] = gorm.Expr("sync_change + 1")
		change["sync_error_class"] = nil
	}
	moved, err := s.move(ctx, subject, transition{at: t.At, to: to, point: "invite"}, change, sameAttempt)
	if violates(err, "users_internal_id_key") {
		return false, provision.ErrInternalIDTaken
	}
	return moved, err
}
