package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/webhook"
)

// WebhookJobs enqueues what carries events to endpoints.
type WebhookJobs interface {
	EnqueueWebhookEvents(ctx context.Context, tx *sql.Tx, ids []webhook.EventID) error
	EnqueueWebhookDeliveries(ctx context.Context, tx *sql.Tx, deliveries []webhook.Delivery) error
}

// webhookEndpointRow is a row of webhook_endpoints.
type webhookEndpointRow struct {
	ID              string     `gorm:"column:id;primaryKey"`
	URL             string     `gorm:"column:url"`
	Description     string     `gorm:"column:description"`
	Events          string     `gorm:"column:events"` // a JSON array
	Kind            string     `gorm:"column:kind"`
	Secret          string     `gorm:"column:sealed"`
	PublicKey       *string    `gorm:"column:public_key"`
	PreviousSecret  *string    `gorm:"column:previous_sealed"`
	PreviousUntil   *time.Time `gorm:"column:previous_until"`
	Enabled         bool       `gorm:"column:enabled"`
	DisabledBecause *string    `gorm:"column:disabled_because"`
	FailingSince    *time.Time `gorm:"column:failing_since"`
	CreatedAt       time.Time  `gorm:"column:created_at"`
	UpdatedAt       time.Time  `gorm:"column:updated_at;autoUpdateTime:false"`
}

func (webhookEndpointRow) TableName() string { return "webhook_endpoints" }

func (r webhookEndpointRow) endpoint() (webhook.Endpoint, error) {
	e := webhook.Endpoint{
		ID:              webhook.EndpointID(r.ID),
		URL:             r.URL,
		Description:     r.Description,
		Kind:            webhook.Kind(r.Kind),
		Sealed:          r.Secret,
		PublicKey:       orEmpty(r.PublicKey),
		SealedPrevious:  orEmpty(r.PreviousSecret),
		PreviousUntil:   orZero(r.PreviousUntil),
		Enabled:         r.Enabled,
		DisabledBecause: orEmpty(r.DisabledBecause),
		FailingSince:    orZero(r.FailingSince),
		CreatedAt:       r.CreatedAt.UTC(),
		UpdatedAt:       r.UpdatedAt.UTC(),
	}
	return e, json.Unmarshal([]byte(r.Events), &e.Events)
}

func rowOfEndpoint(e webhook.Endpoint) (webhookEndpointRow, error) {
	events, err := eventsText(e.Events)
	return webhookEndpointRow{
		ID:              string(e.ID),
		URL:             e.URL,
		Description:     e.Description,
		Events:          events,
		Kind:            string(e.Kind),
		Secret:          e.Sealed,
		PublicKey:       orNull(e.PublicKey),
		PreviousSecret:  orNull(e.SealedPrevious),
		PreviousUntil:   storedTimeOrNull(e.PreviousUntil),
		Enabled:         e.Enabled,
		DisabledBecause: orNull(e.DisabledBecause),
		FailingSince:    storedTimeOrNull(e.FailingSince),
		CreatedAt:       storedTime(e.CreatedAt),
		UpdatedAt:       storedTime(e.UpdatedAt),
	}, err
}

func eventsText(events []webhook.Type) (string, error) {
	if len(events) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(events)
	return string(text), err
}

// lockEndpoint returns the endpoint and keeps others from changing it. Whoever
// also locks its deliveries does so after it. It returns webhook.ErrNotFound.
func lockEndpoint(tx *gorm.DB, id webhook.EndpointID) (webhookEndpointRow, error) {
	var row webhookEndpointRow
	err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", string(id)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = webhook.ErrNotFound
	}
	return row, err
}

