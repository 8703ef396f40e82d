package program

import (
	"context"
	"errors"
	"log/slog"
	"os/user"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/audit"
)

// The bounds of PORTICO_AUDIT_RETENTION, which the schema has, too.
const (
	shortestRetention = 24 * time.Hour
	longestRetention  = 100 * 8760 * time.Hour
)

// checkAudit checks how long events of the audit are kept.
func (c *Config) checkAudit(*plan) error {
	if c.AuditRetention != 0 && (c.AuditRetention < shortestRetention || c.AuditRetention > longestRetention) {
		return errors.New("PORTICO_AUDIT_RETENTION must be 0s or between 24h and 876000h")
	}
	return nil
}

// retainAudit removes events of the audit that are old enough.
func (p *parts) retainAudit(ctx context.Context) error {
	all := 0
	defer func() {
		if all > 0 {
			p.log.InfoContext(ctx, "audit events were removed", slog.Int("count", all))
		}
	}()
	for {
		removed, err := p.store.RetainAudit(ctx, p.retention, purgeAtOnce)
		all += removed
		if err != nil || removed < purgeAtOnce {
			return err
		}
	}
}

// byOperator returns a context for what the operator does who has run a command,
// by the name of their account there.
func byOperator(ctx context.Context) context.Context {
	name := "unknown"
	if who, err := user.Current(); err == nil && who.Username != "" {
		// Windows says DOMAIN\NAME; an actor has no backslash.
		name = strings.ReplaceAll(who.Username, `\`, "/")
	}
	return audit.With(ctx, audit.Origin{Actor: audit.Operator(name)})
}
