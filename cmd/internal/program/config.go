package program

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/mail"
	"github.com/portico-id/portico/internal/nativeapp"
	"github.com/portico-id/portico/internal/ratelimit"
)

// Config is every setting. A field is a flag and, in capitals behind
// PORTICO_, an environment variable; its help is the documentation's.
type Config struct {
	PublicURL          string   `help:"Where clients reach Portico: an https origin, without a path." placeholder:"URL" group:"http"`
	Listen             string   `help:"Address of the API." default:":8080" group:"http"`
	OpsListen          string   `help:"Address of the operations listener: /livez, /readyz, /metrics and /admin. Keep it private." default:"127.0.0.1:9090" group:"http"`
	AdminTokens        Secret   `help:"Tokens of administrators: NAME SCOPE[,SCOPE…] sha256:HEX, apart by semicolons. Make one with portico admin-token new. Without any, the operations listener has its probes and nothing else." placeholder:"ENTRIES" group:"http"`
	FrontendOrigins    []string `help:"Origins of the apps that may call the API from a browser, comma-separated." placeholder:"ORIGIN" group:"http"`
	DefaultReturnTo    string   `help:"Where a login ends that named no return target. By default the first front-end origin." placeholder:"URL" group:"http"`
	NativeRedirectURIs []string `name:"native-redirect-uris" help:"Where logins of native apps through the system's browser may end, comma-separated: https addresses that an app has claimed, com.example.app:/path, or loopback addresses, whose port is free." placeholder:"URI" group:"http"`
	TrustedProxies     []string `help:"Networks (CIDR) whose X-Forwarded-For and X-Request-Id count, comma-separated. None by default." placeholder:"CIDR" group:"http"`
	Docs               bool     `help:"Serve the contract, as a page at /docs and as it is at /openapi.yaml, to anybody." group:"http"`

	ShutdownDelay time.Duration `help:"How long requests are still taken after /readyz has gone off: longer than whoever hands them out takes to notice, two of its looks say." default:"5s" group:"http"`

	DatabaseURL    Secret `help:"postgres://… or sqlite:PATH. SQLite is for trials on one machine." placeholder:"URL" group:"database"`
	MigrateOnStart bool   `help:"Bring the schema up to date before serving, one replica at a time. Without it, serve refuses to start on an old schema." default:"true" negatable:"" group:"database"`

	SignupMode          string   `help:"Who may sign up: open (anyone), invite (who has a code of portico invitations) or closed (nobody)." default:"open" group:"signup"`
	RateLimits          string   `help:"on, off, or limits such as client=30/1m,address=5/1h,domain=600/1m,global=3000/1m,login=300/1m,logout=600/1m,email=5/1h,admin=30/1m. A part that is not named keeps its default; each may be off." default:"on" group:"signup"`
	EmailAllow          []string `help:"Addresses that are admitted whatever else is set, comma-separated: anna@example.com, example.com, *.example.com, admin@*." placeholder:"PATTERN" group:"signup"`
	EmailBlock          []string `help:"Addresses that are not admitted, in the same form. With * only those of PORTICO_EMAIL_ALLOW are." placeholder:"PATTERN" group:"signup"`
	EmailDisposable     string   `help:"Throw-away mailboxes: refuse or allow." default:"refuse" group:"signup"`
	EmailDisposableList string   `help:"File with the domains of throw-away mailboxes, one a line, in place of the list that is built in." placeholder:"PATH" group:"signup"`
	EmailPlus           string   `help:"Addresses such as anna+tag@example.com: allow, refuse, or fold (the same user as anna@example.com)." default:"allow" group:"signup"`
	ChallengeURL        string   `name:"challenge-url" help:"Siteverify address of a challenge that each sign-up has to solve: Turnstile's, hCaptcha's, reCAPTCHA's. None by default." placeholder:"URL" group:"signup"`
	ChallengeSecret     Secret   `help:"The challenge's secret." placeholder:"SECRET" group:"signup"`
	ChallengeHostnames  []string `help:"Hosts at which the challenge may have been solved, comma-separated." placeholder:"HOST" group:"signup"`

	SMTPURL       Secret `name:"smtp-url" help:"Mail server for telling the owner of a registered address of a sign-up with it: smtp://USER:PASSWORD@HOST:587 or smtps://HOST:465. Without one nobody is told." placeholder:"URL" group:"mail"`
	MailFrom      string `help:"Sender of those mails. By default no-reply at the host of the public URL." placeholder:"ADDRESS" group:"mail"`
	MailTemplates string `help:"Folder with templates in place of those that are built in." placeholder:"PATH" group:"mail"`
	AppName       string `help:"What the app is called in mails. By default the host of the first front-end origin." placeholder:"NAME" group:"mail"`

	BeyondAPI          string        `name:"beyond-api" help:"Generation of Beyond Identity's management API. Only manage-v1 so far." default:"manage-v1" group:"beyond"`
	BeyondAPIURL       string        `name:"beyond-api-url" help:"Where that API is." default:"https://api.byndid.com" group:"beyond"`
	BeyondAPIToken     Secret        `name:"beyond-api-token" help:"Its token, from the console, unless PORTICO_BEYOND_CLIENT_ID is set. From a file, it is read again for every call, so replacing it needs no restart." placeholder:"TOKEN" group:"beyond"`
	BeyondClientID     string        `name:"beyond-client-id" help:"Client at that API, in place of its token: Portico fetches tokens by itself, and renews them before their end." placeholder:"ID" group:"beyond"`
	BeyondClientSecret Secret        `name:"beyond-client-secret" help:"That client's secret. From a file, it is read again whenever a token is fetched." placeholder:"SECRET" group:"beyond"`
	BeyondLookup       string        `help:"Whether users can be looked up by external_id beside manage-v1: v2 or none." default:"v2" group:"beyond"`
	BeyondQuarantine   time.Duration `help:"How long a create whose answer was lost may still take effect. Until then the user is only looked up, not created again." default:"60s" group:"beyond"`

	BeyondRatePerMinute int `help:"Calls a minute that all replicas together make, sign-ups before the rest. 0 for as many as there are: a 429 is obeyed in any case." default:"0" group:"beyond"`

	ReconcileEvery time.Duration `help:"How often the two directories are compared, by one replica. Differences are logged, and none is repaired: portico reconcile does that. 0 for never; needs PORTICO_BEYOND_LOOKUP=v2." default:"24h" group:"beyond"`

	OIDCIssuer             string `name:"oidc-issuer" help:"The provider's issuer, exactly as it names itself." placeholder:"URL" group:"oidc"`
	OIDCClientID           string `name:"oidc-client-id" help:"Client id at the provider." placeholder:"ID" group:"oidc"`
	OIDCClientSecret       Secret `name:"oidc-client-secret" help:"Client secret at the provider." placeholder:"SECRET" group:"oidc"`
	OIDCClientAuth         string `name:"oidc-client-auth" help:"How the client authenticates to the provider: basic, post or private_key_jwt." default:"basic" group:"oidc"`
	OIDCClientKey          Secret `name:"oidc-client-key" help:"Private key of the client, as PEM or JWK, for private_key_jwt. Make one with portico client-key new." placeholder:"KEY" group:"oidc"`
	OIDCExternalIDClaim    string `name:"oidc-external-id-claim" help:"UserInfo claim with our key for the user." default:"external_id" group:"oidc"`
	OIDCInternalIDClaim    string `name:"oidc-internal-id-claim" help:"UserInfo claim with the provider's own key for the user." default:"id" group:"oidc"`
	OIDCRequireNonce       bool   `name:"oidc-require-nonce" help:"Refuse ID tokens without our nonce. Turn it off only for a provider that cannot echo it." default:"true" negatable:"" group:"oidc"`
	OIDCRevoke             bool   `name:"oidc-revoke" help:"Give the provider's tokens back when a login is over, where it announces how." default:"true" negatable:"" group:"oidc"`
	OIDCPostLogoutRedirect bool   `name:"oidc-post-logout-redirect" help:"Have the provider's logout page lead back to /logout/callback of the public URL. Register that address with the provider first." group:"oidc"`
	OIDCBackchannelLogout  string `name:"oidc-backchannel-logout" help:"Logout tokens of the provider: strict, compat (for one that types them JWT or lets them have no end), or off." default:"strict" group:"oidc"`

	SessionIdle        time.Duration `help:"A session ends after so long without use." default:"30m" group:"session"`
	SessionAbsolute    time.Duration `help:"A session ends so long after the login in any case." default:"24h" group:"session"`
	SessionProviderAge time.Duration `help:"A session ends so long after the user proved to the provider who they are, and a login older than that is refused. 0 for no such end." default:"0s" group:"session"`
	SessionRecentLogin time.Duration `help:"How long ago that may be for what needs a recent login, such as ending other sessions." default:"15m" group:"session"`
	SessionsPerUser    int           `help:"How many sessions a user may have. One more ends the one that was not used for longest. 0 for as many as they like." default:"50" group:"session"`
	Keys               Secret        `help:"Keys that seal logins under way: base64 of 32 random bytes each, comma-separated, newest first." placeholder:"KEYS" group:"session"`

	DeleteGrace    time.Duration `help:"How long after a user has closed their account it is deleted for good. Until then an operator can restore it." default:"72h" group:"account"`
	AuditRetention time.Duration `help:"How long events of the audit are kept: a day at least, 0 for ever. What was shortened counts a day later." default:"8760h" group:"misc"`

	WebhookAllowPrivate bool          `help:"Send webhooks into networks that are not the internet as well, and there over plain http too. Never to link-local addresses and clouds' metadata services." group:"webhooks"`
	WebhookRetention    time.Duration `help:"How long events and their deliveries are kept." default:"720h" group:"webhooks"`

	AllowInsecureLocalhost bool   `help:"Permit http for localhost: cookies then lack Secure and their prefix. For trials only." group:"misc"`
	LogLevel               string `help:"debug, info, warn or error." default:"info" group:"misc"`
}

