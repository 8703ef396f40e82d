package login

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	firstRetry   = 250 * time.Millisecond
	lastRetry    = 30 * time.Second
	refreshEvery = time.Hour
)

// Metadata is what the provider announces of itself (OpenID Connect Discovery
// §3), as far as we use or report it.
type Metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserInfoEndpoint      string   `json:"userinfo_endpoint"` // empty where there is none
	JWKSURI               string   `json:"jwks_uri"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"` // empty where there is none
	Scopes                []string `json:"scopes_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	ClientAuth            []string `json:"token_endpoint_auth_methods_supported"`
	// IssuerInAnswer: every answer carries `iss` (RFC 9207 §3).
	IssuerInAnswer bool `json:"authorization_response_iss_parameter_supported"`
}

// provider is one discovery's result. It is replaced as a whole, and with it
// the cached key set, so that a key the provider has withdrawn is not trusted
// for longer than refreshEvery.
type provider struct {
	meta     Metadata
	verifier *oidc.IDTokenVerifier
}

// Run discovers the provider and keeps what it found fresh, until ctx ends;
// then it returns nil. While the provider is down it tries again with growing,
// jittered pauses; what was found before stays in use.
func (rp *RelyingParty) Run(ctx context.Context) error {
	defer rp.http.CloseIdleConnections()
	for pause := firstRetry; ; {
		_, err := rp.Discover(ctx)
		wait := refreshEvery
		if err != nil {
			wait, pause = pause, min(2*pause, lastRetry)
		} else {
			pause = firstRetry
		}
		wait -= rand.N(wait/5 + 1) //nolint:forbidigo,gosec // jitter
		switch {
		case err == nil:
			rp.cfg.Logger.DebugContext(ctx, "provider discovered", "issuer", rp.cfg.Issuer)
		case ctx.Err() == nil:
			rp.cfg.Logger.WarnContext(ctx, "provider not discovered", "issuer", rp.cfg.Issuer, "retry_in", wait, "error", err)
		}
		rp.nextAt.Store(rp.cfg.Now().Add(wait).UnixNano())
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Ready reports whether flows can begin.
func (rp *RelyingParty) Ready() bool { return rp.found.Load() != nil }

// Discover asks the provider once for its metadata and uses what it answers
// from then on. It returns ErrIssuerMismatch when the provider is not the one
// configured, and ErrProviderUnavailable, as an [*UnavailableError], when it
// does not answer or its answer cannot be used.
func (rp *RelyingParty) Discover(ctx context.Context) (Metadata, error) {
	const doing = "discovery"
	ctx = oidc.ClientContext(ctx, rp.http)
	found, err := oidc.NewProvider(ctx, rp.cfg.Issuer)
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		// A document that names another issuer is how one provider poses as
		// another (OpenID Connect Discovery §4.3).
		return Metadata{}, fmt.Errorf("%w: discovery names %q", ErrIssuerMismatch, clean(mismatch.Discovered))
	}
	if err != nil {
		return Metadata{}, &UnavailableError{Doing: doing, Cause: bare(err)}
	}
	var meta Metadata
	if err := found.Claims(&meta); err != nil {
		return Metadata{}, &UnavailableError{Doing: doing, Cause: err}
	}
	if err := meta.check(strings.HasPrefix(rp.cfg.Issuer, "http://")); err != nil {
		return Metadata{}, &UnavailableError{Doing: doing, Cause: err}
	}
	keys := keySet{remote: oidc.NewRemoteKeySet(oidc.ClientContext(ctx, rp.keys), meta.JWKSURI)}
	rp.found.Store(&provider{
		meta: meta,
		verifier: oidc.NewVerifier(rp.cfg.Issuer, keys, &oidc.Config{
			ClientID: rp.cfg.ClientID,
			// Whatever the provider announces: neither `none` nor anything
			// symmetric, so that a public key never becomes an HMAC secret
			// (RFC 8725 §2.1).
			SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256},
			SkipExpiryCheck:      true, // it knows no leeway: see checkTimes
		}),
	})
	return meta, nil
}

// check reports why the metadata cannot be used. A provider on https that
// announces a plain endpoint would have us send credentials in the clear.
func (m *Metadata) check(mayBePlain bool) error {
	for _, e := range []struct{ name, url string }{
		{"authorization_endpoint", m.AuthorizationEndpoint},
		{"token_endpoint", m.TokenEndpoint},
		{"jwks_uri", m.JWKSURI},
	} {
		if err := checkEndpoint(e.url, mayBePlain); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if m.UserInfoEndpoint != "" {
		if err := checkEndpoint(m.UserInfoEndpoint, mayBePlain); err != nil {
			return fmt.Errorf("userinfo_endpoint: %w", err)
		}
	}
	return nil
}

// provider returns what discovery found, or ErrProviderUnavailable.
func (rp *RelyingParty) provider() (*provider, error) {
	if p := rp.found.Load(); p != nil {
		return p, nil
	}
	wait := time.Second
	if at := rp.nextAt.Load(); at != 0 {
		wait = max(wait, time.Unix(0, at).Sub(rp.cfg.Now()))
	}
	return nil, &UnavailableError{Doing: "not discovered yet", RetryAfter: wait}
}

// bare strips the method and URL that http.Client puts before an error: they
// say nothing new, and a proxy's URL may hold a password.
func bare(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
