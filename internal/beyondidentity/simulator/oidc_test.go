package simulator_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// relyingParty signs in at the simulator the way Portico would.
type relyingParty struct {
	*tenant

	ctx      context.Context
	provider *oidc.Provider
	oauth    oauth2.Config
}

func (tn *tenant) relyingParty() *relyingParty {
	tn.t.Helper()
	ctx := oidc.ClientContext(tn.t.Context(), tn.newBrowser())
	provider, err := oidc.NewProvider(ctx, tn.Issuer())
	if err != nil {
		tn.t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return &relyingParty{tn, ctx, provider, oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret, Endpoint: endpoint,
		RedirectURL: redirectURI, Scopes: []string{oidc.ScopeOpenID, "something_else"},
	}}
}

// verifier is one PKCE verifier; its secrecy is not under test.
const verifier = "0123456789-0123456789-0123456789-0123456789"

func (rp *relyingParty) authURL(opts ...oauth2.AuthCodeOption) string {
	opts = append([]oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), oidc.Nonce("the nonce")}, opts...)
	return rp.oauth.AuthCodeURL("the state", opts...)
}

func (rp *relyingParty) visit(browser *http.Client, target string) answer {
	rp.t.Helper()
	resp, err := browser.Do(request(rp.t, "GET", target, ""))
	if err != nil {
		rp.t.Fatal(err)
	}
	return read(rp.t, resp)
}

// params are what the browser carries back to the redirect URI.
func (rp *relyingParty) params(a answer) url.Values {
	rp.t.Helper()
	u := location(rp.t, a)
	if got := u.Scheme + "://" + u.Host + u.Path; got != redirectURI {
		rp.t.Fatalf("redirected to %s", got)
	}
	q := u.Query()
	if q.Get("state") != "the state" || q.Get("iss") != rp.Issuer() {
		rp.t.Fatalf("params %v", q)
	}
	return q
}

func (rp *relyingParty) code(opts ...oauth2.AuthCodeOption) string {
	rp.t.Helper()
	code := rp.params(rp.visit(rp.browser, rp.authURL(opts...))).Get("code")
	if code == "" {
		rp.t.Fatal("no code")
	}
	return code
}

func (rp *relyingParty) exchange(code string) *oauth2.Token {
	rp.t.Helper()
	token, err := rp.oauth.Exchange(rp.ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		rp.t.Fatal(err)
	}
	return token
}

func (rp *relyingParty) verify(token *oauth2.Token) *oidc.IDToken {
	rp.t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := rp.provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(rp.ctx, raw)
	if err != nil {
		rp.t.Fatal(err)
	}
	return id
}

func enrolled(t *testing.T, change ...func(*simulator.Config)) *relyingParty {
	t.Helper()
	tn := start(t, change...)
	tn.create("u:1", "ada@example.com")
	tn.enrol(tn.browser, "ada@example.com")
	return tn.relyingParty()
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for name, style := range map[string]oauth2.AuthStyle{
		"with client_secret_basic": oauth2.AuthStyleInHeader,
		"with client_secret_post":  oauth2.AuthStyleInParams,
	} {
		for _, alg := range []simulator.Algorithm{simulator.RS256, simulator.ES256} {
			t.Run(name+" and "+string(alg), func(t *testing.T) {
				t.Parallel()
				rp := enrolled(t)
				rp.oauth.Endpoint.AuthStyle = style
				if alg == simulator.ES256 {
					got := rp.sim("POST", "/sim/keys/rotate", `{"alg":"ES256"}`)
					expectStatus(t, got, http.StatusOK)
				}
				token := rp.exchange(rp.code())
				id := rp.verify(token)
				raw, _ := token.Extra("id_token").(string)
				head, _, _ := strings.Cut(raw, ".")
				if header, err := base64.RawURLEncoding.DecodeString(head); err != nil || !strings.Contains(string(header), string(alg)) {
					t.Fatalf("header %s", header)
				}
				var claims map[string]any
				if err := id.Claims(&claims); err != nil {
					t.Fatal(err)
				}
				if id.Subject != "u:1" || id.Nonce != "the nonce" || id.VerifyAccessToken(token.AccessToken) != nil {
					t.Fatalf("claims %v", claims)
				}
				if at, ok := claims["auth_time"].(float64); !ok || time.Since(time.Unix(int64(at), 0)) > time.Minute {
					t.Fatalf("auth_time %v", claims["auth_time"])
				}
				for _, private := range []string{"email", "name", "external_id", "id"} {
					if _, ok := claims[private]; ok {
						t.Fatalf("the ID token carries %s", private)
					}
				}
				if token.RefreshToken != "" {
					t.Fatal("a refresh token")
				}
				userinfo := request(t, "GET", rp.url+"/v2/userinfo", "")
				userinfo.Header.Set("Authorization", "Bearer "+token.AccessToken)
				got := rp.do(userinfo)
				expectStatus(t, got, http.StatusOK)
				expectJSON(t, got.body, `{"email":"ada@example.com","external_id":"u:1","id":"`+rp.Users()[0].InternalID+`",
					"name":"Ada Lovelace","preferred_username":"u:1","sub":"u:1"}`)
			})
		}
	}
}

