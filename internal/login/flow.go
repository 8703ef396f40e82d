package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// Client is the kind of client that a flow began for.
type Client string

// The kinds of client.
const (
	Browser Client = "browser" // the flow travels in a cookie
	Native  Client = "native"  // the flow travels in the app's own requests
)

// Bounds on what a flow carries, in bytes. Together with the longest issuer
// they keep a sealed flow within what a browser takes as one cookie (4096 with
// its name and attributes, RFC 6265 §6.1).
const (
	maxReturnTo = 2048
	maxReplaces = 64
	secretSize  = 32 // of state, nonce and verifier each
)

// flowVersion changes with the layout: a flow of another release is invalid,
// not misread.
const flowVersion = 1

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
}

// purpose is part of what a flow's seal authenticates: a native flow, which
// its holder can read off the wire, must not be planted as a browser's cookie
// to log somebody else in (login CSRF, RFC 9700 §4.7), nor the other way round.
func (c Client) purpose() string { return "portico login flow: " + string(c) }

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

// marshal writes the flow without JSON: a return target full of escapes would
// not fit the cookie.
func (f *flow) marshal() []byte {
	out := make([]byte, 0, 1+3*secretSize+2*8+3*2+len(f.issuer)+len(f.returnTo)+len(f.replaces))
	out = append(out, flowVersion)
	out = append(out, f.state[:]...)
	out = append(out, f.nonce[:]...)
	out = append(out, f.verifier[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(f.issued.UnixMilli()))
	out = binary.BigEndian.AppendUint64(out, uint64(f.expires.UnixMilli()))
	for _, field := range []string{f.issuer, f.returnTo, string(f.replaces)} {
		out = binary.BigEndian.AppendUint16(out, uint16(len(field))) //nolint:gosec // Begin and New bound them all
		out = append(out, field...)
	}
	return out
}

var errLayout = errors.New("not this layout")

// unmarshalFlow reads what marshal wrote. What it reads was authenticated, so
// it guards against another release's layout rather than against forgery.
func unmarshalFlow(raw []byte) (*flow, error) {
	if len(raw) < 1+3*secretSize+2*8 || raw[0] != flowVersion {
		return nil, errLayout
	}
	raw = raw[1:]
	f := new(flow)
	for _, secret := range []*[secretSize]byte{&f.state, &f.nonce, &f.verifier} {
		raw = raw[copy(secret[:], raw):]
	}
	f.issued = time.UnixMilli(int64(binary.BigEndian.Uint64(raw))).UTC()      //nolint:gosec // as marshal wrote it
	f.expires = time.UnixMilli(int64(binary.BigEndian.Uint64(raw[8:]))).UTC() //nolint:gosec // as marshal wrote it
	raw = raw[16:]
	var fields [3]string
	for i := range fields {
		if len(raw) < 2 {
			return nil, errLayout
		}
		size := int(binary.BigEndian.Uint16(raw))
		if raw = raw[2:]; len(raw) < size {
			return nil, errLayout
		}
		fields[i], raw = string(raw[:size]), raw[size:]
	}
	if len(raw) != 0 {
		return nil, errLayout
	}
	f.issuer, f.returnTo = fields[0], fields[1]
	if fields[2] != "" {
		f.replaces = []byte(fields[2])
	}
	return f, nil
}

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
	if client != Browser && client != Native {
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
