package hostile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (p *Provider) serveMetadata(w http.ResponseWriter, b Behaviour) {
	document := Object{
		"issuer": p.Issuer,
		// With a query of its own, which a client has to keep (RFC 6749 §3.1).
		"authorization_endpoint":                p.Issuer + PathAuthorize + "?tenant=1",
		"token_endpoint":                        p.Issuer + PathToken,
		"userinfo_endpoint":                     p.Issuer + PathUserInfo,
		"jwks_uri":                              p.Issuer + PathJWKS,
		"id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"},
		"code_challenge_methods_supported":      []string{"S256"},
	}
	if b.Metadata != nil {
		b.Metadata(document)
	}
	Write(w, http.StatusOK, document)
}

// serveAuthorize agrees to everything, and names itself in the answer where it
// announces that (RFC 9207 §2).
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request, b Behaviour) {
	back, err := url.Parse(r.URL.Query().Get("redirect_uri"))
	if err != nil || back.String() != b.RedirectURI {
		http.Error(w, "redirect_uri", http.StatusBadRequest)
		return
	}
	query := back.Query()
	query.Set("code", p.grant(r.URL.Query()))
	query.Set("state", r.URL.Query().Get("state"))
	query.Set("iss", p.Issuer)
	back.RawQuery = query.Encode()
	http.Redirect(w, r, back.String(), http.StatusSeeOther) //nolint:gosec // to the one registered place
}

func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request, b Behaviour) {
	if !b.Auth(r) {
		Write(w, http.StatusUnauthorized, Object{"error": "invalid_client"})
		return
	}
	code := r.PostForm.Get("code")
	p.mu.Lock()
	request, ok := p.codes[code]
	delete(p.codes, code)
	p.mu.Unlock()
	if !ok || !fits(request, r.PostForm, b) {
		Write(w, http.StatusBadRequest, Object{"error": "invalid_grant", "error_description": "code " + code})
		return
	}
	access := "access-" + rand.Text()
	p.mu.Lock()
	p.access[access] = true
	p.mu.Unlock()
	answer := Object{"access_token": access, "token_type": "Bearer", "id_token": p.idToken(request, access, b)}
	if b.Answer != nil {
		b.Answer(answer)
	}
	Write(w, http.StatusOK, answer)
}

// fits reports whether a token request belongs to its authorization request
// (RFC 6749 §4.1.3, RFC 7636 §4.6).
func fits(request, form url.Values, b Behaviour) bool {
	digest := sha256.Sum256([]byte(form.Get("code_verifier")))
	return form.Get("grant_type") == "authorization_code" &&
		form.Get("redirect_uri") == b.RedirectURI &&
		request.Get("code_challenge_method") == "S256" &&
		base64.RawURLEncoding.EncodeToString(digest[:]) == request.Get("code_challenge")
}

// idToken returns the ID token for an authorization request.
func (p *Provider) idToken(request url.Values, access string, b Behaviour) any {
	claims := p.StandardClaims(request.Get("nonce"), access)
	if b.Claims != nil {
		b.Claims(claims)
	}
	signed := p.sign(encode(p.t, claims), b)
	if b.IDToken != nil {
		return b.IDToken(signed)
	}
	return signed
}

// StandardClaims are those of an ID token that nothing is wrong with.
func (p *Provider) StandardClaims(nonce, access string) Object {
	digest := sha256.Sum256([]byte(access))
	now := p.now()
	return Object{
		"iss": p.Issuer, "sub": "user-1", "aud": p.ClientID,
		"exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(),
		"nonce":     nonce,
		"at_hash":   base64.RawURLEncoding.EncodeToString(digest[:16]),
		"auth_time": now.Add(-time.Second).Unix(),
		"acr":       "phr", "amr": []string{"hwk", "user"}, "sid": "session-1",
	}
}

// serveUserInfo takes the access token from the header and from nowhere else.
func (p *Provider) serveUserInfo(w http.ResponseWriter, r *http.Request, b Behaviour) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	p.mu.Lock()
	known := p.access[token]
	p.mu.Unlock()
	if scheme != "Bearer" || !known || r.URL.RawQuery != "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	info := Object{
		"sub": "user-1", "external_id": "ext-1", "id": "int-1",
		"email": "ada@example.com", "name": "Ada", "preferred_username": "user-1",
	}
	if b.UserInfo != nil {
		b.UserInfo(info)
	}
	Write(w, http.StatusOK, info)
}
