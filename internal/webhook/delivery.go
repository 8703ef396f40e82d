package webhook

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
)

// DeliveryID names a delivery: a UUIDv7.
type DeliveryID string

// NewDeliveryID returns a fresh id, ordered by time.
func NewDeliveryID() DeliveryID { return DeliveryID(uuid.Must(uuid.NewV7()).String()) }

// Status is how far a delivery has come.
type Status string

// The statuses.
const (
	Pending   Status = "pending"
	Delivered Status = "delivered"
	Failed    Status = "failed"
)

// Delivery is an event on its way to one endpoint. Times are UTC; those that
// have not come are zero.
type Delivery struct {
	ID           DeliveryID
	Event        EventID
	Type         Type
	User         directory.UserID
	Endpoint     EndpointID
	Status       Status
	Attempts     int // since it was made, or replayed
	NextAt       time.Time
	ClaimedUntil time.Time // a worker has it
	LastAt       time.Time
	LastStatus   int // of HTTP; zero without an answer
	LastClass    Class
	CreatedAt    time.Time
	SettledAt    time.Time
}

// Class says why an attempt has failed. It is all that is kept of an answer
// beside its status: the text may hold anything.
type Class string

// The classes. The empty one is a success.
const (
	ClassRedirect    Class = "redirect"          // 3xx, which is not followed
	ClassRefused     Class = "refused"           // any other 4xx
	ClassGone        Class = "gone"              // 410
	ClassThrottled   Class = "throttled"         // 429
	ClassServer      Class = "server_error"      // 5xx
	ClassUnreachable Class = "unreachable"       // no such name, nobody listens
	ClassAddress     Class = "address_refused"   // it leads to where nothing is sent
	ClassTLS         Class = "tls"               // whoever answers is not who they should be
	ClassTimeout     Class = "timeout"           // no answer in time
	ClassBroken      Class = "broken"            // the connection ended, or spoke no HTTP
	ClassSecret      Class = "secret_unreadable" // sealed under a key that is no longer there
	ClassDisabled    Class = "endpoint_disabled" // nothing was sent
)

// Claim is a delivery that one worker has for a while, with what it takes to
// attempt it. Without Mine it is a view: somebody else has it, or it is settled
// or not due.
type Claim struct {
	Delivery Delivery
	Event    Event
	Endpoint Endpoint
	Mine     bool
}

// Outcome is what came of an attempt.
type Outcome struct {
	At         time.Time
	Status     Status // of the delivery from now on
	NextAt     time.Time
	HTTPStatus int
	Class      Class  // empty for a success
	Disable    string // why the endpoint is disabled with it; empty if it is not
	Counts     bool   // for or against the endpoint, as a test does not
}

// Turn is what an outcome has changed of the endpoint.
type Turn struct {
	Failing   bool // it has begun to fail
	Recovered bool // it works again
	Disabled  bool // it gets nothing any more
}

// Deliveries are attempted by one worker at a time. Every method may return
// directory.ErrUnavailable.
type Deliveries interface {
	// FanOut makes a delivery, and its job, for each endpoint that wants the
	// event, once. An event that is not there has none.
	FanOut(ctx context.Context, id EventID, at time.Time) error
	// ClaimDelivery gives the delivery to the caller until a time, if it is
	// pending, due, and nobody else has it. It returns ErrDeliveryNotFound.
	ClaimDelivery(ctx context.Context, id DeliveryID, now, until time.Time) (Claim, error)
	// SettleAttempt writes what came of an attempt, unless the claim was lost.
	SettleAttempt(ctx context.Context, c Claim, o Outcome) (Turn, error)
	// ReleaseDelivery gives a claim back: nothing was sent, or nobody knows.
	ReleaseDelivery(ctx context.Context, c Claim) error

	// CreateTest stores a test and claims its delivery, which has no job.
	CreateTest(ctx context.Context, e Event, id EndpointID, until time.Time) (Claim, error)
	// FindDelivery returns ErrDeliveryNotFound.
	FindDelivery(ctx context.Context, id DeliveryID) (Delivery, error)
	// ListDeliveries returns those of an endpoint, newest first.
	ListDeliveries(ctx context.Context, id EndpointID, p Page) ([]Delivery, error)
	// ReplayDelivery makes a delivery due, with a job, whatever came of it. It
	// returns ErrDeliveryNotFound, or ErrDisabled.
	ReplayDelivery(ctx context.Context, id DeliveryID, at time.Time) (Delivery, error)
	// ReplayFailed does so with the endpoint's failed deliveries made since, at
	// most limit of them, and returns how many. It returns ErrNotFound, or
	// ErrDisabled.
	ReplayFailed(ctx context.Context, id EndpointID, since, at time.Time, limit int) (int, error)
}

// Page is a part of a list.
type Page struct {
	Status Status     // empty for all
	Before DeliveryID // older than this; empty for the newest
	Limit  int
}
