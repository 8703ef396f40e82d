package login

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	firstRetry   = 250 * time.Millisecond
	lastRetry    = 30 * time.Second
	refreshEvery = time.Hour
	keysEvery    = keysFresh * 8 / 10 // so that no login has to wait for it
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
	RevocationEndpoint    string   `json:"revocation_endpoint"`  // empty where there is none
	Scopes                []string `json:"scopes_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	ClientAuth            []string `json:"token_endpoint_auth_methods_supported"`
	Prompts               []string `json:"prompt_values_supported"` // nil where it does not say
	Claims                []string `json:"claims_supported"`        // nil where it does not say
	// IssuerInAnswer: every answer carries `iss` (RFC 9207 §3).
	IssuerInAnswer bool `json:"authorization_response_iss_parameter_supported"`

	warnings []string
}

// Warnings says what an operator should look at: things that do not keep
// anybody from trying to log in.
func (m *Metadata) Warnings() []string { return m.warnings }

// provider is one discovery's result. It is replaced as a whole; the key set
// stays the same one while it is at the same place.
type provider struct {
	meta     Metadata
	keys     *keySet
	verifier *oidc.IDTokenVerifier
}

// Run discovers the provider and keeps what it found fresh, the key set
// included, until ctx ends; then it returns nil. While the provider is down it
// tries again with growing, jittered pauses; what was found before stays in
// use, keys for an hour.
func (rp *RelyingParty) Run(ctx context.Context) error {
	defer rp.http.CloseIdleConnections()
	var group sync.WaitGroup
	defer group.Wait()
	defer rp.drain()
	group.Go(func() { rp.runKeys(ctx) })
	for pause := firstRetry; ; {
		meta, err := rp.Discover(ctx)
		rp.once.Do(func() { close(rp.tried) })
		wait := refreshEvery
		if err != nil {
			wait, pause = pause, min(2*pause, lastRetry)
		} else {
			pause = firstRetry
		}
		wait = jittered(wait)
		switch {
		case err == nil:
			rp.cfg.Logger.DebugContext(ctx, "provider discovered", "issuer", rp.cfg.Issuer)
			for _, warning := range meta.Warnings() {
				rp.cfg.Logger.WarnContext(ctx, "provider's metadata", "issuer", rp.cfg.Issuer, "warning", warning)
			}
		case ctx.Err() == nil:
			rp.cfg.Logger.WarnContext(ctx, "provider not discovered", "issuer", rp.cfg.Issuer, "retry_in", wait, "error", err)
		}
		rp.nextAt.Store(rp.cfg.Now().Add(wait).UnixNano())
		if !pass(ctx, wait) {
			return nil
		}
	}
}

// runKeys fetches the key set on a timer, so that a key which the provider has
// withdrawn, perhaps because it was stolen, is forgotten though nobody logs in.
func (rp *RelyingParty) runKeys(ctx context.Context) {
	for pass(ctx, jittered(keysEvery)) {
		p := rp.found.Load()
		if p == nil {
			continue
		}
		if _, _, err := p.keys.refresh(ctx); err != nil && ctx.Err() == nil {
			rp.cfg.Logger.WarnContext(ctx, "key set not fetched", "issuer", rp.cfg.Issuer, "error", err)
		}
	}
}

// jittered returns up to a fifth less than d, so that replicas that were
// started together drift apart.
func jittered(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:forbidigo,gosec // jitter
}

// pass waits for d and reports whether ctx lasted as long.
func pass(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Tried is closed when Run has asked the provider for the first time, whatever
// came of it.
func (rp *RelyingParty) Tried() <-chan struct{} { return rp.tried }

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
	meta.warnings = rp.cfg.warnings(&meta)
	keys := rp.keySet(meta.JWKSURI)
	algorithms := make([]string, 0, 2)
	for _, a := range signatureAlgorithms() {
		algorithms = append(algorithms, string(a))
	}
	rp.found.Store(&provider{
		meta: meta,
		keys: keys,
		verifier: oidc.NewVerifier(rp.cfg.Issuer, keys, &oidc.Config{
			ClientID:             rp.cfg.ClientID,
			SupportedSigningAlgs: algorithms,
			SkipExpiryCheck:      true, // it knows no leeway: see checkTimes
		}),
	})
	return meta, nil
}

// keySet returns the key set at uri: the one in use, if it is there. Its keys
// have their own age, so that a provider whose key set is away for a while,
// and whose metadata is not, remains of use.
func (rp *RelyingParty) keySet(uri string) *keySet {
	if p := rp.found.Load(); p != nil && p.keys.uri == uri {
		return p.keys
	}
	return &keySet{uri: uri, client: rp.keys, now: rp.cfg.Now, log: rp.cfg.Logger}
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
