package login

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/portico-id/portico/internal/directory"
)

const maxCode = 4096 // bytes; some providers' codes are tokens themselves

// Answer is the provider's answer as it came in, with the flow it is for.
type Answer struct {
	Sealed string
	Client Client // by the way it came in: as a cookie, Browser or System; in a body, Native

	Code      string
	State     string
	Issuer    string // of RFC 9207
	HasIssuer bool   // whether `iss` was there at all
	Error     string
}

// Identity is who the provider says has logged in, after every check.
type Identity struct {
	Issuer     string
	Subject    string
	ExternalID directory.ExternalID
	InternalID directory.InternalID // empty where the provider did not say
	AuthTime   time.Time            // zero where the provider did not say
	ACR        string
	AMR        []string
	SessionID  string // the provider's `sid`, for logout
}

// Finished is a flow at its end.
type Finished struct {
	Identity        Identity
	Client          Client
	ReturnTo        string
	App             App // of a System flow
	ReplacesSession []byte
}

// Finish checks the provider's answer and says who has logged in. Its errors
// and the order of its checks are in the package's documentation. It makes at
// most one token request for a flow, whatever happens: a flow that fails after
// its used-mark is not finished later.
func (rp *RelyingParty) Finish(ctx context.Context, answer Answer) (Finished, error) {
	f, err := rp.open(answer.Sealed, answer.Client)
	if err != nil {
		return Finished{}, err
	}
	p, err := rp.admit(f, &answer)
	if err != nil {
		return Finished{}, err
	}
	// Before the flow is spent: a secret that cannot be read is our own trouble,
	// and the user may try again when it is over.
	proof, err := rp.credentials(p)
	if err != nil {
		return Finished{}, fmt.Errorf("login: %w", err)
	}
	// Before the code is sent, so that of two concurrent answers one stops
	// here: a provider that sees a code twice has to assume that it was stolen.
	first, err := rp.cfg.Flows.UseFlow(ctx, HandleOf(text(f.state)), f.expires)
	if err != nil {
		return Finished{}, fmt.Errorf("login: marking the flow used: %w", err)
	}
	if !first {
		return Finished{}, ErrFlowUsed
	}
	tokens, err := rp.redeem(ctx, p, proof, answer.Code, text(f.verifier))
	defer rp.giveBack(ctx, p, tokens) // however this ends, nobody needs them any more
	if err != nil {
		return Finished{}, err
	}
	claims, err := rp.verify(ctx, p, tokens, text(f.nonce))
	if err != nil {
		return Finished{}, err
	}
	if err := f.fresh.check(claims.AuthTime, f.issued, rp.cfg.Now()); err != nil {
		return Finished{}, err
	}
	identity, err := rp.identify(ctx, p, tokens, claims)
	if err != nil {
		return Finished{}, err
	}
	return Finished{
		Identity:        identity,
		Client:          answer.Client,
		ReturnTo:        f.returnTo,
		App:             f.app,
		ReplacesSession: f.replaces,
	}, nil
}

// admit checks the answer against its flow, up to the point where the flow is
// spent.
func (rp *RelyingParty) admit(f *flow, answer *Answer) (*provider, error) {
	if !rp.cfg.Now().Before(f.expires) {
		return nil, ErrFlowExpired
	}
	// CSRF on the redirection endpoint: an attacker's answer in the victim's
	// browser carries the attacker's state (RFC 9700 §4.7).
	if subtle.ConstantTimeCompare([]byte(answer.State), []byte(text(f.state))) != 1 {
		return nil, ErrStateMismatch
	}
	// Mix-up: an answer must come from the provider that the flow was sent to
	// (RFC 9700 §4.4, RFC 9207 §2.4), or the code goes to the wrong one.
	if f.issuer != rp.cfg.Issuer || answer.HasIssuer && answer.Issuer != f.issuer {
		return nil, ErrIssuerMismatch
	}
	p, err := rp.provider()
	if err != nil {
		return nil, err
	}
	if !answer.HasIssuer && p.meta.IssuerInAnswer {
		return nil, fmt.Errorf("%w: announced and missing", ErrIssuerMismatch)
	}
	switch {
	case answer.Error != "" && answer.Code != "":
		return nil, fmt.Errorf("%w: code and error together", ErrAnswerInvalid)
	case answer.Error != "":
		return nil, providerError(answer.Error)
	case answer.Code == "":
		return nil, fmt.Errorf("%w: no code", ErrAnswerInvalid)
	case len(answer.Code) > maxCode || !visible(answer.Code):
		return nil, fmt.Errorf("%w: code out of bounds", ErrAnswerInvalid)
	}
	return p, nil
}

// visible reports whether s is made of the characters that RFC 6749 (appendix
// A.11, A.12) allows in codes and tokens.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
