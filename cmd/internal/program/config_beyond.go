package program

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/portico-id/portico/internal/beyondidentity"
)

// The settings by which Portico authenticates to the management API.
const (
	beyondToken        = "PORTICO_BEYOND_API_TOKEN" //nolint:gosec // a name
	beyondClientID     = "PORTICO_BEYOND_CLIENT_ID"
	beyondClientSecret = "PORTICO_BEYOND_CLIENT_SECRET" //nolint:gosec // a name
)

// checkBeyond checks that there is one way to authenticate to the management
// API. With two, nobody could say which of them a refusal is about.
func (c *Config) checkBeyond(*plan) error {
	byToken := c.BeyondAPIToken.value != ""
	byClient := c.BeyondClientID != "" || c.BeyondClientSecret.value != ""
	switch {
	case byToken && byClient:
		return errors.New(beyondToken + " is set, and so is a client by " + beyondClientID + " or " + beyondClientSecret + ": only one of the two ways can be used")
	case byToken:
		if err := c.BeyondAPIToken.check(); err != nil {
			return setting(beyondToken, err)
		}
		return nil
	case !byClient:
		return errors.New(beyondToken + " is not set, nor are " + beyondClientID + " and " + beyondClientSecret + ": one of the two ways is needed")
	case c.BeyondClientID == "":
		return setting(beyondClientID, errors.New("is not set, although "+beyondClientSecret+" is"))
	case strings.ContainsFunc(c.BeyondClientID, func(r rune) bool { return r <= ' ' || r > '~' }):
		return setting(beyondClientID, errors.New("has characters that a client id cannot have"))
	}
	if err := c.BeyondClientSecret.check(); err != nil {
		return setting(beyondClientSecret, err)
	}
	return nil
}

// beyondAs says how Portico authenticates to the management API, for people.
func (c Config) beyondAs() string {
	if c.BeyondClientID != "" {
		return "client credentials of " + c.BeyondClientID
	}
	return "API token"
}

// fingerprint names what Portico authenticates with to the management API
// without giving it away: a part of its hash, with the address that it is for.
// It is of the secret as the file has it now, and "" if that cannot be read.
func fingerprint(config Config) string {
	parts := []string{config.BeyondAPIURL}
	secret := config.BeyondAPIToken
	if config.BeyondClientID != "" {
		parts = append(parts, config.BeyondClientID)
		secret = config.BeyondClientSecret
	}
	value, err := secret.Current()
	if err != nil || value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(append(parts, value), "\x00")))
	return hex.EncodeToString(sum[:8])
}

// newBeyond returns the client of the management API.
func newBeyond(config Config) (*beyondidentity.Client, error) {
	settings := beyondidentity.Config{
		BaseURL:   config.BeyondAPIURL,
		Timeout:   callLimit,
		UserAgent: "portico/" + version(),
		MaxConns:  callsAtOnce,
	}
	if config.BeyondClientID != "" {
		settings.Credentials = &beyondidentity.Credentials{
			ClientID: config.BeyondClientID, Secret: config.BeyondClientSecret.Current,
		}
	} else {
		settings.Token = func() (beyondidentity.Token, error) {
			token, err := config.BeyondAPIToken.Current()
			return beyondidentity.NewToken(token), err
		}
	}
	return beyondidentity.New(settings)
}
