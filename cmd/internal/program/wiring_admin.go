package program

import (
	"time"

	"github.com/portico-id/portico/api"
	accounts "github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/store"
)

// deletionGrace is how long a deletion can be undone.
const deletionGrace = 30 * 24 * time.Hour

// administer adds what the operations listener serves beside its probes.
func administer(served *api.Config, p plan, stored *store.Store) {
	served.AdminTokens = p.secrets.AdminTokens
	served.Pages = p.secrets.keys
	served.Audit = stored
	if served.Accounts == nil {
		served.Accounts = &accounts.Service{Store: stored, Policy: p.policy, Grace: deletionGrace, Now: time.Now}
	}
}
