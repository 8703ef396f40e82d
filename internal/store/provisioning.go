package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
)

// FindSubject returns provision.ErrNotFound when there is no such sign-up.
func (s *Store) FindSubject(ctx context.Context, id signup.ID) (provision.Subject, error) {
	db := s.db.WithContext(ctx)
	var receipt signupRow
	err := db.Where("id = ?", string(id)).Take(&receipt).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return provision.Subject{}, provision.ErrNotFound
	}
	if err != nil {
		return provision.Subject{}, translate(err)
	}
	if receipt.UserID == nil {
		return receipt.subject(nil), nil
	}
	var user userRow
	if err := db.Where("id = ?", *receipt.UserID).Take(&user).Error; err != nil {
		return provision.Subject{}, translate(err)
	}
	return receipt.subject(&user), nil
}

// Enlist gives the sign-up its user: the one who has the address, or a new one
// made of the candidate, who is forgotten then. It returns
// provision.ErrNotFound when there is no such sign-up.
func (s *Store) Enlist(ctx context.Context, id signup.ID, at time.Time) (provision.Subject, error) {
	if subject, done, err := s.enlistAtOnce(ctx, id, at); done || err != nil {
		return subject, err
	}
	return s.enlistInSteps(ctx, id, at)
}

// Start enlists the sign-up and, where that makes a user, begins the first
// attempt. It reports whether it has begun; if not, nothing but Enlist was done.
func (s *Store) Start(ctx context.Context, id signup.ID, ambiguousUntil, at time.Time) (provision.Subject, bool, error) {
	if subject, done, err := s.startAtOnce(ctx, id, ambiguousUntil, at); done || err != nil {
		return subject, done, err
	}
	subject, err := s.enlistInSteps(ctx, id, at)
	return subject, false, err
}

// enlistInSteps is Enlist for every sign-up.
func (s *Store) enlistInSteps(ctx context.Context, id signup.ID, at time.Time) (provision.Subject, error) {
	if subject, err := s.FindSubject(ctx, id); err != nil || subject.Kind != "" {
		return subject, err
	}
	var subject provision.Subject
	err := s.transact(ctx, func(tx *gorm.DB) error {
		var receipt signupRow
		// The lock orders two workers with one sign-up.
		err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", string(id)).Take(&receipt).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return provision.ErrNotFound
		}
		if err != nil {
			return err
		}
		var user userRow
		if receipt.UserID != nil { // another worker was quicker
			err = tx.Where("id = ?", *receipt.UserID).Take(&user).Error
			subject = receipt.subject(&user)
			return err
		}
		kind, user, err := s.enlist(tx, receipt, at)
		if err != nil {
			return err
		}
		named := string(kind)
		err = tx.Model(&signupRow{}).Where("id = ?", receipt.ID).Updates(map[string]any{
			"user_id": user.ID, "kind": named,
			"candidate_id": nil, "email": nil, "email_canonical": nil, "display_name": nil,
		}).Error
		if err != nil {
			return err
		}
		receipt.UserID, receipt.Kind = &user.ID, &named
		subject = receipt.subject(&user)
		failpoint.Here("enlist.before_commit")
		return nil
	})
	if err != nil {
		return provision.Subject{}, err
	}
	failpoint.Here("enlist.after_commit")
	return subject, nil
}

// enlist makes the candidate a user, unless someone has the address. Of two
// with one address the second waits here for the first to commit, and then
// finds its row.
func (s *Store) enlist(tx *gorm.DB, receipt signupRow, at time.Time) (signup.Kind, userRow, error) {
	user := receipt.candidate(at)
	unique := clause.OnConflict{Columns: []clause.Column{{Name: "email_canonical"}}, DoNothing: true}
	query := tx.Clauses(unique)
	if failpoint.Seeded(failpoint.SelectUnique) {
		var n int64
		if err := tx.Model(&userRow{}).Where("email_canonical = ?", user.EmailCanonical).Count(&n).Error; err != nil {
			return "", userRow{}, err
		}
		if query = tx; n > 0 {
			return meet(tx, user)
		}
	}
	inserted := query.Create(&user)
	if inserted.Error != nil {
		return "", userRow{}, inserted.Error
	}
	if inserted.RowsAffected == 0 {
		return meet(tx, user)
	}
	return signup.New, user, s.record(tx, transition{
		at: at, user: user.ID, signup: receipt.ID, to: directory.Received,
	})
}

// meet returns the user who has the candidate's address.
func meet(tx *gorm.DB, candidate userRow) (signup.Kind, userRow, error) {
	var owner userRow
	err := tx.Where("email_canonical = ?", candidate.EmailCanonical).Take(&owner).Error
	return signup.Duplicate, owner, err
}

// BeginAttempt records that another create is about to be sent, unless another
// worker has begun it. It reports whether it did.
func (s *Store) BeginAttempt(ctx context.Context, subject provision.Subject, ambiguousUntil, at time.Time) (bool, error) {
	if begun, err := s.beginAtOnce(ctx, subject, ambiguousUntil, at); begun || err != nil {
		return begun, err
	}
	return s.move(ctx, subject, transition{at: at, to: directory.Provisioning, point: "attempt"}, map[string]any{
		"provision_attempt":         subject.Attempt + 1,
		"provision_ambiguous_until": storedTime(ambiguousUntil),
		"enrolment_mail_at":         storedTime(at), // which a create sends
	}, sameAttempt)
}

// Postpone records why the attempt did not settle the user.
func (s *Store) Postpone(ctx context.Context, subject provision.Subject, p provision.Postponement) (bool, error) {
	return s.move(ctx, subject, transition{at: p.At, to: subject.User.Status}, map[string]any{
		"provision_attempt":          p.Attempt,
		"provision_ambiguous_until":  storedTimeOrNull(p.AmbiguousUntil),
		"provision_last_error_class": p.Class,
	}, sameAttempt)
}

