package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

var (
	// ErrNotFound says that there is no such endpoint.
	ErrNotFound = errors.New("no such webhook endpoint")
	// ErrDeliveryNotFound says that there is no such delivery.
	ErrDeliveryNotFound = errors.New("no such webhook delivery")
	// ErrTooMany says that there are as many endpoints as there may be.
	ErrTooMany = errors.New("there are as many webhook endpoints as there may be")
	// ErrDisabled says that the endpoint gets nothing.
	ErrDisabled = errors.New("the webhook endpoint is disabled")
)

// Store keeps endpoints, events and deliveries. Every method may return
// directory.ErrUnavailable.
type Store interface {
	Endpoints
	Deliveries
}

// Request is one attempt, ready to be sent.
type Request struct {
	URL       string
	Message   string // the header webhook-id
	At        time.Time
	Signature string
	Body      []byte
}

// Answer is what became of a request.
type Answer struct {
	Status     int           // of HTTP; zero without an answer
	Class      Class         // empty for 2xx
	RetryAfter time.Duration // zero where the answer does not say
}

// Sender makes one request, and no more, whatever is answered. It ends with
// ctx at the latest.
type Sender interface {
	Send(ctx context.Context, r Request) Answer
}

// Seals keeps secrets under the key ring.
type Seals interface {
	Seal(purpose string, plaintext []byte) string
	Open(purpose, sealed string) ([]byte, error)
	// Stale reports whether a text is sealed under another than the newest key.
	Stale(sealed string) bool
}

// Service tells endpoints of events. Its fields are set before use.
type Service struct {
	Store    Store
	Sender   Sender
	Seals    Seals
	Rules    Rules
	Schedule Schedule
	// Lease is for how long a worker has a delivery: longer than a request
	// may take. After it somebody else may send it again.
	Lease time.Duration
	// GiveUpAfter is how long an endpoint may do nothing but fail.
	GiveUpAfter time.Duration
	// InFlight is how many requests this process has under way to one endpoint.
	InFlight int
	Now      func() time.Time
	Random   func() float64 // in [0, 1)
	Log      *slog.Logger

	lanes lanes
}

// What serve runs with.
const (
	DefaultGiveUpAfter = 5 * 24 * time.Hour
	DefaultInFlight    = 4
	MaxEndpoints       = 50
)

// FanOut makes the deliveries of an event.
func (s *Service) FanOut(ctx context.Context, id EventID) error {
	return s.Store.FanOut(ctx, id, s.Now().UTC())
}

// Deliver does for the delivery what can be done now. It returns zero when
// nothing is left to do, else when to call again.
func (s *Service) Deliver(ctx context.Context, id DeliveryID, endpoint EndpointID) (again time.Duration, err error) {
	release, wait := s.lanes.enter(endpoint, s.InFlight, s.Now())
	if release == nil {
		return wait, nil
	}
	begun := s.Now()
	defer func() { release(s.Now().Sub(begun)) }()
	claim, err := s.Store.ClaimDelivery(ctx, id, begun.UTC(), begun.UTC().Add(s.Lease))
	switch {
	case errors.Is(err, ErrDeliveryNotFound):
		return 0, nil // its endpoint has been deleted
	case err != nil:
		return 0, err
	case !claim.Mine:
		return s.notNow(claim.Delivery, begun), nil
	}
	answer := s.attempt(ctx, claim)
	// What happened out there is written even while the program stops.
	writing := context.WithoutCancel(ctx)
	if answer.Class != "" && ctx.Err() != nil {
		// We hung up. Whoever has the job next sends it again.
		return 0, errors.Join(ctx.Err(), s.Store.ReleaseDelivery(writing, claim))
	}
	outcome := s.judge(claim, answer)
	turn, err := s.Store.SettleAttempt(writing, claim, outcome)
	if err != nil {
		return 0, err
	}
	s.report(ctx, claim, outcome, turn)
	if outcome.Status == Pending {
		return max(outcome.NextAt.Sub(s.Now()), time.Millisecond), nil
	}
	return 0, nil
}

