package program

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/portico-id/portico/internal/admintoken"
	"github.com/portico-id/portico/internal/clientkey"
	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/login"
)

// liveSecrets are the secrets that may be replaced while Portico runs. What
// takes them asks for them at each use, but for the ring, which is replaced
// where it is held.
type liveSecrets struct {
	keys         *keyring.Ring
	clientSecret atomic.Pointer[login.Secret]
	clientKey    atomic.Pointer[clientkey.Key]
	adminTokens  atomic.Pointer[admintoken.Tokens]
}

// newLiveSecrets puts the configured secrets into use, or returns an error that
// names the setting which is wrong.
func newLiveSecrets(c *Config) (*liveSecrets, error) {
	if !slices.Contains([]string{login.AuthBasic, login.AuthPost, login.AuthPrivateKey}, c.OIDCClientAuth) {
		return nil, errors.New("PORTICO_OIDC_CLIENT_AUTH must be basic, post or private_key_jwt")
	}
	if c.OIDCClientKey.value != "" && c.OIDCClientAuth != login.AuthPrivateKey {
		// Whoever made a key believes that nothing which the provider holds, or
		// that passes on the way, can be used by others.
		return nil, fmt.Errorf("PORTICO_OIDC_CLIENT_KEY is set, and PORTICO_OIDC_CLIENT_AUTH=%s has no use for it", c.OIDCClientAuth)
	}
	live := new(liveSecrets)
	for _, s := range live.replaceable(c) {
		if s.secret.value == "" {
			return nil, fmt.Errorf("%s is not set: %s", s.setting, s.origin)
		}
		if err := s.take(s.secret.value); err != nil {
			return nil, fmt.Errorf("%s %w", s.setting, err)
		}
	}
	return live, nil
}

// replaceable is a secret that may be replaced in its file.
type replaceable struct {
	setting string
	secret  Secret
	origin  string // where one comes from
	// take checks the text and puts it into use, or returns an error without
	// any of it and leaves everything as it is.
	take func(text string) error
	// ids names what is in use; nil where a name would help to guess.
	ids func() []string
}

// replaceable are the secrets that the configuration has a use for.
func (l *liveSecrets) replaceable(c *Config) []replaceable {
	all := l.ofLogins(c)
	if c.AdminTokens.value != "" || c.AdminTokens.file != "" {
		all = append(all, replaceable{
			setting: "PORTICO_ADMIN_TOKENS", secret: c.AdminTokens, origin: "make one with `portico admin-token new`",
			take: l.takeAdminTokens, ids: func() []string { return l.adminTokens.Load().Names() },
		})
	}
	return all
}

// ofLogins are those that logins need.
func (l *liveSecrets) ofLogins(c *Config) []replaceable {
	keys := replaceable{
		setting: "PORTICO_KEYS", secret: c.Keys, origin: "make one with `openssl rand -base64 32`",
		take: l.takeKeys, ids: func() []string { return l.keys.IDs() },
	}
	if c.OIDCClientAuth == login.AuthPrivateKey {
		return []replaceable{keys, {
			setting: "PORTICO_OIDC_CLIENT_KEY", secret: c.OIDCClientKey, origin: "make one with `portico client-key new`",
			take: l.takeClientKey, ids: func() []string { return []string{l.clientKey.Load().ID()} },
		}}
	}
	return []replaceable{keys, {
		setting: "PORTICO_OIDC_CLIENT_SECRET", secret: c.OIDCClientSecret, origin: "the provider shows it beside the client's id",
		take: l.takeClientSecret,
	}}
}

func (l *liveSecrets) takeKeys(text string) error {
	ring, err := keyring.Parse(text)
	if err != nil {
		return fmt.Errorf("holds %w", err)
	}
	if l.keys == nil {
		l.keys = ring // at the start, when nobody else has it yet
	} else {
		l.keys.Replace(ring)
	}
	return nil
}

func (l *liveSecrets) takeClientSecret(text string) error {
	if err := (Secret{value: text}).check(); err != nil {
		return err
	}
	secret := login.Secret(text)
	l.clientSecret.Store(&secret)
	return nil
}

func (l *liveSecrets) takeClientKey(text string) error {
	key, err := clientkey.Parse(text)
	if err != nil {
		return fmt.Errorf("holds an %w", err)
	}
	l.clientKey.Store(key)
	return nil
}

func (l *liveSecrets) takeAdminTokens(text string) error {
	tokens, err := admintoken.Parse(text)
	if err != nil {
		return fmt.Errorf("holds %w", err)
	}
	l.adminTokens.Store(tokens)
	return nil
}

// AdminTokens returns the administrators' tokens that are good now: nil where
// none is configured.
func (l *liveSecrets) AdminTokens() *admintoken.Tokens { return l.adminTokens.Load() }

// errNoSecret is for a configuration that authenticates in another way.
var errNoSecret = errors.New("none is configured")

// ClientSecret returns the client secret that is in use.
func (l *liveSecrets) ClientSecret() (login.Secret, error) {
	if secret := l.clientSecret.Load(); secret != nil {
		return *secret, nil
	}
	return "", errNoSecret
}

// ClientKey returns the client key that is in use.
func (l *liveSecrets) ClientKey() (login.Asserter, error) {
	if key := l.clientKey.Load(); key != nil {
		return key, nil
	}
	return nil, errNoSecret
}
