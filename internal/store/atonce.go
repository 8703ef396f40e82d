package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/failpoint"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
)

// On Postgres, the steps that every sign-up takes are one statement each, with
// everything that belongs to them: a transaction of five would be five times as
// long on the way, and hold its connection and its locks meanwhile. Each of
// them does all, or finds that something is not as it usually is, does nothing,
// and leaves it to the transaction that can do everything. That one is all
// there is on SQLite, where statements have no way to go.

const (
	// nobodyListens holds where no endpoint could want an event.
	nobodyListens = `NOT EXISTS (SELECT FROM webhook_endpoints WHERE enabled)`
	// noteColumns are those of auditRow, and noteValues their values, which are
	// the first parameters. The user's is not among them.
	noteColumns = `id, at, actor, action, signup_id, from_status, to_status, class, address, request_id, session_id, outcome, reason,
		before, after, target_kind, target_id`
	noteValues = `$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17`
	// secondNoteValues are those of a second line.
	secondNoteValues = `$18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34`
	noteMoved        = `INSERT INTO audit_events (user_id, ` + noteColumns + `) SELECT id, ` + noteValues + ` FROM moved`
)

// What makes a user of a sign-up's candidate: the sign-up, if it still waits for
// one, what becomes of it, and what is read of it.
const (
	candidateOf = `SELECT id, candidate_id, email, email_canonical, display_name, locale, created_at FROM signups`
	stillWaits  = `user_id IS NULL AND ` + nobodyListens + ` FOR UPDATE`
	namedMade   = `UPDATE signups SET user_id = made.id, kind = 'new', candidate_id = NULL, email = NULL, email_canonical = NULL,
			display_name = NULL
		FROM made, waiting WHERE signups.id = waiting.id`
	readMade = `SELECT made.id, w.id, w.candidate_id, w.email, w.email_canonical, w.display_name, w.locale, w.created_at FROM waiting w, made`
)

func (r auditRow) noteValues() []any {
	return []any{
		r.ID, r.At, r.Actor, r.Action, r.SignupID, r.FromStatus, r.ToStatus, r.Class, r.Address, r.RequestID, r.SessionID, r.Outcome, r.Reason,
		r.Before, r.After, r.TargetKind, r.TargetID,
	}
}

// noteAtOnce runs a statement that makes the transition and writes its line of
// the audit, and reads the row that it returns if it did. Its parameters are
// the line's, and after them others.
func (s *Store) noteAtOnce(ctx context.Context, t transition, statement string, others []any, into ...any) (bool, error) {
	return s.notesAtOnce(ctx, []transition{t}, statement, others, into...)
}

// notesAtOnce is noteAtOnce for transitions that are made one upon the other.
// The lines' parameters come in their order.
func (s *Store) notesAtOnce(ctx context.Context, made []transition, statement string, others []any, into ...any) (bool, error) {
	var params []any
	noted := make(events, len(made))
	for i, t := range made {
		noted[i] = t.event().Complete(ctx)
		noted[i].ID = uuid.Must(uuid.NewV7()).String()
		note, err := rowOfEvent(noted[i])
		if err != nil {
			return false, err
		}
		params = append(params, note.noteValues()...)
		t.reached(".before_commit")
	}
	var user directory.UserID
	params, into = append(params, others...), append([]any{&user}, into...)
	err := sentOnce(func() error { return s.pool.QueryRow(ctx, statement, params...).Scan(into...) })
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, translate(err)
	}
	for i, t := range made {
		t.reached(".after_commit")
		noted[i].UserID = user
	}
	s.logEvents(ctx, noted)
	return true, nil
}

// enlistAtOnce is Enlist for a sign-up that has no user yet, and an address
// that nobody has. It reports false, and has done nothing, for any other, and
// where an endpoint may have to be told.
func (s *Store) enlistAtOnce(ctx context.Context, id signup.ID, at time.Time) (provision.Subject, bool, error) {
	if s.pool == nil || failpoint.Seeded(failpoint.SelectUnique) {
		return provision.Subject{}, false, nil
	}
	var r signupRow
	enlisted, err := s.noteAtOnce(ctx, transition{at: at, signup: string(id), to: directory.Received, point: "enlist"}, `
		WITH waiting AS (`+candidateOf+` WHERE id = $18 AND `+stillWaits+`), made AS (
			INSERT INTO users (id, external_id, email, email_canonical, display_name, status, origin, locale, made_there, sync,
			                   version, created_at, updated_at)
			SELECT candidate_id, candidate_id, email, email_canonical, display_name, 'received', 'signup', locale, true, 'synced',
			       1, created_at, $19 FROM waiting
			ON CONFLICT (email_canonical) DO NOTHING RETURNING id
		), named AS (`+namedMade+`), noted AS (
			INSERT INTO audit_events (user_id, `+noteColumns+`) SELECT made.id, `+noteValues+` FROM made
		)
		`+readMade,
		[]any{string(id), storedTime(at)},
		r.made()...)
	if err != nil || !enlisted {
		return provision.Subject{}, false, err
	}
	return r.enlisted(at), true, nil
}

