package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/portico-id/portico/internal/webhook"
)

// Webhooks have workers of their own: receivers may be slow.
const (
	webhookQueue   = "webhook"
	webhookWorkers = 8
)

// webhookEventArgs are the arguments of a job that makes an event's deliveries.
type webhookEventArgs struct {
	EventID string `json:"event_id"`
}

// Kind is the job's name in the database.
func (webhookEventArgs) Kind() string { return "webhook_event" }

// InsertOpts says where the job waits.
func (webhookEventArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: webhookQueue} }

type webhookEventWorker struct {
	river.WorkerDefaults[webhookEventArgs]

	fanOut func(ctx context.Context, id webhook.EventID) error
}

// Work makes the deliveries.
func (w *webhookEventWorker) Work(ctx context.Context, job *river.Job[webhookEventArgs]) error {
	return w.fanOut(ctx, webhook.EventID(job.Args.EventID))
}

// webhookDeliveryArgs are the arguments of a job that sends a delivery. The
// endpoint's id saves a look into the database where there is no room for one
// more to it.
type webhookDeliveryArgs struct {
	DeliveryID string `json:"delivery_id"`
	EndpointID string `json:"endpoint_id"`
}

// Kind is the job's name in the database.
func (webhookDeliveryArgs) Kind() string { return "webhook_delivery" }

// InsertOpts says where the job waits.
func (webhookDeliveryArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: webhookQueue}
}

type webhookDeliveryWorker struct {
	river.WorkerDefaults[webhookDeliveryArgs]

	deliver func(ctx context.Context, id webhook.DeliveryID, endpoint webhook.EndpointID) (again time.Duration, err error)
}

// Work sends the delivery.
func (w *webhookDeliveryWorker) Work(ctx context.Context, job *river.Job[webhookDeliveryArgs]) error {
	again, err := w.deliver(ctx, webhook.DeliveryID(job.Args.DeliveryID), webhook.EndpointID(job.Args.EndpointID))
	if err != nil {
		return err
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// EnqueueWebhookEvents inserts the jobs that make the events' deliveries.
func (q *Queue) EnqueueWebhookEvents(ctx context.Context, tx *sql.Tx, ids []webhook.EventID) error {
	jobs := make([]river.InsertManyParams, len(ids))
	for i, id := range ids {
		jobs[i] = river.InsertManyParams{Args: webhookEventArgs{EventID: string(id)}, InsertOpts: q.caused(ctx)}
	}
	if _, err := q.inserter.InsertManyFastTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("enqueue webhook_event: %w", err)
	}
	return nil
}

// EnqueueWebhookDeliveries inserts the jobs that send the deliveries.
func (q *Queue) EnqueueWebhookDeliveries(ctx context.Context, tx *sql.Tx, deliveries []webhook.Delivery) error {
	jobs := make([]river.InsertManyParams, len(deliveries))
	for i, d := range deliveries {
		jobs[i] = river.InsertManyParams{
			Args: webhookDeliveryArgs{DeliveryID: string(d.ID), EndpointID: string(d.Endpoint)}, InsertOpts: q.caused(ctx),
		}
	}
	if _, err := q.inserter.InsertManyFastTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("enqueue webhook_delivery: %w", err)
	}
	return nil
}

// RequeueWebhooks inserts jobs for those of the events and deliveries that have
// none left, because theirs was parked or removed by hand. It returns how many.
func (q *Queue) RequeueWebhooks(ctx context.Context, events []webhook.EventID, deliveries []webhook.Delivery) (n int, err error) {
	if len(events)+len(deliveries) == 0 {
		return 0, nil
	}
	tx, err := q.config.DB.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	working, err := q.workingWebhooks(ctx, tx)
	if err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	var missing []river.InsertManyParams
	for _, id := range events {
		if !working[string(id)] {
			missing = append(missing, river.InsertManyParams{Args: webhookEventArgs{EventID: string(id)}})
		}
	}
	for _, d := range deliveries {
		if !working[string(d.ID)] {
			missing = append(missing, river.InsertManyParams{
				Args: webhookDeliveryArgs{DeliveryID: string(d.ID), EndpointID: string(d.Endpoint)},
			})
		}
	}
	if len(missing) > 0 {
		if _, err := q.inserter.InsertManyFastTx(ctx, tx, missing); err != nil {
			return 0, fmt.Errorf("requeue: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	return len(missing), nil
}

// Events and deliveries that have a job which will be worked, or one that was
// parked not long ago.
const (
	workingWebhooksPostgres = `
		SELECT DISTINCT coalesce(args->>'delivery_id', args->>'event_id') FROM river_job
		WHERE kind IN ('webhook_event', 'webhook_delivery')
		AND (state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		     OR state = 'cancelled' AND finalized_at > now() - interval '1 hour')`
	workingWebhooksSQLite = `
		SELECT DISTINCT coalesce(json_extract(args, '$.delivery_id'), json_extract(args, '$.event_id')) FROM river_job
		WHERE kind IN ('webhook_event', 'webhook_delivery')
		AND (state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		     OR state = 'cancelled' AND finalized_at > datetime('now', '-1 hour'))`
)

// workingWebhooks returns these.
func (q *Queue) workingWebhooks(ctx context.Context, tx *sql.Tx) (map[string]bool, error) {
	query := workingWebhooksPostgres
	if q.config.Pool == nil {
		query = workingWebhooksSQLite
	}
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	working := make(map[string]bool)
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		working[id] = true
	}
	return working, rows.Err()
}
