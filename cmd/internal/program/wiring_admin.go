package program

import (
	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/internal/store"
)

// administer adds what only the operations listener serves.
func administer(served *api.Config, p plan, stored *store.Store) {
	served.AdminTokens = p.secrets.AdminTokens
	served.Pages = p.secrets.keys
	served.Events = stored
}
