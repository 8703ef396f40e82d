package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
)

// transition is a user's move from one status to another, and who made it.
type transition struct {
	at     time.Time
	user   string
	signup string // that was the reason, or empty
	actor  string // empty for the one whom the context names
	from   directory.Status
	to     directory.Status
	class  string // of the error that was the reason, or empty
	point  string // the fail points around it

	before, after audit.Values // what else changes with it
}

func (t transition) event() audit.Event {
	return audit.Event{
		At:       t.at,
		Origin:   audit.Origin{Actor: t.actor},
		Action:   "user." + string(t.to),
		UserID:   directory.UserID(t.user),
		SignupID: t.signup,
		From:     t.from,
		To:       t.to,
		Class:    t.class,
		Before:   t.before,
		After:    t.after,
	}
}

// record writes the lines of transitions, in the transaction that makes them.
func (s *Store) record(tx *gorm.DB, made ...transition) error {
	noted := make([]audit.Event, len(made))
	for i, t := range made {
		noted[i] = t.event()
	}
	return s.note(tx, noted...)
}

// events are what a transaction has written to the audit.
type events []audit.Event

type eventsKey struct{}

// errNoTransaction says that an event was to be written outside of a
// transaction, so that it could stay when what it tells of does not happen.
var errNoTransaction = errors.New("an event of the audit belongs into the transaction of what it tells of")

// auditAtOnce bounds the rows of one insert, and so its parameters.
const auditAtOnce = 500

// note writes events, in the transaction that does what they tell of. What
// they leave out of their origin is the context's.
func (s *Store) note(tx *gorm.DB, noted ...audit.Event) error {
	ctx := tx.Statement.Context
	written, ok := ctx.Value(eventsKey{}).(*events)
	if !ok {
		return errNoTransaction
	}
	for chunk := range slices.Chunk(noted, auditAtOnce) {
		rows := make([]auditRow, len(chunk))
		for i, e := range chunk {
			e = e.Complete(ctx)
			if e.At.IsZero() {
				e.At = s.db.NowFunc()
			}
			e.ID = uuid.Must(uuid.NewV7()).String()
			var err error
			if rows[i], err = rowOfEvent(e); err != nil {
				return err
			}
			*written = append(*written, e)
		}
		if err := tx.Create(&rows).Error; err != nil {
			return err
		}
	}
	return s.tellNoted(tx, noted)
}

// WriteEvents writes events of what had no transaction.
func (s *Store) WriteEvents(ctx context.Context, noted []audit.Event) error {
	return s.transact(ctx, func(tx *gorm.DB) error { return s.note(tx, noted...) })
}

// logEvents writes the lines of events that are committed.
func (s *Store) logEvents(ctx context.Context, written events) {
	if s.Watch != nil {
		for _, e := range written {
			s.Watch(e)
		}
	}
	if s.Log == nil {
		return
	}
	for _, e := range written {
		s.Log.LogAttrs(ctx, slog.LevelInfo, "audit", e.LogAttrs()...)
	}
}

func rowOfEvent(e audit.Event) (auditRow, error) {
	before, errBefore := valuesOrNull(e.Before)
	after, errAfter := valuesOrNull(e.After)
	return auditRow{
		ID:         e.ID,
		At:         storedTime(e.At),
		Actor:      e.Origin.Actor,
		Action:     e.Action,
		UserID:     orNull(string(e.UserID)),
		SignupID:   orNull(e.SignupID),
		FromStatus: orNull(string(e.From)),
		ToStatus:   orNull(string(e.To)),
		Class:      orNull(e.Class),
		Address:    orNull(e.Origin.Address),
		RequestID:  orNull(e.Origin.RequestID),
		SessionID:  orNull(e.Origin.SessionID),
		Outcome:    string(e.Outcome),
		Reason:     orNull(e.Reason),
		Before:     before,
		After:      after,
		TargetKind: orNull(e.Target.Kind),
		TargetID:   orNull(e.Target.ID),
	}, errors.Join(errBefore, errAfter)
}

func (r auditRow) event() (audit.Event, error) {
	before, errBefore := storedValues(r.Before)
	after, errAfter := storedValues(r.After)
	return audit.Event{
		ID: r.ID,
		At: r.At.UTC(),
		Origin: audit.Origin{
			Actor: r.Actor, Address: orEmpty(r.Address), RequestID: orEmpty(r.RequestID), SessionID: orEmpty(r.SessionID),
		},
		Action:   r.Action,
		Outcome:  audit.Outcome(r.Outcome),
		Reason:   orEmpty(r.Reason),
		UserID:   directory.UserID(orEmpty(r.UserID)),
		SignupID: orEmpty(r.SignupID),
		Target:   audit.Target{Kind: orEmpty(r.TargetKind), ID: orEmpty(r.TargetID)},
		From:     directory.Status(orEmpty(r.FromStatus)),
		To:       directory.Status(orEmpty(r.ToStatus)),
		Class:    orEmpty(r.Class),
		Before:   before,
		After:    after,
	}, errors.Join(errBefore, errAfter)
}

// valuesOrNull are values as JSON, without U+0000, which Postgres refuses: an
// odd name must not keep its change from being made.
func valuesOrNull(values audit.Values) (*string, error) {
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // null is what it is
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("values of an audit event: %w", err)
	}
	return orNull(strings.ReplaceAll(string(raw), `\u0000`, `\ufffd`)), nil
}

func storedValues(text *string) (audit.Values, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // null is what it is
	}
	var values audit.Values
	if err := json.Unmarshal([]byte(*text), &values); err != nil {
		return nil, fmt.Errorf("values of an audit event: %w", err)
	}
	return values, nil
}
