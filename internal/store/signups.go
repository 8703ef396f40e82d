package store

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/signup"
)

// AcceptSignup stores the receipt, the candidate, the idempotency key and the
// job, and redeems the invitation, in one transaction. It reads nothing of who
// is registered. It returns signup.ErrKeyInUse, signup.ErrKeyKnown or
// invitation.ErrInvalid, and then nothing is stored.
func (s *Store) AcceptSignup(ctx context.Context, a signup.Acceptance) error {
	if s.pool != nil && a.Key == nil && a.Invitation == nil && !failpoint.Seeded(failpoint.JobOutsideTransaction) {
		return s.acceptAtOnce(ctx, a)
	}
	enqueue := func(tx *gorm.DB) error {
		sqltx, err := sqlTx(tx)
		if err != nil {
			return err
		}
		return s.jobs.EnqueueSignup(ctx, sqltx, a.ID)
	}
	err := s.transact(ctx, func(tx *gorm.DB) error {
		if err := s.rememberKey(tx, a); err != nil {
			return err
		}
		receipt := rowOfSignup(a)
		if a.Invitation != nil {
			id, err := s.redeemFor(tx, a)
			if err != nil {
				return err
			}
			receipt.InvitationID = orNull(string(id))
		}
		if err := tx.Create(&receipt).Error; err != nil {
			return err
		}
		if !failpoint.Seeded(failpoint.JobOutsideTransaction) {
			if err := enqueue(tx); err != nil {
				return err
			}
		}
		failpoint.Here("accept.before_commit")
		return nil
	})
	if err == nil {
		failpoint.Here("accept.after_commit")
	}
	if err == nil && failpoint.Seeded(failpoint.JobOutsideTransaction) {
		return s.transact(ctx, enqueue)
	}
	return err
}

// redeemFor redeems the sign-up's invitation, and notes it. It returns
// invitation.ErrInvalid.
func (s *Store) redeemFor(tx *gorm.DB, a signup.Acceptance) (invitation.ID, error) {
	id, err := redeemInvitation(tx, *a.Invitation, a.Email.Canonical(), a.At)
	if err != nil {
		return "", err
	}
	redeemed := audit.Event{At: a.At, Action: audit.InvitationRedeemed, SignupID: string(a.ID), Target: invited(id)}
	return id, s.note(tx, redeemed)
}

// acceptAtOnce does the same in one statement, which is a transaction of its
// own, where there is nothing to do but to insert: four waits for the database
// become one.
func (s *Store) acceptAtOnce(ctx context.Context, a signup.Acceptance) error {
	failpoint.Here("accept.before_commit")
	err := sentOnce(func() error {
		_, err := s.pool.Exec(ctx, `WITH job AS (`+s.jobs.SignupInsert()+`)
			INSERT INTO signups (id, receipt_hash, locale, terms_version, created_at, candidate_id,
			                     email, email_canonical, display_name, resend_after)
			VALUES (CAST($1::text AS uuid), $3, $4, $5, $6, CAST($7::text AS uuid), $8, $9, $10, $11)`,
			string(a.ID), s.jobs.SignupMetadata(ctx), a.ReceiptHash[:], a.Locale, a.TermsVersion, storedTime(a.At), string(a.Candidate),
			a.Email.String(), a.Email.Canonical(), a.DisplayName, storedTime(a.ResendAfter))
		return err
	})
	if err != nil {
		return translate(err)
	}
	failpoint.Here("accept.after_commit")
	s.jobs.Announce()
	return nil
}

// rememberKey stores the sign-up's idempotency key, if it has one. A request
// with the same key that is under way is not waited for.
func (s *Store) rememberKey(tx *gorm.DB, a signup.Acceptance) error {
	if a.Key == nil {
		return nil
	}
	if s.db.Name() == string(Postgres) {
		var free bool
		if err := tx.Raw(`SELECT pg_try_advisory_xact_lock(?)`, lockOf(a.Key.Hash)).Scan(&free).Error; err != nil {
			return err
		}
		if !free {
			return signup.ErrKeyInUse
		}
	}
	row := idempotencyKeyRow{
		KeyHash:     a.Key.Hash[:],
		Fingerprint: a.Key.Fingerprint[:],
		Sealed:      a.Key.Sealed,
		CreatedAt:   storedTime(a.At),
		ExpiresAt:   storedTime(a.Key.ExpiresAt),
	}
	// One that has expired and was not purged yet makes room.
	stored := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "key_hash"}},
		DoUpdates: clause.AssignmentColumns([]string{"fingerprint", "sealed", "created_at", "expires_at"}),
		Where:     clause.Where{Exprs: []clause.Expression{gorm.Expr("idempotency_keys.expires_at <= ?", row.CreatedAt)}},
	}).Create(&row)
	if stored.Error == nil && stored.RowsAffected == 0 {
		return signup.ErrKeyKnown
	}
	return stored.Error
}

