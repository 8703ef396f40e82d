package webhook

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// Type is what has happened: a name that receivers branch on.
type Type string

// The types.
const (
	UserCreated   Type = "user.created"
	UserInvited   Type = "user.invited"
	UserActivated Type = "user.activated"
	UserUpdated   Type = "user.updated"
	UserSuspended Type = "user.suspended"
	UserRestored  Type = "user.restored"
	UserDeleted   Type = "user.deleted"
	UserConflict  Type = "user.conflict"
	UserFailed    Type = "user.failed"
	// Test is sent when an operator asks for it, whatever the endpoint wants.
	Test Type = "portico.test"
)

// Types returns every type that an endpoint can ask for.
func Types() []Type {
	return []Type{
		UserCreated, UserInvited, UserActivated, UserUpdated, UserSuspended,
		UserRestored, UserDeleted, UserConflict, UserFailed,
	}
}

// Known reports whether an endpoint can ask for the type.
func (t Type) Known() bool { return slices.Contains(Types(), t) }

// OfMove returns what a move from one status to another is told as, and
// whether it is told at all: that the provider is asked is no news.
func OfMove(from, to directory.Status) (Type, bool) {
	back := from == directory.Suspended || from == directory.Deleting
	switch to {
	case directory.Received:
		return UserCreated, true
	case directory.Suspended:
		return UserSuspended, true
	case directory.Deleted:
		return UserDeleted, true
	case directory.Conflict:
		return UserConflict, true
	case directory.Failed:
		return UserFailed, true
	case directory.Deleting:
		return UserUpdated, true // within the grace period they are still there
	case directory.Provisioning, directory.Invited, directory.Active:
		return ofArrival(to, from, back)
	default:
		return "", false
	}
}

func ofArrival(to, from directory.Status, back bool) (Type, bool) {
	switch {
	case back:
		return UserRestored, true
	case to == directory.Invited:
		return UserInvited, true
	case to == directory.Active:
		return UserActivated, true
	case from == "":
		return UserCreated, true // by an administrator, or an import
	default:
		return "", false
	}
}

// EventID names an event: a UUIDv7.
type EventID string

// NewEventID returns a fresh id, ordered by time.
func NewEventID() EventID { return EventID(uuid.Must(uuid.NewV7()).String()) }

// Message is the id as receivers see it, in the header webhook-id. It holds no
// full stop, which separates what is signed.
func (id EventID) Message() string { return "msg_" + string(id) }

// Event is something to be told.
type Event struct {
	ID      EventID
	Type    Type
	User    directory.UserID // empty for a test
	At      time.Time
	Payload []byte // the body, as it is sent and signed
}

// payload is an event's body.
type payload struct {
	Type      Type      `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// userData is what is told of a user.
type userData struct {
	ID          directory.UserID      `json:"id"`
	ExternalID  directory.ExternalID  `json:"external_id"`
	InternalID  *directory.InternalID `json:"internal_id"`
	Email       string                `json:"email"`
	DisplayName string                `json:"display_name"`
	Locale      string                `json:"locale"`
	Status      directory.Status      `json:"status"`
	LastError   *string               `json:"last_error"`
	Version     int64                 `json:"version"`
	CreatedAt   time.Time             `json:"created_at"`
	UpdatedAt   time.Time             `json:"updated_at"`
}

// deletedData is what is told of a user who is gone.
type deletedData struct {
	ID         directory.UserID     `json:"id"`
	ExternalID directory.ExternalID `json:"external_id"`
	Version    int64                `json:"version"`
}

// testData says whose test it is.
type testData struct {
	WebhookID EndpointID `json:"webhook_id"`
}

// OfUser returns the event that tells of a user as they are now. Of one who is
// gone it tells no more than the ids.
func OfUser(t Type, u directory.User, at time.Time) (Event, error) {
	if t == UserDeleted {
		return newEvent(t, u.ID, at, deletedData{ID: u.ID, ExternalID: u.ExternalID, Version: u.Version})
	}
	data := userData{
		ID: u.ID, ExternalID: u.ExternalID, Email: u.Email.String(), DisplayName: u.DisplayName, Locale: u.Locale,
		Status: u.Status, Version: u.Version, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(),
	}
	if u.InternalID != "" {
		data.InternalID = &u.InternalID
	}
	if u.LastClass != "" {
		data.LastError = &u.LastClass
	}
	return newEvent(t, u.ID, at, data)
}

// OfTest returns a test of an endpoint.
func OfTest(id EndpointID, at time.Time) (Event, error) {
	return newEvent(Test, "", at, testData{WebhookID: id})
}

func newEvent(t Type, user directory.UserID, at time.Time, data any) (Event, error) {
	body, err := json.Marshal(payload{Type: t, Timestamp: at.UTC(), Data: data})
	return Event{ID: NewEventID(), Type: t, User: user, At: at, Payload: body}, err
}
