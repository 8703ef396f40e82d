package program

import (
	"crypto/tls"
	"errors"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/mail"
)

// errOutdated is a schema that lacks steps.
var errOutdated = errors.New("not up to date")

var aVariable = regexp.MustCompile(`PORTICO_[A-Z_]*[A-Z]`)

// fixSetting says what to do about a setting that is wrong: its error names it.
func fixSetting(err error) string {
	switch name := aVariable.FindString(err.Error()); name {
	case "PORTICO_KEYS":
		return "make a key with `openssl rand -base64 32` and set PORTICO_KEYS to it, on all replicas alike"
	case "PORTICO_ADMIN_TOKENS":
		return "set PORTICO_ADMIN_TOKENS to what `portico admin-token new --name NAME --scope SCOPE` prints, entries apart by semicolons"
	case "":
		return "correct it: `portico serve --help` says what each setting takes"
	default:
		return "correct " + name + ": `portico serve --help` says what it takes"
	}
}

// fixDatabase goes by what Postgres says (its errors carry an SQLSTATE), and
// else by how far the connection came.
func fixDatabase(err error) string {
	if errors.Is(err, errOutdated) {
		return "run `portico migrate up` as the role that owns the schema"
	}
	var said interface{ SQLState() string }
	if errors.As(err, &said) {
		switch code := said.SQLState(); {
		case strings.HasPrefix(code, "28"):
			return "correct role and password in PORTICO_DATABASE_URL, or let the role in (pg_hba.conf)"
		case code == "3D000":
			return "create the database that PORTICO_DATABASE_URL names, or correct the name"
		case code == "42501":
			return "grant the role of PORTICO_DATABASE_URL what serve needs, as the role that owns the schema"
		case strings.HasPrefix(code, "53"):
			return "free connections or space on the database: lower pool_max_conns in PORTICO_DATABASE_URL, or raise max_connections"
		case strings.HasPrefix(code, "57"), code == "25006":
			return "wait until the database has started, or point PORTICO_DATABASE_URL at the primary"
		}
	}
	if fix := fixNetwork(err, "PORTICO_DATABASE_URL"); fix != "" {
		return fix
	}
	return "see that PORTICO_DATABASE_URL names a database that runs: psql \"$PORTICO_DATABASE_URL\" -c 'SELECT 1'"
}

// fixNetwork says what to do about a connection that did not come about, or ""
// if that was not it. setting is where the address is.
func fixNetwork(err error, setting string) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "correct the host's name in " + setting + ", or see why this machine cannot resolve it"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "nobody listens there: start it, or correct host and port in " + setting
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "correct the host in " + setting + ", or have this machine trust the certificate's authority (SSL_CERT_FILE)"
	}
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
		return "no answer in time: let a firewall pass it, or correct host and port in " + setting
	}
	return ""
}

func (c Config) fixDiscovery(err error) string {
	if errors.Is(err, login.ErrIssuerMismatch) {
		return "set PORTICO_OIDC_ISSUER to the name that the provider gives itself, to the letter: a slash at the end counts"
	}
	if fix := fixNetwork(err, "PORTICO_OIDC_ISSUER"); fix != "" {
		return fix
	}
	return "see what the issuer answers from this machine: curl " + strings.TrimSuffix(c.OIDCIssuer, "/") + "/.well-known/openid-configuration"
}

// credentials is the setting that has what we show to the management API.
func (c Config) credentials() string {
	if c.BeyondClientID != "" {
		return "PORTICO_BEYOND_CLIENT_ID and PORTICO_BEYOND_CLIENT_SECRET"
	}
	return "PORTICO_BEYOND_API_TOKEN"
}

func (c Config) fixAPI(err error) string {
	switch beyondidentity.ClassOf(err) {
	case beyondidentity.Unauthorized:
		return "make new credentials in the provider's console and put them into " + c.credentials()
	case beyondidentity.Misconfigured:
		return "correct PORTICO_BEYOND_API_URL: https://api.byndid.com, or the one of your region"
	case beyondidentity.RateLimited:
		return "wait, and set PORTICO_BEYOND_RATE_PER_MINUTE below what the tenant is allowed"
	default: // the network is looked at, and then nothing better is known
	}
	if fix := fixNetwork(err, "PORTICO_BEYOND_API_URL"); fix != "" {
		return fix
	}
	return "try again, and look at the provider's status page; see that this machine reaches PORTICO_BEYOND_API_URL"
}

// fixLookup is for the calls of workforce v2, which a tenant may not have.
func (c Config) fixLookup(err error) string {
	switch beyondidentity.ClassOf(err) {
	case beyondidentity.Unauthorized:
		return "give the credentials users:read, put others into " + c.credentials() + ", or set PORTICO_BEYOND_LOOKUP=none where the tenant has no workforce v2"
	case beyondidentity.Misconfigured:
		return "set PORTICO_BEYOND_LOOKUP=none where the tenant has no workforce v2, or correct PORTICO_BEYOND_API_URL"
	default:
		return c.fixAPI(err)
	}
}

func fixChallenge(err error) string {
	if errors.Is(err, challenge.ErrMisconfigured) {
		return "put the secret that belongs to the widget's site key into PORTICO_CHALLENGE_SECRET, and see that PORTICO_CHALLENGE_URL is that service's"
	}
	return "see that this machine reaches PORTICO_CHALLENGE_URL: until then nobody can sign up"
}

func fixMail(err error) string {
	failed, ok := errors.AsType[*mail.SendError](err)
	if !ok {
		return "correct PORTICO_SMTP_URL"
	}
	switch failed.Step {
	case mail.StepAuth:
		return "correct user and password in PORTICO_SMTP_URL: each percent-encoded, and sent under TLS only"
	case mail.StepTLS:
		return "use the scheme and port that the server speaks: smtp://…:587 for STARTTLS, smtps://…:465 for TLS at once; its certificate has to be for that host"
	default:
		if fix := fixNetwork(err, "PORTICO_SMTP_URL"); fix != "" {
			return fix
		}
		return "see what answers at the host and port of PORTICO_SMTP_URL"
	}
}
