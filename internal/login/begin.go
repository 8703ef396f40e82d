package login

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	maxHint   = 320           // bytes: the longest address that anyone writes
	maxMaxAge = math.MaxInt32 // seconds
)

// Begin is what a flow begins with. Whoever calls has decided that ReturnTo,
// or the app's redirect, is a place users may be sent to.
//
// What the provider does not announce is not sent to it: LoginHint always
// goes, Prompt and MaxAge where discovery does not speak against it. Finish
// checks what came of them all the same.
type Begin struct {
	Client    Client
	ReturnTo  string // at most 2048 bytes; empty for System
	App       App    // for System alone
	LoginHint string // at most 320 bytes
	Prompt    string // "", none, login, consent or select_account
	// MaxAge is how long ago the user may have logged in at the provider, in
	// whole seconds; nil for as long as the provider likes.
	MaxAge *time.Duration
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
// ErrBeginInvalid for input out of bounds and for the prompt "none" at a
// provider that does not know it, and ErrProviderUnavailable, as an
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
	f.returnTo, f.replaces, f.app = begin.ReturnTo, begin.ReplacesSession, begin.App

	options := []oauth2.AuthCodeOption{
		oidc.Nonce(text(f.nonce)),
		oauth2.S256ChallengeOption(text(f.verifier)),
	}
	if begin.LoginHint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", begin.LoginHint))
	}
	fresh, err := f.demand(&begin, &p.meta)
	if err != nil {
		return Begun{}, err
	}
	options = append(options, fresh...)
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
	case !b.Client.known():
		return fmt.Errorf("%w: unknown kind of client", ErrBeginInvalid)
	case len(b.ReturnTo) > maxReturnTo:
		return fmt.Errorf("%w: return target longer than %d bytes", ErrBeginInvalid, maxReturnTo)
	case len(b.LoginHint) > maxHint || !utf8.ValidString(b.LoginHint):
		return fmt.Errorf("%w: login hint", ErrBeginInvalid)
	case !slices.Contains([]string{"", promptNone, promptLogin, "consent", "select_account"}, b.Prompt):
		return fmt.Errorf("%w: prompt", ErrBeginInvalid)
	case b.MaxAge != nil && (*b.MaxAge < 0 || *b.MaxAge/time.Second > maxMaxAge):
		return fmt.Errorf("%w: greatest age", ErrBeginInvalid)
	case len(b.ReplacesSession) > maxReplaces:
		return fmt.Errorf("%w: session handle longer than %d bytes", ErrBeginInvalid, maxReplaces)
	case b.Client == System && b.ReturnTo != "":
		return fmt.Errorf("%w: return target beside the app's redirect", ErrBeginInvalid)
	case b.Client == System && !b.App.valid(), b.Client != System && b.App != App{}:
		return fmt.Errorf("%w: app", ErrBeginInvalid)
	}
	return nil
}

// oauth returns the client's side of OAuth at the provider's endpoints, without
// its credentials.
func (rp *RelyingParty) oauth(p *provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID:    rp.cfg.ClientID,
		RedirectURL: rp.cfg.RedirectURI,
		Scopes:      rp.cfg.Scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL:   p.meta.AuthorizationEndpoint,
			TokenURL:  p.meta.TokenEndpoint,
			AuthStyle: oauth2.AuthStyleInHeader, // never the zero value, which tries both
		},
	}
}
