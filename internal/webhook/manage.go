package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Endpoints are what an operator sets up. Every method may return
// directory.ErrUnavailable; those that take an id may return ErrNotFound.
type Endpoints interface {
	// CreateEndpoint returns ErrTooMany when there are as many as limit.
	CreateEndpoint(ctx context.Context, e Endpoint, limit int) error
	// ListEndpoints returns all, oldest first.
	ListEndpoints(ctx context.Context) ([]Endpoint, error)
	FindEndpoint(ctx context.Context, id EndpointID) (Endpoint, error)
	// UpdateEndpoint changes what the change says. Disabling fails what is
	// pending; enabling forgets earlier failures.
	UpdateEndpoint(ctx context.Context, id EndpointID, c Change, at time.Time) (Endpoint, error)
	RotateSecret(ctx context.Context, id EndpointID, r Rotation) (Endpoint, error)
	// ResealSecrets puts newly sealed secrets in place of the same ones; what
	// has been rotated meanwhile stays.
	ResealSecrets(ctx context.Context, e Endpoint, sealed, previous string) error
	// DeleteEndpoint removes the endpoint with its deliveries.
	DeleteEndpoint(ctx context.Context, id EndpointID, at time.Time) error
}

// Draft is an endpoint to be made.
type Draft struct {
	URL         string
	Description string
	Events      []Type // empty for all
	Kind        Kind
	Secret      string // empty for a fresh one
	Disabled    bool
}

// Change is what is to become of an endpoint. What is nil stays.
type Change struct {
	URL         *string
	Description *string
	Events      *[]Type
	Enabled     *bool
}

// Rotation is a secret to sign with from now on, and until when the one before
// signs as well: not at all if the time is zero.
type Rotation struct {
	Sealed        string
	PublicKey     string
	PreviousUntil time.Time
	At            time.Time
}

// Create makes an endpoint and returns its secret, which nothing shows again.
// It returns ErrTooMany, ErrSecret, ErrEvents, ErrDescription or a *URLError.
func (s *Service) Create(ctx context.Context, d Draft) (Endpoint, Secret, error) {
	if err := s.check(&d.URL, &d.Description, &d.Events); err != nil {
		return Endpoint{}, Secret{}, err
	}
	secret, err := given(d.Kind, d.Secret)
	if err != nil {
		return Endpoint{}, Secret{}, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	e := Endpoint{
		ID: NewEndpointID(), URL: d.URL, Description: d.Description, Events: d.Events, Kind: d.Kind,
		PublicKey: secret.PublicKey(), Enabled: !d.Disabled, CreatedAt: now, UpdatedAt: now,
	}
	if d.Disabled {
		e.DisabledBecause = DisabledByAdmin
	}
	e.Sealed = s.seal(e.ID, secret)
	return e, secret, s.Store.CreateEndpoint(ctx, e, MaxEndpoints)
}

// given returns the secret that was brought along, or a fresh one.
func given(kind Kind, text string) (Secret, error) {
	if kind != Symmetric && kind != Asymmetric {
		return Secret{}, ErrSecret
	}
	if text == "" {
		return NewSecret(kind), nil
	}
	return ParseSecret(kind, text)
}

func (s *Service) check(address, description *string, events *[]Type) error {
	if address != nil {
		if err := s.Rules.Check(*address); err != nil {
			return err
		}
	}
	if description != nil {
		if err := checkDescription(*description); err != nil {
			return err
		}
	}
	if events != nil {
		return checkEvents(*events)
	}
	return nil
}

// List returns all endpoints, oldest first.
func (s *Service) List(ctx context.Context) ([]Endpoint, error) { return s.Store.ListEndpoints(ctx) }

// Get returns ErrNotFound when there is no such endpoint.
func (s *Service) Get(ctx context.Context, id EndpointID) (Endpoint, error) {
	return s.Store.FindEndpoint(ctx, id)
}

// Update changes an endpoint. It returns ErrNotFound, ErrEvents, ErrDescription
// or a *URLError.
func (s *Service) Update(ctx context.Context, id EndpointID, c Change) (Endpoint, error) {
	if err := s.check(c.URL, c.Description, c.Events); err != nil {
		return Endpoint{}, err
	}
	return s.Store.UpdateEndpoint(ctx, id, c, s.Now().UTC())
}

// Delete removes an endpoint with its deliveries. It returns ErrNotFound.
func (s *Service) Delete(ctx context.Context, id EndpointID) error {
	return s.Store.DeleteEndpoint(ctx, id, s.Now().UTC())
}

// The bounds of an overlap.
const (
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 7 * 24 * time.Hour
)

// ErrOverlap says that an overlap is out of bounds.
var ErrOverlap = errors.New("the overlap has to be between nothing and seven days")

// Rotate puts another secret in place of the endpoint's: the text that is
// given, or a fresh one. For as long as overlap, events are signed with both.
// It returns the new one, which nothing shows again, or ErrNotFound, ErrSecret
// or ErrOverlap.
func (s *Service) Rotate(ctx context.Context, id EndpointID, text string, overlap time.Duration) (Endpoint, Secret, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return Endpoint{}, Secret{}, ErrOverlap
	}
	e, err := s.Store.FindEndpoint(ctx, id)
	if err != nil {
		return Endpoint{}, Secret{}, err
	}
	secret, err := given(e.Kind, text)
	if err != nil {
		return Endpoint{}, Secret{}, err
	}
	r := Rotation{Sealed: s.seal(id, secret), PublicKey: secret.PublicKey(), At: s.Now().UTC()}
	if overlap > 0 {
		r.PreviousUntil = r.At.Add(overlap)
	}
	e, err = s.Store.RotateSecret(ctx, id, r)
	return e, secret, err
}

