package login_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	clientID     = "portico"
	clientSecret = "s3cret, with / and : in it"
	redirectURI  = "https://app.example/callback"
)

type object = map[string]any

// hostile is an OpenID provider that behaves until it is told not to. Every
// field may be changed before the request that it concerns.
type hostile struct {
	t      *testing.T
	issuer string
	now    func() time.Time

	metadata func(object)                         // changes the discovery document
	claims   func(object)                         // changes the ID token's claims
	header   func(map[jose.HeaderKey]any)         // changes the ID token's header
	idToken  func(signed string) any              // replaces the ID token
	answer   func(object)                         // changes the token endpoint's answer
	userInfo func(object)                         // changes UserInfo
	handlers map[string]http.HandlerFunc          // replaces an endpoint, by path
	signing  jose.SigningKey                      // signs ID tokens
	kid      string                               // names the signing key in the header
	jwks     func() []jose.JSONWebKey             // the published keys
	auth     func(*http.Request) (string, string) // reads the client's credentials

	mu       sync.Mutex
	codes    map[string]url.Values // authorization requests by code, until redeemed
	requests map[string]int
	forms    []url.Values    // what the token endpoint received
	headers  []http.Header   // and under which headers
	access   map[string]bool // access tokens out there
}

type keys struct {
	rsa, otherRSA *rsa.PrivateKey
	ecdsa         *ecdsa.PrivateKey
}

var testKeys = sync.OnceValue(func() keys {
	first, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	second, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return keys{rsa: first, otherRSA: second, ecdsa: curve}
})

func published(kid string, key crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: kid, Use: "sig"}
}

// newHostile returns a provider at a server of its own.
func newHostile(t *testing.T, now func() time.Time) *hostile {
	t.Helper()
	p := &hostile{
		t: t, now: now,
		handlers: map[string]http.HandlerFunc{},
		codes:    map[string]url.Values{},
		requests: map[string]int{},
		access:   map[string]bool{},
		signing:  jose.SigningKey{Algorithm: jose.RS256, Key: testKeys().rsa},
		kid:      "one",
		auth: func(r *http.Request) (string, string) {
			id, secret, _ := r.BasicAuth()
			id, _ = url.QueryUnescape(id) // RFC 6749 §2.3.1
			secret, _ = url.QueryUnescape(secret)
			return id, secret
		},
	}
	p.jwks = func() []jose.JSONWebKey {
		return []jose.JSONWebKey{published("one", testKeys().rsa.Public())}
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.issuer = server.URL
	return p
}

// ServeHTTP counts the request and answers it.
func (p *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests[r.URL.Path]++
	handler := p.handlers[r.URL.Path]
	p.mu.Unlock()
	switch {
	case handler != nil:
		handler(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		p.serveMetadata(w)
	case r.URL.Path == "/jwks":
		write(w, http.StatusOK, jose.JSONWebKeySet{Keys: p.jwks()})
	case r.URL.Path == "/token":
		p.serveToken(w, r)
	case r.URL.Path == "/userinfo":
		p.serveUserInfo(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *hostile) serveMetadata(w http.ResponseWriter) {
	document := object{
		"issuer":                                p.issuer,
		"authorization_endpoint":                p.issuer + "/authorize?tenant=1",
		"token_endpoint":                        p.issuer + "/token",
		"userinfo_endpoint":                     p.issuer + "/userinfo",
		"jwks_uri":                              p.issuer + "/jwks",
		"id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"},
		"code_challenge_methods_supported":      []string{"S256"},
	}
	if p.metadata != nil {
		p.metadata(document)
	}
	write(w, http.StatusOK, document)
}

// authorize is the user agent's visit: it returns a code for the request.
func (p *hostile) authorize(authorizationURL string) (code string) {
	p.t.Helper()
	u, err := url.Parse(authorizationURL)
	if err != nil {
		p.t.Fatal(err)
	}
	code = rand.Text()
	p.mu.Lock()
	p.codes[code] = u.Query()
	p.mu.Unlock()
	return code
}

func (p *hostile) serveToken(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	defer p.mu.Unlock()
	form := r.Form
	p.forms, p.headers = append(p.forms, form), append(p.headers, r.Header)
	if id, secret := p.auth(r); id != clientID || secret != clientSecret {
		write(w, http.StatusUnauthorized, object{"error": "invalid_client"})
		return
	}
	request, ok := p.codes[form.Get("code")]
	delete(p.codes, form.Get("code"))
	digest := sha256.Sum256([]byte(form.Get("code_verifier")))
	if !ok || form.Get("grant_type") != "authorization_code" ||
		form.Get("redirect_uri") != redirectURI ||
		request.Get("code_challenge_method") != "S256" ||
		base64.RawURLEncoding.EncodeToString(digest[:]) != request.Get("code_challenge") {
		write(w, http.StatusBadRequest, object{"error": "invalid_grant", "error_description": "code " + form.Get("code")})
		return
	}
	access := "access-" + rand.Text()
	p.access[access] = true
	answer := object{"access_token": access, "token_type": "Bearer", "id_token": p.mint(request, access)}
	if p.answer != nil {
		p.answer(answer)
	}
	write(w, http.StatusOK, answer)
}

// mint returns the ID token for an authorization request.
func (p *hostile) mint(request url.Values, access string) any {
	digest := sha256.Sum256([]byte(access))
	claims := object{
		"iss": p.issuer, "sub": "user-1", "aud": clientID,
		"exp": p.now().Add(5 * time.Minute).Unix(), "iat": p.now().Unix(),
		"nonce":     request.Get("nonce"),
		"at_hash":   base64.RawURLEncoding.EncodeToString(digest[:16]),
		"auth_time": p.now().Add(-time.Second).Unix(),
		"acr":       "phr", "amr": []string{"hwk", "user"}, "sid": "session-1",
	}
	if p.claims != nil {
		p.claims(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	signed := p.sign(payload)
	if p.idToken != nil {
		return p.idToken(signed)
	}
	return signed
}

func (p *hostile) sign(payload []byte) string {
	header := map[jose.HeaderKey]any{jose.HeaderType: "JWT"}
	if p.kid != "" {
		header["kid"] = p.kid
	}
	if p.header != nil {
		p.header(header)
	}
	maps.DeleteFunc(header, func(_ jose.HeaderKey, v any) bool { return v == nil })
	signer, err := jose.NewSigner(p.signing, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		p.t.Error(err)
		return ""
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	compact, err := signature.CompactSerialize()
	if err != nil {
		p.t.Error(err)
	}
	return compact
}

func (p *hostile) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	p.mu.Lock()
	known := p.access[token]
	p.mu.Unlock()
	if scheme != "Bearer" || !known || r.URL.RawQuery != "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	info := object{
		"sub": "user-1", "external_id": "ext-1", "id": "int-1",
		"email": "ada@example.com", "name": "Ada", "preferred_username": "user-1",
	}
	if p.userInfo != nil {
		p.userInfo(info)
	}
	write(w, http.StatusOK, info)
}

// count returns how often a path was asked for.
func (p *hostile) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
