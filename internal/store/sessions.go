package store

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// OpenSession recognises the user by external_id, applies User.SignIn and
// stores the session, all or nothing. It returns directory.ErrNotRegistered
// or an error of User.SignIn.
func (s *Store) OpenSession(ctx context.Context, identity directory.Identity, opening session.Opening) (directory.User, error) {
	var user directory.User
	err := s.transact(ctx, func(tx *gorm.DB) error {
		var err error
		if user, err = s.recognise(tx, identity, opening.Session.CreatedAt); err != nil {
			return err
		}
		opening.Session.UserID = user.ID
		return s.storeSession(tx, opening, audit.LoginSucceeded)
	})
	if err != nil {
		return directory.User{}, mismatch(err)
	}
	return user, nil
}

// recognise returns the user whom the identity proves, locked, as they are
// after the login. Its errors say whom they are about.
func (s *Store) recognise(tx *gorm.DB, identity directory.Identity, at time.Time) (directory.User, error) {
	var row userRow
	// The lock orders logins, suspensions and logouts of one user: whichever
	// comes second sees the first.
	err := s.locked(tx).Where("external_id = ?", string(identity.ExternalID)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return directory.User{}, directory.ErrNotRegistered
	}
	if err != nil {
		return directory.User{}, err
	}
	before := row.user()
	after, err := before.SignIn(identity)
	if err != nil || after == before {
		return after, audit.About(err, before.ID)
	}
	after.UpdatedAt = at
	return after, audit.About(s.signIn(tx, row, after), before.ID)
}

// mismatch says of a violation that another user here is bound to the identity.
func mismatch(err error) error {
	if violates(err, "users_internal_id_key") || violates(err, "users_issuer_subject_key") {
		return audit.About(directory.ErrIdentityMismatch, audit.UserOf(err))
	}
	return err
}

// locked is a query whose rows nobody else changes until the transaction ends.
// SQLite's transactions have one writer anyway.
func (s *Store) locked(tx *gorm.DB) *gorm.DB {
	return tx.Clauses(clause.Locking{Strength: "UPDATE"})
}

// signIn stores what a login has changed of a user.
func (s *Store) signIn(tx *gorm.DB, before userRow, after directory.User) error {
	change := map[string]any{
		"status":                     string(after.Status),
		"internal_id":                string(after.InternalID),
		"issuer":                     after.Issuer,
		"subject":                    after.Subject,
		"provision_ambiguous_until":  nil,
		"provision_last_error_class": nil,
		"updated_at":                 storedTime(after.UpdatedAt),
	}
	if before.ActivatedAt == nil {
		change["activated_at"] = storedTime(after.UpdatedAt)
	}
	if before.CheckAt == nil {
		change["check_at"] = storedTime(after.UpdatedAt.Add(firstCheck))
	}
	if err := tx.Model(&userRow{}).Where("id = ?", before.ID).Updates(change).Error; err != nil {
		return err
	}
	if before.InternalID == nil && before.Sync == string(directory.SyncPending) {
		if err := s.enqueueChange(tx, after.ID); err != nil {
			return err
		}
	}
	if before.Status == string(after.Status) {
		return nil
	}
	return s.record(tx, transition{
		at: after.UpdatedAt, user: before.ID, actor: audit.User(after.ID), from: directory.Status(before.Status), to: after.Status,
	})
}

// storeSession stores a session of a user who is locked, ends those that it
// replaces and those that are too many, and writes down how it came about.
func (s *Store) storeSession(tx *gorm.DB, opening session.Opening, action string) error {
	row, err := rowOfSession(opening.Session, opening.Hash)
	if err != nil {
		return err
	}
	if err := tx.Create(&row).Error; err != nil {
		return err
	}
	if err := s.note(tx, opened(opening.Session, action)); err != nil {
		return err
	}
	replaced, err := idsOf(tx, opening.Replaces)
	if err != nil {
		return err
	}
	ending := because(audit.Replaced, replaced)
	if opening.MaxPerUser > 0 {
		tooMany, err := surplus(tx, opening, replaced)
		if err != nil {
			return err
		}
		maps.Copy(ending, because(audit.TooMany, tooMany))
	}
	_, err = s.endInOrder(tx, ending)
	return err
}