// lockOf is the key's advisory lock. Two keys that share one only make one of
// their senders ask again.
func lockOf(hash signup.Hash) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("idempotency key"))
	_, _ = h.Write(hash[:])
	return int64(h.Sum64()) //nolint:gosec // any 64 bits will do
}

// FindKey returns signup.ErrKeyUnknown when no sign-up has the key, or no
// longer.
func (s *Store) FindKey(ctx context.Context, hash signup.Hash, now time.Time) (signup.StoredKey, error) {
	var row idempotencyKeyRow
	err := s.db.WithContext(ctx).
		Where("key_hash = @hash", map[string]any{"hash": hash[:]}).
		Where("expires_at > ?", storedTime(now)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return signup.StoredKey{}, signup.ErrKeyUnknown
	}
	if err != nil {
		return signup.StoredKey{}, translate(err)
	}
	return signup.StoredKey{
		Hash:        hash,
		Fingerprint: signup.Hash(row.Fingerprint),
		Sealed:      row.Sealed,
		ExpiresAt:   row.ExpiresAt.UTC(),
	}, nil
}

// signupRecordRow is what a receipt's holder may know the sum of.
type signupRecordRow struct {
	ID          string
	ReceiptHash []byte
	CreatedAt   time.Time
	SettledAt   *time.Time
	ResendAfter time.Time
	Status      *string
	ActivatedAt *time.Time
}

func (r signupRecordRow) record() signup.Record {
	return signup.Record{
		ID:          signup.ID(r.ID),
		CreatedAt:   r.CreatedAt.UTC(),
		SettledAt:   orZero(r.SettledAt),
		ResendAfter: r.ResendAfter.UTC(),
		UserStatus:  directory.Status(orEmpty(r.Status)),
		ActivatedAt: orZero(r.ActivatedAt),
	}
}

const selectSignupRecord = `
	SELECT s.id, s.receipt_hash, s.created_at, s.settled_at, s.resend_after, u.status, u.activated_at
	FROM signups s LEFT JOIN users u ON u.id = s.user_id
	WHERE s.receipt_hash `

// FindSignup returns signup.ErrNotFound when no sign-up has the receipt.
func (s *Store) FindSignup(ctx context.Context, hash signup.Hash) (signup.Record, error) {
	var row signupRecordRow
	found := s.db.WithContext(ctx).Raw(selectSignupRecord+"= @hash", map[string]any{"hash": hash[:]}).Scan(&row)
	if found.Error != nil {
		return signup.Record{}, translate(found.Error)
	}
	if found.RowsAffected == 0 {
		return signup.Record{}, signup.ErrNotFound
	}
	return row.record(), nil
}

// findAtOnce bounds the parameters of one statement.
const findAtOnce = 500

// FindSignups returns those of the sign-ups that there are.
func (s *Store) FindSignups(ctx context.Context, hashes []signup.Hash) (map[signup.Hash]signup.Record, error) {
	records := make(map[signup.Hash]signup.Record, len(hashes))
	for len(hashes) > 0 {
		chunk := hashes[:min(len(hashes), findAtOnce)]
		hashes = hashes[len(chunk):]
		var rows []signupRecordRow
		in := make([][]byte, len(chunk))
		for i := range chunk {
			in[i] = chunk[i][:]
		}
		if err := s.db.WithContext(ctx).Raw(selectSignupRecord+"IN ?", in).Scan(&rows).Error; err != nil {
			return nil, translate(err)
		}
		for _, row := range rows {
			records[signup.Hash(row.ReceiptHash)] = row.record()
		}
	}
	return records, nil
}

// WishResend stores the wish for another mail and its job, unless the last one
// is too recent. It reports whether it did.
func (s *Store) WishResend(ctx context.Context, id signup.ID, at, next time.Time) (bool, error) {
	wished := false
	err := s.transact(ctx, func(tx *gorm.DB) error {
		moved := tx.Model(&signupRow{}).
			Where("id = ?", string(id)).Where("resend_after <= ?", storedTime(at)).
			Updates(map[string]any{"resend_after": storedTime(next), "resends": gorm.Expr("resends + 1")})
		if moved.Error != nil || moved.RowsAffected == 0 {
			return moved.Error
		}
		wished = true
		sqltx, err := sqlTx(tx)
		if err != nil {
			return err
		}
		return s.jobs.EnqueueResend(ctx, sqltx, id)
	})
	return wished && err == nil, err
}