// CreateEndpoint returns webhook.ErrTooMany when there are as many as limit.
func (s *Store) CreateEndpoint(ctx context.Context, e webhook.Endpoint, limit int) error {
	row, err := rowOfEndpoint(e)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *gorm.DB) error {
		// Two who count at once would both find room.
		if s.db.Name() == string(Postgres) {
			if err := tx.Exec(`LOCK TABLE webhook_endpoints IN SHARE ROW EXCLUSIVE MODE`).Error; err != nil {
				return err
			}
		}
		var n int64
		if err := tx.Model(&webhookEndpointRow{}).Count(&n).Error; err != nil {
			return err
		}
		if n >= int64(limit) {
			return webhook.ErrTooMany
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return s.noteWebhook(tx, webhook.ActionCreated, e.ID, e.CreatedAt, nil, row.shown())
	})
}

// shown is what the audit tells of an endpoint: no secret, and of the address
// no part that may hold one.
func (r webhookEndpointRow) shown() audit.Values {
	return audit.Values{
		"url": webhook.Origin(r.URL), "description": r.Description, "events": r.Events, "kind": r.Kind, "enabled": r.Enabled,
	}
}

// noteWebhook writes the audit's line of what was done to an endpoint.
func (s *Store) noteWebhook(
	tx *gorm.DB, action string, id webhook.EndpointID, at time.Time, before, after audit.Values,
) error {
	return s.note(tx, audit.Event{
		At: at, Action: action, Target: audit.Target{Kind: webhook.AuditTarget, ID: string(id)}, Before: before, After: after,
	})
}

// ListEndpoints returns all endpoints, oldest first.
func (s *Store) ListEndpoints(ctx context.Context) ([]webhook.Endpoint, error) {
	return listEndpoints(s.db.WithContext(ctx))
}

func listEndpoints(query *gorm.DB) ([]webhook.Endpoint, error) {
	var rows []webhookEndpointRow
	if err := query.Order("id").Find(&rows).Error; err != nil {
		return nil, translate(err)
	}
	endpoints := make([]webhook.Endpoint, len(rows))
	for i, row := range rows {
		var err error
		if endpoints[i], err = row.endpoint(); err != nil {
			return nil, err
		}
	}
	return endpoints, nil
}

// FindEndpoint returns webhook.ErrNotFound when there is no such endpoint.
func (s *Store) FindEndpoint(ctx context.Context, id webhook.EndpointID) (webhook.Endpoint, error) {
	var row webhookEndpointRow
	err := s.db.WithContext(ctx).Where("id = ?", string(id)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return webhook.Endpoint{}, webhook.ErrNotFound
	}
	if err != nil {
		return webhook.Endpoint{}, translate(err)
	}
	return row.endpoint()
}

// UpdateEndpoint changes an endpoint. Disabling it fails what is pending;
// enabling it forgets earlier failures. It returns webhook.ErrNotFound.
func (s *Store) UpdateEndpoint(
	ctx context.Context, id webhook.EndpointID, c webhook.Change, at time.Time,
) (webhook.Endpoint, error) {
	change := map[string]any{"updated_at": storedTime(at)}
	if c.URL != nil {
		change["url"] = *c.URL
	}
	if c.Description != nil {
		change["description"] = *c.Description
	}
	if c.Events != nil {
		events, err := eventsText(*c.Events)
		if err != nil {
			return webhook.Endpoint{}, err
		}
		change["events"] = events
	}
	return s.changeEndpoint(ctx, id, func(tx *gorm.DB, before webhookEndpointRow) error {
		if c.Enabled != nil && *c.Enabled != before.Enabled {
			if !*c.Enabled {
				if err := s.disable(tx, id, webhook.DisabledByAdmin, at); err != nil {
					return err
				}
			} else {
				change["enabled"], change["disabled_because"], change["failing_since"] = true, nil, nil
				if err := s.noteWebhook(tx, webhook.ActionEnabled, id, at, nil, nil); err != nil {
					return err
				}
			}
		}
		var after webhookEndpointRow
		found := tx.Model(&after).Where("id = ?", string(id))
		if err := found.UpdateColumns(change).Error; err != nil {
			return err
		}
		if err := tx.Where("id = ?", string(id)).Take(&after).Error; err != nil {
			return err
		}
		return s.noteWebhook(tx, webhook.ActionUpdated, id, at, before.shown(), after.shown())
	})
}