// idsOf returns the ids of the sessions with these hashes, whosever they are: a
// browser may have been signed in as somebody else.
func idsOf(tx *gorm.DB, hashes []session.Hash) ([]string, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	var ids []string
	err := tx.Model(&sessionRow{}).Where("token_hash IN @list", map[string]any{"list": list}).Pluck("id", &ids).Error
	return ids, err
}

// surplus returns the user's sessions that are too many beside the one that is
// opened: those that have ended anyway, then those used longest ago.
func surplus(tx *gorm.DB, opening session.Opening, but []string) ([]string, error) {
	others := tx.Model(&sessionRow{}).
		Where("user_id = ? AND id NOT IN ?", string(opening.Session.UserID), slices.Concat(but, []string{string(opening.Session.ID)}))
	var ids []string
	order := clause.Expr{SQL: "expires_at <= ?, last_seen_at DESC, id DESC", Vars: []any{storedTime(opening.Session.CreatedAt)}}
	err := others.Order(clause.OrderBy{Expression: order}).
		Limit(math.MaxInt32).Offset(opening.MaxPerUser-1).Pluck("id", &ids).Error
	return ids, err
}

// endInOrder removes sessions, each for its reason, writes that down, and
// returns how many there were.
//
// Rows are locked in the order of their ids, everywhere where several are, and
// after their user's: two who end the same sessions never wait for each other.
func (s *Store) endInOrder(tx *gorm.DB, ending map[string]string) (int, error) {
	ended := 0
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(ending)), touchAtOnce) {
		var gone []endedRow
		err := tx.Raw(`
			WITH ended AS MATERIALIZED (SELECT id FROM sessions WHERE id IN ? ORDER BY id `+s.on(Postgres, "FOR UPDATE")+`)
			DELETE FROM sessions WHERE id IN (SELECT id FROM ended) RETURNING id, user_id`, chunk).Scan(&gone).Error
		if err != nil {
			return 0, err
		}
		if err := s.noteEnded(tx, gone, func(id string) string { return ending[id] }); err != nil {
			return 0, err
		}
		ended += len(gone)
	}
	return ended, nil
}

// ListSessions returns the user's sessions, in any order.
func (s *Store) ListSessions(ctx context.Context, user directory.UserID) ([]session.Session, error) {
	var rows []sessionRow
	if err := s.db.WithContext(ctx).Where("user_id = ?", string(user)).Find(&rows).Error; err != nil {
		return nil, translate(err)
	}
	found := make([]session.Session, len(rows))
	for i, row := range rows {
		var err error
		if found[i], err = storedSession(row); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// EndSession removes the session, whose user wants that. It returns
// session.ErrUnknown when there is none.
func (s *Store) EndSession(ctx context.Context, hash session.Hash) error {
	return s.endOne(ctx, audit.LoggedOut, "token_hash = @hash", map[string]any{"hash": hash[:]})
}

// EndSessionByID removes a session of the user. It returns session.ErrUnknown
// when they have none with this id.
func (s *Store) EndSessionByID(ctx context.Context, user directory.UserID, id session.ID) error {
	return s.endOne(ctx, audit.Revoked, "id = @id AND user_id = @user", map[string]any{"id": string(id), "user": string(user)})
}

// endOne removes the session that the condition is about.
func (s *Store) endOne(ctx context.Context, why, condition string, values map[string]any) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		var gone []endedRow
		if err := tx.Raw(`DELETE FROM sessions WHERE `+condition+` RETURNING id, user_id`, values).Scan(&gone).Error; err != nil {
			return err
		}
		if len(gone) == 0 {
			return session.ErrUnknown
		}
		return s.noteEnded(tx, gone, func(string) string { return why })
	})
}

