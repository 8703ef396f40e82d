package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/webhook"
)

// webhookEventRow is a row of webhook_events.
type webhookEventRow struct {
	ID      string    `gorm:"column:id;primaryKey"`
	Type    string    `gorm:"column:type"`
	UserID  *string   `gorm:"column:user_id"`
	At      time.Time `gorm:"column:at"`
	Payload string    `gorm:"column:payload"`
	Fanned  bool      `gorm:"column:fanned"`
}

func (webhookEventRow) TableName() string { return "webhook_events" }

func rowOfWebhookEvent(e webhook.Event, fanned bool) webhookEventRow {
	return webhookEventRow{
		ID: string(e.ID), Type: string(e.Type), UserID: orNull(string(e.User)),
		At: storedTime(e.At), Payload: string(e.Payload), Fanned: fanned,
	}
}

func (r webhookEventRow) event() webhook.Event {
	return webhook.Event{
		ID: webhook.EventID(r.ID), Type: webhook.Type(r.Type), User: directory.UserID(orEmpty(r.UserID)),
		At: r.At.UTC(), Payload: []byte(r.Payload),
	}
}

// webhookDeliveryRow is a row of webhook_deliveries.
type webhookDeliveryRow struct {
	ID           string     `gorm:"column:id;primaryKey"`
	EventID      string     `gorm:"column:event_id"`
	EndpointID   string     `gorm:"column:endpoint_id"`
	Status       string     `gorm:"column:status"`
	Attempts     int        `gorm:"column:attempts"`
	NextAt       time.Time  `gorm:"column:next_at"`
	ClaimedUntil *time.Time `gorm:"column:claimed_until"`
	LastAt       *time.Time `gorm:"column:last_at"`
	LastStatus   *int       `gorm:"column:last_status"`
	LastClass    *string    `gorm:"column:last_class"`
	CreatedAt    time.Time  `gorm:"column:created_at"`
	SettledAt    *time.Time `gorm:"column:settled_at"`
}

func (webhookDeliveryRow) TableName() string { return "webhook_deliveries" }

func (r webhookDeliveryRow) delivery(e webhook.Event) webhook.Delivery {
	d := webhook.Delivery{
		ID: webhook.DeliveryID(r.ID), Event: webhook.EventID(r.EventID), Type: e.Type, User: e.User,
		Endpoint: webhook.EndpointID(r.EndpointID), Status: webhook.Status(r.Status), Attempts: r.Attempts,
		NextAt: r.NextAt.UTC(), ClaimedUntil: orZero(r.ClaimedUntil), LastAt: orZero(r.LastAt),
		LastClass: webhook.Class(orEmpty(r.LastClass)), CreatedAt: r.CreatedAt.UTC(), SettledAt: orZero(r.SettledAt),
	}
	if r.LastStatus != nil {
		d.LastStatus = *r.LastStatus
	}
	return d
}

// newDelivery is a delivery that is due.
func newDelivery(event webhook.EventID, endpoint webhook.EndpointID, at time.Time) webhookDeliveryRow {
	return webhookDeliveryRow{
		ID: string(webhook.NewDeliveryID()), EventID: string(event), EndpointID: string(endpoint),
		Status: string(webhook.Pending), NextAt: storedTime(at), CreatedAt: storedTime(at),
	}
}

// FanOut makes a delivery, and its job, for each endpoint that wants the event,
// once.
func (s *Store) FanOut(ctx context.Context, id webhook.EventID, at time.Time) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		var row webhookEventRow
		// The lock orders two workers with one event.
		err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", string(id)).Take(&row).Error
		if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && row.Fanned {
			return nil
		}
		if err != nil {
			return err
		}
		endpoints, err := listEndpoints(tx.Where("enabled"))
		if err != nil {
			return err
		}
		event := row.event()
		var made []webhook.Delivery
		for _, e := range endpoints {
			if !e.Wants(event.Type) {
				continue
			}
			delivery := newDelivery(event.ID, e.ID, at)
			created := tx.Create(&delivery)
			if created.Error != nil {
				return created.Error
			}
			made = append(made, delivery.delivery(event))
		}
		if err := s.enqueueDeliveries(tx, made); err != nil {
			return err
		}
		return tx.Model(&webhookEventRow{}).Where("id = ?", string(id)).UpdateColumn("fanned", true).Error
	})
}

func (s *Store) enqueueDeliveries(tx *gorm.DB, deliveries []webhook.Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	sqltx, err := sqlTx(tx)
	if err != nil {
		return err
	}
	return s.jobs.EnqueueWebhookDeliveries(tx.Statement.Context, sqltx, deliveries)
}

