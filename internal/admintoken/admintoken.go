package admintoken

import (
	"crypto/subtle"
	"errors"
	"slices"
)

// Scope is something that a token may be good for.
type Scope string

// The scopes.
const (
	UsersRead     Scope = "users:read"
	UsersWrite    Scope = "users:write"
	SessionsWrite Scope = "sessions:write"
	AuditRead     Scope = "audit:read"
	WebhooksRead  Scope = "webhooks:read"
	WebhooksWrite Scope = "webhooks:write"
)

// Scopes returns every scope there is.
func Scopes() []Scope {
	return []Scope{UsersRead, UsersWrite, SessionsWrite, AuditRead, WebhooksRead, WebhooksWrite}
}

// Holder is who has a token.
type Holder struct {
	Name   string
	Scopes []Scope
}

// May reports whether the holder's token is good for what needs the scope. No
// scope contains another: what a token opens can be read off its entry.
func (h Holder) May(scope Scope) bool { return slices.Contains(h.Scopes, scope) }

// ErrUnknown says that nobody has the token.
var ErrUnknown = errors.New("no administrator's token")

// Tokens are all tokens that are good. Its zero value, and nil, know none.
type Tokens struct{ all []kept }

type kept struct {
	holder Holder
	hash   hash
}

// Find returns who has the token, or ErrUnknown. It takes the same time for
// whatever has a token's form: how far a guess is right cannot be measured.
func (t *Tokens) Find(token string) (Holder, error) {
	sum, ok := hashOf(token)
	if !ok || t == nil {
		return Holder{}, ErrUnknown
	}
	found := -1
	for i := range t.all {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(t.all[i].hash[:], sum[:]), i, found)
	}
	if found < 0 {
		return Holder{}, ErrUnknown
	}
	return t.all[found].holder, nil
}

// Names are those of the holders, in the order of the entries.
func (t *Tokens) Names() []string {
	if t == nil {
		return nil
	}
	names := make([]string, len(t.all))
	for i := range t.all {
		names[i] = t.all[i].holder.Name
	}
	return names
}

// None reports whether nobody has a token.
func (t *Tokens) None() bool { return t == nil || len(t.all) == 0 }
