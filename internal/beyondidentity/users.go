package beyondidentity

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/portico-id/portico/internal/directory"
)

// Why a call is refused before anything is sent.
var (
	errNoExternalID  = errors.New("no external_id")
	errNoEmail       = errors.New("no e-mail address")
	errNotFilterable = errors.New("the external_id holds characters that a filter cannot carry safely")
	errNotText       = errors.New("the user's data is not valid UTF-8")
)

// Why a look-up found not exactly one user.
var (
	errNoUser    = errors.New("no user carries the external_id")
	errManyUsers = errors.New("several users carry the external_id")
)

// pageSize is what a look-up asks for. Without it the page is empty; one row
// more than expected shows a duplicate, and a few more leave room for a server
// that compares without case.
const pageSize = 10

// NewUser is a user to be created.
type NewUser struct {
	ExternalID  directory.ExternalID
	Email       string // where the enrolment mail goes
	DisplayName string // the e-mail address stands in for an empty one
}

// User is a user as the provider knows them.
type User struct {
	InternalID       directory.InternalID
	ExternalID       directory.ExternalID
	Email            string
	UserName         string
	DisplayName      string
	Status           string    // the provider's own; says nothing of enrolment
	HasActivePasskey bool      // known to workforce v2 only
	CreatedAt        time.Time // at the provider; known to workforce v2 only, and zero if it does not say
}

// CreateUser creates a user, which sends them the enrolment mail. It returns
// an *Error; after Ambiguous the user may exist, or come to exist later.
//
// The user_name, which comes back as the ID token's subject, is the
// external_id: it never changes, as an address does.
//
// Source: Beyond Identity's API reference, POST /v1/manage/users.
func (c *Client) CreateUser(ctx context.Context, user NewUser) (User, error) {
	switch {
	case user.ExternalID == "":
		return User{}, notSent(opCreate, errNoExternalID)
	case user.Email == "":
		return User{}, notSent(opCreate, errNoEmail)
	}
	user.DisplayName = ShownName(user.DisplayName, user.Email)
	return c.manage(ctx, request{op: opCreate, path: "/v1/manage/users", name: user.DisplayName}, user.ExternalID, createRequest{
		ExternalID:     user.ExternalID,
		Email:          user.Email,
		UserName:       string(user.ExternalID),
		DisplayName:    user.DisplayName,
		DeliveryMethod: deliverByEmail,
	})
}

// RecoverUser sends the enrolment mail of an existing user again. It returns
// an *Error, NotFound if the provider says that there is no such user.
//
// Beyond Identity's console drops a user's devices when it does the same, so
// it is for users who have never logged in.
//
// Source: Beyond Identity's API reference, POST /v1/manage/recover-user.
func (c *Client) RecoverUser(ctx context.Context, id directory.ExternalID) (User, error) {
	if id == "" {
		return User{}, notSent(opRecover, errNoExternalID)
	}
	return c.manage(ctx, request{op: opRecover, path: "/v1/manage/recover-user"}, id, recoverRequest{
		ExternalID:     id,
		DeliveryMethod: deliverByEmail,
	})
}

// manage sends one of manage v1's calls, all of which answer with the user.
func (c *Client) manage(ctx context.Context, r request, id directory.ExternalID, body any) (User, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return User{}, notSent(r.op, errNotText)
	}
	r.method, r.body = http.MethodPost, encoded
	x, answer, err := c.do(ctx, r)
	if err != nil {
		return User{}, err
	}
	user, err := decodeUser(answer, id)
	if err != nil {
		return User{}, x.fail(Ambiguous, err)
	}
	return user, nil
}

// FindUser looks a user up by external_id. It returns an *Error: NotFound when
// a complete answer shows no such user, Duplicate when it shows several,
// Ambiguous when the answer leaves that open, and Misconfigured when there is
// no such API, which says nothing about the user.
//
// Source: Beyond Identity's API reference, GET /v2/users.
func (c *Client) FindUser(ctx context.Context, id directory.ExternalID) (User, error) {
	filter, err := externalIDFilter(id)
	if err != nil {
		return User{}, notSent(opFind, err)
	}
	x, answer, err := c.do(ctx, request{
		op:     opFind,
		method: http.MethodGet,
		path:   "/v2/users",
		query:  url.Values{"filter": {filter}, "page_size": {strconv.Itoa(pageSize)}},
	})
	if err != nil {
		return User{}, err
	}
	found, err := decodeList(answer, id)
	switch {
	case err != nil:
		return User{}, x.fail(Ambiguous, err)
	case len(found) == 0:
		return User{}, x.fail(NotFound, errNoUser)
	case len(found) > 1:
		return User{}, x.fail(Duplicate, errManyUsers)
	}
	user, err := found[0].check(id)
	if err != nil {
		return User{}, x.fail(Ambiguous, err)
	}
	return user, nil
}

// externalIDFilter returns the SCIM filter for id (RFC 7644 §3.4.2.2).
//
// Quotes and backslashes could be escaped, but a server that reads the escape
// differently would say "no such user" of one who exists, or evaluate a filter
// that the id's author wrote (CWE-943). They are refused.
func externalIDFilter(id directory.ExternalID) (string, error) {
	if id == "" {
		return "", errNoExternalID
	}
	text := string(id)
	if !utf8.ValidString(text) || strings.ContainsAny(text, `"\`) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", errNotFilterable
	}
	return `external_id eq "` + text + `"`, nil
}

// notSent returns the failure of a call whose input cannot be sent.
func notSent(op string, err error) *Error { return &Error{Op: op, Class: Rejected, Err: err} }
