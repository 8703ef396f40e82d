package beyondidentity

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/portico-id/portico/internal/directory"
)

// MaxPage is the most users that one page of a list may hold.
const MaxPage = 1000

// maxUserBody bounds what one user takes of a list, in bytes: a user of the
// vendor's samples takes 400, and one whose four texts are of 512 bytes each
// still fits. A full page may so be of 4 MiB, and no answer can fill the
// memory.
const maxUserBody = 4 << 10

// Why a call of workforce v2 is refused before anything is sent.
var (
	errNoInternalID = errors.New("no internal_id")
	errNotAddress   = errors.New("the internal_id holds characters that a path cannot carry safely")
	errPage         = errors.New("a page has 1 to 1000 users, and starts at none or more")
	errNoChange     = errors.New("no change")
	errNoName       = errors.New("no display name")
)

// Page says which part of the list of all users is asked for.
type Page struct {
	Skip int // users before it, in order of creation
	Size int // users on it, 1 to MaxPage
}

// Listed is a page of users.
type Listed struct {
	Users []User // as many as were asked for, or fewer; none at the end alone
	Total int    // users in all, while the page was made
}

// UserChange says what becomes of a user; what is nil stays as it is.
type UserChange struct {
	ExternalID         *directory.ExternalID
	Email, DisplayName *string
}

// ShownName is the display name that CreateUser sends: the provider requires
// one, and the e-mail address stands in for it. Who changes or compares a
// display name has to do the same.
func ShownName(name, email string) string {
	if strings.TrimSpace(name) == "" {
		return email
	}
	return name
}

// GetUser looks a user up by internal_id. It returns an *Error: NotFound when
// the API says that there is no such user, Misconfigured when there is no such
// API, and Ambiguous when the answer is not about the user.
//
// Source: Beyond Identity's API reference, GET /v2/users/{user_id}.
func (c *Client) GetUser(ctx context.Context, id directory.InternalID) (User, error) {
	path, err := userPath(id)
	if err != nil {
		return User{}, notSent(opGet, err)
	}
	x, answer, err := c.do(ctx, request{op: opGet, method: http.MethodGet, path: path, id: id})
	if err != nil {
		return User{}, err
	}
	user, err := decodeWorkforceUser(answer, id)
	if err != nil {
		return User{}, x.fail(Ambiguous, err)
	}
	return user, nil
}

// ListUsers returns a page of all users, oldest first. It returns an *Error,
// Ambiguous for an answer that cannot be such a page.
//
// When a user is deleted, all newer ones move one place towards the front. Who
// pages from the front may miss one of them; who pages from the end may meet
// one twice, and misses none.
//
// Source: Beyond Identity's API reference, GET /v2/users.
func (c *Client) ListUsers(ctx context.Context, page Page) (Listed, error) {
	if page.Size < 1 || page.Size > MaxPage || page.Skip < 0 {
		return Listed{}, notSent(opList, errPage)
	}
	x, answer, err := c.do(ctx, request{
		op:     opList,
		method: http.MethodGet,
		path:   "/v2/users",
		query:  url.Values{"page_size": {strconv.Itoa(page.Size)}, "skip": {strconv.Itoa(page.Skip)}},
		limit:  maxBody + page.Size*maxUserBody,
	})
	if err != nil {
		return Listed{}, err
	}
	listed, err := decodePage(answer, page)
	if err != nil {
		return Listed{}, x.fail(Ambiguous, err)
	}
	return listed, nil
}

// UpdateUser changes a user and returns them as they are then. It returns an
// *Error: NotFound when the API says that there is no such user, Conflict when
// another one has the external_id or the address already, Ambiguous when the
// answer does not show the change. After Ambiguous it may have happened, or
// come to happen later, even after a newer change.
//
// The address is compared without regard to case, as a provider may keep it in
// lower case; the rest byte for byte.
//
// Source: Beyond Identity's API reference, PATCH /v2/users/{user_id}.
func (c *Client) UpdateUser(ctx context.Context, id directory.InternalID, change UserChange) (User, error) {
	path, err := userPath(id)
	if err == nil {
		err = change.check()
	}
	if err != nil {
		return User{}, notSent(opUpdate, err)
	}
	body, err := json.Marshal(change.wire())
	if err != nil {
		return User{}, notSent(opUpdate, errNotText)
	}
	r := request{op: opUpdate, method: http.MethodPatch, path: path, id: id, body: body}
	if change.DisplayName != nil {
		r.name = *change.DisplayName
	}
	x, answer, err := c.do(ctx, r)
	if err != nil {
		return User{}, err
	}
	user, err := decodeWorkforceUser(answer, id)
	if err == nil && !change.shows(user) {
		err = errUnchanged
	}
	if err != nil {
		return User{}, x.fail(Ambiguous, err)
	}
	return user, nil
}

// DeleteUser deletes a user. It returns an *Error, NotFound when the API says
// that there is no such user: who repeats a delete that was ambiguous may take
// that for its success.
//
// Source: Beyond Identity's API reference, DELETE /v2/users/{user_id}.
func (c *Client) DeleteUser(ctx context.Context, id directory.InternalID) error {
	path, err := userPath(id)
	if err != nil {
		return notSent(opDelete, err)
	}
	x, answer, err := c.do(ctx, request{op: opDelete, method: http.MethodDelete, path: path, id: id, empty: true})
	switch {
	case err != nil:
		return err
	case x.status != http.StatusOK && x.status != http.StatusNoContent, len(answer) > 0:
		// A 202 is a promise, and a page of somebody in between says nothing.
		return x.fail(Ambiguous, errNotEmpty)
	}
	return nil
}

// userPath is the path of a user. Escaped or not, a slash, a dot segment or a
// percent sign is read in different ways by what lies between us and the API,
// and the request would be about another resource (CWE-22). The vendor's own
// keys are UUIDs.
func userPath(id directory.InternalID) (string, error) {
	text := string(id)
	switch {
	case text == "":
		return "", errNoInternalID
	case len(text) > maxInternalID, strings.Trim(text, ".") == "", strings.ContainsFunc(text, notInPath):
		return "", errNotAddress
	}
	return "/v2/users/" + url.PathEscape(text), nil
}

// notInPath tells what is neither unreserved nor a sub-delimiter (RFC 3986
// §2.2, §2.3); the semicolon begins a parameter for some.
func notInPath(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~:@!$&'()*+,=", r))
}

// check returns why the change cannot be sent.
func (u UserChange) check() error {
	switch {
	case u == UserChange{}:
		return errNoChange
	case u.ExternalID != nil && *u.ExternalID == "":
		return errNoExternalID
	case u.Email != nil && *u.Email == "":
		return errNoEmail
	case u.DisplayName != nil && strings.TrimSpace(*u.DisplayName) == "":
		return errNoName
	case u.ExternalID != nil && !utf8.ValidString(string(*u.ExternalID)):
		return errNotText
	}
	return nil
}

// shows reports whether user is as the change wants them.
func (u UserChange) shows(user User) bool {
	return (u.ExternalID == nil || *u.ExternalID == user.ExternalID) &&
		(u.Email == nil || strings.EqualFold(*u.Email, user.Email)) &&
		(u.DisplayName == nil || *u.DisplayName == user.DisplayName)
}
