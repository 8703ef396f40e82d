package api

// adminWebhookRoutes are for those who look after where events go.
func (a *API) adminWebhookRoutes() []route {
	return nil
}
