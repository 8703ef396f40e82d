package store

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// UseFlow marks the flow as finished and reports whether it was the first to.
// The mark is kept until the flow could not be opened any more anyway.
func (s *Store) UseFlow(ctx context.Context, flowID string, expiresAt time.Time) (first bool, err error) {
	row := usedFlowRow{FlowID: flowID, ExpiresAt: storedTime(expiresAt)}
	marked := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	return marked.RowsAffected == 1, translate(marked.Error)
}

// EndSessionsOfProvider removes the sessions and codes that the logout is about,
// and marks its token as used, all or nothing. It returns how many sessions
// those were, or session.ErrLogoutReplayed.
//
// The mark goes first: a second request with the same token waits for it, and a
// token whose logout could not be carried out may be sent again.
func (s *Store) EndSessionsOfProvider(ctx context.Context, logout session.ProviderLogout) (ended int, err error) {
	err = s.transact(ctx, func(tx *gorm.DB) error {
		mark := logout.Mark()
		row := usedLogoutTokenRow{TokenHash: mark[:], ExpiresAt: storedTime(logout.ExpiresAt)}
		marked := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if marked.Error != nil {
			return marked.Error
		}
		if marked.RowsAffected == 0 {
			return session.ErrLogoutReplayed
		}
		users, err := s.lockUsers(tx, whoLogsOut(tx, logout))
		if err != nil {
			return err
		}
		sessions, codes := tx.Model(&sessionRow{}), tx
		if logout.Session != "" {
			sessions = sessions.Where("issuer = ? AND provider_session = ?", logout.Issuer, logout.Session)
			codes = codes.Where("provider_session = ?", logout.Session)
		}
		if ended, err = s.endOfUsers(tx, audit.ProviderLogout, users, sessions, codes); err != nil {
			return err
		}
		return s.note(tx, audit.Event{
			Action: audit.LogoutTokenAccepted, UserID: onlyOne(users), After: audit.Values{"sessions_ended": ended},
		})
	})
	return ended, err
}

// onlyOne is the user, if there is one and no other.
func onlyOne(users []string) directory.UserID {
	if len(users) != 1 {
		return ""
	}
	return directory.UserID(users[0])
}

// whoLogsOut is about the users of a logout: its subject, who is one at most, or
// else whoever the provider's session belongs to.
func whoLogsOut(tx *gorm.DB, logout session.ProviderLogout) *gorm.DB {
	if logout.Subject != "" {
		return tx.Where("issuer = ? AND subject = ?", logout.Issuer, logout.Subject)
	}
	return tx.Where(`id IN (SELECT user_id FROM sessions WHERE issuer = @issuer AND provider_session = @session)
		OR issuer = @issuer AND id IN (SELECT user_id FROM native_codes WHERE provider_session = @session)`,
		map[string]any{"issuer": logout.Issuer, "session": logout.Session})
}
