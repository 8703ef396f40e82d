package beyondidentity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Why there is no token.
var (
	errNoSecret   = errors.New("the client secret is empty")
	errNoToken    = errors.New("the answer holds no usable access_token")
	errNotBearer  = errors.New("the access_token is not a bearer token")
	errTokenEnded = errors.New("the access_token has no time to live")
	errNotInTime  = errors.New("there was no access token in time")
)

// How long a token lives: where its answer does not say, and at most. A shorter
// life costs a fetch, a longer one a refused call.
const (
	unsaidLife = 5 * time.Minute
	maxLife    = 24 * time.Hour
)

// Credentials are a client of the tenant's, whose tokens the Client fetches by
// itself (RFC 6749 §4.4). No scope is asked for: the token then has all that
// the client was given in the console.
type Credentials struct {
	ClientID string
	// Secret returns the client secret. It is asked at each fetch, so that the
	// secret can be replaced while the program runs. Its error may be logged,
	// so it must not hold the secret.
	Secret func() (string, error)
}

// Authenticate makes sure that there is a token: with Credentials it fetches
// one unless there is one, else it only looks whether the configured one can be
// sent. It returns an *Error with the class that any call would fail with.
func (c *Client) Authenticate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, _, err := c.authorize(ctx, opToken)
	return err
}

// authorize returns the token for a call, and the grant that it is of, if it is
// of any. Its error is an *Error of op.
func (c *Client) authorize(ctx context.Context, op string) (string, *grant, error) {
	if c.grants != nil {
		held, err := c.grants.take(ctx)
		if err != nil {
			return "", nil, withoutToken(op, err)
		}
		text, err := held.token.header()
		if err != nil {
			return "", nil, withoutToken(op, err)
		}
		return text, held, nil
	}
	x := exchange{op: op}
	token, err := c.token()
	if err != nil {
		return "", nil, x.fail(Unauthorized, err)
	}
	text, err := token.header()
	if err != nil {
		return "", nil, x.fail(Unauthorized, err)
	}
	return text, nil, nil
}

// withoutToken returns the failure of a call for which there was no token, and
// which was therefore not sent: whatever became of the fetch, it is never
// ambiguous.
func withoutToken(op string, err error) *Error {
	failed, ok := err.(*Error) //nolint:errorlint // the fetch's own, unwrapped
	if !ok {
		return (&exchange{op: op}).fail(Unreachable, fmt.Errorf("%w: %w", errNotInTime, err))
	}
	e := &Error{
		Op: op, Class: Unreachable, RetryAfter: failed.RetryAfter, Code: failed.Code, Message: failed.Message, Err: failed,
	}
	switch failed.Class {
	case Unauthorized, Misconfigured, RateLimited:
		e.Class = failed.Class
	case Rejected:
		// The OAuth errors, invalid_client among them, may come as a 400
		// (RFC 6749 §5.2).
		e.Class = Unauthorized
	case Unreachable, Ambiguous, NotFound, Conflict, Duplicate:
	}
	return e
}

// fetchToken gets a token by the client-credentials grant. It returns an
// *Error.
//
// Source: Beyond Identity's API reference, Authentication.
func (c *Client) fetchToken(ctx context.Context) (Token, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	x := &exchange{op: opToken}
	secret, err := c.credentials.Secret()
	if err == nil && secret == "" {
		err = errNoSecret
	}
	if err != nil {
		return Token{}, 0, x.fail(Unauthorized, err)
	}
	x.useBasic(c.credentials.ClientID, secret)
	body, err := c.send(ctx, request{
		op: opToken, method: http.MethodPost, path: "/v2/oauth2/token",
		body: []byte("grant_type=client_credentials"), kind: "application/x-www-form-urlencoded",
	}, x)
	if err != nil {
		return Token{}, 0, err
	}
	token, life, err := decodeToken(body)
	if err != nil {
		return Token{}, 0, x.fail(Ambiguous, err)
	}
	return token, life, nil
}

// useBasic lets the exchange authenticate as a client (RFC 6749 §2.3.1: both
// parts are form-encoded first).
func (x *exchange) useBasic(id, secret string) {
	escaped := url.QueryEscape(secret)
	pair := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + escaped))
	x.authorization = "Basic " + pair
	x.hide(pair, secret, escaped)
}

// useBearer lets the exchange authenticate by a token.
func (x *exchange) useBearer(token string) {
	x.authorization = "Bearer " + token
	x.hide(token, url.QueryEscape(token))
}

// decodeToken reads the answer to a grant (RFC 6749 §5.1).
func decodeToken(body []byte) (Token, time.Duration, error) {
	var answer struct {
		AccessToken string  `json:"access_token"`
		TokenType   lenient `json:"token_type"`
		ExpiresIn   lenient `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Token{}, 0, errMalformed
	}
	token := NewToken(answer.AccessToken)
	if _, err := token.header(); err != nil {
		return Token{}, 0, errNoToken
	}
	if kind := answer.TokenType.text(); kind != "" && !strings.EqualFold(kind, "bearer") {
		return Token{}, 0, errNotBearer
	}
	life, err := lifeOf(answer.ExpiresIn.scalar())
	return token, life, err
}

// lifeOf reads a number of seconds.
func lifeOf(text string) (time.Duration, error) {
	if text == "" {
		return unsaidLife, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil, math.IsNaN(seconds), seconds < 1:
		return 0, errTokenEnded
	case seconds > maxLife.Seconds():
		return maxLife, nil
	}
	return time.Duration(seconds) * time.Second, nil
}
