package api

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/admintoken"
	"github.com/portico-id/portico/internal/webhook"
)

// adminWebhookRoutes are for those who look after where events go.
func (a *API) adminWebhookRoutes() []route {
	return slices.Concat(a.webhookRoutes(), a.webhookDeliveryRoutes())
}

// webhookRoutes say where events go.
func (a *API) webhookRoutes() []route {
	notFound := openapi.ProblemCodeWebhookNotFound
	return []route{
		{
			method: http.MethodGet, path: "/admin/webhooks", scope: admintoken.WebhooksRead, handle: a.listWebhooks,
			answers: []int{http.StatusOK},
		},
		{
			method: http.MethodPost, path: "/admin/webhooks", scope: admintoken.WebhooksWrite, body: true, handle: a.createWebhook,
			answers: []int{http.StatusCreated}, problems: []code{openapi.ProblemCodeWebhookLimitReached},
		},
		{
			method: http.MethodGet, path: "/admin/webhooks/{webhook_id}", scope: admintoken.WebhooksRead, handle: a.getWebhook,
			answers: []int{http.StatusOK}, problems: []code{notFound},
		},
		{
			method: http.MethodPatch, path: "/admin/webhooks/{webhook_id}", scope: admintoken.WebhooksWrite, body: true, handle: a.updateWebhook,
			answers: []int{http.StatusOK}, problems: []code{notFound},
		},
		{
			method: http.MethodDelete, path: "/admin/webhooks/{webhook_id}", scope: admintoken.WebhooksWrite, handle: a.deleteWebhook,
			answers: []int{http.StatusNoContent}, problems: []code{notFound},
		},
		{
			method: http.MethodPost, path: "/admin/webhooks/{webhook_id}/rotate-secret", scope: admintoken.WebhooksWrite,
			body: true, handle: a.rotateWebhookSecret, answers: []int{http.StatusOK}, problems: []code{notFound},
		},
	}
}

// webhookDeliveryRoutes say what was sent, and send it again.
func (a *API) webhookDeliveryRoutes() []route {
	notFound := openapi.ProblemCodeWebhookNotFound
	return []route{
		{
			method: http.MethodPost, path: "/admin/webhooks/{webhook_id}/test", scope: admintoken.WebhooksWrite, handle: a.testWebhook,
			answers: []int{http.StatusOK}, problems: []code{notFound},
		},
		{
			method: http.MethodGet, path: "/admin/webhooks/{webhook_id}/deliveries", scope: admintoken.WebhooksRead, handle: a.listWebhookDeliveries,
			answers: []int{http.StatusOK}, problems: []code{notFound, openapi.ProblemCodeInvalidQuery},
		},
		{
			method: http.MethodPost, path: "/admin/webhooks/{webhook_id}/replay", scope: admintoken.WebhooksWrite,
			body: true, handle: a.replayWebhook, answers: []int{http.StatusAccepted},
			problems: []code{notFound, openapi.ProblemCodeWebhookDisabled},
		},
		{
			method: http.MethodPost, path: "/admin/webhook-deliveries/{delivery_id}/replay", scope: admintoken.WebhooksWrite,
			handle: a.replayWebhookDelivery, answers: []int{http.StatusAccepted},
			problems: []code{openapi.ProblemCodeWebhookDeliveryNotFound, openapi.ProblemCodeWebhookDisabled},
		},
	}
}

// pathID returns the id that the path names, or none that anything has: the
// database would take offence at what is no UUID.
func (c *call) pathID(name string) string {
	id, err := uuid.Parse(c.Param(name))
	if err != nil || id.String() != c.Param(name) {
		return uuid.Nil.String()
	}
	return id.String()
}

func (c *call) webhookID() webhook.EndpointID { return webhook.EndpointID(c.pathID("webhook_id")) }

// listWebhooks says where events go: GET /admin/webhooks.
func (a *API) listWebhooks(c *call) error {
	found, err := a.config.Webhooks.List(c.r.Context())
	if err != nil {
		return err
	}
	list := openapi.WebhookList{Webhooks: make([]openapi.Webhook, len(found))}
	for i, e := range found {
		list.Webhooks[i] = shownWebhook(e)
	}
	return c.answer(http.StatusOK, list)
}

