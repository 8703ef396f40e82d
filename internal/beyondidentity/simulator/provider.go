package simulator

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The provider's paths, below the issuer's.
const (
	issuerPath     = "/v2"
	discoveryPath  = oidc.DiscoveryEndpoint
	jwksPath       = "/.well-known/jwks.json"
	authorizePath  = "/authorize"
	continuePath   = "/authorize/continue"
	tokenPath      = "/oauth2/token" //nolint:gosec // a path
	revocationPath = "/oauth2/revoke"
	userinfoPath   = "/userinfo"
)

// provider is the OpenID provider: zitadel/oidc decodes requests, authenticates
// the client's form, makes and signs tokens, publishes keys and spells errors.
// What it overrides, and why, stands at each method. The authorization endpoint
// is not the library's: it is where passkeys are used, see authorize.go.
type provider struct {
	*op.LegacyServer

	sim     *Simulator
	storage *storage
	client  *client
}

func newProvider(s *Simulator) (http.Handler, error) {
	store := &storage{sim: s}
	// The library logs each route as it registers it and each refusal; our own
	// line for a call has the status, and the answer has the reason.
	quiet := slog.New(slog.DiscardHandler)
	// The endpoints are given to the server below, not to this provider: its
	// options of that kind write to a variable that all providers share.
	lib, err := op.NewProvider(&op.Config{CodeMethodS256: true, AuthMethodPost: true}, store, op.StaticIssuer(s.Issuer()),
		op.WithAllowInsecure(), op.WithCrypto(handles{}), op.WithCORSOptions(nil), op.WithLogger(quiet))
	if err != nil {
		return nil, err
	}
	endpoints := op.Endpoints{
		Token:      op.NewEndpoint(tokenPath),
		Userinfo:   op.NewEndpoint(userinfoPath),
		Revocation: op.NewEndpoint(revocationPath),
		JwksURI:    op.NewEndpoint(jwksPath),
	}
	p := &provider{
		LegacyServer: op.NewLegacyServer(lib, endpoints),
		sim:          s, storage: store, client: &client{sim: s},
	}
	server := op.RegisterServer(p, endpoints,
		op.WithHTTPMiddleware(op.NewIssuerInterceptor(lib.IssuerFromRequest).Handler),
		op.WithServerCORSOptions(nil),
		op.WithFallbackLogger(quiet))
	return http.StripPrefix(issuerPath, bodyOnly(challenge(server))), nil
}

// bodyOnly hides the query. The library reads body and query alike, but a
// secret, code or token in a URL ends up in logs (RFC 6749 section 2.3.1, RFC
// 6750 section 5.3).
func bodyOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			bare := *r.URL
			bare.RawQuery = ""
			r = r.Clone(r.Context())
			r.URL = &bare
		}
		next.ServeHTTP(w, r)
	})
}

// challenge adds the header that RFC 6749 section 5.2 and RFC 6750 section 3
// require of a 401, and that the library leaves out.
func challenge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme := "Basic"
		if r.URL.Path == userinfoPath {
			scheme = "Bearer"
		}
		next.ServeHTTP(&challengeWriter{ResponseWriter: w, scheme: scheme}, r)
	})
}

type challengeWriter struct {
	http.ResponseWriter

	scheme string
}

func (w *challengeWriter) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", w.scheme)
	}
	w.ResponseWriter.WriteHeader(status)
}

// discovery adds to the library's document what its type has no field for.
type discovery struct {
	*oidc.DiscoveryConfiguration

	IssuerInResponse bool `json:"authorization_response_iss_parameter_supported"`
}

// Discovery announces what is there and nothing else. The library's own
// document announces implicit flows, a public client and JWT grants.
func (p *provider) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	issuer := p.sim.Issuer()
	methods := []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	return op.NewResponse(discovery{
		IssuerInResponse: true,
		DiscoveryConfiguration: &oidc.DiscoveryConfiguration{
			Issuer:                                 issuer,
			AuthorizationEndpoint:                  issuer + authorizePath,
			TokenEndpoint:                          issuer + tokenPath,
			UserinfoEndpoint:                       issuer + userinfoPath,
			RevocationEndpoint:                     issuer + revocationPath,
			JwksURI:                                issuer + jwksPath,
			ScopesSupported:                        []string{oidc.ScopeOpenID},
			ResponseTypesSupported:                 []string{string(oidc.ResponseTypeCode)},
			ResponseModesSupported:                 []string{string(oidc.ResponseModeQuery)},
			GrantTypesSupported:                    []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeClientCredentials},
			SubjectTypesSupported:                  []string{"public"},
			IDTokenSigningAlgValuesSupported:       []string{string(RS256), string(ES256)},
			TokenEndpointAuthMethodsSupported:      methods,
			RevocationEndpointAuthMethodsSupported: methods,
			CodeChallengeMethodsSupported:          []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
			ClaimsSupported: []string{
				"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "azp", "at_hash",
				"email", "name", "preferred_username", "external_id", "id",
			},
		},
	}), nil
}

