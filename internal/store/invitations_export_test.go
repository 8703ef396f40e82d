package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/invitation"
)

// RedeemInvitation takes one use in a transaction that does nothing else. With
// an error of its own, fail undoes that.
func RedeemInvitation(
	ctx context.Context, s *Store, hash invitation.Hash, emailCanonical string, now time.Time, fail error,
) (invitation.ID, error) {
	var id invitation.ID
	err := s.transact(ctx, func(tx *gorm.DB) error {
		var err error
		if id, err = redeemInvitation(tx, hash, emailCanonical, now); err != nil {
			return err
		}
		return fail
	})
	return id, err
}
