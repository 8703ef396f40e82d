package login

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const maxHint = 320 // bytes: the longest address that anyone writes

// Begin is what a flow begins with. Whoever calls has decided that ReturnTo is
// a place users may be sent to.
type Begin struct {
	Client    Client
	ReturnTo  string // at most 2048 bytes
	LoginHint string // passed to the provider, at most 320 bytes
	Prompt    string // "", none, login, consent or select_account
	// ReplacesSession is handed back by Finish: the session that the new one
	// takes the place of. At most 64 bytes.
	ReplacesSession []byte
}

// Begun is a flow under way.
type Begun struct {
	AuthorizationURL string
	State            string
	Sealed           string // the flow; Finish needs it
	FlowID           string // HandleOf(State)
	ExpiresAt        time.Time
}

// Begin starts a flow. It makes no request and stores nothing. It returns
// ErrBeginInvalid for input out of bounds, and ErrProviderUnavailable, as an
// [*UnavailableError], while the provider has not been discovered.
func (rp *RelyingParty) Begin(_ context.Context, begin Begin) (Begun, error) {
	if err := begin.check(); err != nil {
		return Begun{}, err
	}
	p, err := rp.provider()
	if err != nil {
		return Begun{}, err
	}
	f := newFlow(rp.cfg.Issuer, rp.cfg.Now().UTC().Truncate(time.Millisecond), rp.cfg.FlowTTL)
	f.returnTo = begin.ReturnTo
	f.replaces = begin.ReplacesSession

	options := []oauth2.AuthCodeOption{
		oidc.Nonce(text(f.nonce)),
		oauth2.S256ChallengeOption(text(f.verifier)),
	}
	if begin.LoginHint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", begin.LoginHint))
	}
	if begin.Prompt != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", begin.Prompt))
	}
	state := text(f.state)
	return Begun{
		AuthorizationURL: rp.oauth(p).AuthCodeURL(state, options...),
		State:            state,
		Sealed:           rp.cfg.Keys.Seal(begin.Client.purpose(), f.marshal()),
		FlowID:           HandleOf(state),
		ExpiresAt:        f.expires,
	}, nil
}

func (b *Begin) check() error {
	switch {
	case b.Client != Browser && b.Client != Native:
		return fmt.Errorf("%w: unknown kind of client", ErrBeginInvalid)
	case len(b.ReturnTo) > maxReturnTo:
		return fmt.Errorf("%w: return target longer than %d bytes", ErrBeginInvalid, maxReturnTo)
	case len(b.LoginHint) > maxHint || !utf8.ValidString(b.LoginHint):
		return fmt.Errorf("%w: login hint", ErrBeginInvalid)
	case !slices.Contains([]string{"", "none", "login", "consent", "select_account"}, b.Prompt):
		return fmt.Errorf("%w: prompt", ErrBeginInvalid)
	case len(b.ReplacesSession) > maxReplaces:
		return fmt.Errorf("%w: session handle longer than %d bytes", ErrBeginInvalid, maxReplaces)
	}
	return nil
}

// oauth returns the client's side of OAuth at the provider's endpoints.
func (rp *RelyingParty) oauth(p *provider) *oauth2.Config {
	style := oauth2.AuthStyleInHeader
	if rp.cfg.ClientAuth == AuthPost {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID:     rp.cfg.ClientID,
		ClientSecret: string(rp.cfg.ClientSecret),
		RedirectURL:  rp.cfg.RedirectURI,
		Scopes:       rp.cfg.Scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL:   p.meta.AuthorizationEndpoint,
			TokenURL:  p.meta.TokenEndpoint,
			AuthStyle: style,
		},
	}
}