// Reseal seals the secrets that are not sealed under the newest key anew, so
// that older keys can be dropped. One that does not open stays as it is.
func (s *Service) Reseal(ctx context.Context) error {
	endpoints, err := s.Store.ListEndpoints(ctx)
	if err != nil {
		return err
	}
	for _, e := range endpoints {
		sealed, previous := s.resealed(e, e.Sealed), s.resealed(e, e.SealedPrevious)
		if sealed == e.Sealed && previous == e.SealedPrevious {
			continue
		}
		if err := s.Store.ResealSecrets(ctx, e, sealed, previous); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) resealed(e Endpoint, sealed string) string {
	if sealed == "" || !s.Seals.Stale(sealed) {
		return sealed
	}
	secret, err := s.open(e, sealed)
	if err != nil {
		return sealed
	}
	return s.seal(e.ID, secret)
}

// CheckSecrets returns an error that names the endpoints whose secrets open
// under no key of the ring, and how many endpoints there are.
func (s *Service) CheckSecrets(ctx context.Context) (int, error) {
	endpoints, err := s.Store.ListEndpoints(ctx)
	if err != nil {
		return 0, err
	}
	var lost []error
	for _, e := range endpoints {
		if _, err := s.open(e, e.Sealed); err != nil {
			lost = append(lost, fmt.Errorf("%w: rotate it, or bring the key back", err))
		}
	}
	return len(endpoints), errors.Join(lost...)
}

// Test sends a test to an endpoint, enabled or not, once, and returns what came
// of it. It returns ErrNotFound.
func (s *Service) Test(ctx context.Context, id EndpointID) (Delivery, error) {
	now := s.Now().UTC().Truncate(time.Microsecond) // as it is stored
	event, err := OfTest(id, now)
	if err != nil {
		return Delivery{}, err
	}
	claim, err := s.Store.CreateTest(ctx, event, id, now.Add(s.Lease))
	if err != nil {
		return Delivery{}, err
	}
	answer := s.attempt(ctx, claim)
	outcome := Outcome{
		At: s.Now().UTC(), Status: Delivered, NextAt: claim.Delivery.NextAt, HTTPStatus: answer.Status, Class: answer.Class,
	}
	if answer.Class != "" {
		outcome.Status = Failed // once: whoever asked has the answer
	}
	writing := context.WithoutCancel(ctx)
	if _, err := s.Store.SettleAttempt(writing, claim, outcome); err != nil {
		return Delivery{}, err
	}
	return s.Store.FindDelivery(writing, claim.Delivery.ID)
}

// Deliveries returns a page of an endpoint's deliveries, newest first. It
// returns ErrNotFound.
func (s *Service) Deliveries(ctx context.Context, id EndpointID, p Page) ([]Delivery, error) {
	if _, err := s.Store.FindEndpoint(ctx, id); err != nil {
		return nil, err
	}
	return s.Store.ListDeliveries(ctx, id, p)
}

// Replay has a delivery sent again, from the schedule's beginning, whatever came
// of it. It returns ErrDeliveryNotFound or ErrDisabled.
func (s *Service) Replay(ctx context.Context, id DeliveryID) (Delivery, error) {
	return s.Store.ReplayDelivery(ctx, id, s.Now().UTC())
}

// replayAtOnce bounds one transaction.
const replayAtOnce = 500

// ReplayFailed has every failed delivery of an endpoint that was made since
// sent again, and returns how many they are. It returns ErrNotFound or
// ErrDisabled.
func (s *Service) ReplayFailed(ctx context.Context, id EndpointID, since time.Time) (replayed int, err error) {
	for {
		n, err := s.Store.ReplayFailed(ctx, id, since, s.Now().UTC(), replayAtOnce)
		replayed += n
		if err != nil || n < replayAtOnce {
			return replayed, err
		}
	}
}