// createWebhook has events sent somewhere: POST /admin/webhooks.
func (a *API) createWebhook(c *call) error {
	body, err := decode[openapi.WebhookCreate](c.w, c.r)
	if err != nil {
		return err
	}
	draft := webhook.Draft{
		URL: body.URL, Description: body.Description, Events: typesOf(body.Events), Kind: webhook.Kind(body.Kind),
		Secret: body.Secret, Disabled: body.Enabled != nil && !*body.Enabled,
	}
	if draft.Kind == "" {
		draft.Kind = webhook.Symmetric
	}
	made, secret, err := a.config.Webhooks.Create(c.r.Context(), draft)
	if err != nil {
		return refusedWebhook(err)
	}
	c.w.Header().Set("Location", "/admin/webhooks/"+string(made.ID))
	return c.answer(http.StatusCreated, withSecret(made, secret))
}

// getWebhook shows one: GET /admin/webhooks/{webhook_id}.
func (a *API) getWebhook(c *call) error {
	found, err := a.config.Webhooks.Get(c.r.Context(), c.webhookID())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, shownWebhook(found))
}

// updateWebhook changes one: PATCH /admin/webhooks/{webhook_id}.
func (a *API) updateWebhook(c *call) error {
	body, err := decode[openapi.WebhookChange](c.w, c.r)
	if err != nil {
		return err
	}
	change := webhook.Change{URL: body.URL, Description: body.Description, Enabled: body.Enabled}
	if body.Events != nil {
		events := typesOf(*body.Events)
		change.Events = &events
	}
	changed, err := a.config.Webhooks.Update(c.r.Context(), c.webhookID(), change)
	if err != nil {
		return refusedWebhook(err)
	}
	return c.answer(http.StatusOK, shownWebhook(changed))
}

// deleteWebhook removes one: DELETE /admin/webhooks/{webhook_id}.
func (a *API) deleteWebhook(c *call) error {
	if err := a.config.Webhooks.Delete(c.r.Context(), c.webhookID()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// rotateWebhookSecret puts another secret in place:
// POST /admin/webhooks/{webhook_id}/rotate-secret.
func (a *API) rotateWebhookSecret(c *call) error {
	body, err := decode[openapi.WebhookRotation](c.w, c.r)
	if err != nil {
		return err
	}
	overlap := webhook.DefaultOverlap
	if seconds := body.OverlapSeconds; seconds != nil {
		if *seconds < 0 || *seconds > int(webhook.MaxOverlap/time.Second) {
			return refusedWebhook(webhook.ErrOverlap)
		}
		overlap = time.Duration(*seconds) * time.Second
	}
	changed, secret, err := a.config.Webhooks.Rotate(c.r.Context(), c.webhookID(), body.Secret, overlap)
	if err != nil {
		return refusedWebhook(err)
	}
	return c.answer(http.StatusOK, withSecret(changed, secret))
}

// testWebhook sends a test and waits for what comes of it:
// POST /admin/webhooks/{webhook_id}/test.
func (a *API) testWebhook(c *call) error {
	sent, err := a.config.Webhooks.Test(c.r.Context(), c.webhookID())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, shownDelivery(sent))
}

// maxDeliveries is the most that a page of deliveries has.
const maxDeliveries = 200

// listWebhookDeliveries says what was sent:
// GET /admin/webhooks/{webhook_id}/deliveries.
func (a *API) listWebhookDeliveries(c *call) error {
	values, err := onlyParameters(c.r, "status", "limit", "page_token")
	if err != nil {
		return err
	}
	status := webhook.Status(values["status"])
	if status != "" && !slices.Contains([]webhook.Status{webhook.Pending, webhook.Delivered, webhook.Failed}, status) {
		return invalidParameter("status", openapi.FieldErrorCodeInvalidValue, "not pending, delivered or failed")
	}
	limit, err := pageLimit(values, maxDeliveries)
	if err != nil {
		return err
	}
	after, err := a.page(c.r, values)
	if err != nil {
		return err
	}
	found, err := a.config.Webhooks.Deliveries(c.r.Context(), c.webhookID(),
		webhook.Page{Status: status, Before: webhook.DeliveryID(after.id), Limit: limit + 1})
	if err != nil {
		return err
	}
	more := len(found) > limit
	found = found[:min(len(found), limit)]
	list := openapi.WebhookDeliveryList{Deliveries: make([]openapi.WebhookDelivery, len(found))}
	for i, d := range found {
		list.Deliveries[i] = shownDelivery(d)
	}
	if more {
		last := found[len(found)-1]
		list.NextPageToken = a.nextPage(c.r, values, place{last.CreatedAt, string(last.ID)})
	}
	return c.answer(http.StatusOK, list)
}

// replayWebhook sends what has failed again:
// POST /admin/webhooks/{webhook_id}/replay.
func (a *API) replayWebhook(c *call) error {
	body, err := decode[openapi.WebhookReplay](c.w, c.r)
	if err != nil {
		return err
	}
	n, err := a.config.Webhooks.ReplayFailed(c.r.Context(), c.webhookID(), body.Since)
	if err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, openapi.WebhookReplayed{Deliveries: n})
}