func TestDiscoveryAnnouncesWhatIsThere(t *testing.T) {
	t.Parallel()
	tn := start(t)
	got := tn.sim("GET", "/v2/.well-known/openid-configuration", "")
	expectStatus(t, got, http.StatusOK)
	expectJSON(t, strings.ReplaceAll(got.body, tn.url, "http://base"), `{
		"issuer":"http://base/v2","authorization_endpoint":"http://base/v2/authorize","token_endpoint":"http://base/v2/oauth2/token",
		"userinfo_endpoint":"http://base/v2/userinfo","revocation_endpoint":"http://base/v2/oauth2/revoke",
		"jwks_uri":"http://base/v2/.well-known/jwks.json","scopes_supported":["openid"],"response_types_supported":["code"],
		"response_modes_supported":["query"],"grant_types_supported":["authorization_code","client_credentials"],
		"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256","ES256"],
		"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],
		"revocation_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],
		"claims_supported":["sub","iss","aud","exp","iat","auth_time","nonce","azp","at_hash","email","name","preferred_username","external_id","id"],
		"code_challenge_methods_supported":["S256"],"request_uri_parameter_supported":false,
		"authorization_response_iss_parameter_supported":true}`)
	if got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatal("CORS is on")
	}
}

func TestRotatedKeysVerifyBesideTheOldOnes(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	before := rp.exchange(rp.code())
	rp.verify(before)
	if err := rp.RotateKeys(simulator.ES256); err != nil {
		t.Fatal(err)
	}
	rp.verify(rp.exchange(rp.code()))
	expectStatus(t, rp.sim("POST", "/sim/keys/rotate", ""), http.StatusOK)
	rp.verify(rp.exchange(rp.code()))
	rp.verify(before)
	expectStatus(t, rp.sim("POST", "/sim/keys/rotate", `{"alg":"none"}`), http.StatusBadRequest)
	expectStatus(t, rp.sim("POST", "/sim/keys/rotate", `{"alg`), http.StatusBadRequest)
}

func TestTheTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	for name, tc := range map[string]struct {
		change func(form url.Values, req *http.Request)
		status int
		code   string
	}{
		"a wrong secret":            {func(_ url.Values, r *http.Request) { r.SetBasicAuth(clientID, "wrong") }, 401, "invalid_client"},
		"an unknown client":         {func(_ url.Values, r *http.Request) { r.SetBasicAuth("other", clientSecret) }, 401, "invalid_client"},
		"no secret":                 {func(f url.Values, r *http.Request) { r.Header.Del("Authorization"); f.Set("client_id", clientID) }, 401, "invalid_client"},
		"two kinds of secret":       {func(f url.Values, _ *http.Request) { f.Set("client_secret", clientSecret) }, 400, "invalid_request"},
		"a wrong verifier":          {func(f url.Values, _ *http.Request) { f.Set("code_verifier", strings.Repeat("x", 43)) }, 400, "invalid_grant"},
		"a verifier left out":       {func(f url.Values, _ *http.Request) { f.Del("code_verifier") }, 400, "invalid_grant"},
		"another redirect URI":      {func(f url.Values, _ *http.Request) { f.Set("redirect_uri", redirectURI+"/") }, 400, "invalid_grant"},
		"an unknown code":           {func(f url.Values, _ *http.Request) { f.Set("code", "x") }, 400, "invalid_grant"},
		"no code":                   {func(f url.Values, _ *http.Request) { f.Del("code") }, 400, "invalid_request"},
		"no grant":                  {func(f url.Values, _ *http.Request) { f.Del("grant_type") }, 400, "invalid_request"},
		"a refresh":                 {func(f url.Values, _ *http.Request) { f.Set("grant_type", "refresh_token") }, 400, "unauthorized_client"},
		"parameters in the address": {func(f url.Values, r *http.Request) { r.URL.RawQuery = f.Encode(); clear(f) }, 400, "invalid_request"},
	} {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {rp.code()}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
		}
		req := request(t, "POST", rp.url+"/v2/oauth2/token", "")
		req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
		tc.change(form, req)
		filled := request(t, "POST", req.URL.String(), form.Encode())
		filled.Header = req.Header
		filled.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got := rp.do(filled)
		if got.status != tc.status || !strings.Contains(got.body, `"error":"`+tc.code+`"`) {
			t.Errorf("%s: status %d, body %s", name, got.status, got.body)
		}
		if challenged := got.header.Get("WWW-Authenticate") == "Basic"; challenged != (got.status == 401) {
			t.Errorf("%s: WWW-Authenticate %q", name, got.header.Get("WWW-Authenticate"))
		}
	}
	expectStatus(t, rp.sim("GET", "/v2/oauth2/token", ""), http.StatusNotFound)
}

