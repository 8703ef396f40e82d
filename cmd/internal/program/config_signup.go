package program

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"

	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/mail"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/signup"
)

// checkSignups checks the settings that say who may sign up.
func (c *Config) checkSignups(p *plan) error {
	modes := []string{string(signup.Open), string(signup.InviteOnly), string(signup.Closed)}
	if !slices.Contains(modes, c.SignupMode) {
		return errors.New("PORTICO_SIGNUP_MODE must be open, invite or closed")
	}
	limits, err := ratelimit.ParseLimits(c.RateLimits)
	if err != nil {
		return setting("PORTICO_RATE_LIMITS", err)
	}
	p.limits = limits
	if c.BeyondRatePerMinute < 0 || c.BeyondRatePerMinute > 1_000_000 {
		return errors.New("PORTICO_BEYOND_RATE_PER_MINUTE must be between 0 and 1000000")
	}
	if p.policy, err = c.addressPolicy(); err != nil {
		return err
	}
	return c.checkChallenge(p)
}

// addressPolicy returns what the settings say about addresses.
func (c *Config) addressPolicy() (*directory.Policy, error) {
	settings := directory.PolicySettings{
		Allow: c.EmailAllow, Block: c.EmailBlock, Plus: directory.PlusMode(c.EmailPlus),
	}
	switch {
	case c.EmailDisposable != "refuse" && c.EmailDisposable != "allow":
		return nil, errors.New("PORTICO_EMAIL_DISPOSABLE must be refuse or allow")
	case c.EmailDisposable == "refuse" && c.EmailDisposableList != "":
		file, err := os.Open(c.EmailDisposableList)
		if err != nil {
			return nil, setting("PORTICO_EMAIL_DISPOSABLE_LIST", err)
		}
		defer file.Close()
		if settings.Disposable, err = directory.ParseDisposableDomains(file); err != nil {
			return nil, setting("PORTICO_EMAIL_DISPOSABLE_LIST", err)
		}
	case c.EmailDisposable == "refuse":
		settings.Disposable = directory.EmbeddedDisposableDomains()
	}
	policy, err := directory.ParsePolicy(settings)
	if err != nil {
		return nil, fmt.Errorf("PORTICO_EMAIL_ALLOW, PORTICO_EMAIL_BLOCK or PORTICO_EMAIL_PLUS: %w", err)
	}
	return policy, nil
}

func (c *Config) checkChallenge(p *plan) error {
	if c.ChallengeURL == "" {
		if c.ChallengeSecret.value != "" || len(c.ChallengeHostnames) > 0 {
			return errors.New("PORTICO_CHALLENGE_URL is not set, although other settings of the challenge are")
		}
		return nil
	}
	if err := c.ChallengeSecret.check(); err != nil {
		return setting("PORTICO_CHALLENGE_SECRET", err)
	}
	secret := &c.ChallengeSecret
	verifier, err := challenge.New(challenge.Config{
		URL: c.ChallengeURL, Secret: secret.Current, Hostnames: c.ChallengeHostnames,
	})
	if err != nil {
		return setting("PORTICO_CHALLENGE_URL", err)
	}
	p.challenge = verifier
	return nil
}

// checkMail checks the settings of our own mails and fills in those that have
// a computed default.
func (c *Config) checkMail(p *plan) error {
	if c.SMTPURL.value == "" {
		return nil
	}
	server, err := mail.ParseServer(c.SMTPURL.value)
	if err != nil {
		return setting("PORTICO_SMTP_URL", err)
	}
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return err
	}
	app, err := url.Parse(c.FrontendOrigins[0])
	if err != nil {
		return err
	}
	if c.MailFrom == "" {
		c.MailFrom = "no-reply@" + mailDomain(public.Hostname())
	}
	if c.AppName == "" {
		c.AppName = app.Host
	}
	settings := mail.Config{
		Server: server, From: c.MailFrom, App: c.AppName, LoginURL: c.PublicURL + "/login",
		ReplyTimeout: mailReplyLimit,
	}
	if c.MailTemplates != "" {
		if settings.Templates, err = mail.LoadTemplates(os.DirFS(c.MailTemplates)); err != nil {
			return setting("PORTICO_MAIL_TEMPLATES", err)
		}
	}
	if p.mailer, err = mail.New(settings); err != nil {
		return fmt.Errorf("PORTICO_MAIL_FROM, PORTICO_APP_NAME: %w", err)
	}
	return nil
}

// mailDomain is a host as the domain of an address: names as they are, and for
// an IP address, which none can have, a name that is never delivered to
// (RFC 2606 §2).
func mailDomain(host string) string {
	if _, err := directory.ParseEmail("no-reply@" + host); err == nil {
		return host
	}
	return "portico.invalid"
}