// Invite records that the provider has the user, and under which id. The id is
// written once: a user who has one is not touched. It returns
// provision.ErrInternalIDTaken when another user here has that id.
func (s *Store) Invite(ctx context.Context, subject provision.Subject, internalID directory.InternalID, at time.Time) (bool, error) {
	moved, err := s.inviteAtOnce(ctx, subject, internalID, at)
	if violates(err, "users_internal_id_key") {
		return false, provision.ErrInternalIDTaken
	}
	if moved || err != nil {
		return moved, err
	}
	moved, err = s.move(ctx, subject, transition{at: at, to: directory.Invited, point: "invite"}, map[string]any{
		"internal_id":                string(internalID),
		"made_there":                 subject.MadeThere,
		"provision_ambiguous_until":  nil,
		"provision_last_error_class": nil,
		"check_at":                   storedTime(at.Add(firstCheck)),
	})
	if violates(err, "users_internal_id_key") {
		return false, provision.ErrInternalIDTaken
	}
	return moved, err
}

// firstCheck is when an invited user is first looked at.
const firstCheck = 15 * time.Second

// Refuse ends provisioning in status failed or conflict. A subject without an
// attempt says that nobody was made, whatever was counted.
func (s *Store) Refuse(ctx context.Context, subject provision.Subject, status directory.Status, class string, at time.Time) (bool, error) {
	change := map[string]any{
		"provision_ambiguous_until":  nil,
		"provision_last_error_class": class,
		"adopt_internal_id":          orNull(string(subject.AdoptInternalID)),
	}
	if subject.Attempt == 0 {
		change["provision_attempt"] = 0
	}
	return s.move(ctx, subject, transition{at: at, to: status, class: class, point: "invite"}, change)
}

// condition narrows the users that a move finds.
type condition func(query *gorm.DB, s *Store, subject provision.Subject) *gorm.DB

// sameAttempt holds while no other worker has begun or postponed an attempt.
// The end of the quarantine tells two attempts of one number apart: one that
// did not count is made again.
func sameAttempt(query *gorm.DB, s *Store, subject provision.Subject) *gorm.DB {
	return query.Where("provision_attempt = ?", subject.Attempt).
		Where("provision_ambiguous_until IS NOT DISTINCT FROM "+s.cast("timestamptz"), storedTimeOrNull(subject.AmbiguousUntil))
}

// move changes a user who is as the subject says and is still to be
// provisioned, and writes the audit's line if their status changes with it. It
// reports whether there was one. What has changed of a user on their way to the
// provider is carried there once they are.
func (s *Store) move(
	ctx context.Context, subject provision.Subject, t transition, change map[string]any, conditions ...condition,
) (moved bool, err error) {
	t = transitionOf(subject, t)
	change["status"] = string(t.to)
	change["updated_at"] = storedTime(t.at)
	err = s.transact(ctx, func(tx *gorm.DB) error {
		var after userRow
		query := tx.Model(&after).Clauses(clause.Returning{Columns: []clause.Column{{Name: "sync"}}}).
			Where("id = ?", t.user).Where("status = ?", string(t.from)).Where("internal_id IS NULL")
		for _, holds := range conditions {
			query = holds(query, s, subject)
		}
		updated := query.Updates(change)
		if moved = updated.RowsAffected == 1; updated.Error != nil || !moved || t.from == t.to {
			return updated.Error
		}
		if err := s.moved(tx, t, change["internal_id"] != nil && after.Sync == string(directory.SyncPending)); err != nil {
			return err
		}
		if id := settledBy(subject, t.to); id != "" {
			if err := settleSignup(tx, id, t.at); err != nil {
				return err
			}
		}
		t.reached(".before_commit")
		return nil
	})
	if moved = moved && err == nil; moved {
		t.reached(".after_commit")
	}
	return moved, err
}

// transitionOf is a transition of the subject's user.
func transitionOf(subject provision.Subject, t transition) transition {
	t.user, t.signup, t.from = string(subject.User.ID), string(subject.Signup), subject.User.Status
	return t
}

// reached is the place of a fail point.
func (t transition) reached(point string) {
	if failpoint.Enabled && t.point != "" {
		failpoint.Here(t.point + point)
	}
}

// settledBy is the sign-up for which nothing is left to do once the user who was
// made for it has the status, or "".
func settledBy(subject provision.Subject, to directory.Status) signup.ID {
	switch to {
	case directory.Invited, directory.Active, directory.Failed, directory.Conflict:
		if subject.Kind == signup.New {
			return subject.Signup
		}
	case directory.Received, directory.Provisioning, directory.Suspended, directory.Deleting, directory.Deleted:
	}
	return ""
}

// moved writes the audit's line, and the job that carries what has changed
// meanwhile, if something has.
func (s *Store) moved(tx *gorm.DB, t transition, pending bool) error {
	if err := s.record(tx, t); err != nil || !pending {
		return err
	}
	return s.enqueueChange(tx, directory.UserID(t.user))
}

// Settle records that nothing is left to do for the sign-up.
func (s *Store) Settle(ctx context.Context, id signup.ID, at time.Time) error {
	failpoint.Here("settle.before_commit")
	err := settleSignup(s.db.WithContext(ctx), id, at)
	if err == nil {
		failpoint.Here("settle.after_commit")
	}
	return translate(err)
}

func settleSignup(tx *gorm.DB, id signup.ID, at time.Time) error {
	return tx.Model(&signupRow{}).Where("id = ?", string(id)).Where("settled_at IS NULL").Update("settled_at", storedTime(at)).Error
}
