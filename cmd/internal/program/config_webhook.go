package program

import (
	"errors"
	"time"
)

// checkWebhooks checks how the application is told of events.
func (c *Config) checkWebhooks(p *plan) error {
	if c.WebhookRetention < 24*time.Hour {
		return errors.New("PORTICO_WEBHOOK_RETENTION must be at least 24h")
	}
	if c.WebhookAllowPrivate {
		p.warnings = append(p.warnings,
			"PORTICO_WEBHOOK_ALLOW_PRIVATE is true: whoever may set webhooks up reaches what this machine reaches")
	}
	return nil
}
