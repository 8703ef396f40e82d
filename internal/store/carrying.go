package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
)

// FindChange returns provision.ErrNotFound when there is no such user.
func (s *Store) FindChange(ctx context.Context, id directory.UserID) (provision.Change, error) {
	var row userRow
	err := s.db.WithContext(ctx).Where("id = ?", string(id)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return provision.Change{}, provision.ErrNotFound
	}
	if err != nil {
		return provision.Change{}, translate(err)
	}
	return provision.Change{
		User:            row.user(),
		Number:          row.SyncChange,
		UnsureUntil:     orZero(row.SyncAmbiguousUntil),
		ClaimedUntil:    orZero(row.SyncClaimedUntil),
		MadeThere:       row.MadeThere,
		AdoptInternalID: directory.InternalID(orEmpty(row.AdoptInternalID)),
		Attempt:         row.ProvisionAttempt,
		AmbiguousUntil:  orZero(row.ProvisionAmbiguousUntil),
	}, nil
}

// BeginChange claims the user for a worker. It reports whether they are still
// as c says, and nobody else has them. One whose worker has died can be
// claimed when the claim is over.
func (s *Store) BeginChange(ctx context.Context, c provision.Change, claim provision.Claim) (bool, error) {
	claimed := s.db.WithContext(ctx).Model(&userRow{}).
		Where("id = ?", string(c.User.ID)).Where("status = ?", string(c.User.Status)).
		Where("sync = ?", string(directory.SyncPending)).Where("sync_change = ?", c.Number).
		Where("provision_attempt = ?", c.Attempt).
		Where("internal_id IS NOT DISTINCT FROM "+s.cast("text"), orNull(string(c.User.InternalID))).
		Where("sync_ambiguous_until IS NOT DISTINCT FROM "+s.cast("timestamptz"), storedTimeOrNull(c.UnsureUntil)).
		Where("sync_claimed_until IS NULL OR sync_claimed_until <= ?", storedTime(claim.At)).
		UpdateColumns(map[string]any{
			"sync_claimed_until":   storedTime(claim.Until),
			"sync_ambiguous_until": storedTimeOrNull(claim.UnsureUntil),
		})
	return claimed.RowsAffected == 1, translate(claimed.Error)
}

// EndChange records what a call has come to and gives the user free. What it
// says of the change holds only if there is no newer one by now. It reports
// whether the claim still held.
func (s *Store) EndChange(ctx context.Context, c provision.Change, o provision.Outcome) (bool, error) {
	ended := s.held(s.db.WithContext(ctx), c).UpdateColumns(map[string]any{
		"sync": gorm.Expr("CASE WHEN sync_change = ? THEN "+s.cast("text")+" ELSE sync END", c.Number, string(o.Sync)),
		"sync_error_class": gorm.Expr("CASE WHEN sync_change = ? THEN "+s.cast("text")+" ELSE sync_error_class END",
			c.Number, orNull(string(o.Class))),
		"sync_ambiguous_until": storedTimeOrNull(o.UnsureUntil),
		"sync_claimed_until":   nil,
	})
	return ended.RowsAffected == 1, translate(ended.Error)
}

// held finds the user while the worker's claim holds.
func (*Store) held(tx *gorm.DB, c provision.Change) *gorm.DB {
	return tx.Model(&userRow{}).
		Where("id = ?", string(c.User.ID)).Where("sync_claimed_until = ?", storedTime(c.ClaimedUntil))
}

// DoubtChange has a user whom the provider has looked at, and sent once more,
// after unsureUntil.
func (s *Store) DoubtChange(ctx context.Context, id directory.UserID, unsureUntil time.Time) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		doubted := tx.Model(&userRow{}).Where("id = ?", string(id)).Where("internal_id IS NOT NULL").
			UpdateColumn("sync_ambiguous_until", storedTime(unsureUntil))
		if doubted.Error != nil || doubted.RowsAffected == 0 {
			return doubted.Error
		}
		return s.wantSync(tx, id)
	})
}

// KnowLeaving records under which id the provider has a user who is to be
// deleted, and gives them free. It returns provision.ErrInternalIDTaken.
func (s *Store) KnowLeaving(ctx context.Context, c provision.Change, internalID directory.InternalID) (bool, error) {
	known := s.held(s.db.WithContext(ctx), c).
		Where("status = ?", string(directory.Deleting)).Where("internal_id IS NULL").
		UpdateColumns(map[string]any{"internal_id": string(internalID), "sync_claimed_until": nil})
	if violates(known.Error, "users_internal_id_key") {
		return false, provision.ErrInternalIDTaken
	}
	return known.RowsAffected == 1, translate(known.Error)
}
