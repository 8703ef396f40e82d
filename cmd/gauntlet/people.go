package main

import (
	"context"
	"net/http"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// enrol lets one in eight of the people follow the mailed link and register a
// passkey, so that later sign-ups with their addresses meet an active user.
func (p *provider) enrol(ctx context.Context) {
	r := p.options.random("enrolments")
	client := http.Client{
		Timeout:       5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	read := 0
	for ctx.Err() == nil {
		pause(ctx, 3*time.Second)
		entries := p.sim.Ledger().Entries
		for _, entry := range entries[read:] {
			if entry.Kind != simulator.KindMailed || r.IntN(8) != 0 {
				continue
			}
			mails := p.sim.Mailbox(entry.Email)
			if len(mails) == 0 || mails[0].Link == "" {
				continue
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, mails[0].Link, http.NoBody) //nolint:gosec // the simulator's own link
			if err != nil {
				continue
			}
			if response, err := client.Do(request); err == nil { //nolint:gosec // the simulator's own link
				_ = response.Body.Close()
			}
		}
		read = len(entries)
	}
}