// plan is the configuration after its checks, in the types that the wiring
// takes.
type plan struct {
	secrets *liveSecrets
	proxies []netip.Prefix
	level   slog.Level

	policy    *directory.Policy
	limits    ratelimit.Limits
	challenge *challenge.Verifier // nil without one
	mailer    *mail.Mailer        // nil without a mail server
	native    nativeapp.Redirects
	// warnings are combinations that start but will disappoint.
	warnings []string
}

// setting is a Config error that names its variable.
func setting(name string, err error) error { return fmt.Errorf("%s %w", name, err) }

// check returns the plan, or an error that names the first setting which is
// wrong. It changes the settings that have a computed default.
func (c *Config) check() (plan, error) {
	var p plan
	for _, step := range []func(*plan) error{
		c.checkURLs, c.checkOrigins, c.checkSecrets, c.checkBeyond, c.checkChoices, c.checkSessions, c.checkNetwork, c.checkSignups, c.checkMail,
		c.checkAccounts, c.checkAudit, c.checkReconcile, c.checkWebhooks, c.checkShutdown,
	} {
		if err := step(&p); err != nil {
			return plan{}, err
		}
	}
	return p, nil
}

func (c *Config) checkURLs(*plan) error {
	public, err := c.secureURL(c.PublicURL)
	if err == nil && (strings.Trim(public.Path, "/") != "" || public.RawQuery != "" || public.Fragment != "") {
		err = errors.New("must be an origin, without path, query and fragment")
	}
	if err != nil {
		return setting("PORTICO_PUBLIC_URL", err)
	}
	if public.Scheme == "https" && c.AllowInsecureLocalhost {
		return errors.New("PORTICO_ALLOW_INSECURE_LOCALHOST is true although PORTICO_PUBLIC_URL is https: it would take Secure from the cookies")
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if _, err := c.secureURL(c.OIDCIssuer); err != nil {
		return setting("PORTICO_OIDC_ISSUER", err)
	}
	if _, err := c.secureURL(c.BeyondAPIURL); err != nil {
		return setting("PORTICO_BEYOND_API_URL", err)
	}
	return nil
}

// secureURL reads an absolute URL: https, or http to this machine where that
// is allowed.
func (c *Config) secureURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, errors.New("is not set")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("is not an absolute URL without credentials")
	}
	switch {
	case u.Scheme == "https":
		return u, nil
	case u.Scheme != "http":
		return nil, errors.New("is not an https URL")
	case !isLocalhost(u.Hostname()):
		return nil, errors.New("is plain http to another machine: anyone on the way could read and change it")
	case !c.AllowInsecureLocalhost:
		return nil, errors.New("is plain http: set PORTICO_ALLOW_INSECURE_LOCALHOST=true to try that on this machine")
	}
	return u, nil
}

