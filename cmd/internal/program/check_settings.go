package program

import (
	"context"
	"strings"

	"github.com/portico-id/portico/internal/store"
)

// warned are the settings that start, and that an operator should know about.
func (c Config) warned(p plan) []finding {
	var findings []finding
	for _, warning := range p.warnings {
		fix := "serve app and API from one site, app.example.com and api.example.com say"
		if name := aVariable.FindString(warning); name != "" {
			fix = "unset " + name + ", unless that is meant"
		}
		findings = append(findings, finding{"settings", resultWarning, warning, fix})
	}
	if strings.HasPrefix(c.PublicURL, "http://") {
		findings = append(findings, finding{
			"public URL", resultWarning, "plain http: cookies lack Secure and their prefix",
			"for more than a trial on this machine, set PORTICO_PUBLIC_URL to an https origin and unset PORTICO_ALLOW_INSECURE_LOCALHOST",
		})
	}
	findings = append(findings, c.lookAtProxies(p))
	if p.secrets.AdminTokens().None() {
		findings = append(findings, finding{
			"admin tokens", resultWarning, "none: the operations listener has its probes only",
			"make one with `portico admin-token new --name NAME --scope users:read`, or leave it at `portico users` on this machine",
		})
	} else {
		findings = append(findings, finding{"admin tokens", resultOK, strings.Join(p.secrets.AdminTokens().Names(), ", "), ""})
	}
	return findings
}

// lookAtProxies says whether limits and the audit see who a client is. Portico
// speaks no TLS: behind an https address there is a proxy.
func (c Config) lookAtProxies(p plan) finding {
	const what = "trusted proxies"
	for _, network := range p.proxies {
		if network.Bits() == 0 {
			return finding{
				what, resultWarning, network.String() + ": anybody may say what address they have",
				"set PORTICO_TRUSTED_PROXIES to the networks that your proxies are in, and to no others",
			}
		}
	}
	switch {
	case len(p.proxies) > 0:
		return finding{what, resultOK, strings.Join(c.TrustedProxies, ", "), ""}
	case strings.HasPrefix(c.PublicURL, "https://"):
		return finding{
			what, resultWarning, "none, although a proxy has to end TLS: all clients share its address, and its limits",
			"set PORTICO_TRUSTED_PROXIES to the network that the proxy calls from",
		}
	default:
		return finding{what, resultOK, "none", ""}
	}
}

// lookAtWay says whether anybody between here and the database could read along,
// or be it.
func lookAtWay(way store.Way) finding {
	const what = "way to the database"
	switch {
	case way.Local:
		return finding{what, resultOK, "on this machine", ""}
	case way.Proven:
		return finding{what, resultOK, "TLS, and the certificate is checked to be " + way.Host + "'s", ""}
	default:
		return finding{
			what, resultWarning, way.Host + " need not prove that it is the database: no TLS is demanded, or no certificate",
			"say sslmode=verify-full in PORTICO_DATABASE_URL, and sslrootcert=FILE if its authority is your own",
		}
	}
}

// tryRole says whether the database's role may do what serve does.
func (c Config) tryRole(ctx context.Context, db *store.DB) finding {
	const what = "database role"
	role, err := db.Role(ctx)
	switch {
	case err != nil:
		return found(what, err, "", fixDatabase)
	case len(role.Lacks) > 0:
		return finding{
			what, resultFailed, role.Name + " lacks " + strings.Join(role.Lacks, ", "),
			"as the role that owns the schema: GRANT them to " + role.Name,
		}
	case role.Superuser:
		return finding{
			what, resultWarning, role.Name + " is a superuser",
			"give serve a role of its own, which may read and write Portico's tables and no more",
		}
	case role.Name == "":
		return finding{what, resultOK, "the file's owner", ""}
	default:
		return finding{what, resultOK, role.Name + " may read and write what it has to", ""}
	}
}

// tryMail greets the mail server and proves who we are; no letter is sent.
func (c Config) tryMail(ctx context.Context, p plan) finding {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	return found("mail server", p.mailer.Try(ctx), "greets us, as "+c.MailFrom, fixMail)
}
