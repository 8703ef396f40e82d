package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// loginContest is about whole logins: GET /login, and GET /callback with what a
// provider would have sent the browser back with.
func loginContest() contest {
	return contest{
		name: "logins: GET /login, then GET /callback",
		contestants: []contestant{
			{id: "login-handwritten", title: "Echo + oauth2 + go-oidc + pgx", role: baseline, serve: serveHandwrittenLogin},
			{id: "login-portico", title: "Portico", role: ours, serve: servePortico(loginSettings...)},
		},
		provider:    &contestant{id: "openid", title: "an OpenID provider", role: bystander, serve: serveOpenID},
		connections: []int{1, 16, 64},
		requests:    loginRequests,
	}
}

const (
	clientID     = "portico"
	clientSecret = "a-secret-of-a-client-that-is-long-enough" //nolint:gosec // of nobody
	callbackURL  = "http://localhost:8080/callback"
)

// loginSettings are those that a provider on this machine needs.
var loginSettings = []string{ //nolint:gochecknoglobals // a constant list
	"PORTICO_PUBLIC_URL=http://localhost:8080", "PORTICO_FRONTEND_ORIGINS=http://localhost:3000",
	"PORTICO_DEFAULT_RETURN_TO=http://localhost:3000/", "PORTICO_BEYOND_API_URL=http://localhost:1",
	"PORTICO_ALLOW_INSECURE_LOCALHOST=true", "PORTICO_RATE_LIMITS=off",
	"PORTICO_OIDC_CLIENT_SECRET=" + clientSecret,
}

// loginRequests are logins of users from all over the table.
func loginRequests(sessions int) []request {
	n := min(distinct, sessions)
	all := make([]request, n)
	for i := range all {
		all[i] = request{
			Login:  1 + i*(sessions/n),
			Raw:    navigated("/login", ""),
			Status: http.StatusSeeOther,
		}
	}
	return all
}

// callback is the request that ends the login of user which GET /login has
// begun with this answer's header. The code says who logs in, and what for.
func callback(header http.Header, user int) ([]byte, error) {
	location, err := url.Parse(header.Get("Location"))
	if err != nil {
		return nil, err
	}
	asked := location.Query()
	back := url.Values{
		"code": {asked.Get("nonce") + "." + strconv.Itoa(user)}, "state": {asked.Get("state")}, "iss": {issuerOf(location)},
	}
	var cookies []string
	for _, line := range header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		if _, value, _ := strings.Cut(pair, "="); value != "" {
			cookies = append(cookies, pair)
		}
	}
	return navigated("/callback?"+back.Encode(), "Cookie: "+strings.Join(cookies, "; ")+"\r\n"), nil
}

// navigated is a request as a browser sends it for a page.
func navigated(target, headers string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: %s\r\n"+
		"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n%s\r\n", target, userAgent, headers)
}

// issuerOf is the issuer whose authorization endpoint that is.
func issuerOf(endpoint *url.URL) string { return "http://" + endpoint.Host + "/v2" }

// subjectOf is the subject of the user with this number, who is their
// external_id here: see fill.
func subjectOf(user string) string { return fmt.Sprintf("019d2c5e-7c1a-7b7e-9f3c-%012s", user) }

// serveOpenID is an OpenID provider that takes any code for what it says.
func serveOpenID(ctx context.Context, _ setting, ready func(address string)) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		return err
	}
	var issuer string // known before anybody asks
	answer := func(w http.ResponseWriter, body any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
			"userinfo_endpoint": issuer + "/userinfo", "jwks_uri": issuer + "/jwks", "response_types_supported": []string{"code"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
			"authorization_response_iss_parameter_supported": true, "code_challenge_methods_supported": []string{"S256"},
		})
	})
	mux.HandleFunc("GET /v2/jwks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /v2/token", func(w http.ResponseWriter, r *http.Request) {
		nonce, user, _ := strings.Cut(r.FormValue("code"), ".")
		now := time.Now().Unix()
		claims, err := json.Marshal(map[string]any{
			"iss": issuer, "aud": clientID, "sub": subjectOf(user), "nonce": nonce, "iat": now, "exp": now + 300, "auth_time": now,
			"external_id": subjectOf(user), "id": "int-" + user,
		})
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer(w, map[string]any{"access_token": "at-" + user, "token_type": "Bearer", "expires_in": 300, "id_token": token})
	})
	mux.HandleFunc("GET /v2/userinfo", func(w http.ResponseWriter, r *http.Request) {
		user := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer at-")
		answer(w, map[string]any{"sub": subjectOf(user), "external_id": subjectOf(user), "id": "int-" + user})
	})
	return serveHandler(ctx, mux, func(address string) {
		_, port, _ := net.SplitHostPort(address)
		issuer = "http://localhost:" + port + "/v2"
		ready("localhost:" + port)
	})
}

// signedIn reports whether the header of an answer to a callback sets a session.
func signedIn(header http.Header) bool {
	for _, line := range header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		if name, value, _ := strings.Cut(pair, "="); !strings.Contains(name, "flow") && value != "" {
			return true
		}
	}
	return false
}
