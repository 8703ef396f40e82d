package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// OpenSession recognises the user by external_id, applies User.SignIn and
// stores the session, all or nothing. It returns directory.ErrNotRegistered
// or an error of User.SignIn.
func (s *Store) OpenSession(ctx context.Context, identity directory.Identity, opening session.Opening) (directory.User, error) {
	var after directory.User
	err := s.transact(ctx, func(tx *gorm.DB) error {
		var row userRow
		// The lock orders a login and a suspension: whichever comes second
		// sees the first. SQLite's transactions have one writer anyway.
		err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).
			Where("external_id = ?", string(identity.ExternalID)).Take(&row).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return directory.ErrNotRegistered
		}
		if err != nil {
			return err
		}
		before := row.user()
		if after, err = before.SignIn(identity); err != nil {
			return err
		}
		if after != before {
			after.UpdatedAt = opening.Session.CreatedAt
			if err := signIn(tx, row, after); err != nil {
				return err
			}
		}
		opening.Session.UserID = after.ID
		stored := rowOfSession(opening.Session, opening.Hash)
		if err := tx.Create(&stored).Error; err != nil {
			return err
		}
		return endSessions(tx, opening.Replaces)
	})
	if violates(err, "users_internal_id_key") || violates(err, "users_issuer_subject_key") {
		// Another user here is bound to that identity.
		return directory.User{}, directory.ErrIdentityMismatch
	}
	if err != nil {
		return directory.User{}, err
	}
	return after, nil
}

// signIn stores what a login has changed of a user.
func signIn(tx *gorm.DB, before userRow, after directory.User) error {
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
	if before.Status == string(after.Status) {
		return nil
	}
	return audit(tx, transition{
		at: after.UpdatedAt, user: before.ID, actor: actorUser, from: directory.Status(before.Status), to: after.Status,
	})
}

func endSessions(tx *gorm.DB, hashes []session.Hash) error {
	for _, hash := range hashes {
		if err := tx.Where("token_hash = @hash", map[string]any{"hash": hash[:]}).Delete(&sessionRow{}).Error; err != nil {
			return err
		}
	}
	return nil
}

// sessionAndUser is what one look-up of a token reads.
type sessionAndUser struct {
	User              userRow `gorm:"embedded"`
	SessionID         string
	SessionCreatedAt  time.Time
	SessionLastSeenAt time.Time
	SessionExpiresAt  time.Time
}

// FindSession returns the session with this token and its user, in one indexed
// query. It returns session.ErrUnknown when there is none.
func (s *Store) FindSession(ctx context.Context, hash session.Hash, client session.Client) (directory.User, session.Session, error) {
	var row sessionAndUser
	found := s.db.WithContext(ctx).Raw(`
		SELECT u.id, u.external_id, u.internal_id, u.email, u.email_canonical, u.display_name,
		       u.status, u.issuer, u.subject, u.created_at, u.updated_at,
		       s.id AS session_id, s.created_at AS session_created_at,
		       s.last_seen_at AS session_last_seen_at, s.expires_at AS session_expires_at
		FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.token_hash = @hash AND s.client = @client`,
		map[string]any{"hash": hash[:], "client": string(client)}).Scan(&row)
	if found.Error != nil {
		return directory.User{}, session.Session{}, translate(found.Error)
	}
	if found.RowsAffected == 0 {
		return directory.User{}, session.Session{}, session.ErrUnknown
	}
	return row.User.user(), session.Session{
		ID:         session.ID(row.SessionID),
		UserID:     directory.UserID(row.User.ID),
		Client:     client,
		CreatedAt:  row.SessionCreatedAt.UTC(),
		LastSeenAt: row.SessionLastSeenAt.UTC(),
		ExpiresAt:  row.SessionExpiresAt.UTC(),
	}, nil
}

// EndSession removes the session. It returns session.ErrUnknown when there is
// none.
func (s *Store) EndSession(ctx context.Context, hash session.Hash) error {
	ended := s.db.WithContext(ctx).
		Where("token_hash = @hash", map[string]any{"hash": hash[:]}).Delete(&sessionRow{})
	if ended.Error != nil {
		return translate(ended.Error)
	}
	if ended.RowsAffected == 0 {
		return session.ErrUnknown
	}
	return nil
}

// touchAtOnce bounds the rows of one statement, and so its parameters.
const touchAtOnce = 1000

// TouchSessions moves last_seen_at forward, never back, in as few statements
// as there are thousands of sessions.
func (s *Store) TouchSessions(ctx context.Context, seen map[session.ID]time.Time) error {
	// In one order, so that two replicas never wait for each other's rows.
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(seen)), touchAtOnce) {
		// VALUES, and not a UNION, of which SQLite takes 500 terms. Both
		// dialects call its columns column1 and column2.
		row := "(" + s.cast("uuid") + ", " + s.cast("timestamptz") + ")"
		args := make([]any, 0, 2*len(ids))
		for _, id := range ids {
			args = append(args, string(id), storedTime(seen[id]))
		}
		err := s.db.WithContext(ctx).Exec(`
			UPDATE sessions SET last_seen_at = seen.column2
			FROM (VALUES `+strings.Repeat(row+", ", len(ids)-1)+row+`) AS seen
			WHERE sessions.id = seen.column1 AND sessions.last_seen_at < seen.column2`, args...).Error
		if err != nil {
			return translate(err)
		}
	}
	return nil
}

// cast is a parameter of a type that Postgres cannot infer. SQLite has no types
// to cast to.
func (s *Store) cast(pgType string) string {
	if s.db.Name() == string(Postgres) {
		return "CAST(? AS " + pgType + ")"
	}
	return "?"
}
