package simulator

import (
	"context"
	"errors"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// errNotOffered answers the library's questions about what this provider does
// not have: refresh tokens, sessions, introspection, JWT grants.
var errNotOffered = errors.New("not offered by this provider")

// storage is what the library asks while it makes a token.
type storage struct{ sim *Simulator }

var _ op.Storage = (*storage)(nil)

func (s *storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	request, ok := r.(*authorization)
	if !ok {
		return "", time.Time{}, errNotOffered
	}
	token, err := s.sim.state.issueAccessToken(request, s.sim.now())
	// The library turns this time into expires_in by the machine's clock.
	return token, time.Now().Add(accessTokenLife), err
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	keys, err := s.sim.keys.all()
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	keys, err := s.sim.keys.all()
	if err != nil {
		return nil, err
	}
	published := make([]op.Key, len(keys))
	for i, k := range keys {
		published[i] = publicKey{k}
	}
	return published, nil
}

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.sim.keys.algorithm())}, nil
}

// DeleteAuthRequest has nothing to do: redeeming the code used it up.
func (s *storage) DeleteAuthRequest(context.Context, string) error { return nil }

func (s *storage) Health(context.Context) error { return nil }

// The rest belongs to endpoints that are ours or that are not there.

func (s *storage) CreateAuthRequest(context.Context, *oidc.AuthRequest, string) (op.AuthRequest, error) {
	return nil, errNotOffered
}

func (s *storage) AuthRequestByID(context.Context, string) (op.AuthRequest, error) {
	return nil, errNotOffered
}

func (s *storage) AuthRequestByCode(context.Context, string) (op.AuthRequest, error) {
	return nil, errNotOffered
}

func (s *storage) SaveAuthCode(context.Context, string, string) error { return errNotOffered }

func (s *storage) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, errNotOffered
}

func (s *storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, errNotOffered
}

func (s *storage) TerminateSession(context.Context, string, string) error { return errNotOffered }

func (s *storage) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return oidc.ErrServerError().WithParent(errNotOffered)
}

func (s *storage) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}

func (s *storage) GetClientByClientID(context.Context, string) (op.Client, error) {
	return nil, errNotOffered
}

func (s *storage) AuthorizeClientIDSecret(context.Context, string, string) error {
	return errNotOffered
}

func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return errNotOffered
}

func (s *storage) SetUserinfoFromToken(context.Context, *oidc.UserInfo, string, string, string) error {
	return errNotOffered
}

func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotOffered
}

func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errNotOffered
}

func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotOffered
}

func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotOffered
}

// client is the one OpenID client, as the library wants to see it.
type client struct{ sim *Simulator }

var _ op.Client = (*client)(nil)

func (c *client) GetID() string                       { return c.sim.cfg.ClientID }
func (c *client) RedirectURIs() []string              { return nil }
func (c *client) PostLogoutRedirectURIs() []string    { return nil }
func (c *client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c *client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (c *client) LoginURL(string) string              { return "" }
func (c *client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (c *client) IDTokenLifetime() time.Duration      { return accessTokenLife }
func (c *client) DevMode() bool                       { return false }
func (c *client) IsScopeAllowed(string) bool          { return true }
func (c *client) ClockSkew() time.Duration            { return 0 }

// IDTokenUserinfoClaimsAssertion is false: the ID token is only known to carry
// sub, and the rest is UserInfo's.
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return false }

func (c *client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c *client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeClientCredentials}
}

// RestrictAdditionalIdTokenScopes leaves none, so that no scope adds a claim.
//
//nolint:revive // the interface is the library's
func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func([]string) []string { return nil }
}

func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func([]string) []string { return nil }
}