// changeEndpoint runs do with the endpoint locked, and returns it as it is
// afterwards.
func (s *Store) changeEndpoint(
	ctx context.Context, id webhook.EndpointID, do func(tx *gorm.DB, before webhookEndpointRow) error,
) (webhook.Endpoint, error) {
	var after webhookEndpointRow
	err := s.transact(ctx, func(tx *gorm.DB) error {
		before, err := lockEndpoint(tx, id)
		if err != nil {
			return err
		}
		if err := do(tx, before); err != nil {
			return err
		}
		return tx.Where("id = ?", string(id)).Take(&after).Error
	})
	if err != nil {
		return webhook.Endpoint{}, err
	}
	return after.endpoint()
}

// disable lets an endpoint that is locked get nothing any more.
func (s *Store) disable(tx *gorm.DB, id webhook.EndpointID, because string, at time.Time) error {
	err := tx.Model(&webhookEndpointRow{}).Where("id = ?", string(id)).UpdateColumns(map[string]any{
		"enabled": false, "disabled_because": because, "updated_at": storedTime(at),
	}).Error
	if err != nil {
		return err
	}
	if err := s.noteWebhook(tx, webhook.ActionDisabled, id, at, nil, audit.Values{"disabled_because": because}); err != nil {
		return err
	}
	return tx.Model(&webhookDeliveryRow{}).
		Where("endpoint_id = ?", string(id)).Where("status = ?", string(webhook.Pending)).
		UpdateColumns(map[string]any{
			"status": string(webhook.Failed), "last_class": string(webhook.ClassDisabled),
			"claimed_until": nil, "settled_at": storedTime(at),
		}).Error
}

// RotateSecret puts another secret in place of the endpoint's. It returns
// webhook.ErrNotFound.
func (s *Store) RotateSecret(ctx context.Context, id webhook.EndpointID, r webhook.Rotation) (webhook.Endpoint, error) {
	return s.changeEndpoint(ctx, id, func(tx *gorm.DB, before webhookEndpointRow) error {
		change := map[string]any{
			"sealed": r.Sealed, "public_key": orNull(r.PublicKey), "updated_at": storedTime(r.At),
			"previous_sealed": nil, "previous_until": nil,
		}
		if !r.PreviousUntil.IsZero() {
			change["previous_sealed"], change["previous_until"] = before.Secret, storedTime(r.PreviousUntil)
		}
		if err := tx.Model(&webhookEndpointRow{}).Where("id = ?", string(id)).UpdateColumns(change).Error; err != nil {
			return err
		}
		return s.noteWebhook(tx, webhook.ActionRotated, id, r.At, nil, nil)
	})
}

// ResealSecrets puts newly sealed secrets in place of the same ones. What has
// been rotated meanwhile stays.
func (s *Store) ResealSecrets(ctx context.Context, e webhook.Endpoint, sealed, previous string) error {
	return translate(s.db.WithContext(ctx).Model(&webhookEndpointRow{}).
		Where("id = ?", string(e.ID)).Where("sealed = ?", e.Sealed).
		Where("COALESCE(previous_sealed, '') = ?", e.SealedPrevious).
		UpdateColumns(map[string]any{"sealed": sealed, "previous_sealed": orNull(previous)}).Error)
}

// DeleteEndpoint removes an endpoint with its deliveries. It returns
// webhook.ErrNotFound.
func (s *Store) DeleteEndpoint(ctx context.Context, id webhook.EndpointID, at time.Time) error {
	return s.transact(ctx, func(tx *gorm.DB) error {
		before, err := lockEndpoint(tx, id)
		if err != nil {
			return err
		}
		if err := s.noteWebhook(tx, webhook.ActionDeleted, id, at, before.shown(), nil); err != nil {
			return err
		}
		return tx.Where("id = ?", string(id)).Delete(&webhookEndpointRow{}).Error
	})
}