// VerifyClient authenticates the one client. The library answers a wrong secret
// with 400, and takes two kinds of authentication in one request, of which it
// believes one (RFC 6749 section 2.3 forbids it).
func (p *provider) VerifyClient(_ context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	if strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") && r.Form.Get("client_secret") != "" {
		return nil, oidc.ErrInvalidRequest().WithDescription("more than one kind of client authentication")
	}
	if r.Data.ClientAssertion != "" || !sameSecret(r.Data.ClientID, p.sim.cfg.ClientID) || !sameSecret(r.Data.ClientSecret, p.sim.cfg.ClientSecret) {
		return nil, op.NewStatusError(oidc.ErrInvalidClient().WithDescription("unknown client or wrong secret"), http.StatusUnauthorized)
	}
	return p.client, nil
}

// CodeExchange redeems a code. The library's own would let two requests redeem
// one code at the same time, and would let a client leave the verifier out
// though it sent a challenge: the downgrade of RFC 9700 section 2.1.1.
func (p *provider) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	request, err := p.sim.state.redeem(r.Data.Code, p.sim.now())
	if err != nil {
		return nil, oidc.ErrInvalidGrant().WithDescription("invalid code").WithParent(err)
	}
	if request.GetCodeChallenge() != nil && r.Data.CodeVerifier == "" {
		return nil, oidc.ErrInvalidGrant().WithDescription("code_verifier required")
	}
	if err := op.AuthorizeCodeChallenge(r.Data.CodeVerifier, request.GetCodeChallenge()); err != nil {
		return nil, err
	}
	// The code is bound to the redirect URI it was sent to, against the
	// injection of a stolen code (RFC 6749 section 10.6).
	if r.Data.RedirectURI != request.GetRedirectURI() {
		return nil, oidc.ErrInvalidGrant().WithDescription("redirect_uri does not correspond")
	}
	answer, err := op.CreateTokenResponse(ctx, request, r.Client, p.Provider(), true, r.Data.Code, "")
	if errors.Is(err, errCodeUsed) {
		return nil, oidc.ErrInvalidGrant().WithDescription("invalid code").WithParent(err)
	}
	if err != nil {
		return nil, err
	}
	return op.NewResponse(answer), nil
}

// ClientCredentialsExchange gives the management token. It takes no part of the
// provider's tokens, so that neither can be used for the other.
func (p *provider) ClientCredentialsExchange(context.Context, *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	token, life := p.sim.state.issueManagementToken(p.sim.now())
	return op.NewResponse(&oidc.AccessTokenResponse{
		AccessToken: token,
		TokenType:   oidc.BearerToken,
		ExpiresIn:   uint64(life.Seconds()),
	}), nil
}

// UserInfo answers with the older platform's claims. The library's own would
// also let an ID token in as an access token, since it verifies as one.
func (p *provider) UserInfo(_ context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	a, err := p.sim.state.tokenOwner(r.Data.AccessToken, p.sim.now())
	if err != nil {
		return nil, op.NewStatusError(oidc.ErrAccessDenied().WithDescription("access token invalid"), http.StatusUnauthorized)
	}
	return op.NewResponse(struct {
		Email             string `json:"email"`
		ExternalID        string `json:"external_id"`
		ID                string `json:"id"`
		Name              string `json:"name"`
		PreferredUsername string `json:"preferred_username"`
		Subject           string `json:"sub"`
	}{a.email, a.externalID, a.internalID, a.displayName, a.userName, a.userName}), nil
}

// Revocation ends a token; an unknown one is fine (RFC 7009 section 2.2).
func (p *provider) Revocation(_ context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	p.sim.state.revoke(r.Data.Token)
	return op.NewResponse(nil), nil
}

// handles makes an access token out of what the library calls its id: our ids
// are unguessable handles already.
type handles struct{}

func (handles) Encrypt(idAndSubject string) (string, error) {
	id, _, _ := strings.Cut(idAndSubject, ":")
	return id, nil
}

func (handles) Decrypt(string) (string, error) { return "", errNotOffered }
