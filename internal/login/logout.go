package login

import (
	"encoding/binary"
	"net/url"
	"time"
)

// returnPurpose keeps the texts of a logout apart from flows: neither opens as
// the other.
const returnPurpose = "portico logout return"

// returnTTL is how long a user may take to agree at the provider.
const returnTTL = time.Hour

// LogoutURL returns the provider's logout page for this client, or "" where
// the provider announces none or has not been discovered (OpenID Connect
// RP-Initiated Logout 1.0 §2). It carries no id_token_hint: ID tokens are
// dropped in the callback, so the provider asks the user.
//
// Where a post-logout redirect URI is configured, the user comes back there
// with a state that LogoutReturn reads returnTo from. Whoever calls has decided
// that returnTo is a place users may be sent to; one longer than 2048 bytes is
// left out.
func (rp *RelyingParty) LogoutURL(returnTo string) string {
	p, err := rp.provider()
	if err != nil || !rp.cfg.usable(p.meta.EndSessionEndpoint) {
		return "" // none, or nothing that an app should open
	}
	u, err := url.Parse(p.meta.EndSessionEndpoint)
	if err != nil {
		return ""
	}
	query := u.Query()
	query.Set("client_id", rp.cfg.ClientID)
	if rp.cfg.PostLogoutRedirectURI != "" {
		query.Set("post_logout_redirect_uri", rp.cfg.PostLogoutRedirectURI)
		query.Set("state", rp.sealReturn(returnTo))
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func (rp *RelyingParty) sealReturn(returnTo string) string {
	if len(returnTo) > maxReturnTo {
		returnTo = ""
	}
	raw := binary.BigEndian.AppendUint64(nil, uint64(rp.cfg.Now().Add(returnTTL).UnixMilli()))
	return rp.cfg.Keys.Seal(returnPurpose, append(raw, returnTo...))
}

// LogoutReturn opens the state that a user came back with from the provider's
// logout page. It reports false for one that is missing, expired, or not from
// LogoutURL: they have logged out all the same, and their way on is the
// caller's to choose. It proves nothing about who they are.
func (rp *RelyingParty) LogoutReturn(state string) (returnTo string, ok bool) {
	raw, err := rp.cfg.Keys.Open(returnPurpose, state)
	if err != nil || len(raw) < 8 {
		return "", false
	}
	expires := time.UnixMilli(int64(binary.BigEndian.Uint64(raw))) //nolint:gosec // as sealReturn wrote it
	if !rp.cfg.Now().Before(expires) {
		return "", false
	}
	return string(raw[8:]), true
}
