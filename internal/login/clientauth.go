package login

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// The ways to authenticate at the token endpoint (OpenID Connect Core §9).
const (
	AuthBasic      = "basic"           // client_secret_basic
	AuthPost       = "post"            // client_secret_post
	AuthPrivateKey = "private_key_jwt" // a signed assertion: nothing that the provider holds can be stolen there
)

// registered maps the ways to the names that discovery has for them.
var registered = map[string]string{ //nolint:gochecknoglobals // a constant table
	AuthBasic:      "client_secret_basic",
	AuthPost:       "client_secret_post",
	AuthPrivateKey: "private_key_jwt",
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2

// Asserter writes signed assertions of who a client is (RFC 7523 §3). Each
// must have an id of its own, because a provider takes one only once.
type Asserter interface {
	Assertion(clientID, audience string, now time.Time) (string, error)
}

var (
	errNoSecret = errors.New("client secret: missing")
	errNoKey    = errors.New("client key: missing")
)

// credentials are what a request to the provider proves with who sends it. One
// set is good for one request.
type credentials struct {
	id        string
	secret    Secret
	assertion Secret // instead of the secret
	inHeader  bool
}

// credentials reads the secret or the key, which may have been replaced since
// the last request.
//
// The audience of an assertion is the token endpoint, as OpenID Connect Core §9
// has it, at whatever endpoint it is used. An assertion made for one provider
// is of no use at another one: both the endpoint and its provider are what
// discovery found under the configured issuer.
func (rp *RelyingParty) credentials(p *provider) (credentials, error) {
	c := credentials{id: rp.cfg.ClientID, inHeader: rp.cfg.ClientAuth == AuthBasic}
	if rp.cfg.ClientAuth == AuthPrivateKey {
		key, err := readKey(rp.cfg.ClientKey)
		if err != nil {
			return credentials{}, err
		}
		assertion, err := key.Assertion(c.id, p.meta.TokenEndpoint, rp.cfg.Now())
		if err != nil {
			return credentials{}, fmt.Errorf("client assertion: %w", err)
		}
		c.assertion = Secret(assertion)
		return c, nil
	}
	secret, err := readSecret(rp.cfg.ClientSecret)
	c.secret = secret
	return c, err
}

func readSecret(source func() (Secret, error)) (Secret, error) {
	if source == nil {
		return "", errNoSecret
	}
	secret, err := source()
	if err != nil {
		return "", fmt.Errorf("client secret: %w", err)
	}
	if secret == "" {
		return "", errNoSecret
	}
	return secret, nil
}

func readKey(source func() (Asserter, error)) (Asserter, error) {
	if source == nil {
		return nil, errNoKey
	}
	key, err := source()
	if err != nil {
		return nil, fmt.Errorf("client key: %w", err)
	}
	if key == nil {
		return nil, errNoKey
	}
	return key, nil
}

// exchange returns the credentials as the library takes them for a token
// request. The way is fixed: detecting it would send the code twice.
func (c credentials) exchange(config *oauth2.Config) (options []oauth2.AuthCodeOption) {
	config.ClientSecret = string(c.secret)
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	if c.inHeader {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	if c.assertion != "" {
		options = append(options,
			oauth2.SetAuthURLParam("client_assertion_type", assertionType),
			oauth2.SetAuthURLParam("client_assertion", string(c.assertion)))
	}
	return options
}

// form adds the credentials to a form that is about to be sent, and returns
// what has to be done to the request that sends it.
func (c credentials) form(form url.Values) (sign func(*http.Request)) {
	if c.inHeader {
		return func(req *http.Request) {
			// RFC 6749 §2.3.1: a colon in either would move the border.
			req.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(string(c.secret)))
		}
	}
	form.Set("client_id", c.id)
	if c.assertion != "" {
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", string(c.assertion))
	} else {
		form.Set("client_secret", string(c.secret))
	}
	return func(*http.Request) {}
}

// warnings says what an operator should know of a provider that can be used.
func (c *Config) warnings(m *Metadata) (warnings []string) {
	if name := registered[c.ClientAuth]; m.ClientAuth != nil && !slices.Contains(m.ClientAuth, name) {
		warnings = append(warnings, fmt.Sprintf("the provider does not announce %s among token_endpoint_auth_methods_supported", name))
	}
	if m.ChallengeMethods != nil && !slices.Contains(m.ChallengeMethods, "S256") {
		warnings = append(warnings, "the provider does not announce S256 among code_challenge_methods_supported")
	}
	for _, e := range []struct{ name, url string }{
		{"end_session_endpoint", m.EndSessionEndpoint},
		{"revocation_endpoint", m.RevocationEndpoint},
	} {
		if e.url != "" && !c.usable(e.url) {
			warnings = append(warnings, "the provider announces an "+e.name+" that cannot be used")
		}
	}
	return warnings
}

// usable reports whether the provider's endpoint is one that a user or our
// credentials may be sent to.
func (c *Config) usable(endpoint string) bool {
	return checkEndpoint(endpoint, c.mayBePlain()) == nil
}

// mayBePlain reports whether the provider may have endpoints without TLS: only
// one for local trials, which has none anywhere.
func (c *Config) mayBePlain() bool { return strings.HasPrefix(c.Issuer, "http://") }
