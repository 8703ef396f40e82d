package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Client is the kind of client that a flow began for.
type Client string

// The kinds of client.
const (
	Browser Client = "browser" // the flow travels in a cookie
	Native  Client = "native"  // the flow travels in the app's own requests
	System  Client = "system"  // a native app's flow through the system browser, in a cookie of its own
)

func (c Client) known() bool { return c == Browser || c == Native || c == System }

// purpose is part of what a flow's seal authenticates: a native flow, which
// its holder can read off the wire, must not be planted as a browser's cookie
// to log somebody else in (login CSRF, RFC 9700 §4.7), nor the other way
// round; and a flow that ends in an app must not end in a session here.
func (c Client) purpose() string { return "portico login flow: " + string(c) }

// App is the native app that a flow through the system browser goes back to
// (RFC 8252 §4.1).
type App struct {
	RedirectURI   string // at most 512 bytes
	CodeChallenge string // of the app's own PKCE, S256 (RFC 7636 §4.2)
	State         string // the app's own, at most 256 printable ASCII characters
}

const (
	maxAppRedirect = 512
	maxAppState    = 256
)

func (a *App) valid() bool {
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(a.CodeChallenge)
	return a.RedirectURI != "" && len(a.RedirectURI) <= maxAppRedirect && visible(a.RedirectURI) &&
		err == nil && len(challenge) == sha256.Size && len(a.CodeChallenge) == base64.RawURLEncoding.EncodedLen(sha256.Size) &&
		len(a.State) <= maxAppState && visible(a.State)
}

// Bounds on what a flow carries, in bytes. Together with the longest issuer
// they keep a sealed flow within what a browser takes as one cookie (4096 with
// its name and attributes, RFC 6265 §6.1).
const (
	maxReturnTo = 2048
	maxReplaces = 64
	secretSize  = 32 // of state, nonce and verifier each
)

// flow is what travels sealed. The three secrets are independent, so that the
// one in the redirect (state) tells nothing about the one that stays here
// (verifier).
type flow struct {
	state    [secretSize]byte
	nonce    [secretSize]byte
	verifier [secretSize]byte
	issued   time.Time
	expires  time.Time
	issuer   string
	returnTo string
	replaces []byte
	fresh    freshness
	app      App
}

func newFlow(issuer string, now time.Time, ttl time.Duration) *flow {
	f := &flow{issuer: issuer, issued: now, expires: now.Add(ttl)}
	_, _ = rand.Read(f.state[:]) // rand.Read never fails: it crashes the program instead
	_, _ = rand.Read(f.nonce[:])
	_, _ = rand.Read(f.verifier[:])
	return f
}

// text is how each of the three secrets is written outside the seal. A
// verifier of 32 bytes is what RFC 7636 §4.1 recommends.
func text(secret [secretSize]byte) string { return base64.RawURLEncoding.EncodeToString(secret[:]) }

// HandleOf returns the name of the flow that a state value belongs to: sixteen
// characters of A-Z a-z 0-9 _ -, whatever the value, safe in a cookie's name.
// It finds a flow and proves nothing.
func HandleOf(state string) string {
	digest := sha256.Sum256([]byte("portico login flow handle\x00" + state))
	return base64.RawURLEncoding.EncodeToString(digest[:12])
}

// FlowInfo is what may be known of a flow without finishing it.
type FlowInfo struct {
	FlowID    string
	ReturnTo  string
	App       App
	IssuedAt  time.Time // UTC, to the millisecond
	ExpiresAt time.Time
}

// Peek opens a flow for its outline, expired or not: where to send its errors,
// and how old it is. It returns ErrFlowMissing or ErrFlowInvalid.
func (rp *RelyingParty) Peek(sealed string, client Client) (FlowInfo, error) {
	f, err := rp.open(sealed, client)
	if err != nil {
		return FlowInfo{}, err
	}
	return FlowInfo{
		FlowID:    HandleOf(text(f.state)),
		ReturnTo:  f.returnTo,
		App:       f.app,
		IssuedAt:  f.issued,
		ExpiresAt: f.expires,
	}, nil
}

// ReturnTo returns where the errors of a flow go. It reports false for a flow
// that does not open; an expired one does.
func (rp *RelyingParty) ReturnTo(sealed string, client Client) (string, bool) {
	info, err := rp.Peek(sealed, client)
	return info.ReturnTo, err == nil
}

func (rp *RelyingParty) open(sealed string, client Client) (*flow, error) {
	if sealed == "" {
		return nil, ErrFlowMissing
	}
	if !client.known() {
		return nil, ErrFlowInvalid
	}
	raw, err := rp.cfg.Keys.Open(client.purpose(), sealed)
	if err != nil {
		return nil, ErrFlowInvalid
	}
	f, err := unmarshalFlow(raw)
	if err != nil {
		return nil, ErrFlowInvalid
	}
	return f, nil
}
