package mail

import (
	"context"
	"time"
)

// message is the notice as it is written. Whoever has an account with us may be
// called by the name that they have given it.
func (n Notice) message() message {
	return message{kind: kindNotice, id: n.ID, to: n.To, locale: n.Locale, fields: fields{Name: clean(n.Name, maxName)}}
}

// Proof asks whoever reads the mail of an address to show so by a code.
type Proof struct {
	ID     string // as a Notice's
	To     string // the address that is to be proven
	Locale string
	Code   string // as it is to be typed
	Until  time.Time
}

// SendProof writes the letter and hands it to the server, as Send does. The
// letter calls nobody by name: its reader may be a stranger.
func (m *Mailer) SendProof(ctx context.Context, p Proof) error {
	return m.send(ctx, message{
		kind: kindProof, id: p.ID, to: p.To, locale: p.Locale, fields: fields{Code: p.Code, Until: stamp(p.Until)},
	})
}

// EmailChanged tells the reader of an account's old address that it is no
// longer the account's.
type EmailChanged struct {
	ID     string // as a Notice's
	To     string // the old address
	Locale string
}

// SendEmailChanged writes the letter and hands it to the server, as Send does.
func (m *Mailer) SendEmailChanged(ctx context.Context, c EmailChanged) error {
	return m.send(ctx, message{kind: kindChanged, id: c.ID, to: c.To, locale: c.Locale})
}

// Closing tells the owner of an account when it will be deleted.
type Closing struct {
	ID     string // as a Notice's
	To     string
	Locale string
	After  time.Time
}

// SendClosing writes the letter and hands it to the server, as Send does.
func (m *Mailer) SendClosing(ctx context.Context, c Closing) error {
	return m.send(ctx, message{kind: kindClosing, id: c.ID, to: c.To, locale: c.Locale, fields: fields{Until: stamp(c.After)}})
}

// stamp is a time as every language reads it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
