package store

import (
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// endedRow is what is left of a session that was removed.
type endedRow struct {
	ID     string
	UserID string
}

// because gives each of the sessions the reason for which it ends.
func because(why string, ids []string) map[string]string {
	ending := make(map[string]string, len(ids))
	for _, id := range ids {
		ending[id] = why
	}
	return ending
}

// noteEnded writes down that sessions have ended, and why.
func (s *Store) noteEnded(tx *gorm.DB, gone []endedRow, why func(id string) string) error {
	noted := make([]audit.Event, len(gone))
	for i, row := range gone {
		noted[i] = audit.Event{
			Action: audit.SessionEnded,
			Reason: why(row.ID),
			UserID: directory.UserID(row.UserID),
			Target: audit.Target{Kind: audit.TargetSession, ID: row.ID},
		}
	}
	return s.note(tx, noted...)
}

// opened is the event of a session that begins. Its user has just proved who
// they are.
func opened(begun session.Session, action string) audit.Event {
	values := audit.Values{"client": begun.Client, "auth_time": begun.AuthTime, "expires_at": begun.ExpiresAt}
	if begun.ACR != "" {
		values["acr"] = begun.ACR
	}
	if len(begun.AMR) > 0 {
		values["amr"] = begun.AMR
	}
	return audit.Event{
		At:     begun.CreatedAt,
		Origin: audit.Origin{Actor: audit.User(begun.UserID), Address: begun.Address, SessionID: string(begun.ID)},
		Action: action,
		UserID: begun.UserID,
		Target: audit.Target{Kind: audit.TargetSession, ID: string(begun.ID)},
		After:  values,
	}
}
