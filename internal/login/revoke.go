package login

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxRevocations  = 32 // under way at once; more are not begun
	revocationLimit = 5 * time.Second
)

// giveBack revokes what a login leaves behind, in the background: a token that
// nobody holds any more can still be stolen from the provider's side, or from
// a log on the way (RFC 7009 §1). The login is over by then and never waits
// for it nor fails with it. With many under way this one is left to expire.
//
// A refresh token is the one to give back where there is one, unasked as it
// is: its access tokens go with it (RFC 7009 §2.1).
func (rp *RelyingParty) giveBack(ctx context.Context, p *provider, t tokens) {
	if !rp.cfg.Revoke || t.access == nil || p.meta.RevocationEndpoint == "" || !rp.cfg.usable(p.meta.RevocationEndpoint) {
		return
	}
	token, kind := t.access.AccessToken, "access_token"
	if t.access.RefreshToken != "" {
		token, kind = t.access.RefreshToken, "refresh_token"
	}
	if len(token) > maxAccessToken {
		return
	}
	select {
	case rp.slots <- struct{}{}:
	default:
		rp.cfg.Logger.DebugContext(ctx, "token not revoked: too many under way")
		return
	}
	// Whoever waits for the login may be gone before this is done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revocationLimit)
	go func() {
		defer func() {
			cancel()
			<-rp.slots
		}()
		if err := rp.revoke(ctx, p, token, kind); err != nil {
			rp.cfg.Logger.WarnContext(ctx, "token not revoked", slog.String("kind", kind), slog.Any("error", err))
		}
	}()
}

// revoke sends one revocation request (RFC 7009 §2.1), authenticated as the
// token request is. Its errors hold nothing of the token.
func (rp *RelyingParty) revoke(ctx context.Context, p *provider, token, kind string) error {
	const doing = "revocation request"
	proof, err := rp.credentials(p)
	if err != nil {
		return err
	}
	form := url.Values{"token": {token}, "token_type_hint": {kind}}
	sign := proof.form(form)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.meta.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return &UnavailableError{Doing: doing, Cause: bare(err)}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	sign(req)
	resp, err := rp.http.Do(req)
	if err != nil {
		return &UnavailableError{Doing: doing, Cause: bare(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK { // also for a token that the provider does not know
		return &UnavailableError{Doing: doing, Cause: statusError(resp.StatusCode)}
	}
	return nil
}

// drain waits for the revocations under way, each of which is bounded, and
// lets no other begin.
func (rp *RelyingParty) drain() {
	for range cap(rp.slots) {
		rp.slots <- struct{}{}
	}
}