// EndSessionsOf removes the user's sessions except the one to keep, if that is
// not empty, and their codes, all or nothing. It returns how many sessions
// those were.
func (s *Store) EndSessionsOf(ctx context.Context, user directory.UserID, keep session.ID) (ended int, err error) {
	err = s.transact(ctx, func(tx *gorm.DB) error {
		users, err := s.lockUsers(tx, tx.Where("id = ?", string(user)))
		if err != nil {
			return err
		}
		which := tx.Model(&sessionRow{})
		if keep != "" {
			which = which.Where("id <> ?", string(keep))
		}
		ended, err = s.endOfUsers(tx, audit.Revoked, users, which, tx)
		return err
	})
	return ended, err
}

// lockUsers returns the ids of the users whom the query is about, locked in the
// order of their ids.
func (s *Store) lockUsers(tx, which *gorm.DB) ([]string, error) {
	var ids []string
	err := s.locked(tx).Model(&userRow{}).Where(which).Order("id").Pluck("id", &ids).Error
	return ids, err
}

// endOfUsers removes those sessions and codes of users who are locked that the
// two queries are about. It returns how many sessions those were.
func (s *Store) endOfUsers(tx *gorm.DB, why string, users []string, sessions, codes *gorm.DB) (int, error) {
	if len(users) == 0 {
		return 0, nil
	}
	var ids []string
	if err := sessions.Where("user_id IN ?", users).Pluck("id", &ids).Error; err != nil {
		return 0, err
	}
	ended, err := s.endInOrder(tx, because(why, ids))
	if err != nil {
		return 0, err
	}
	return ended, codes.Where("user_id IN ?", users).Delete(&nativeCodeRow{}).Error
}

// touchAtOnce bounds the rows of one statement, and so its parameters.
const touchAtOnce = 1000

// TouchSessions moves last_seen_at forward, never back, in as few statements
// as there are thousands of sessions. On Postgres it waits for no lock, so that
// neither a logout under way nor another replica holds it up, and returns what
// it has left for that. What has ended meanwhile is no row and is not left.
func (s *Store) TouchSessions(ctx context.Context, seen map[session.ID]time.Time) (left []session.ID, err error) {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(seen)), touchAtOnce) {
		// VALUES, and not a UNION, of which SQLite takes 500 terms.
		row := "(" + s.cast("uuid") + ", " + s.cast("timestamptz") + ")"
		args := make([]any, 0, 2*len(ids))
		for _, id := range ids {
			args = append(args, string(id), storedTime(seen[id]))
		}
		values := `WITH seen (id, at) AS (VALUES ` + strings.Repeat(row+", ", len(ids)-1) + row + `)`
		if s.db.Name() != string(Postgres) {
			if err := s.db.WithContext(ctx).Exec(values+touchOnSQLite, args...).Error; err != nil {
				return nil, translate(err)
			}
			continue
		}
		var locked []session.ID
		if err := s.db.WithContext(ctx).Raw(values+touchOnPostgres, args...).Scan(&locked).Error; err != nil {
			return nil, translate(err)
		}
		left = append(left, locked...)
	}
	return left, nil
}

const touchOnSQLite = `
	UPDATE sessions SET last_seen_at = seen.at FROM seen
	WHERE sessions.id = seen.id AND sessions.last_seen_at < seen.at`

// touchOnPostgres updates what it can lock at once, and tells what it cannot.
const touchOnPostgres = `, free AS MATERIALIZED (
		SELECT s.id, seen.at FROM sessions s JOIN seen ON seen.id = s.id
		WHERE s.last_seen_at < seen.at FOR NO KEY UPDATE OF s SKIP LOCKED
	), touched AS (
		UPDATE sessions SET last_seen_at = free.at FROM free WHERE sessions.id = free.id
	)
	SELECT s.id FROM sessions s JOIN seen ON seen.id = s.id
	WHERE s.last_seen_at < seen.at AND NOT EXISTS (SELECT FROM free WHERE free.id = s.id)`

// cast is a parameter of a type that Postgres cannot infer. SQLite has no types
// to cast to.
func (s *Store) cast(pgType string) string {
	if s.db.Name() == string(Postgres) {
		return "CAST(? AS " + pgType + ")"
	}
	return "?"
}

// on is the SQL, if it is for the dialect of this database.
func (s *Store) on(dialect Dialect, sql string) string {
	if s.db.Name() == string(dialect) {
		return sql
	}
	return ""
}
