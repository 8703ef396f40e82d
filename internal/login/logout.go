package login

import (
	"net/url"
	"strings"
)

// LogoutURL returns the provider's logout page for this client, or "" where
// the provider announces none or has not been discovered (OpenID Connect
// RP-Initiated Logout 1.0 §2). It carries no id_token_hint: ID tokens are
// dropped in the callback, so the provider asks the user.
func (rp *RelyingParty) LogoutURL() string {
	p, err := rp.provider()
	if err != nil || checkEndpoint(p.meta.EndSessionEndpoint, strings.HasPrefix(rp.cfg.Issuer, "http://")) != nil {
		return "" // none, or nothing that an app should open
	}
	u, err := url.Parse(p.meta.EndSessionEndpoint)
	if err != nil {
		return ""
	}
	query := u.Query()
	query.Set("client_id", rp.cfg.ClientID)
	u.RawQuery = query.Encode()
	return u.String()
}