// ClaimDelivery gives the delivery to the caller until a time, if it is
// pending, due, and nobody else has it. It returns webhook.ErrDeliveryNotFound.
func (s *Store) ClaimDelivery(ctx context.Context, id webhook.DeliveryID, now, until time.Time) (webhook.Claim, error) {
	var claim webhook.Claim
	err := s.transact(ctx, func(tx *gorm.DB) error {
		claimed := tx.Model(&webhookDeliveryRow{}).
			Where("id = ?", string(id)).Where("status = ?", string(webhook.Pending)).
			Where("next_at <= ?", storedTime(now)).
			Where("claimed_until IS NULL OR claimed_until <= ?", storedTime(now)).
			UpdateColumn("claimed_until", storedTime(until))
		if claimed.Error != nil {
			return claimed.Error
		}
		var err error
		if claim, err = findClaim(tx, id); err != nil {
			return err
		}
		claim.Mine = claimed.RowsAffected == 1
		if !claim.Mine || claim.Endpoint.Enabled {
			return nil
		}
		// It was made just when its endpoint was disabled.
		claim.Mine, claim.Delivery.Status = false, webhook.Failed
		return tx.Model(&webhookDeliveryRow{}).Where("id = ?", string(id)).UpdateColumns(map[string]any{
			"status": string(webhook.Failed), "last_class": string(webhook.ClassDisabled),
			"claimed_until": nil, "settled_at": storedTime(now),
		}).Error
	})
	return claim, err
}

// findClaim returns a delivery with its event and its endpoint.
func findClaim(tx *gorm.DB, id webhook.DeliveryID) (webhook.Claim, error) {
	var delivery webhookDeliveryRow
	err := tx.Where("id = ?", string(id)).Take(&delivery).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return webhook.Claim{}, webhook.ErrDeliveryNotFound
	}
	if err != nil {
		return webhook.Claim{}, err
	}
	var event webhookEventRow
	if err := tx.Where("id = ?", delivery.EventID).Take(&event).Error; err != nil {
		return webhook.Claim{}, err
	}
	var row webhookEndpointRow
	if err := tx.Where("id = ?", delivery.EndpointID).Take(&row).Error; err != nil {
		return webhook.Claim{}, err
	}
	endpoint, err := row.endpoint()
	return webhook.Claim{Delivery: delivery.delivery(event.event()), Event: event.event(), Endpoint: endpoint}, err
}

// SettleAttempt writes what came of an attempt, unless the claim was lost, and
// what it says about the endpoint.
func (s *Store) SettleAttempt(ctx context.Context, c webhook.Claim, o webhook.Outcome) (webhook.Turn, error) {
	var turn webhook.Turn
	news := webhook.Turn{
		Failing:   o.Counts && o.Class != "" && c.Endpoint.FailingSince.IsZero(),
		Recovered: o.Counts && o.Class == "" && !c.Endpoint.FailingSince.IsZero(),
		Disabled:  o.Disable != "",
	}
	err := s.transact(ctx, func(tx *gorm.DB) error {
		turn = webhook.Turn{}
		var endpoint webhookEndpointRow
		if news != (webhook.Turn{}) {
			var err error
			if endpoint, err = lockEndpoint(tx, c.Endpoint.ID); errors.Is(err, webhook.ErrNotFound) {
				return nil // and its deliveries have gone with it
			} else if err != nil {
				return err
			}
		}
		settled, err := settleAttempt(tx, c, o)
		if err != nil || !settled {
			return err
		}
		turn, err = s.turnEndpoint(tx, c.Endpoint.ID, endpoint, news, o)
		return err
	})
	if err != nil {
		return webhook.Turn{}, err
	}
	return turn, nil
}

// turnEndpoint writes what an attempt says about the endpoint, and returns what
// of it is still news to the locked row.
func (s *Store) turnEndpoint(
	tx *gorm.DB, id webhook.EndpointID, locked webhookEndpointRow, news webhook.Turn, o webhook.Outcome,
) (turn webhook.Turn, err error) {
	switch {
	case news.Failing && locked.FailingSince == nil:
		turn.Failing = true
		err = setFailing(tx, id, &o.At)
	case news.Recovered && locked.FailingSince != nil:
		turn.Recovered = true
		err = setFailing(tx, id, nil)
	}
	if err == nil && news.Disabled && locked.Enabled {
		turn.Disabled = true
		err = s.disable(tx, id, o.Disable, o.At)
	}
	return turn, err
}

