package program

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/login"
)

const (
	// clockLeeway is how far apart a login lets the provider's clock and ours
	// be; nearer than clockClose they may well be together, since a Date has
	// whole seconds and an answer takes its time.
	clockLeeway = 60 * time.Second
	clockClose  = 10 * time.Second
)

// tryProvider discovers the provider, says what of it will disappoint, and
// looks at its clock and at whether logins may come back.
func (c Config) tryProvider(ctx context.Context, p plan) []finding {
	const what = "discovery"
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	rp, err := newRelyingParty(c, p, noFlows{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{found(what, err, "", fixSetting)}
	}
	meta, err := rp.Discover(ctx)
	findings := []finding{found(what, err, "issuer "+meta.Issuer, c.fixDiscovery)}
	for _, warning := range meta.Warnings() {
		findings = append(findings, finding{what, resultWarning, warning, "change it in the provider's console, or the setting that it names"})
	}
	if err != nil {
		return findings
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return append(findings, c.tryRedirect(ctx, client, meta), c.tryClock(ctx, client))
}

// noFlows is for a relying party that only discovers.
type noFlows struct{}

func (noFlows) UseFlow(context.Context, string, time.Time) (bool, error) {
	return false, directory.ErrUnavailable
}

// tryRedirect begins a login that nobody ends, without a browser and without
// being shown a page (prompt=none): a provider must not send anybody to an
// address that is not registered (RFC 6749 section 4.1.2.1), so that what it
// does tells whether ours is.
func (c Config) tryRedirect(ctx context.Context, client *http.Client, meta login.Metadata) finding {
	const what = "redirect URI"
	back := c.PublicURL + "/callback"
	address, err := url.Parse(meta.AuthorizationEndpoint)
	if err != nil {
		return found(what, err, "", c.fixDiscovery)
	}
	query := address.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": c.OIDCClientID, "redirect_uri": back, "scope": "openid", "prompt": "none",
		"state": rand.Text(), "nonce": rand.Text(), "code_challenge": strings.Repeat("A", 43), "code_challenge_method": "S256",
	} {
		query.Set(name, value)
	}
	address.RawQuery = query.Encode()
	response, err := visit(ctx, client, address.String()) //nolint:bodyclose // visit does
	if err != nil {
		return found(what, err, "", c.fixDiscovery)
	}
	location := response.Header.Get("Location")
	switch {
	case response.StatusCode/100 == 3 && strings.HasPrefix(location, back+"?"):
		return finding{what, resultOK, back + " is registered", ""}
	case response.StatusCode/100 == 4:
		return finding{
			what, resultFailed, fmt.Sprintf("the provider refuses %s for this client (HTTP %d)", back, response.StatusCode),
			"register exactly that address as a redirect URI in the provider's console, and see that PORTICO_OIDC_CLIENT_ID is that application's",
		}
	default:
		return finding{
			what, resultUnknown, fmt.Sprintf("the provider does not tell (HTTP %d)", response.StatusCode),
			"see in the provider's console that " + back + " is a redirect URI",
		}
	}
}

// tryClock holds the provider's clock against ours: ID tokens of another time
// are refused.
func (c Config) tryClock(ctx context.Context, client *http.Client) finding {
	const what = "clock"
	begun := time.Now()
	response, err := visit(ctx, client, strings.TrimSuffix(c.OIDCIssuer, "/")+"/.well-known/openid-configuration") //nolint:bodyclose // visit does
	if err != nil {
		return found(what, err, "", c.fixDiscovery)
	}
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return finding{what, resultUnknown, "the provider does not say what time it has", "see that this machine's clock is set by NTP: timedatectl"}
	}
	ours := begun.Add(time.Since(begun) / 2)
	apart := theirs.Sub(ours).Round(time.Second)
	const fix = "have this machine's clock set by NTP: timedatectl set-ntp true"
	switch detail := fmt.Sprintf("the provider's is %s from ours", apart); {
	case apart.Abs() >= clockLeeway:
		return finding{what, resultFailed, detail + ": its tokens are refused beyond " + clockLeeway.String(), fix}
	case apart.Abs() >= clockClose:
		return finding{what, resultWarning, detail, fix}
	default:
		return finding{what, resultOK, "the provider has the same time", ""}
	}
}

// visit asks for an address and drops the body. A proxy's URL may hold a
// password: of an error only the cause is returned.
func visit(ctx context.Context, client *http.Client, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return nil, wrapped.Err
	}
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return response, response.Body.Close()
}