func (rp *relyingParty) userinfoStatus(token string) int {
	rp.t.Helper()
	req := request(rp.t, "GET", rp.url+"/v2/userinfo", "")
	req.Header.Set("Authorization", "Bearer "+token)
	return rp.do(req).status
}

func TestACodeIsRedeemedOnceAndAReplayEndsItsToken(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	code := rp.code()
	token := rp.exchange(code)
	if got := rp.userinfoStatus(token.AccessToken); got != http.StatusOK {
		t.Fatalf("status %d before the replay", got)
	}
	if _, err := rp.oauth.Exchange(rp.ctx, code, oauth2.VerifierOption(verifier)); err == nil {
		t.Fatal("a code was redeemed twice")
	}
	if got := rp.userinfoStatus(token.AccessToken); got != http.StatusUnauthorized {
		t.Fatalf("status %d after the replay", got)
	}
}

func TestOneOfManyRedemptionsAtOnceWins(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	code := rp.code()
	results := make(chan error)
	for range 8 {
		go func() {
			_, err := rp.oauth.Exchange(rp.ctx, code, oauth2.VerifierOption(verifier))
			results <- err
		}()
	}
	won := 0
	for range 8 {
		if <-results == nil {
			won++
		}
	}
	if won > 1 { // none, if a replay came before the token was made
		t.Fatalf("%d redemptions succeeded", won)
	}
}

func TestCodesAndTokensExpire(t *testing.T) {
	t.Parallel()
	c := newClock()
	rp := enrolled(t, func(cfg *simulator.Config) { cfg.Now = c.now })
	code := rp.code()
	c.advance(time.Minute)
	if _, err := rp.oauth.Exchange(rp.ctx, code, oauth2.VerifierOption(verifier)); err == nil {
		t.Fatal("an expired code was redeemed")
	}
	token := rp.exchange(rp.code())
	c.advance(time.Hour)
	if got := rp.userinfoStatus(token.AccessToken); got != http.StatusUnauthorized {
		t.Fatalf("status %d for an expired token", got)
	}
}

func TestUserInfoRefuses(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	token := rp.exchange(rp.code())
	idToken, _ := token.Extra("id_token").(string)
	for name, bearer := range map[string]string{"an unknown token": "x", "an ID token": idToken, "the API token": apiToken} {
		if got := rp.userinfoStatus(bearer); got != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, got)
		}
	}
	if got := rp.sim("GET", "/v2/userinfo?access_token="+token.AccessToken, ""); got.status != http.StatusUnauthorized {
		t.Errorf("a token in the address: status %d", got.status)
	}
	revoke := request(t, "POST", rp.url+"/v2/oauth2/revoke", "token="+token.AccessToken)
	revoke.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	revoke.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
	expectStatus(t, rp.do(revoke), http.StatusOK)
	if got := rp.userinfoStatus(token.AccessToken); got != http.StatusUnauthorized {
		t.Errorf("a revoked token: status %d", got)
	}
	token = rp.exchange(rp.code())
	if err := rp.SetStatus(rp.Users()[0].InternalID, simulator.StatusSuspended); err != nil {
		t.Fatal(err)
	}
	if got := rp.userinfoStatus(token.AccessToken); got != http.StatusUnauthorized {
		t.Errorf("a suspended user's token: status %d", got)
	}
}