func isLocalhost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (c *Config) checkOrigins(p *plan) error {
	const name = "PORTICO_FRONTEND_ORIGINS"
	if len(c.FrontendOrigins) == 0 {
		return setting(name, errors.New("is not set"))
	}
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return err
	}
	for _, origin := range c.FrontendOrigins {
		u, err := c.secureURL(origin)
		if err != nil {
			return fmt.Errorf("%s: %q %w", name, origin, err)
		}
		// CORS compares text, so only the form that browsers send can match.
		if origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			return fmt.Errorf("%s: %q is not an origin as browsers send it: scheme, host in lower case, port, nothing else", name, origin)
		}
		if site(u) != site(public) {
			p.warnings = append(p.warnings, fmt.Sprintf(
				"%s is of another site than %s: browsers will not send the session cookie from there", origin, c.PublicURL))
		}
	}
	if c.DefaultReturnTo == "" {
		c.DefaultReturnTo = c.FrontendOrigins[0] + "/"
	}
	target, err := c.secureURL(c.DefaultReturnTo)
	if err == nil && !slices.Contains(c.FrontendOrigins, target.Scheme+"://"+target.Host) {
		err = errors.New("is at none of PORTICO_FRONTEND_ORIGINS")
	}
	if err != nil {
		return setting("PORTICO_DEFAULT_RETURN_TO", err)
	}
	return nil
}

