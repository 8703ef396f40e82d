package api

import (
	"context"
	"net/http"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
)

// AuditLog finds what was done. store.Store does.
type AuditLog interface {
	// AuditEvents returns audit.ErrQuery, or directory.ErrUnavailable.
	AuditEvents(ctx context.Context, q audit.Query) ([]audit.Event, error)
}

// listAudit says who did what: GET /admin/audit.
func (a *API) listAudit(c *call) error {
	values, err := onlyParameters(c.r, "user_id", "actor", "action", "outcome", "after", "before", "limit", "page_token")
	if err != nil {
		return err
	}
	q, err := a.auditQuery(c.r, values)
	if err != nil {
		return err
	}
	limit := q.Limit
	q.Limit = min(limit+1, audit.MaxPage)
	events, err := a.config.Events.AuditEvents(c.r.Context(), q)
	if err != nil {
		return err
	}
	more := len(events) > limit || len(events) == audit.MaxPage
	events = events[:min(len(events), limit)]
	list := openapi.AuditList{Events: make([]openapi.AuditEvent, len(events))}
	for i, e := range events {
		list.Events[i] = auditEvent(e)
	}
	if more {
		last := events[len(events)-1]
		list.NextPageToken = a.nextPage(c.r, values, place{last.At, last.ID})
	}
	return c.answer(http.StatusOK, list)
}

// auditQuery reads what events are asked for.
func (a *API) auditQuery(r *http.Request, values map[string]string) (audit.Query, error) {
	var q audit.Query
	var err error
	if q.After, err = instant(values, "after"); err != nil {
		return q, err
	}
	if q.Before, err = instant(values, "before"); err != nil {
		return q, err
	}
	user, actor, action := directory.UserID(values["user_id"]), values["actor"], values["action"]
	outcome := audit.Outcome(values["outcome"])
	for _, part := range []struct {
		name  string
		query audit.Query
		want  string
	}{
		{"user_id", audit.Query{UserID: user}, "not a UUID in its canonical form"},
		{"actor", audit.Query{Actor: actor}, "no actor"},
		{"action", audit.Query{ActionPrefix: action}, "not words in lower case with dots between them"},
		{"outcome", audit.Query{Outcome: outcome}, "not success, refused or failed"},
		{"after", audit.Query{After: q.After, Before: q.Before}, "not before before"},
	} {
		part.query.Limit = 1
		if part.query.Check() != nil {
			return q, invalidParameter(part.name, openapi.FieldErrorCodeInvalidValue, part.want)
		}
	}
	q.UserID, q.Actor, q.ActionPrefix, q.Outcome = user, actor, action, outcome
	if q.Limit, err = pageLimit(values, audit.MaxPage); err != nil {
		return q, err
	}
	after, err := a.page(r, values)
	q.Cursor = audit.Cursor{At: after.at, ID: after.id}
	return q, err
}

// auditEvent is an event as the contract shows it.
func auditEvent(e audit.Event) openapi.AuditEvent {
	return openapi.AuditEvent{
		ID:         e.ID,
		At:         e.At,
		Actor:      e.Origin.Actor,
		Action:     e.Action,
		Outcome:    openapi.AuditOutcome(e.Outcome),
		Reason:     e.Reason,
		UserID:     string(e.UserID),
		SignupID:   e.SignupID,
		TargetKind: e.Target.Kind,
		TargetID:   e.Target.ID,
		Address:    e.Origin.Address,
		RequestID:  e.Origin.RequestID,
		SessionID:  e.Origin.SessionID,
		FromStatus: openapi.UserStatus(e.From),
		ToStatus:   openapi.UserStatus(e.To),
		Class:      e.Class,
		Before:     e.Before,
		After:      e.After,
	}
}
