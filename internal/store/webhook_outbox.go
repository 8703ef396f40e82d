package store

import (
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/webhook"
)

// news is something that endpoints may want to be told of a user.
type news struct {
	kind webhook.Type
	user directory.UserID
	at   time.Time
}

// newsOf returns what of the audit is told outside: moves from one status to
// another, and changes of what is shown.
func newsOf(e audit.Event) (news, bool) {
	if e.UserID == "" || e.Outcome != "" && e.Outcome != audit.Success {
		return news{}, false
	}
	kind, told := webhook.UserUpdated, e.Action == "user.updated" || e.Action == "user.deletion_hastened"
	if e.To != "" && e.From != e.To {
		kind, told = webhook.OfMove(e.From, e.To)
	}
	return news{kind: kind, user: e.UserID, at: e.At}, told
}

// tellNoted writes the events that follow from lines of the audit, in the
// transaction that writes these.
func (s *Store) tellNoted(tx *gorm.DB, noted []audit.Event) error {
	var told []news
	for _, e := range noted {
		if n, ok := newsOf(e); ok {
			told = append(told, n)
		}
	}
	return s.tell(tx, told)
}

// tell writes events of users as they are now, with the jobs that carry them,
// in the transaction that causes them: after everything else that it writes of
// the users. What no endpoint wants is not written. Where there is none that
// costs one look at an empty table.
func (s *Store) tell(tx *gorm.DB, told []news) error {
	if len(told) == 0 {
		return nil
	}
	endpoints, err := listEndpoints(tx.Select("id", "events", "enabled").Where("enabled"))
	if err != nil {
		return err
	}
	told = slices.DeleteFunc(told, func(n news) bool {
		return !slices.ContainsFunc(endpoints, func(e webhook.Endpoint) bool { return e.Wants(n.kind) })
	})
	for chunk := range slices.Chunk(told, auditAtOnce) {
		if err := s.tellChunk(tx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) tellChunk(tx *gorm.DB, told []news) error {
	ids := make([]string, len(told))
	for i, n := range told {
		ids[i] = string(n.user)
	}
	var users []userRow
	if err := tx.Where("id IN ?", ids).Find(&users).Error; err != nil {
		return err
	}
	of := make(map[directory.UserID]directory.User, len(users))
	for _, user := range users {
		of[directory.UserID(user.ID)] = user.user()
	}
	var rows []webhookEventRow
	var events []webhook.EventID
	for _, n := range told {
		user, ok := of[n.user]
		if !ok {
			continue // the audit may name who was never here
		}
		if n.at.IsZero() {
			n.at = s.db.NowFunc()
		}
		event, err := webhook.OfUser(n.kind, user, storedTime(n.at))
		if err != nil {
			return err
		}
		rows, events = append(rows, rowOfWebhookEvent(event, false)), append(events, event.ID)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Create(&rows).Error; err != nil {
		return err
	}
	sqltx, err := sqlTx(tx)
	if err != nil {
		return err
	}
	return s.jobs.EnqueueWebhookEvents(tx.Statement.Context, sqltx, events)
}
