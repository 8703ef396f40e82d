package simulator

import (
	"fmt"
	"slices"
	"time"
)

// Uniqueness says which of a new user's values must not be taken already. The
// vendor documents none for manage v1, so a client has to live with all four.
type Uniqueness string

// The four rules; a deleted user's values are free again.
const (
	UniqueNone       Uniqueness = "none"
	UniqueEmail      Uniqueness = "email"
	UniqueExternalID Uniqueness = "external_id"
	UniqueBoth       Uniqueness = "both"
)

func (u Uniqueness) email() bool      { return u == UniqueEmail || u == UniqueBoth }
func (u Uniqueness) externalID() bool { return u == UniqueExternalID || u == UniqueBoth }

// maxRatePerMinute keeps a mistyped rate from overflowing a header.
const maxRatePerMinute = 1_000_000

// maxTokenSeconds is a year.
const maxTokenSeconds = 365 * 24 * 60 * 60

// Modes are a tenant's habits, as far as tenants may differ.
type Modes struct {
	Uniqueness Uniqueness `json:"uniqueness"`
	// Wrap answers manage v1 with {"user": {…}} instead of the flat object.
	Wrap bool `json:"wrap"`
	// Lookup opens /v2/users; without it all of it answers 403.
	Lookup bool `json:"lookup"`
	// RatePerMinute limits management calls, per tenant; 0 means no limit.
	RatePerMinute int `json:"rate_per_minute"`
	// TokenSeconds is how long a token of the client-credentials grant lives; 0
	// means a day.
	TokenSeconds int `json:"token_seconds"`
	// V1ConsoleOnly closes manage v1 to tokens of that grant: only the console's
	// opens it.
	V1ConsoleOnly bool `json:"v1_console_only"`
}

func (m Modes) tokenLife() time.Duration {
	if m.TokenSeconds == 0 {
		return managementTokenLife
	}
	return time.Duration(m.TokenSeconds) * time.Second
}

// DefaultModes are a friendly tenant's: external ids are unique, answers are
// flat, users can be looked up, and calls are not limited.
func DefaultModes() Modes {
	return Modes{Uniqueness: UniqueExternalID, Lookup: true}
}

func (m Modes) validate() error {
	known := []Uniqueness{UniqueNone, UniqueEmail, UniqueExternalID, UniqueBoth}
	if !slices.Contains(known, m.Uniqueness) {
		return fmt.Errorf("uniqueness: %q is none of %q", m.Uniqueness, known)
	}
	if m.RatePerMinute < 0 || m.RatePerMinute > maxRatePerMinute {
		return fmt.Errorf("rate_per_minute: %d is not between 0 and %d", m.RatePerMinute, maxRatePerMinute)
	}
	if m.TokenSeconds < 0 || m.TokenSeconds > maxTokenSeconds {
		return fmt.Errorf("token_seconds: %d is not between 0 and %d", m.TokenSeconds, maxTokenSeconds)
	}
	return nil
}
