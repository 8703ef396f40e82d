package program

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/webhook"
	"github.com/portico-id/portico/internal/webhook/sender"
)

const (
	// webhookLease is for how long a worker has a delivery: a request's time
	// and what it takes to write down how it ended.
	webhookLease = sender.DefaultTimeout + 10*time.Second
	// webhookOverdue is for how long a delivery must have been due before it is
	// looked whether it still has a job.
	webhookOverdue = 10 * time.Minute
)

func newSender(config Config) *sender.Sender {
	return sender.New(sender.Config{
		UserAgent: "portico/" + version(),
		Timeout:   sender.DefaultTimeout,
		Loopback:  config.AllowInsecureLocalhost,
		Private:   config.WebhookAllowPrivate,
	})
}

func newWebhooks(config Config, stored *store.Store, send webhook.Sender, keys *keyring.Ring, log *slog.Logger) *webhook.Service {
	return &webhook.Service{
		Store:       stored,
		Sender:      send,
		Seals:       keys,
		Rules:       webhook.Rules{Private: config.WebhookAllowPrivate, Localhost: config.AllowInsecureLocalhost},
		Schedule:    webhook.Published(),
		Lease:       webhookLease,
		GiveUpAfter: webhook.DefaultGiveUpAfter,
		InFlight:    webhook.DefaultInFlight,
		Now:         time.Now,
		Random:      rand.Float64, //nolint:forbidigo // jitter, no secret
		Log:         log,
	}
}

// keepWebhooks gives deliveries without a job another, seals secrets under the
// newest key and removes what is old.
func (p *parts) keepWebhooks(ctx context.Context, now time.Time) error {
	before := now.Add(-webhookOverdue)
	events, err := p.store.OverdueEvents(ctx, before, purgeAtOnce)
	if err != nil {
		return err
	}
	deliveries, err := p.store.OverdueDeliveries(ctx, before, purgeAtOnce)
	if err != nil {
		return err
	}
	requeued, err := p.queue.RequeueWebhooks(ctx, events, deliveries)
	if err != nil {
		return err
	}
	if requeued > 0 {
		p.log.WarnContext(ctx, "webhooks without a job are given another", slog.Int("webhooks", requeued))
	}
	if err := p.webhooks.Reseal(ctx); err != nil {
		return err
	}
	for {
		purged, err := p.store.PurgeWebhooks(ctx, now.Add(-p.webhookRetention), purgeAtOnce)
		if err != nil || purged < purgeAtOnce {
			return err
		}
	}
}

// tryWebhooks says whether the secrets of webhooks open under the keys that
// there are.
func (c Config) tryWebhooks(ctx context.Context, db *store.DB, p plan) finding {
	service := newWebhooks(c, store.New(db, nil), nil, p.secrets.keys, slog.New(slog.DiscardHandler))
	endpoints, err := service.CheckSecrets(ctx)
	detail := "none set up"
	if endpoints > 0 {
		detail = "all open under the keys that there are"
	}
	return found("webhook secrets", err, detail, func(error) string {
		return "put the key that sealed them back into PORTICO_KEYS, behind the newest, or set the endpoints up anew"
	})
}
