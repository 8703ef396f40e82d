package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
)

// ownAccountRoutes let users change, take away and close their own account.
func (a *API) ownAccountRoutes() []route {
	return []route{
		{
			method: http.MethodPatch, path: "/me", guard: signedIn, body: true, handle: a.changeMe,
			answers: []int{http.StatusOK},
		},
		{
			method: http.MethodDelete, path: "/me", guard: signedInRecently, handle: a.closeAccount,
			answers: []int{http.StatusAccepted},
		},
		{
			method: http.MethodPost, path: "/me/email", guard: signedInRecently, body: true, handle: a.requestEmail,
			answers:  []int{http.StatusAccepted},
			problems: []code{openapi.ProblemCodeEmailChangeUnavailable, openapi.ProblemCodeTooManyRequests},
		},
		{
			method: http.MethodPost, path: "/me/email/confirm", guard: signedInRecently, body: true, handle: a.confirmEmail,
			answers:  []int{http.StatusOK},
			problems: []code{openapi.ProblemCodeEmailCodeInvalid, openapi.ProblemCodeEmailTaken},
		},
		{
			method: http.MethodGet, path: "/me/export", guard: signedInRecently, handle: a.exportAccount,
			answers: []int{http.StatusOK},
		},
	}
}

// changeMe changes what is known of the user: PATCH /me. Nothing else of them
// can be named (mass assignment, ASVS 15.3.3).
func (a *API) changeMe(c *call) error {
	body, err := decode[openapi.MeChange](c.w, c.r)
	if err != nil {
		return elsewhere(err)
	}
	return a.changed(c, func(ctx context.Context, id directory.UserID) (directory.User, error) {
		return a.config.Accounts.Update(ctx, id, account.Change{DisplayName: body.DisplayName}, account.AnyVersion)
	})
}

// elsewhere says of an address in a change where addresses are changed.
func elsewhere(err error) error {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		return err
	}
	for i, field := range p.fields {
		if field.Pointer == "/email" && field.Code == openapi.FieldErrorCodeUnknownName {
			p.fields[i].Detail = "an address is changed at POST /me/email, by proving the new one"
		}
	}
	return p
}

// changed answers with the user as they are after the change.
func (a *API) changed(c *call, change func(ctx context.Context, id directory.UserID) (directory.User, error)) error {
	user, err := change(c.r.Context(), c.caller.user.ID)
	if err != nil {
		return own(err)
	}
	after := c.caller
	after.user = user
	return c.answer(http.StatusOK, a.me(&after))
}

// own says of a user who has been suspended or deleted meanwhile that their
// session is no more, which it is.
func own(err error) error {
	if _, ok := errors.AsType[*account.StatusError](err); ok || errors.Is(err, account.ErrNotFound) {
		return session.ErrUnknown
	}
	return err
}

// closeAccount ends the account: DELETE /me.
func (a *API) closeAccount(c *call) error {
	user, err := a.config.Accounts.Close(c.r.Context(), c.caller.user.ID)
	if err != nil {
		return own(err)
	}
	if c.caller.session.Client == session.Browser {
		a.cookies.dropAll(c.w, c.r)
		c.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	}
	return c.answer(http.StatusAccepted, openapi.AccountClosed{
		Status: openapi.UserStatus(user.Status), DeleteAfter: user.DeleteAfter,
	})
}

// requestEmail has a code mailed to another address: POST /me/email.
func (a *API) requestEmail(c *call) error {
	body, err := decode[openapi.EmailRequest](c.w, c.r)
	if err != nil {
		return err
	}
	until, err := a.config.Accounts.RequestEmail(c.r.Context(), c.caller.user.ID, body.Email)
	if err != nil {
		return own(refusedAddress(err))
	}
	return c.answer(http.StatusAccepted, openapi.EmailRequested{ExpiresAt: until})
}

// confirmEmail takes the code: POST /me/email/confirm.
func (a *API) confirmEmail(c *call) error {
	body, err := decode[openapi.EmailConfirmation](c.w, c.r)
	if err != nil {
		return err
	}
	return a.changed(c, func(ctx context.Context, id directory.UserID) (directory.User, error) {
		return a.config.Accounts.ConfirmEmail(ctx, id, body.Code)
	})
}

// exportAccount hands out all that is held about the user: GET /me/export.
func (a *API) exportAccount(c *call) error {
	held, err := a.config.Accounts.Export(c.r.Context(), c.caller.user.ID)
	if err != nil {
		return own(err)
	}
	// A file to keep, whatever a browser would make of JSON.
	c.w.Header().Set("Content-Disposition", `attachment; filename="account.json"`)
	return c.answer(http.StatusOK, openapi.AccountExport{
		ExportedAt:  held.At,
		User:        held.User,
		Sessions:    rows(held.Sessions),
		Signups:     rows(held.Signups),
		Invitations: rows(held.Invitations),
		EmailChange: held.EmailChange,
		Letters:     rows(held.Letters),
		AuditEvents: rows(held.Audit),
	})
}

func rows(held []account.Held) []map[string]any {
	all := make([]map[string]any, len(held))
	for i, row := range held {
		all[i] = row
	}
	return all
}
