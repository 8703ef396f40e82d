package hostile

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// The client that a new provider knows. The secret has what RFC 6749 §2.3.1
// wants escaped.
const (
	ClientID     = "portico"
	ClientSecret = "s3cret, with / and : in it"
	RedirectURI  = "https://app.example/callback"
)

// The endpoints' paths.
const (
	PathMetadata  = "/.well-known/openid-configuration"
	PathJWKS      = "/jwks"
	PathAuthorize = "/authorize"
	PathToken     = "/token"
	PathUserInfo  = "/userinfo"
	PathRevoke    = "/revoke"
	PathLogout    = "/logout"
)

// Object is a JSON object.
type Object = map[string]any

// Behaviour is what a provider answers. Fields may be set directly while no
// request is under way, and in [Provider.Change] at any time. A hook that is
// nil changes nothing.
type Behaviour struct {
	Metadata func(Object)                // changes the discovery document
	JWKS     func() []Object             // the published keys; see JWK
	Claims   func(Object)                // changes the ID token's claims
	Header   func(Object)                // changes the ID token's header; nil values are left out
	IDToken  func(signed string) any     // replaces the ID token
	Answer   func(Object)                // changes the token endpoint's answer
	UserInfo func(Object)                // changes UserInfo
	Auth     func(*http.Request) bool    // authenticates the client; the form is parsed
	Signing  Signing                     // signs tokens
	Handlers map[string]http.HandlerFunc // replaces an endpoint, by path

	ClientID    string
	RedirectURI string
}

// Provider is a hostile OpenID provider. It is safe for concurrent use.
type Provider struct {
	Behaviour

	Issuer string

	t        testing.TB
	now      func() time.Time
	mu       sync.Mutex
	codes    map[string]url.Values // authorization requests by code, until redeemed
	requests map[string][]Request
	access   map[string]bool // access tokens out there
}

// Request is a request as it came in.
type Request struct {
	Method string
	Header http.Header
	Query  url.Values
	Form   url.Values // query and body
}

// New returns a provider at a server of its own.
func New(t testing.TB, now func() time.Time) *Provider {
	t.Helper()
	p := At(t, "", now)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.Issuer = server.URL
	return p
}

// At returns a provider that somebody else serves at issuer.
func At(t testing.TB, issuer string, now func() time.Time) *Provider {
	t.Helper()
	return &Provider{
		Issuer: issuer,
		t:      t,
		now:    now,
		Behaviour: Behaviour{
			JWKS:        func() []Object { return []Object{JWK("one", TestKeys().RSA.Public())} },
			Auth:        Basic(ClientID, ClientSecret),
			Signing:     Signing{Algorithm: "RS256", Key: TestKeys().RSA, ID: "one"},
			Handlers:    map[string]http.HandlerFunc{},
			ClientID:    ClientID,
			RedirectURI: RedirectURI,
		},
		codes:    map[string]url.Values{},
		requests: map[string][]Request{},
		access:   map[string]bool{},
	}
}

// Basic authenticates by client_secret_basic.
func Basic(id, secret string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		gotID, gotSecret, _ := r.BasicAuth()
		gotID, _ = url.QueryUnescape(gotID) // RFC 6749 §2.3.1
		gotSecret, _ = url.QueryUnescape(gotSecret)
		return gotID == id && gotSecret == secret
	}
}

// Post authenticates by client_secret_post.
func Post(id, secret string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.PostFormValue("client_id") == id && r.PostFormValue("client_secret") == secret
	}
}

// Change changes what the provider does from the next request on.
func (p *Provider) Change(change func(*Behaviour)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.Behaviour)
}

// Authorize is the user agent's visit, agreed to: it returns the code.
func (p *Provider) Authorize(authorizationURL string) (code string) {
	p.t.Helper()
	u, err := url.Parse(authorizationURL)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.grant(u.Query())
}

func (p *Provider) grant(request url.Values) (code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	code = rand.Text()
	p.codes[code] = request
	return code
}

// Count returns how often a path was asked for.
func (p *Provider) Count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests[path])
}

// Requests returns what a path was asked, in order.
func (p *Provider) Requests(path string) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests[path])
}

// ServeHTTP records the request and answers it.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.requests[r.URL.Path] = append(p.requests[r.URL.Path], Request{
		Method: r.Method, Header: r.Header.Clone(), Query: r.URL.Query(), Form: r.Form,
	})
	behaviour := p.Behaviour
	handler := p.Handlers[r.URL.Path]
	p.mu.Unlock()
	switch {
	case handler != nil:
		handler(w, r)
	case r.URL.Path == PathMetadata:
		p.serveMetadata(w, behaviour)
	case r.URL.Path == PathJWKS:
		Write(w, http.StatusOK, Object{"keys": behaviour.JWKS()})
	case r.URL.Path == PathAuthorize:
		p.serveAuthorize(w, r, behaviour)
	case r.URL.Path == PathToken && r.Method == http.MethodPost:
		p.serveToken(w, r, behaviour)
	case r.URL.Path == PathUserInfo:
		p.serveUserInfo(w, r, behaviour)
	case r.URL.Path == PathRevoke && r.Method == http.MethodPost, r.URL.Path == PathLogout:
		w.WriteHeader(http.StatusOK)
	default:
		http.NotFound(w, r)
	}
}

// Write answers with JSON.
func Write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Reply returns a handler that answers the same whatever it is asked.
func Reply(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}