// notNow returns when to come back for a delivery that is not ours.
func (s *Service) notNow(d Delivery, now time.Time) time.Duration {
	if d.Status != Pending {
		return 0
	}
	due := d.NextAt
	if d.ClaimedUntil.After(due) {
		due = d.ClaimedUntil
	}
	return max(due.Sub(now), 10*time.Millisecond)
}

// attempt sends the delivery once.
func (s *Service) attempt(ctx context.Context, c Claim) Answer {
	now := s.Now()
	signature, err := s.sign(ctx, c, now)
	if err != nil {
		s.Log.ErrorContext(ctx, "a webhook secret does not open: rotate it, or bring the key back",
			slog.String("webhook_id", string(c.Endpoint.ID)))
		return Answer{Class: ClassSecret}
	}
	return s.Sender.Send(ctx, Request{
		URL: c.Endpoint.URL, Message: c.Event.ID.Message(), At: now, Signature: signature, Body: c.Event.Payload,
	})
}

// sign returns the signatures under the endpoint's secret and, while it is
// being rotated, under the one before.
func (s *Service) sign(ctx context.Context, c Claim, now time.Time) (string, error) {
	e := c.Endpoint
	secret, err := s.open(e, e.Sealed)
	if err != nil {
		return "", err
	}
	signatures := []string{secret.Sign(c.Event.ID.Message(), now, c.Event.Payload)}
	if e.SealedPrevious != "" && now.Before(e.PreviousUntil) {
		previous, err := s.open(e, e.SealedPrevious)
		if err != nil {
			s.Log.WarnContext(ctx, "a webhook's previous secret does not open: only the new one signs",
				slog.String("webhook_id", string(e.ID)))
		} else {
			signatures = append(signatures, previous.Sign(c.Event.ID.Message(), now, c.Event.Payload))
		}
	}
	return strings.Join(signatures, " "), nil
}

// purpose binds a sealed secret to its endpoint, so that it opens in no other's
// row.
func purpose(id EndpointID) string { return "webhook " + string(id) }

func (s *Service) seal(id EndpointID, secret Secret) string {
	return s.Seals.Seal(purpose(id), []byte(secret.Reveal()))
}

func (s *Service) open(e Endpoint, sealed string) (Secret, error) {
	text, err := s.Seals.Open(purpose(e.ID), sealed)
	if err != nil {
		return Secret{}, fmt.Errorf("the secret of webhook %s: %w", e.ID, err)
	}
	return ParseSecret(e.Kind, string(text))
}

// judge decides what is to become of the delivery and its endpoint.
func (s *Service) judge(c Claim, a Answer) Outcome {
	now := s.Now().UTC()
	o := Outcome{
		At: now, Status: Delivered, HTTPStatus: a.Status, Class: a.Class, NextAt: c.Delivery.NextAt,
		Counts: c.Event.Type != Test,
	}
	if a.Class == "" {
		return o
	}
	wait, more := s.Schedule.After(c.Delivery.Attempts+1, a.RetryAfter, s.Random())
	o.Status, o.NextAt = Pending, now.Add(wait)
	since := c.Endpoint.FailingSince
	switch {
	case a.Class == ClassGone:
		o.Status, o.Disable = Failed, DisabledGone
	case !since.IsZero() && now.Sub(since) >= s.GiveUpAfter:
		o.Status, o.Disable = Failed, DisabledFailing
	case !more:
		o.Status, o.NextAt = Failed, now
	}
	return o
}

// report logs what has changed; an attempt that failed is in the list of
// deliveries.
func (s *Service) report(ctx context.Context, c Claim, o Outcome, turn Turn) {
	log := s.Log.With(slog.String("webhook_id", string(c.Endpoint.ID)), slog.String("class", string(o.Class)))
	if turn.Failing {
		log.WarnContext(ctx, "a webhook endpoint fails", slog.Int("status", o.HTTPStatus))
	}
	if turn.Recovered {
		log.InfoContext(ctx, "a webhook endpoint works again")
	}
	if turn.Disabled {
		log.ErrorContext(ctx, "a webhook endpoint is disabled", slog.String("because", o.Disable))
	}
	if o.Status == Failed {
		log.WarnContext(ctx, "a webhook was not delivered and is kept to be replayed",
			slog.String("delivery_id", string(c.Delivery.ID)), slog.String("type", string(c.Event.Type)))
	}
}
