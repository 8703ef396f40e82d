package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
)

// listUsers finds users: GET /admin/users.
func (a *API) listUsers(c *call) error {
	values, err := onlyParameters(c.r, "status", "sync", "domain", "created_after", "created_before", "updated_after", "updated_before",
		"email", "external_id", "internal_id", "id", "limit", "page_token")
	if err != nil {
		return err
	}
	query, err := a.userQuery(c.r, values)
	if err != nil {
		return err
	}
	page, err := a.config.Accounts.List(c.r.Context(), query)
	if err != nil {
		return err
	}
	list := openapi.AdminUserList{Users: make([]openapi.AdminUser, len(page.Users))}
	for i, u := range page.Users {
		list.Users[i] = adminUser(u)
	}
	if page.Next != (account.Cursor{}) {
		list.NextPageToken = a.nextPage(c.r, values, place{page.Next.At, string(page.Next.ID)})
	}
	return c.answer(http.StatusOK, list)
}

// userQuery reads what users are asked for.
func (a *API) userQuery(r *http.Request, values map[string]string) (account.Query, error) {
	q := account.Query{
		Status:     directory.Status(values["status"]),
		Sync:       directory.Sync(values["sync"]),
		Domain:     values["domain"],
		Email:      values["email"],
		ExternalID: directory.ExternalID(values["external_id"]),
		InternalID: directory.InternalID(values["internal_id"]),
		ID:         directory.UserID(values["id"]),
	}
	for _, bound := range []struct {
		name string
		into *time.Time
	}{
		{"created_after", &q.CreatedAfter},
		{"created_before", &q.CreatedBefore},
		{"updated_after", &q.UpdatedAfter},
		{"updated_before", &q.UpdatedBefore},
	} {
		var err error
		if *bound.into, err = instant(values, bound.name); err != nil {
			return q, err
		}
	}
	var err error
	if q.Limit, err = pageLimit(values, account.MaxPage); err != nil {
		return q, err
	}
	after, err := a.page(r, values)
	q.After = account.Cursor{At: after.at, ID: directory.UserID(after.id)}
	return q, err
}

// createUser invites somebody: POST /admin/users.
func (a *API) createUser(c *call) error {
	body, err := decode[openapi.AdminUserCreate](c.w, c.r)
	if err != nil {
		return err
	}
	made, err := a.config.Accounts.Invite(c.r.Context(), account.Invitation{
		Email: body.Email, DisplayName: body.DisplayName, Locale: body.Locale, ExternalID: directory.ExternalID(body.ExternalID),
	})
	if err != nil {
		return refusedAddress(err)
	}
	c.w.Header().Set("Location", "/admin/users/"+string(made.ID))
	return c.answerUser(http.StatusCreated, made)
}

// getUser shows one: GET /admin/users/{user_id}.
func (a *API) getUser(c *call) error {
	found, err := a.config.Accounts.Get(c.r.Context(), c.userID())
	if err != nil {
		return err
	}
	return c.answerUser(http.StatusOK, found)
}

// updateUser changes one's data: PATCH /admin/users/{user_id}.
func (a *API) updateUser(c *call) error {
	body, err := decode[openapi.AdminUserChange](c.w, c.r)
	if err != nil {
		return err
	}
	return a.change(c, http.StatusOK, func(id directory.UserID, version int64) (directory.User, error) {
		return a.config.Accounts.Update(c.r.Context(), id,
			account.Change{Email: body.Email, DisplayName: body.DisplayName, Locale: body.Locale}, version)
	})
}

// deleteUser ends one, once the grace period is over:
// DELETE /admin/users/{user_id}.
func (a *API) deleteUser(c *call) error {
	return a.change(c, http.StatusAccepted, func(id directory.UserID, version int64) (directory.User, error) {
		return a.config.Accounts.Delete(c.r.Context(), id, a.config.Accounts.Grace, version)
	})
}

// suspendUser locks one out: POST /admin/users/{user_id}/suspend. Whoever did
// not get the answer and asks again names a version that is no more, and has
// what they want.
func (a *API) suspendUser(c *call) error {
	return a.change(c, http.StatusOK, func(id directory.UserID, version int64) (directory.User, error) {
		suspended, err := a.config.Accounts.Suspend(c.r.Context(), id, version)
		if !errors.Is(err, account.ErrVersion) {
			return suspended, err
		}
		if now, getErr := a.config.Accounts.Get(c.r.Context(), id); getErr == nil && now.Status == directory.Suspended {
			return now, nil
		}
		return suspended, err
	})
}

