package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/portico-id/portico/internal/directory"
)

// identify reads who the user is from UserInfo, or from the ID token where the
// provider has no UserInfo endpoint.
func (rp *RelyingParty) identify(ctx context.Context, p *provider, t tokens, c *claims) (Identity, error) {
	source := c.raw
	if p.meta.UserInfoEndpoint != "" {
		var err error
		if source, err = rp.userInfo(ctx, p, t); err != nil {
			return Identity{}, err
		}
		// Token substitution: UserInfo answers for whoever the access token is
		// about, which need not be who the ID token is about (OpenID Connect
		// Core §5.3.2, §16.11).
		if subject, err := textClaim(source, "sub"); err != nil || subject != c.Subject {
			return Identity{}, rejected("UserInfo: sub is not the ID token's")
		}
	}
	external, err := textClaim(source, rp.cfg.ExternalIDClaim)
	if errors.Is(err, errNoClaim) {
		// Someone whom the provider knows and who never came through us.
		return Identity{}, fmt.Errorf("%w: there is no external id claim %q", directory.ErrNotRegistered, rp.cfg.ExternalIDClaim)
	}
	if err != nil {
		return Identity{}, rejected("external id claim %q: %v", rp.cfg.ExternalIDClaim, err)
	}
	internal, err := textClaim(source, rp.cfg.InternalIDClaim)
	if err != nil && !errors.Is(err, errNoClaim) {
		return Identity{}, rejected("internal id claim %q: %v", rp.cfg.InternalIDClaim, err)
	}
	identity := Identity{
		Issuer:     c.Issuer,
		Subject:    c.Subject,
		ExternalID: directory.ExternalID(external),
		InternalID: directory.InternalID(internal),
		ACR:        c.ACR,
		AMR:        c.AMR,
		SessionID:  c.SessionID,
	}
	if c.AuthTime != nil {
		identity.AuthTime = c.AuthTime.Time
	}
	return identity, nil
}

// userInfo returns the UserInfo claims (OpenID Connect Core §5.3). The token
// goes in a header, never in the query (RFC 9700 §4.3.2). Signed answers are
// refused: we never ask for one, so iss and aud would have to be checked too.
func (rp *RelyingParty) userInfo(ctx context.Context, p *provider, t tokens) (map[string]jsontext.Value, error) {
	const doing = "UserInfo request"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.meta.UserInfoEndpoint, http.NoBody)
	if err != nil {
		return nil, &UnavailableError{Doing: doing, Cause: errors.New("unusable endpoint")}
	}
	req.Header.Set("Accept", "application/json")
	t.access.SetAuthHeader(req)
	resp, err := rp.http.Do(req)
	if err != nil {
		return nil, &UnavailableError{Doing: doing, Cause: bare(err)}
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, rejected("UserInfo: refused the access token")
	default:
		return nil, &UnavailableError{Doing: doing, RetryAfter: retryAfter(resp), Cause: statusError(resp.StatusCode)}
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, rejected("UserInfo: not application/json")
	}
	body, err := io.ReadAll(resp.Body)
	if errors.Is(err, errBodyTooLarge) {
		return nil, rejected("UserInfo: %v", err)
	}
	if err != nil {
		return nil, &UnavailableError{Doing: doing, Cause: bare(err)}
	}
	var info map[string]jsontext.Value
	if json.Unmarshal(body, &info) != nil {
		return nil, rejected("UserInfo: malformed, or a claim is there twice")
	}
	return info, nil
}

var (
	errNoClaim  = errors.New("missing or empty")
	errBadClaim = errors.New("not a text within bounds")
)

// textClaim returns a claim that is a text. It returns errNoClaim when it is
// not there, null or empty, and errBadClaim when it is anything else: a number must
// not become a key by being printed.
func textClaim(source map[string]jsontext.Value, name string) (string, error) {
	value, ok := source[name]
	if !ok || name == "" || value.Kind() == 'n' {
		return "", errNoClaim
	}
	var text string
	if json.Unmarshal(value, &text) != nil || text != "" && !isID(text) {
		return "", errBadClaim
	}
	if text == "" {
		return "", errNoClaim
	}
	return text, nil
}