// site is what SameSite compares: scheme and registrable domain.
func site(u *url.URL) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil {
		domain = u.Hostname()
	}
	return u.Scheme + "://" + domain
}

func (c *Config) checkSecrets(p *plan) error {
	if c.DatabaseURL.value == "" {
		return errors.New("PORTICO_DATABASE_URL is not set")
	}
	if c.OIDCClientID == "" {
		return errors.New("PORTICO_OIDC_CLIENT_ID is not set")
	}
	live, err := newLiveSecrets(c)
	p.secrets = live
	return err
}

func (c *Config) checkChoices(p *plan) error {
	for _, choice := range []struct {
		name, value string
		among       []string
	}{
		{"PORTICO_BEYOND_API", c.BeyondAPI, []string{"manage-v1"}},
		{"PORTICO_BEYOND_LOOKUP", c.BeyondLookup, []string{"v2", "none"}},
		{"PORTICO_OIDC_BACKCHANNEL_LOGOUT", c.OIDCBackchannelLogout, []string{login.LogoutStrict, login.LogoutCompat, logoutOff}},
	} {
		if !slices.Contains(choice.among, choice.value) {
			return fmt.Errorf("%s must be %s", choice.name, strings.Join(choice.among, " or "))
		}
	}
	if c.OIDCExternalIDClaim == "" || c.OIDCInternalIDClaim == "" {
		return errors.New("PORTICO_OIDC_EXTERNAL_ID_CLAIM and PORTICO_OIDC_INTERNAL_ID_CLAIM must name claims")
	}
	if c.BeyondQuarantine < 0 || c.BeyondQuarantine > time.Hour {
		return errors.New("PORTICO_BEYOND_QUARANTINE must be between 0s and 1h")
	}
	if err := p.level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return errors.New("PORTICO_LOG_LEVEL must be debug, info, warn or error")
	}
	return nil
}

func (c *Config) checkNetwork(p *plan) error {
	for _, listen := range []struct{ name, address string }{
		{"PORTICO_LISTEN", c.Listen}, {"PORTICO_OPS_LISTEN", c.OpsListen},
	} {
		if _, _, err := net.SplitHostPort(listen.address); err != nil {
			return setting(listen.name, errors.New("is not HOST:PORT"))
		}
	}
	for _, text := range c.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("PORTICO_TRUSTED_PROXIES: %q is not a network such as 10.0.0.0/8", text)
		}
		p.proxies = append(p.proxies, prefix.Masked())
	}
	return nil
}

// LogValue is the configuration as the log may have it, secrets hidden.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for field, value := range reflect.ValueOf(c).Fields() {
		attrs = append(attrs, slog.Any(flagName(field), value.Interface()))
	}
	return slog.GroupValue(attrs...)
}