// restoreUser undoes a suspension, or a deletion that has not taken place:
// POST /admin/users/{user_id}/restore.
func (a *API) restoreUser(c *call) error {
	return a.change(c, http.StatusOK, func(id directory.UserID, version int64) (directory.User, error) {
		return a.config.Accounts.Restore(c.r.Context(), id, version)
	})
}

// resendToUser has the enrolment mail sent again:
// POST /admin/users/{user_id}/resend.
func (a *API) resendToUser(c *call) error {
	user, err := a.config.Accounts.Resend(c.r.Context(), c.userID())
	if err != nil {
		return err
	}
	return c.answerUser(http.StatusAccepted, user)
}

// retryUser has the provider asked again: POST /admin/users/{user_id}/retry.
func (a *API) retryUser(c *call) error {
	user, err := a.config.Accounts.Retry(c.r.Context(), c.userID())
	if err != nil {
		return err
	}
	return c.answerUser(http.StatusAccepted, user)
}

// resolveUser says what becomes of a user in whose way the provider has
// another: POST /admin/users/{user_id}/resolve.
func (a *API) resolveUser(c *call) error {
	body, err := decode[openapi.AdminResolution](c.w, c.r)
	if err != nil {
		return err
	}
	adopts := body.Action == openapi.AdminResolutionActionAdopt
	switch {
	case adopts && body.InternalID == "":
		return invalidField("/internal_id", openapi.FieldErrorCodeRequired, "the one there who is this user")
	case !adopts && body.InternalID != "":
		return invalidField("/internal_id", openapi.FieldErrorCodeInvalidValue, "only with the action adopt")
	}
	return a.change(c, http.StatusOK, func(id directory.UserID, version int64) (directory.User, error) {
		if adopts {
			return a.config.Accounts.Adopt(c.r.Context(), id, directory.InternalID(body.InternalID), version)
		}
		return a.resolve(c, id, body.Action, version)
	})
}

// resolve does what is possible with others, too, for one who is in conflict.
func (a *API) resolve(c *call, id directory.UserID, action openapi.AdminResolutionAction, version int64) (directory.User, error) {
	now, err := a.config.Accounts.Get(c.r.Context(), id)
	switch {
	case err != nil:
		return now, err
	case now.Version != version:
		return now, account.ErrVersion
	case now.Status != directory.Conflict:
		return now, &account.StatusError{Status: now.Status}
	case action == openapi.AdminResolutionActionRetry:
		return a.config.Accounts.Retry(c.r.Context(), id)
	default: // nobody could ever sign in as them: there is nothing to wait for
		return a.config.Accounts.Delete(c.r.Context(), id, 0, version)
	}
}

// change does what If-Match allows, and shows what came of it.
func (a *API) change(c *call, status int, do func(id directory.UserID, version int64) (directory.User, error)) error {
	id := c.userID()
	version, err := a.matched(c, id)
	if err != nil {
		return err
	}
	changed, err := do(id, version)
	if err != nil {
		return refusedAddress(err)
	}
	return c.answerUser(status, changed)
}

// userID is the user whom the path names.
func (c *call) userID() directory.UserID { return directory.UserID(c.Param("user_id")) }

// answerUser shows a user with the tag that a change has to name.
func (c *call) answerUser(status int, u directory.User) error {
	c.w.Header().Set("ETag", versionTag(u.Version))
	return c.answer(status, adminUser(u))
}

// adminUser is a user as the contract shows them to administrators.
func adminUser(u directory.User) openapi.AdminUser {
	shown := openapi.AdminUser{
		ID:          string(u.ID),
		ExternalID:  string(u.ExternalID),
		InternalID:  orNull(string(u.InternalID)),
		Email:       u.Email.String(),
		DisplayName: u.DisplayName,
		Status:      openapi.UserStatus(u.Status),
		Sync:        openapi.SyncStatus(u.Synced()),
		SyncError:   orNull(u.SyncClass),
		LastError:   orNull(u.LastClass),
		Origin:      openapi.UserOrigin(u.Origin),
		Locale:      u.Locale,
		Version:     u.Version,
		CreatedAt:   u.CreatedAt,
		UpdatedAt:   u.UpdatedAt,
	}
	if !u.DeleteAfter.IsZero() {
		shown.DeleteAfter = &u.DeleteAfter
	}
	return shown
}

// orNull is the text, or null where there is none.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
