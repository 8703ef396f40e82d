package ratelimit

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	on  = "on"
	off = "off"
)

// ErrLimits says that a text is no limits. The error that wraps it names the
// part that is wrong.
var ErrLimits = errors.New("limits must be on, off, or a list like client=30/1m,address=off")

// Limits are the limits of every kind of bucket. The zero value does not limit.
type Limits struct {
	Client  Limit
	Address Limit
	Domain  Limit
	Global  Limit
	Login   Limit
	Logout  Limit
	Email   Limit
	Admin   Limit // of tokens that are none
}

// DefaultLimits let an office behind one address sign up at once, and nobody
// fill a mailbox or the provider's tenant.
func DefaultLimits() Limits {
	return Limits{
		Client:  Limit{Count: 30, Per: time.Minute},
		Address: Limit{Count: 5, Per: time.Hour},
		Domain:  Limit{Count: 600, Per: time.Minute},
		Global:  Limit{Count: 3000, Per: time.Minute},
		Login:   Limit{Count: 300, Per: time.Minute},
		Logout:  Limit{Count: 600, Per: time.Minute},
		Email:   Limit{Count: 5, Per: time.Hour},
		Admin:   Limit{Count: 30, Per: time.Minute},
	}
}

// Off reports whether nothing is limited.
func (l Limits) Off() bool { return l == Limits{} }

// named are the limits by the names that they have in settings, in the order
// in which they are written.
func (l *Limits) named() []namedLimit {
	return []namedLimit{
		{Client, &l.Client},
		{Address, &l.Address},
		{Domain, &l.Domain},
		{Global, &l.Global},
		{Login, &l.Login},
		{Logout, &l.Logout},
		{Email, &l.Email},
		{Admin, &l.Admin},
	}
}

type namedLimit struct {
	name  string
	limit *Limit
}

// ParseLimits reads "on" for the defaults, "off" for no limits, or a list like
// "client=30/1m,address=off" of what is not as by default. It returns an error
// that wraps ErrLimits and names the part that is wrong.
func ParseLimits(text string) (Limits, error) {
	switch strings.TrimSpace(text) {
	case on:
		return DefaultLimits(), nil
	case off:
		return Limits{}, nil
	}
	limits := DefaultLimits()
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		name, value, ok := strings.Cut(part, "=")
		limit := limits.find(name)
		switch {
		case !ok:
			return Limits{}, fmt.Errorf("%w: %q is no name=limit", ErrLimits, part)
		case limit == nil:
			return Limits{}, fmt.Errorf("%w: there is no limit %q, only client, address, domain, global, login, logout, email and admin", ErrLimits, name)
		case seen[name]:
			return Limits{}, fmt.Errorf("%w: %s is there twice", ErrLimits, name)
		}
		seen[name] = true
		var err error
		if *limit, err = parseLimit(value); err != nil {
			return Limits{}, fmt.Errorf("%w: %s: %w", ErrLimits, part, err)
		}
	}
	return limits, nil
}

// find returns the limit of that name, or nil.
func (l *Limits) find(name string) *Limit {
	for _, n := range l.named() {
		if n.name == name {
			return n.limit
		}
	}
	return nil
}

// String is the limits as ParseLimits reads them.
func (l Limits) String() string {
	switch l {
	case DefaultLimits():
		return on
	case Limits{}:
		return off
	}
	var parts []string
	for _, n := range l.named() {
		parts = append(parts, n.name+"="+n.limit.String())
	}
	return strings.Join(parts, ",")
}