func settleAttempt(tx *gorm.DB, c webhook.Claim, o webhook.Outcome) (bool, error) {
	change := map[string]any{
		"status": string(o.Status), "attempts": gorm.Expr("attempts + 1"), "next_at": storedTime(o.NextAt),
		"claimed_until": nil, "last_at": storedTime(o.At), "last_status": nil, "last_class": orNull(string(o.Class)),
	}
	if o.HTTPStatus != 0 {
		change["last_status"] = o.HTTPStatus
	}
	if o.Status != webhook.Pending {
		change["settled_at"] = storedTime(o.At)
	}
	settled := stillClaimed(tx, c).UpdateColumns(change)
	return settled.RowsAffected == 1, settled.Error
}

// stillClaimed finds the delivery while the claim is good.
func stillClaimed(tx *gorm.DB, c webhook.Claim) *gorm.DB {
	return tx.Model(&webhookDeliveryRow{}).
		Where("id = ?", string(c.Delivery.ID)).Where("status = ?", string(webhook.Pending)).
		Where("claimed_until = ?", storedTime(c.Delivery.ClaimedUntil))
}

func setFailing(tx *gorm.DB, id webhook.EndpointID, since *time.Time) error {
	change := map[string]any{"failing_since": nil}
	if since != nil {
		change["failing_since"] = storedTime(*since)
	}
	return tx.Model(&webhookEndpointRow{}).Where("id = ?", string(id)).UpdateColumns(change).Error
}

// ReleaseDelivery gives a claim back.
func (s *Store) ReleaseDelivery(ctx context.Context, c webhook.Claim) error {
	return translate(stillClaimed(s.db.WithContext(ctx), c).UpdateColumn("claimed_until", nil).Error)
}

// CreateTest stores a test and claims its delivery. It returns
// webhook.ErrNotFound.
func (s *Store) CreateTest(
	ctx context.Context, e webhook.Event, id webhook.EndpointID, until time.Time,
) (webhook.Claim, error) {
	var claim webhook.Claim
	err := s.transact(ctx, func(tx *gorm.DB) error {
		if _, err := lockEndpoint(tx, id); err != nil {
			return err
		}
		event, delivery := rowOfWebhookEvent(e, true), newDelivery(e.ID, id, e.At)
		claimed := storedTime(until)
		delivery.ClaimedUntil = &claimed
		if err := tx.Create(&event).Error; err != nil {
			return err
		}
		if err := tx.Create(&delivery).Error; err != nil {
			return err
		}
		if err := s.noteWebhook(tx, webhook.ActionTested, id, e.At, nil, nil); err != nil {
			return err
		}
		var err error
		claim, err = findClaim(tx, webhook.DeliveryID(delivery.ID))
		claim.Mine = true
		return err
	})
	return claim, err
}

// FindDelivery returns webhook.ErrDeliveryNotFound when there is no such
// delivery.
func (s *Store) FindDelivery(ctx context.Context, id webhook.DeliveryID) (webhook.Delivery, error) {
	claim, err := findClaim(s.db.WithContext(ctx), id)
	return claim.Delivery, translate(err)
}

// ListDeliveries returns deliveries of an endpoint, newest first. Ids are in
// the order of time.
func (s *Store) ListDeliveries(ctx context.Context, id webhook.EndpointID, p webhook.Page) ([]webhook.Delivery, error) {
	query := s.db.WithContext(ctx).Where("endpoint_id = ?", string(id)).Order("id DESC").Limit(p.Limit)
	if p.Status != "" {
		query = query.Where("status = ?", string(p.Status))
	}
	if p.Before != "" {
		query = query.Where("id < ?", string(p.Before))
	}
	var rows []webhookDeliveryRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, translate(err)
	}
	return withEvents(s.db.WithContext(ctx), rows)
}

// withEvents returns the deliveries with what their events say.
func withEvents(db *gorm.DB, rows []webhookDeliveryRow) ([]webhook.Delivery, error) {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.EventID
	}
	var events []webhookEventRow
	if len(ids) > 0 {
		// Not the payloads, which may be large.
		err := db.Select("id", "type", "user_id", "at").Where("id IN ?", ids).Find(&events).Error
		if err != nil {
			return nil, translate(err)
		}
	}
	of := make(map[string]webhook.Event, len(events))
	for _, event := range events {
		of[event.ID] = event.event()
	}
	deliveries := make([]webhook.Delivery, len(rows))
	for i, row := range rows {
		deliveries[i] = row.delivery(of[row.EventID])
	}
	return deliveries, nil
}
