package login

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxLogoutToken = 8 << 10 // bytes; a real one has less than one KiB
	maxLogoutAge   = 10 * time.Minute

	// How long a logout token may say that it lives, counted from its iat.
	maxLogoutLife       = time.Hour
	maxLogoutLifeCompat = 24 * time.Hour

	logoutType  = "logout+jwt"
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// LogoutToken is what a provider says of a session that it has ended, after
// every check. Whether its ID has been seen before is the caller's to remember.
type LogoutToken struct {
	Issuer    string
	Subject   string // may be empty, but not with SessionID
	SessionID string // the provider's `sid`; empty for every session of Subject
	ID        string // `jti`
	IssuedAt  time.Time
	// ExpiresAt is from when on VerifyLogoutToken refuses the token anyway, the
	// leeway included: its ID has to be remembered until then.
	ExpiresAt time.Time
}

// logoutClaims is a logout token's payload. A claim that is null is refused
// like one of another type, so none is a pointer to text.
type logoutClaims struct {
	Issuer    string                    `json:"iss"`
	Subject   string                    `json:"sub"`
	SessionID string                    `json:"sid"`
	Audience  audience                  `json:"aud"`
	IssuedAt  *numericDate              `json:"iat"`
	Expires   *numericDate              `json:"exp"`
	NotBefore *numericDate              `json:"nbf"`
	ID        string                    `json:"jti"`
	Events    map[string]jsontext.Value `json:"events"`

	raw map[string]jsontext.Value
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLogoutToken, fmt.Sprintf(format, args...))
}

// VerifyLogoutToken checks a logout token in full (OpenID Connect Back-Channel
// Logout 1.0 §2.6) and returns what it says. It returns ErrLogoutToken with
// the reason, or ErrProviderUnavailable, as an [*UnavailableError], before
// discovery and when the key set cannot be fetched.
//
// LogoutStrict wants `typ` to be logout+jwt and an `exp` within an hour of
// `iat`. LogoutCompat takes a token without either, with `typ` JWT, and with a
// day to live; never one that says it is of another kind.
func (rp *RelyingParty) VerifyLogoutToken(ctx context.Context, token string) (LogoutToken, error) {
	p, err := rp.provider()
	if err != nil {
		return LogoutToken{}, err
	}
	// Whoever can reach us can send one, so nothing is fetched for what cannot
	// be a logout token.
	if len(token) > maxLogoutToken {
		return LogoutToken{}, refused("longer than %d bytes", maxLogoutToken)
	}
	if err := rp.checkLogoutHeader(token); err != nil {
		return LogoutToken{}, err
	}
	var fetch error
	verified, err := p.verifier.Verify(context.WithValue(ctx, fetchKey{}, &fetch), token)
	if fetch != nil {
		return LogoutToken{}, fetch
	}
	if err != nil {
		return LogoutToken{}, refused("%s", clean(err.Error()))
	}
	var payload rawJSON
	if err := verified.Claims(&payload); err != nil {
		return LogoutToken{}, refused("unreadable claims")
	}
	c := new(logoutClaims)
	if json.Unmarshal(payload, c) != nil || json.Unmarshal(payload, &c.raw) != nil {
		return LogoutToken{}, refused("a claim is malformed or there twice")
	}
	for _, check := range []func() error{
		func() error { return rp.checkLogoutParties(c) },
		func() error { return rp.checkLogoutTimes(c) },
		c.checkKind,
	} {
		if err := check(); err != nil {
			return LogoutToken{}, err
		}
	}
	logout := LogoutToken{
		Issuer: c.Issuer, Subject: c.Subject, SessionID: c.SessionID, ID: c.ID, IssuedAt: c.IssuedAt.Time,
	}
	logout.ExpiresAt = c.tooOldAt()
	if c.Expires != nil && c.Expires.Add(leeway).Before(logout.ExpiresAt) {
		logout.ExpiresAt = c.Expires.Add(leeway)
	}
	return logout, nil
}

