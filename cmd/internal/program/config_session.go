package program

import (
	"errors"
	"fmt"
	"time"

	"github.com/portico-id/portico/internal/nativeapp"
)

// logoutOff is the setting that turns /backchannel-logout off.
const logoutOff = "off"

// checkSessions checks the settings that say how long sessions last, and how
// native apps get theirs.
func (c *Config) checkSessions(p *plan) error {
	switch {
	case c.SessionIdle < time.Second:
		return errors.New("PORTICO_SESSION_IDLE must be at least a second")
	case c.SessionAbsolute < c.SessionIdle:
		return errors.New("PORTICO_SESSION_ABSOLUTE must not be shorter than PORTICO_SESSION_IDLE")
	case c.SessionProviderAge != 0 && c.SessionProviderAge < time.Minute:
		// Shorter than the clocks may be apart, nobody could stay signed in.
		return errors.New("PORTICO_SESSION_PROVIDER_AGE must be 0s or at least a minute")
	case c.SessionRecentLogin < 10*time.Second:
		return errors.New("PORTICO_SESSION_RECENT_LOGIN must be at least ten seconds")
	case c.SessionsPerUser < 0:
		return errors.New("PORTICO_SESSIONS_PER_USER must not be negative")
	}
	native, err := nativeapp.ParseRedirects(c.NativeRedirectURIs)
	if err != nil {
		return fmt.Errorf("PORTICO_NATIVE_REDIRECT_URIS: %w", err)
	}
	p.native = native
	return nil
}

// postLogoutRedirectURI is where the provider's logout page leads, or "".
func (c *Config) postLogoutRedirectURI() string {
	if !c.OIDCPostLogoutRedirect {
		return ""
	}
	return c.PublicURL + "/logout/callback"
}
