package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/invitation"
)

// invitationRow is a row of invitations.
type invitationRow struct {
	ID             string     `gorm:"column:id;primaryKey"`
	CodeHash       []byte     `gorm:"column:code_hash"`
	EmailCanonical *string    `gorm:"column:email_canonical"`
	Note           string     `gorm:"column:note"`
	Uses           int        `gorm:"column:uses"`
	UsesLeft       int        `gorm:"column:uses_left"`
	CreatedAt      time.Time  `gorm:"column:created_at"`
	ExpiresAt      time.Time  `gorm:"column:expires_at"`
	RevokedAt      *time.Time `gorm:"column:revoked_at"`
}

func (invitationRow) TableName() string { return "invitations" }

func rowOfInvitation(i invitation.Invitation) invitationRow {
	row := invitationRow{
		ID:             string(i.ID),
		CodeHash:       i.Hash[:],
		EmailCanonical: orNull(i.Email),
		Note:           i.Note,
		Uses:           i.Uses,
		UsesLeft:       i.UsesLeft,
		CreatedAt:      storedTime(i.CreatedAt),
		ExpiresAt:      storedTime(i.ExpiresAt),
	}
	if !i.RevokedAt.IsZero() {
		revoked := storedTime(i.RevokedAt)
		row.RevokedAt = &revoked
	}
	return row
}

func (r invitationRow) invitation() invitation.Invitation {
	i := invitation.Invitation{
		ID:        invitation.ID(r.ID),
		Email:     orEmpty(r.EmailCanonical),
		Note:      r.Note,
		Uses:      r.Uses,
		UsesLeft:  r.UsesLeft,
		CreatedAt: r.CreatedAt.UTC(),
		ExpiresAt: r.ExpiresAt.UTC(),
	}
	copy(i.Hash[:], r.CodeHash) // the schema holds the length
	if r.RevokedAt != nil {
		i.RevokedAt = r.RevokedAt.UTC()
	}
	return i
}

// CreateInvitation stores a new invitation.
func (s *Store) CreateInvitation(ctx context.Context, i invitation.Invitation) error {
	row := rowOfInvitation(i)
	return s.transact(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		terms := audit.Values{"uses": i.Uses, "expires_at": row.ExpiresAt}
		if i.Email != "" {
			terms["email"] = i.Email
		}
		return s.note(tx, audit.Event{
			At: i.CreatedAt, Action: audit.InvitationCreated, Target: invited(i.ID), After: terms,
		})
	})
}

// invited is the invitation as what is acted upon.
func invited(id invitation.ID) audit.Target {
	return audit.Target{Kind: audit.TargetInvitation, ID: string(id)}
}

// ListInvitations returns up to limit invitations that are older than before,
// or the newest ones if that is empty, newest first. Ids are in the order of
// time, so that the primary key is all that it needs.
func (s *Store) ListInvitations(ctx context.Context, before invitation.ID, limit int) ([]invitation.Invitation, error) {
	query := s.db.WithContext(ctx).Order("id DESC").Limit(limit)
	if before != "" {
		query = query.Where("id < ?", string(before))
	}
	var rows []invitationRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, translate(err)
	}
	found := make([]invitation.Invitation, len(rows))
	for i, row := range rows {
		found[i] = row.invitation()
	}
	return found, nil
}

// RevokeInvitation makes an invitation useless from now on. One that is
// revoked already keeps the time at which it was. It returns
// invitation.ErrNotFound.
func (s *Store) RevokeInvitation(ctx context.Context, id invitation.ID, now time.Time) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		byID := func() *gorm.DB { return tx.Model(&invitationRow{}).Where("id = ?", string(id)) }
		revoked := byID().Where("revoked_at IS NULL").Update("revoked_at", storedTime(now))
		if revoked.Error != nil {
			return revoked.Error
		}
		if revoked.RowsAffected == 1 {
			return s.note(tx, audit.Event{At: now, Action: audit.InvitationRevoked, Target: invited(id)})
		}
		var n int64
		if err := byID().Count(&n).Error; err != nil {
			return err
		}
		if n == 0 {
			return invitation.ErrNotFound
		}
		return nil
	})
}

// redeemInvitation takes one use of the code with this hash for an address, in
// the transaction that accepts the sign-up, and returns the invitation's id.
// It returns invitation.ErrInvalid when the code lets nobody in, or not them.
//
// One conditional update decides: of two who want the last use, the second
// waits here for the first to commit and then finds none. Reading first and
// writing then would let both in (CWE-367).
func redeemInvitation(tx *gorm.DB, hash invitation.Hash, emailCanonical string, now time.Time) (invitation.ID, error) {
	var id string
	taken := tx.Raw(`
		UPDATE invitations SET uses_left = uses_left - 1
		WHERE code_hash = @hash AND uses_left > 0 AND expires_at > @now AND revoked_at IS NULL
		  AND (email_canonical IS NULL OR email_canonical = @email)
		RETURNING id`,
		map[string]any{"hash": hash[:], "now": storedTime(now), "email": emailCanonical}).Scan(&id)
	if taken.Error != nil {
		return "", taken.Error
	}
	if id == "" {
		return "", invitation.ErrInvalid
	}
	return invitation.ID(id), nil
}