// startAtOnce is enlistAtOnce, and BeginAttempt for the user whom it makes: one
// who is made in the status that is reached has one row written instead of two,
// with all that it has indexes on.
func (s *Store) startAtOnce(ctx context.Context, id signup.ID, ambiguousUntil, at time.Time) (provision.Subject, bool, error) {
	if s.pool == nil || failpoint.Seeded(failpoint.SelectUnique) {
		return provision.Subject{}, false, nil
	}
	var r signupRow
	started, err := s.notesAtOnce(ctx, []transition{
		{at: at, signup: string(id), to: directory.Received, point: "enlist"},
		{at: at, signup: string(id), from: directory.Received, to: directory.Provisioning, point: "attempt"},
	}, `
		WITH waiting AS (`+candidateOf+` WHERE id = $35 AND `+stillWaits+`), made AS (
			INSERT INTO users (id, external_id, email, email_canonical, display_name, status, origin, locale, made_there, sync,
			                   version, created_at, updated_at, provision_attempt, provision_ambiguous_until, enrolment_mail_at)
			SELECT candidate_id, candidate_id, email, email_canonical, display_name, 'provisioning', 'signup', locale, true, 'synced',
			       2, created_at, $36, 1, $37, $36 FROM waiting
			ON CONFLICT (email_canonical) DO NOTHING RETURNING id
		), named AS (`+namedMade+`), received AS (
			INSERT INTO audit_events (user_id, `+noteColumns+`) SELECT made.id, `+noteValues+` FROM made
		), begun AS (
			INSERT INTO audit_events (user_id, `+noteColumns+`) SELECT made.id, `+secondNoteValues+` FROM made
		)
		`+readMade,
		[]any{string(id), storedTime(at), storedTime(ambiguousUntil)},
		r.made()...)
	if err != nil || !started {
		return provision.Subject{}, false, err
	}
	return r.enlisted(at), true, nil
}

// made is what readMade reads, beside the user's id.
func (r *signupRow) made() []any {
	return []any{&r.ID, &r.CandidateID, &r.Email, &r.EmailCanonical, &r.DisplayName, &r.Locale, &r.CreatedAt}
}

// enlisted is the sign-up as provisioning sees it, with the user who was just
// made of its candidate.
func (r signupRow) enlisted(at time.Time) provision.Subject {
	user, kind, named := r.candidate(at), string(signup.New), r
	named.UserID, named.Kind = &user.ID, &kind
	return named.subject(&user)
}

// beginAtOnce is BeginAttempt for a first attempt.
func (s *Store) beginAtOnce(ctx context.Context, subject provision.Subject, ambiguousUntil, at time.Time) (bool, error) {
	if s.pool == nil || subject.User.Status != directory.Received || subject.Attempt != 0 || !subject.AmbiguousUntil.IsZero() {
		return false, nil
	}
	return s.noteAtOnce(ctx, transitionOf(subject, transition{at: at, to: directory.Provisioning, point: "attempt"}), `
		WITH moved AS (
			UPDATE users SET status = 'provisioning', provision_attempt = 1, provision_ambiguous_until = $18, enrolment_mail_at = $19,
			                 updated_at = $19
			WHERE id = $20 AND status = 'received' AND internal_id IS NULL AND provision_attempt = 0
			  AND provision_ambiguous_until IS NULL
			RETURNING id
		), noted AS (`+noteMoved+`)
		SELECT id FROM moved`,
		[]any{storedTime(ambiguousUntil), storedTime(at), string(subject.User.ID)})
}

// inviteAtOnce is Invite for somebody of whom nothing has changed since, where
// no endpoint may have to be told.
func (s *Store) inviteAtOnce(ctx context.Context, subject provision.Subject, internalID directory.InternalID, at time.Time) (bool, error) {
	if s.pool == nil || subject.User.Status != directory.Provisioning {
		return false, nil
	}
	return s.noteAtOnce(ctx, transitionOf(subject, transition{at: at, to: directory.Invited, point: "invite"}), `
		WITH moved AS (
			UPDATE users SET status = 'invited', internal_id = $18, made_there = $19, provision_ambiguous_until = NULL,
			                 provision_last_error_class = NULL, check_at = $20, updated_at = $21
			WHERE id = $22 AND status = 'provisioning' AND internal_id IS NULL AND sync <> 'pending' AND `+nobodyListens+`
			RETURNING id
		), noted AS (`+noteMoved+`), settled AS (
			UPDATE signups SET settled_at = $21 WHERE id = $23 AND settled_at IS NULL AND EXISTS (SELECT FROM moved)
		)
		SELECT id FROM moved`,
		[]any{
			string(internalID), subject.MadeThere, storedTime(at.Add(firstCheck)), storedTime(at), string(subject.User.ID),
			orNull(string(settledBy(subject, directory.Invited))),
		})
}
