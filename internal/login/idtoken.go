package login

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	leeway      = 60 * time.Second // between the provider's clock and ours
	maxTokenAge = 10 * time.Minute // a code is redeemed seconds after the login
	maxClaim    = 255              // bytes of a text claim that we keep
	maxMethods  = 16               // entries of `amr`
	maxIDToken  = 32 << 10         // bytes; it is refused unread when longer
)

// claims is an ID token's payload, read once more: go-oidc reads it with
// encoding/json, which takes "SUB" for "sub" and the last of two "nonce"s.
type claims struct {
	Issuer     string         `json:"iss"`
	Subject    string         `json:"sub"`
	Audience   audience       `json:"aud"`
	Authorized *string        `json:"azp"`
	Expires    *numericDate   `json:"exp"`
	IssuedAt   *numericDate   `json:"iat"`
	NotBefore  *numericDate   `json:"nbf"`
	AuthTime   *numericDate   `json:"auth_time"`
	Nonce      *string        `json:"nonce"`
	AccessHash *string        `json:"at_hash"`
	ACR        string         `json:"acr"`
	AMR        []string       `json:"amr"`
	SessionID  string         `json:"sid"`
	Events     jsontext.Value `json:"events"`

	raw map[string]jsontext.Value
}

// verify checks an ID token in full (OpenID Connect Core §3.1.3.7) and returns
// its claims. It returns ErrIdentityRejected with the reason, or
// ErrProviderUnavailable when the key set cannot be fetched.
func (rp *RelyingParty) verify(ctx context.Context, p *provider, t tokens, nonce string) (*claims, error) {
	if err := checkHeader(t.id); err != nil {
		return nil, err
	}
	var fetch error
	verified, err := p.verifier.Verify(context.WithValue(ctx, fetchKey{}, &fetch), t.id)
	if fetch != nil {
		return nil, fetch
	}
	if err != nil {
		return nil, rejected("ID token: %s", clean(err.Error()))
	}
	var payload rawJSON
	if err := verified.Claims(&payload); err != nil {
		return nil, rejected("ID token: unreadable claims")
	}
	c := new(claims)
	if json.Unmarshal(payload, c) != nil || json.Unmarshal(payload, &c.raw) != nil {
		return nil, rejected("ID token: a claim is malformed or there twice")
	}
	for _, check := range []func() error{
		func() error { return rp.checkParties(c) },
		func() error { return checkTimes(c, rp.cfg.Now()) },
		func() error { return rp.checkNonce(c, nonce) },
		func() error { return checkAccessHash(c, verified, t.access.AccessToken) },
		func() error { return checkContext(c) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkHeader refuses what the verifier would let through: a second spelling of
// the same token, critical extensions, and a token that says it is something
// else. The provider signs logout tokens and access tokens with the same key,
// and some of those have all of an ID token's claims (RFC 8725 §2.8, §3.11).
//
// Keys that the header brings along or points to are not looked at: the only
// keys are the provider's published ones (RFC 8725 §3.10).
func checkHeader(token string) error {
	if len(token) > maxIDToken {
		return rejected("ID token: longer than %d bytes", maxIDToken)
	}
	raw, ok := compact(token)
	if !ok {
		return rejected("ID token: not a compact signature")
	}
	var header struct {
		Algorithm string         `json:"alg"`
		Type      *string        `json:"typ"`
		KeyID     string         `json:"kid"`
		Critical  jsontext.Value `json:"crit"`
		Unencoded jsontext.Value `json:"b64"`
	}
	switch {
	case json.Unmarshal(raw, &header) != nil:
		return rejected("ID token: unreadable header")
	case !slices.Contains(signatureAlgorithms(), jose.SignatureAlgorithm(header.Algorithm)):
		return rejected("ID token: alg is not one that we take")
	case header.KeyID != "" && !isID(header.KeyID):
		return rejected("ID token: kid is out of bounds")
	case header.Critical != nil, header.Unencoded != nil: // RFC 7515 §4.1.11, RFC 7797 §6
		return rejected("ID token: critical extension in the header")
	case header.Type != nil && !strings.EqualFold(*header.Type, "JWT"):
		return rejected("ID token: typ is another kind of token's")
	}
	return nil
}

// compact returns the header of a compact signature (RFC 7515 §7.1). It takes
// one spelling only: the usual decoder skips line breaks and the last
// character's spare bits, and the library signs anew what it has decoded, so
// that one signature would be good for many tokens.
func compact(token string) (header []byte, ok bool) {
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 || strings.ContainsAny(token, "\r\n") {
		return nil, false
	}
	for i, part := range parts {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return nil, false
		}
		if i == 0 {
			header = raw
		}
	}
	return header, true
}

// checkParties: from whom, for whom, about whom.
func (rp *RelyingParty) checkParties(c *claims) error {
	switch {
	case c.Issuer != rp.cfg.Issuer:
		return rejected("ID token: iss")
	case len(c.Audience) == 0 || slices.ContainsFunc(c.Audience, func(a string) bool { return a != rp.cfg.ClientID }):
		// We trust no other audience: one that can present this token as its
		// own could also have obtained it (OpenID Connect Core §3.1.3.7, 3).
		return rejected("ID token: aud holds a party other than us")
	case c.Authorized != nil && *c.Authorized != rp.cfg.ClientID:
		return rejected("ID token: azp")
	case !isID(c.Subject):
		return rejected("ID token: sub is missing or out of bounds")
	case c.Events != nil:
		return rejected("ID token: events, so it is a security event") // RFC 8417 §4.1
	}
	return nil
}

func checkTimes(c *claims, now time.Time) error {
	switch {
	case c.Expires == nil:
		return rejected("ID token: exp is missing")
	case !now.Before(c.Expires.Add(leeway)):
		return rejected("ID token: expired")
	case c.IssuedAt == nil:
		return rejected("ID token: iat is missing")
	case c.IssuedAt.After(now.Add(leeway)):
		return rejected("ID token: issued in the future")
	case c.IssuedAt.Before(now.Add(-maxTokenAge - leeway)):
		return rejected("ID token: issued too long ago")
	case c.NotBefore != nil && c.NotBefore.After(now.Add(leeway)):
		return rejected("ID token: not valid yet")
	case c.AuthTime != nil && c.AuthTime.After(now.Add(leeway)):
		return rejected("ID token: auth_time is in the future")
	}
	return nil
}

// checkNonce ties the ID token to this flow: a code injected from another one
// brings that one's nonce (RFC 9700 §4.5.3.2).
func (rp *RelyingParty) checkNonce(c *claims, nonce string) error {
	switch {
	case c.Nonce == nil && rp.cfg.RequireNonce:
		return rejected("ID token: nonce is missing")
	case c.Nonce != nil && subtle.ConstantTimeCompare([]byte(*c.Nonce), []byte(nonce)) != 1:
		return rejected("ID token: nonce is not the flow's")
	}
	return nil
}

// checkAccessHash ties the access token to the ID token, where the provider
// did (OpenID Connect Core §3.1.3.8).
func checkAccessHash(c *claims, verified *oidc.IDToken, access string) error {
	if c.AccessHash == nil && verified.AccessTokenHash == "" {
		return nil
	}
	if c.AccessHash == nil || *c.AccessHash != verified.AccessTokenHash || verified.VerifyAccessToken(access) != nil {
		return rejected("ID token: at_hash is not the access token's")
	}
	return nil
}

// checkContext bounds the claims that are kept and never compared.
func checkContext(c *claims) error {
	for name, text := range map[string]string{"acr": c.ACR, "sid": c.SessionID} {
		if text != "" && !isID(text) {
			return rejected("ID token: %s is out of bounds", name)
		}
	}
	if len(c.AMR) > maxMethods || slices.ContainsFunc(c.AMR, func(m string) bool { return !isID(m) }) {
		return rejected("ID token: amr is out of bounds")
	}
	return nil
}

// isID reports whether text is a non-empty identifier of reasonable length
// without control characters.
func isID(text string) bool {
	return text != "" && len(text) <= maxClaim && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// audience is one text or a list of them (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(raw, &(*a)[0])
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// numericDate is seconds since 1970, possibly with a fraction (RFC 7519 §2).
type numericDate struct{ time.Time }

var errDate = errors.New("not a date")

// UnmarshalJSON reads a number within the years that this code may see.
func (d *numericDate) UnmarshalJSON(raw []byte) error {
	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err != nil || seconds < 0 || seconds > 1<<40 {
		return errDate
	}
	whole, fraction := math.Modf(seconds)
	d.Time = time.Unix(int64(whole), int64(fraction*1e9)).UTC()
	return nil
}

// rawJSON keeps a document as it was.
type rawJSON []byte

// UnmarshalJSON copies raw.
func (r *rawJSON) UnmarshalJSON(raw []byte) error {
	*r = slices.Clone(raw)
	return nil
}
