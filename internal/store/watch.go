package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
)

// wishes is how often a sign-up has asked for an enrolment mail beside the one
// that goes out with the user: once if there was a user, and with each resend.
const wishes = `resends + CASE kind WHEN 'duplicate' THEN 1 ELSE 0 END`

// ClaimEnrolmentMail reports whether an enrolment mail may go out now for the
// sign-up: it has not been claimed for the same wish before, the user is still
// invited, and the last one went out before. Of two who ask at once one may.
func (s *Store) ClaimEnrolmentMail(ctx context.Context, subject provision.Subject, at, before time.Time) (bool, error) {
	claimed := false
	err := s.transact(ctx, func(tx *gorm.DB) error {
		// A wish whose mail may have gone out is granted for good, and so is
		// one that comes right after another's mail.
		wish := tx.Model(&signupRow{}).
			Where("id = ?", string(subject.Signup)).Where("mails_claimed < "+wishes).
			UpdateColumn("mails_claimed", gorm.Expr(wishes))
		if wish.Error != nil || wish.RowsAffected == 0 {
			return wish.Error
		}
		mail := tx.Model(&userRow{}).
			Where("id = ?", string(subject.User.ID)).Where("status = ?", string(directory.Invited)).
			Where("enrolment_mail_at IS NULL OR enrolment_mail_at <= ?", storedTime(before)).
			UpdateColumn("enrolment_mail_at", storedTime(at))
		claimed = mail.RowsAffected == 1
		return mail.Error
	})
	return claimed && err == nil, err
}

// ReleaseEnrolmentMail takes a claim back: it is sure that none went out.
func (s *Store) ReleaseEnrolmentMail(ctx context.Context, subject provision.Subject, claimed, last time.Time) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		released := tx.Model(&userRow{}).
			Where("id = ?", string(subject.User.ID)).Where("enrolment_mail_at = ?", storedTime(claimed)).
			UpdateColumn("enrolment_mail_at", storedTime(last))
		if released.Error != nil || released.RowsAffected == 0 {
			return released.Error
		}
		return tx.Model(&signupRow{}).Where("id = ?", string(subject.Signup)).
			UpdateColumn("mails_claimed", gorm.Expr("mails_claimed - 1")).Error
	})
}

// ClaimNotice stores the job that tells the user of a sign-up with their
// address, unless they were told since before. It reports whether it did.
func (s *Store) ClaimNotice(ctx context.Context, subject provision.Subject, at, before time.Time) (bool, error) {
	claimed := false
	err := s.transact(ctx, func(tx *gorm.DB) error {
		updated := tx.Model(&userRow{}).Where("id = ?", string(subject.User.ID)).
			Where("notice_at IS NULL OR notice_at <= ?", storedTime(before)).
			UpdateColumn("notice_at", storedTime(at))
		if updated.Error != nil || updated.RowsAffected == 0 {
			return updated.Error
		}
		claimed = true
		sqltx, err := sqlTx(tx)
		if err != nil {
			return err
		}
		if err := s.jobs.EnqueueNotice(ctx, sqltx, subject.Signup); err != nil {
			return err
		}
		failpoint.Here("notice.before_commit")
		return nil
	})
	if claimed && err == nil {
		failpoint.Here("notice.after_commit")
	}
	return claimed && err == nil, err
}

// BeginNotice marks the claimed notice as sent. It reports whether it was not
// yet.
func (s *Store) BeginNotice(ctx context.Context, id directory.UserID) (bool, error) {
	begun := s.db.WithContext(ctx).Model(&userRow{}).Where("id = ?", string(id)).
		Where("notice_at IS NOT NULL AND (notice_sent_at IS NULL OR notice_sent_at < notice_at)").
		UpdateColumn("notice_sent_at", gorm.Expr("notice_at"))
	return begun.RowsAffected == 1, translate(begun.Error)
}

// UndoNotice takes the mark back.
func (s *Store) UndoNotice(ctx context.Context, id directory.UserID) error {
	return translate(s.db.WithContext(ctx).Model(&userRow{}).Where("id = ?", string(id)).
		UpdateColumn("notice_sent_at", nil).Error)
}

// OverdueSignups returns sign-ups accepted before that are not settled, oldest
// first, beyond those up to after.
func (s *Store) OverdueSignups(ctx context.Context, before time.Time, after signup.ID, limit int) ([]signup.ID, error) {
	if after == "" {
		after = signup.ID(uuid.Nil.String())
	}
	var ids []signup.ID
	// Ids are of the time of their making, so their order is the sign-ups'.
	err := s.db.WithContext(ctx).Model(&signupRow{}).
		Where("settled_at IS NULL").Where("created_at < ?", storedTime(before)).Where("id > ?", string(after)).
		Order("id").Limit(limit).Pluck("id", &ids).Error
	return ids, translate(err)
}

// DueUsers returns the users who are to be looked at by now.
func (s *Store) DueUsers(ctx context.Context, now time.Time, limit int) ([]directory.User, error) {
	var rows []userRow
	err := s.db.WithContext(ctx).Where("check_at <= ?", storedTime(now)).Order("check_at").Limit(limit).Find(&rows).Error
	users := make([]directory.User, 0, len(rows))
	for _, row := range rows {
		users = append(users, row.user())
	}
	return users, translate(err)
}

// CheckAgain sets when the user is looked at next: never, once they are gone
// from here.
func (s *Store) CheckAgain(ctx context.Context, id directory.UserID, at time.Time) error {
	return translate(s.db.WithContext(ctx).Model(&userRow{}).
		Where("id = ?", string(id)).UpdateColumn("check_at", gorm.Expr(
		"CASE WHEN status IN ('invited', 'active', 'suspended') THEN "+s.cast("timestamptz")+" END", storedTime(at))).Error)
}

// Activate records that an invited user has a passkey. It reports whether that
// was news.
func (s *Store) Activate(ctx context.Context, id directory.UserID, at time.Time) (bool, error) {
	moved := false
	err := s.transact(ctx, func(tx *gorm.DB) error {
		updated := tx.Model(&userRow{}).
			Where("id = ?", string(id)).Where("status = ?", string(directory.Invited)).
			Updates(map[string]any{
				"status": string(directory.Active), "activated_at": storedTime(at), "updated_at": storedTime(at),
			})
		if moved = updated.RowsAffected == 1; updated.Error != nil || !moved {
			return updated.Error
		}
		return s.record(tx, transition{at: at, user: string(id), from: directory.Invited, to: directory.Active})
	})
	return moved && err == nil, err
}

// MarkVanished records whether the provider still has the user. It reports
// whether that was news.
func (s *Store) MarkVanished(ctx context.Context, id directory.UserID, vanished bool, at time.Time) (bool, error) {
	news := false
	err := s.transact(ctx, func(tx *gorm.DB) error {
		query := tx.Model(&userRow{}).Where("id = ?", string(id))
		event := audit.Event{At: at, Action: "user.vanished", UserID: id}
		var class any
		if vanished {
			class = provision.ClassVanished
			query = query.Where("provision_last_error_class IS NULL OR provision_last_error_class <> ?", provision.ClassVanished)
		} else {
			event.Action = "user.reappeared"
			query = query.Where("provision_last_error_class = ?", provision.ClassVanished)
		}
		updated := query.UpdateColumn("provision_last_error_class", class)
		if news = updated.RowsAffected == 1; updated.Error != nil || !news {
			return updated.Error
		}
		return s.note(tx, event)
	})
	return news && err == nil, err
}