// checkLogoutHeader refuses every other kind of token by its type: the provider
// signs them all with the same key (RFC 8725 §3.11).
func (rp *RelyingParty) checkLogoutHeader(token string) error {
	raw, ok := compact(token)
	if !ok {
		return refused("not a compact signature")
	}
	var header struct {
		Algorithm string         `json:"alg"`
		Type      jsontext.Value `json:"typ"`
		KeyID     string         `json:"kid"`
		Critical  jsontext.Value `json:"crit"`
		Unencoded jsontext.Value `json:"b64"`
	}
	switch {
	case json.Unmarshal(raw, &header) != nil:
		return refused("unreadable header")
	case !slices.Contains(signatureAlgorithms(), jose.SignatureAlgorithm(header.Algorithm)):
		return refused("alg is not one that we take")
	case header.KeyID != "" && !isID(header.KeyID):
		return refused("kid is out of bounds")
	case header.Critical != nil, header.Unencoded != nil:
		return refused("critical extension in the header")
	}
	var kind string
	switch {
	case header.Type == nil && rp.cfg.LogoutTokens == LogoutCompat:
		return nil
	case header.Type == nil:
		return refused("typ is missing")
	case json.Unmarshal(header.Type, &kind) != nil || header.Type.Kind() != '"':
		return refused("typ is not a text")
	}
	// RFC 7515 §4.1.9: a media type, in any case, with "application/" or without.
	kind = strings.TrimPrefix(strings.ToLower(kind), "application/")
	if kind != logoutType && (kind != "jwt" || rp.cfg.LogoutTokens != LogoutCompat) {
		return refused("typ is another kind of token's")
	}
	return nil
}

// checkLogoutParties: from whom, for whom, about whom.
func (rp *RelyingParty) checkLogoutParties(c *logoutClaims) error {
	switch {
	case c.Issuer != rp.cfg.Issuer:
		return refused("iss")
	case len(c.Audience) == 0 || slices.ContainsFunc(c.Audience, func(a string) bool { return a != rp.cfg.ClientID }):
		return refused("aud holds a party other than us")
	case !c.has("sub") && !c.has("sid"):
		return refused("neither sub nor sid")
	case c.has("sub") && !isID(c.Subject):
		return refused("sub is out of bounds")
	case c.has("sid") && !isID(c.SessionID):
		return refused("sid is out of bounds")
	case !isID(c.ID):
		return refused("jti is missing or out of bounds")
	}
	return nil
}

// tooOldAt is when a token is too old whatever it says of its end.
func (c *logoutClaims) tooOldAt() time.Time { return c.IssuedAt.Add(maxLogoutAge + leeway) }

func (rp *RelyingParty) checkLogoutTimes(c *logoutClaims) error {
	now, life := rp.cfg.Now(), maxLogoutLife
	strict := rp.cfg.LogoutTokens != LogoutCompat
	if !strict {
		life = maxLogoutLifeCompat
	}
	switch {
	case c.IssuedAt == nil:
		return refused("iat is missing")
	case c.IssuedAt.After(now.Add(leeway)):
		return refused("issued in the future")
	case !now.Before(c.tooOldAt()):
		return refused("issued too long ago")
	case c.Expires == nil && (strict || c.has("exp")):
		return refused("exp is missing")
	case c.Expires != nil && !now.Before(c.Expires.Add(leeway)):
		return refused("expired")
	case c.Expires != nil && c.Expires.Sub(c.IssuedAt.Time) > life:
		return refused("lives longer than %s", life)
	case c.NotBefore != nil && c.NotBefore.After(now.Add(leeway)):
		return refused("not valid yet")
	}
	return nil
}

// checkKind tells a logout token from an ID token and from other security
// events, by what it must have and must not have (§2.4).
func (c *logoutClaims) checkKind() error {
	event, ok := c.Events[logoutEvent]
	switch {
	case !ok:
		return refused("events has no logout in it")
	case event.Kind() != '{':
		return refused("the logout event is not an object")
	case c.has("nonce"):
		return refused("nonce, so it is an ID token")
	}
	return nil
}

// has reports whether a claim is there at all, null included.
func (c *logoutClaims) has(name string) bool {
	_, ok := c.raw[name]
	return ok
}
