package api

import "slices"

// adminRoutes is every operation of the operations listener.
func (a *API) adminRoutes() []route {
	return slices.Concat(a.adminWebhookRoutes())
}
