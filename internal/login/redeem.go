package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	maxAccessToken = 16 << 10 // bytes; it becomes a header
	maxRetryAfter  = 5 * time.Minute
)

// tokens is what the token endpoint gave. It stays on Finish's stack, but for
// the one that is given back.
type tokens struct {
	id     string
	access *oauth2.Token
}

// redeem sends the code to the token endpoint, once. It returns ErrCodeRefused,
// ErrClientRefused, ErrProviderUnavailable, or, with the tokens,
// ErrIdentityRejected for ones that are not what was asked for.
func (rp *RelyingParty) redeem(ctx context.Context, p *provider, proof credentials, code, verifier string) (tokens, error) {
	ctx = oidc.ClientContext(ctx, rp.http)
	config := rp.oauth(p)
	options := append(proof.exchange(config), oauth2.VerifierOption(verifier))
	token, err := config.Exchange(ctx, code, options...)
	if err != nil {
		return tokens{}, redeemError(err)
	}
	id, _ := token.Extra("id_token").(string) // without one, nothing verifies
	got := tokens{id: id, access: token}
	// RFC 6749 §7.1: a client must not use a token whose type it does not know.
	if !strings.EqualFold(token.TokenType, "bearer") {
		return got, rejected("token_type is not bearer")
	}
	if len(token.AccessToken) > maxAccessToken || !visible(token.AccessToken) {
		return got, rejected("access_token is out of bounds")
	}
	return got, nil
}

// redeemError sorts the failure of a token request. The library's errors quote
// the answer's whole body, so none of their text is kept.
func redeemError(err error) error {
	const doing = "token request"
	if broken, ok := errors.AsType[*url.Error](err); ok {
		return &UnavailableError{Doing: doing, Cause: broken.Err}
	}
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return &UnavailableError{Doing: doing, Cause: errors.New("unreadable answer")}
	}
	status := answer.Response.StatusCode
	switch {
	case status >= 500, status == http.StatusTooManyRequests:
		return &UnavailableError{Doing: doing, RetryAfter: retryAfter(answer.Response), Cause: statusError(status)}
	case answer.ErrorCode == "invalid_grant":
		return ErrCodeRefused
	case status >= 400 || answer.ErrorCode != "":
		return ErrClientRefused
	default:
		return &UnavailableError{Doing: doing, Cause: statusError(status)}
	}
}

// retryAfter reads the header's seconds (RFC 9110 §10.2.3); a date is ignored.
func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
}
