package store

import (
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
)

// transition is a user's move from one status to another, and who made it.
type transition struct {
	at     time.Time
	user   string
	signup string // that was the reason, or empty
	actor  string // empty for the program itself
	from   directory.Status
	to     directory.Status
	class  string // of the error that was the reason, or empty
	point  string // the fail points around it
}

// Who acts.
const (
	actorPortico = "portico"
	actorUser    = "user"
)

// record writes the line of a transition, in the transaction that makes it.
func (s *Store) record(tx *gorm.DB, t transition) error {
	if t.actor == "" {
		t.actor = actorPortico
	}
	if err := s.tellMove(tx, t); err != nil {
		return err
	}
	return tx.Create(&auditRow{
		ID:         uuid.Must(uuid.NewV7()).String(),
		At:         storedTime(t.at),
		Actor:      t.actor,
		Action:     "user." + string(t.to),
		UserID:     orNull(t.user),
		SignupID:   orNull(t.signup),
		FromStatus: orNull(string(t.from)),
		ToStatus:   orNull(string(t.to)),
		Class:      orNull(t.class),
	}).Error
}
