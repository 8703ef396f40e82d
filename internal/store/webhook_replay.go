package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/webhook"
)

// ReplayDelivery makes a delivery due, with a job, whatever came of it. One
// that is under way is left to whoever has it. It returns
// webhook.ErrDeliveryNotFound or webhook.ErrDisabled.
func (s *Store) ReplayDelivery(ctx context.Context, id webhook.DeliveryID, at time.Time) (webhook.Delivery, error) {
	var replayed webhook.Delivery
	err := s.transact(ctx, func(tx *gorm.DB) error {
		found, err := findClaim(tx, id)
		if err != nil {
			return err
		}
		endpoint, err := lockEndpoint(tx, found.Endpoint.ID)
		if errors.Is(err, webhook.ErrNotFound) {
			return webhook.ErrDeliveryNotFound
		}
		if err != nil {
			return err
		}
		if !endpoint.Enabled {
			return webhook.ErrDisabled
		}
		if err := replay(tx.Where("id = ?", string(id)), at); err != nil {
			return err
		}
		if found, err = findClaim(tx, id); err != nil {
			return err
		}
		replayed = found.Delivery
		err = s.noteWebhook(tx, webhook.ActionReplayed, replayed.Endpoint, at, nil, audit.Values{"delivery_id": string(id)})
		if err != nil {
			return err
		}
		return s.enqueueDeliveries(tx, []webhook.Delivery{replayed})
	})
	return replayed, err
}

// replay begins the schedule anew. What came of the last attempt stays to be
// seen, and so does a claim.
func replay(query *gorm.DB, at time.Time) error {
	return query.Model(&webhookDeliveryRow{}).UpdateColumns(map[string]any{
		"status": string(webhook.Pending), "attempts": 0, "next_at": storedTime(at), "settled_at": nil,
	}).Error
}

// ReplayFailed does so with an endpoint's failed deliveries that were made
// since, and returns how many. It returns webhook.ErrNotFound or
// webhook.ErrDisabled.
func (s *Store) ReplayFailed(
	ctx context.Context, id webhook.EndpointID, since, at time.Time, limit int,
) (n int, err error) {
	err = s.transact(ctx, func(tx *gorm.DB) error {
		endpoint, err := lockEndpoint(tx, id)
		if err != nil {
			return err
		}
		if !endpoint.Enabled {
			return webhook.ErrDisabled
		}
		var rows []webhookDeliveryRow
		err = tx.Where("endpoint_id = ?", string(id)).Where("status = ?", string(webhook.Failed)).
			Where("created_at >= ?", storedTime(since)).Order("id").Limit(limit).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]string, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
		}
		if err := replay(tx.Where("id IN ?", ids), at); err != nil {
			return err
		}
		deliveries, err := withEvents(tx, rows)
		if err != nil {
			return err
		}
		n = len(deliveries)
		err = s.noteWebhook(tx, webhook.ActionReplayed, id, at, nil, audit.Values{"since": since, "deliveries": n})
		if err != nil {
			return err
		}
		return s.enqueueDeliveries(tx, deliveries)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// OverdueDeliveries returns pending deliveries that were due before and that
// nobody has, oldest first.
func (s *Store) OverdueDeliveries(ctx context.Context, before time.Time, limit int) ([]webhook.Delivery, error) {
	var rows []webhookDeliveryRow
	err := s.db.WithContext(ctx).Where("status = ?", string(webhook.Pending)).
		Where("next_at < ?", storedTime(before)).
		Where("claimed_until IS NULL OR claimed_until < ?", storedTime(before)).
		Order("next_at").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, translate(err)
	}
	return withEvents(s.db.WithContext(ctx), rows)
}

// OverdueEvents returns events from before whose deliveries have not been made,
// oldest first.
func (s *Store) OverdueEvents(ctx context.Context, before time.Time, limit int) ([]webhook.EventID, error) {
	var ids []webhook.EventID
	err := s.db.WithContext(ctx).Model(&webhookEventRow{}).Where("NOT fanned").
		Where("at < ?", storedTime(before)).Order("at").Limit(limit).Pluck("id", &ids).Error
	return ids, translate(err)
}

// PurgeWebhooks removes at most limit events from before, with their
// deliveries, unless one of these is pending. It returns how many.
func (s *Store) PurgeWebhooks(ctx context.Context, before time.Time, limit int) (int, error) {
	purged := s.db.WithContext(ctx).Exec(`
		WITH gone AS MATERIALIZED (
			SELECT id FROM webhook_events e
			WHERE at < @before AND NOT EXISTS (
				SELECT 1 FROM webhook_deliveries d WHERE d.event_id = e.id AND d.status = 'pending'
			)
			LIMIT @limit `+s.on(Postgres, "FOR UPDATE SKIP LOCKED")+`
		)
		DELETE FROM webhook_events WHERE id IN (SELECT id FROM gone)`,
		map[string]any{"before": storedTime(before), "limit": limit})
	return int(purged.RowsAffected), translate(purged.Error)
}