// replayWebhookDelivery sends one again:
// POST /admin/webhook-deliveries/{delivery_id}/replay.
func (a *API) replayWebhookDelivery(c *call) error {
	replayed, err := a.config.Webhooks.Replay(c.r.Context(), webhook.DeliveryID(c.pathID("delivery_id")))
	if err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, shownDelivery(replayed))
}

// refusedWebhook names the field that is at fault.
func refusedWebhook(err error) error {
	if wrong, ok := errors.AsType[*webhook.URLError](err); ok {
		return invalidField("/url", openapi.FieldErrorCodeInvalidValue, wrong.Error())
	}
	for _, field := range []struct {
		err     error
		pointer string
	}{
		{webhook.ErrSecret, "/secret"},
		{webhook.ErrEvents, "/events"},
		{webhook.ErrDescription, "/description"},
		{webhook.ErrOverlap, "/overlap_seconds"},
	} {
		if errors.Is(err, field.err) {
			return invalidField(field.pointer, openapi.FieldErrorCodeInvalidValue, field.err.Error())
		}
	}
	return err
}

func typesOf(events []openapi.WebhookEventType) []webhook.Type {
	types := make([]webhook.Type, len(events))
	for i, event := range events {
		types[i] = webhook.Type(event)
	}
	return types
}

// withSecret is the one time that a secret is shown. Of a key pair the
// receiver needs the public half only.
func withSecret(e webhook.Endpoint, secret webhook.Secret) openapi.WebhookWithSecret {
	shown := openapi.WebhookWithSecret{Webhook: shownWebhook(e)}
	if e.Kind == webhook.Symmetric {
		text := secret.Reveal()
		shown.Secret = &text
	}
	return shown
}

// shownWebhook is an endpoint as the contract shows it.
func shownWebhook(e webhook.Endpoint) openapi.Webhook {
	shown := openapi.Webhook{
		ID:                  string(e.ID),
		URL:                 e.URL,
		Description:         e.Description,
		Events:              make([]openapi.WebhookEventType, len(e.Events)),
		Kind:                openapi.WebhookKind(e.Kind),
		PublicKey:           orNull(e.PublicKey),
		PreviousSecretUntil: timeOrNull(e.PreviousUntil),
		Enabled:             e.Enabled,
		DisabledBecause:     orNull(e.DisabledBecause),
		FailingSince:        timeOrNull(e.FailingSince),
		CreatedAt:           e.CreatedAt,
		UpdatedAt:           e.UpdatedAt,
	}
	for i, event := range e.Events {
		shown.Events[i] = openapi.WebhookEventType(event)
	}
	return shown
}

// shownDelivery is a delivery as the contract shows it.
func shownDelivery(d webhook.Delivery) openapi.WebhookDelivery {
	shown := openapi.WebhookDelivery{
		ID:            string(d.ID),
		WebhookID:     string(d.Endpoint),
		EventID:       d.Event.Message(),
		Type:          string(d.Type),
		UserID:        orNull(string(d.User)),
		Status:        openapi.WebhookDeliveryStatus(d.Status),
		Attempts:      d.Attempts,
		LastAttemptAt: timeOrNull(d.LastAt),
		LastError:     orNull(string(d.LastClass)),
		CreatedAt:     d.CreatedAt,
		SettledAt:     timeOrNull(d.SettledAt),
	}
	if d.Status == webhook.Pending {
		shown.NextAttemptAt = timeOrNull(d.NextAt)
	}
	if d.LastStatus != 0 {
		shown.LastStatus = &d.LastStatus
	}
	return shown
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
