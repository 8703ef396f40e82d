package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-id/portico/internal/keyring"
)

// How strictly a logout token is read; see [RelyingParty.VerifyLogoutToken].
const (
	LogoutStrict = "strict"
	LogoutCompat = "compat" // for providers that give their tokens neither a type nor an end
)

const (
	defaultFlowTTL     = 10 * time.Minute
	defaultHTTPTimeout = 10 * time.Second
	maxIssuer          = 255 // bytes; it travels in every flow
)

// Secret is text that must not be shown. Convert it to string to use it.
type Secret string

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// Format writes "[redacted]" for every verb, those for numbers included.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// FlowStore remembers which flows have been used.
type FlowStore interface {
	// UseFlow marks a flow as used and reports whether this call was the first,
	// atomically among all replicas. The mark must be kept until expiresAt;
	// after that the flow no longer opens.
	UseFlow(ctx context.Context, flowID string, expiresAt time.Time) (first bool, err error)
}

// Config is what a relying party needs. Fields without a stated default are
// required.
type Config struct {
	// Issuer is the provider's issuer identifier, character for character as it
	// names itself. An http issuer is for local trials: whoever allows one must
	// have checked that.
	Issuer   string
	ClientID string
	// ClientAuth is AuthBasic, AuthPost or AuthPrivateKey. It is never detected:
	// that would send the code twice, and a strict provider revokes everything
	// issued for a code that it sees again (RFC 6749 §4.1.2).
	ClientAuth string
	// ClientSecret returns the secret as it is now, for AuthBasic and AuthPost.
	ClientSecret func() (Secret, error)
	// ClientKey returns the key as it is now, for AuthPrivateKey.
	ClientKey   func() (Asserter, error)
	RedirectURI string
	// PostLogoutRedirectURI is where the provider sends the user after a logout,
	// as registered there; "" leaves them at the provider.
	PostLogoutRedirectURI string
	// ExternalIDClaim names the UserInfo claim that holds our key for a user.
	ExternalIDClaim string
	// InternalIDClaim names the one with the provider's own; "" reads none.
	InternalIDClaim string
	// RequireNonce refuses an ID token without nonce. When it is off, a nonce
	// that is present must still match.
	RequireNonce bool
	// LogoutTokens is LogoutStrict or LogoutCompat.
	LogoutTokens string // default: LogoutStrict
	// Revoke gives the provider's tokens back once a login is over, where it
	// announces how.
	Revoke      bool
	Scopes      []string      // default: openid
	FlowTTL     time.Duration // default: 10 minutes
	HTTPTimeout time.Duration // of one request to the provider; default: 10 seconds

	Keys  *keyring.Ring
	Flows FlowStore

	Now       func() time.Time  // default: time.Now
	Logger    *slog.Logger      // default: none
	Transport http.RoundTripper // default: one of our own
	// Wrap is put around the transport; nil for nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// RelyingParty begins and finishes flows with one provider. It is safe for
// concurrent use.
type RelyingParty struct {
	cfg    Config
	http   *http.Client
	keys   *http.Client // for the key set alone: its fetches are counted
	found  atomic.Pointer[provider]
	nextAt atomic.Int64  // when Run tries next, Unix nanoseconds
	slots  chan struct{} // one for each revocation under way
	tried  chan struct{} // closed by Run when it has tried once
	once   sync.Once     // for closing it
}

// New returns a relying party. It makes no request: call Run, or Discover. It
// returns an error that names the field when the configuration is incomplete.
func New(cfg Config) (*RelyingParty, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{"openid"}
	}
	if cfg.FlowTTL == 0 {
		cfg.FlowTTL = defaultFlowTTL
	}
	if cfg.HTTPTimeout == 0 {
		cfg.HTTPTimeout = defaultHTTPTimeout
	}
	if cfg.LogoutTokens == "" {
		cfg.LogoutTokens = LogoutStrict
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport(cfg.HTTPTimeout)
	}
	if cfg.Wrap != nil {
		cfg.Transport = cfg.Wrap(cfg.Transport)
	}
	return &RelyingParty{
		cfg:   cfg,
		slots: make(chan struct{}, maxRevocations),
		tried: make(chan struct{}),
		http:  newClient(cfg.Transport, cfg.HTTPTimeout),
		keys:  newClient(newMeter(cfg.Transport, cfg.Now), cfg.HTTPTimeout),
	}, nil
}

func (c *Config) check() error {
	if err := cmp.Or(c.checkURLs(), c.checkClientAuth()); err != nil {
		return err
	}
	switch {
	case len(c.Issuer) > maxIssuer:
		return fmt.Errorf("issuer: longer than %d bytes", maxIssuer)
	case c.ClientID == "":
		return errors.New("client id: missing")
	case c.ExternalIDClaim == "":
		return errors.New("external id claim: missing")
	case c.LogoutTokens != "" && c.LogoutTokens != LogoutStrict && c.LogoutTokens != LogoutCompat:
		return fmt.Errorf("logout tokens: neither %q nor %q", LogoutStrict, LogoutCompat)
	case c.FlowTTL < 0, c.HTTPTimeout < 0:
		return errors.New("a duration is negative")
	case c.Keys == nil:
		return errors.New("keys: missing")
	case c.Flows == nil:
		return errors.New("flow store: missing")
	}
	return nil
}

func (c *Config) checkURLs() error {
	if err := checkEndpoint(c.Issuer, true); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if u, _ := url.Parse(c.Issuer); u.RawQuery != "" || u.ForceQuery {
		return errors.New("issuer: has a query") // OpenID Connect Discovery §3
	}
	if err := checkEndpoint(c.RedirectURI, true); err != nil {
		return fmt.Errorf("redirect URI: %w", err)
	}
	if c.PostLogoutRedirectURI == "" {
		return nil
	}
	if err := checkEndpoint(c.PostLogoutRedirectURI, true); err != nil {
		return fmt.Errorf("post-logout redirect URI: %w", err)
	}
	return nil
}

// checkClientAuth reads the credentials once: without them every login would
// fail, after the user has been to the provider.
func (c *Config) checkClientAuth() error {
	switch c.ClientAuth {
	case AuthBasic, AuthPost:
		_, err := readSecret(c.ClientSecret)
		return err
	case AuthPrivateKey:
		_, err := readKey(c.ClientKey)
		return err
	default:
		return fmt.Errorf("client authentication: none of %q, %q, %q", AuthBasic, AuthPost, AuthPrivateKey)
	}
}

// checkEndpoint reports why text is not an absolute URL that credentials may
// be sent to.
func checkEndpoint(text string, mayBePlain bool) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errors.New("missing")
	case err != nil:
		return errors.New("not a URL")
	case u.Scheme != "https" && (u.Scheme != "http" || !mayBePlain):
		return errors.New("not an https URL")
	case u.Host == "" || u.Opaque != "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("has credentials in it")
	case u.Fragment != "":
		return errors.New("has a fragment")
	}
	return nil
}

// Format writes a name only: every other verb would walk into the secret.
func (*RelyingParty) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[relying party]") }
