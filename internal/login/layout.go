package login

import (
	"encoding/binary"
	"errors"
	"time"
)

// The layouts of a flow. A flow of an unknown one is invalid, not misread. The
// second is the first with an extension behind it, and is written only for a
// flow that has something to put there, so that while two releases run side by
// side each finishes what the other began.
const (
	layoutPlain    = 1
	layoutExtended = 2
)

// The extension's flags.
const (
	flagMaxAge = 1 << iota
	flagMaxAgeSent
	flagLogin
	flagsKnown = 1<<iota - 1
)

// head is the length of what every flow begins with: layout, secrets, times.
const head = 1 + 3*secretSize + 2*8

var errLayout = errors.New("not this layout")

// marshal writes the flow without JSON: a return target full of escapes would
// not fit the cookie.
func (f *flow) marshal() []byte {
	layout := byte(layoutPlain)
	extended := f.fresh != freshness{} || f.app != App{}
	if extended {
		layout = layoutExtended
	}
	out := append(make([]byte, 0, 512), layout)
	out = append(out, f.state[:]...)
	out = append(out, f.nonce[:]...)
	out = append(out, f.verifier[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(f.issued.UnixMilli()))
	out = binary.BigEndian.AppendUint64(out, uint64(f.expires.UnixMilli()))
	out = appendFields(out, f.issuer, f.returnTo, string(f.replaces))
	if !extended {
		return out
	}
	out = append(out, f.fresh.flags())
	out = binary.BigEndian.AppendUint32(out, uint32(f.fresh.maxAge/time.Second)) //nolint:gosec // Begin bounds it
	return appendFields(out, f.app.RedirectURI, f.app.CodeChallenge, f.app.State)
}

func appendFields(out []byte, fields ...string) []byte {
	for _, field := range fields {
		out = binary.BigEndian.AppendUint16(out, uint16(len(field))) //nolint:gosec // Begin and New bound them all
		out = append(out, field...)
	}
	return out
}

// unmarshalFlow reads what marshal wrote. What it reads was authenticated, so
// it guards against another release's layout rather than against forgery.
func unmarshalFlow(raw []byte) (*flow, error) {
	if len(raw) < head || raw[0] != layoutPlain && raw[0] != layoutExtended {
		return nil, errLayout
	}
	layout, raw := raw[0], raw[1:]
	f := new(flow)
	for _, secret := range []*[secretSize]byte{&f.state, &f.nonce, &f.verifier} {
		raw = raw[copy(secret[:], raw):]
	}
	f.issued = time.UnixMilli(int64(binary.BigEndian.Uint64(raw))).UTC()      //nolint:gosec // as marshal wrote it
	f.expires = time.UnixMilli(int64(binary.BigEndian.Uint64(raw[8:]))).UTC() //nolint:gosec // as marshal wrote it
	fields, raw, err := takeFields(raw[16:])
	if err != nil {
		return nil, err
	}
	f.issuer, f.returnTo = fields[0], fields[1]
	if fields[2] != "" {
		f.replaces = []byte(fields[2])
	}
	if layout == layoutExtended {
		raw, err = f.extend(raw)
	}
	if err != nil || len(raw) != 0 {
		return nil, errLayout
	}
	return f, nil
}

// extend reads the extension and returns what follows it. One that holds
// nothing is refused: a flow has one spelling.
func (f *flow) extend(raw []byte) (rest []byte, err error) {
	if len(raw) < 5 {
		return nil, errLayout
	}
	age := time.Duration(binary.BigEndian.Uint32(raw[1:])) * time.Second
	if f.fresh, err = parseFreshness(raw[0], age); err != nil {
		return nil, err
	}
	fields, rest, err := takeFields(raw[5:])
	if err != nil {
		return nil, err
	}
	f.app = App{RedirectURI: fields[0], CodeChallenge: fields[1], State: fields[2]}
	if f.fresh == (freshness{}) && f.app == (App{}) {
		return nil, errLayout
	}
	return rest, nil
}

func takeFields(raw []byte) (fields [3]string, rest []byte, err error) {
	for i := range fields {
		if len(raw) < 2 {
			return fields, nil, errLayout
		}
		size := int(binary.BigEndian.Uint16(raw))
		if raw = raw[2:]; len(raw) < size {
			return fields, nil, errLayout
		}
		fields[i], raw = string(raw[:size]), raw[size:]
	}
	return fields, raw, nil
}

func (w freshness) flags() (flags byte) {
	if w.limited {
		flags |= flagMaxAge
	}
	if w.sent {
		flags |= flagMaxAgeSent
	}
	if w.login {
		flags |= flagLogin
	}
	return flags
}

func parseFreshness(flags byte, age time.Duration) (freshness, error) {
	w := freshness{
		limited: flags&flagMaxAge != 0,
		sent:    flags&flagMaxAgeSent != 0,
		login:   flags&flagLogin != 0,
		maxAge:  age,
	}
	if flags > flagsKnown || !w.limited && (w.sent || age != 0) {
		return freshness{}, errLayout
	}
	return w, nil
}
