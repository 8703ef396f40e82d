package login

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/oauth2"
)

const (
	promptNone  = "none"
	promptLogin = "login"
)

// freshness is how lately a flow wants its user to have logged in at the
// provider. It travels with the flow, because the authorization request passes
// through the user's hands: whoever takes max_age or prompt out of it must not
// have spared themselves the login (OpenID Connect Core §3.1.2.1).
type freshness struct {
	limited bool // maxAge holds
	sent    bool // and the provider was told, so that it has to answer with auth_time
	maxAge  time.Duration
	login   bool // prompt=login: not before the flow began
}

// demand notes what a flow wants and returns the parameters that say so to the
// provider, as far as it announces to understand them.
func (f *flow) demand(begin *Begin, m *Metadata) (options []oauth2.AuthCodeOption, err error) {
	// Without an announcement every value has to be understood (OpenID Connect
	// Core §15.1).
	understood := m.Prompts == nil || slices.Contains(m.Prompts, begin.Prompt)
	switch {
	case begin.Prompt == promptNone && !understood:
		// The others may be left out and checked afterwards. Leaving this one
		// out would show a page to whoever asked for none.
		return nil, fmt.Errorf("%w: the provider does not know prompt=none", ErrBeginInvalid)
	case begin.Prompt != "" && understood:
		options = append(options, oauth2.SetAuthURLParam("prompt", begin.Prompt))
	}
	f.fresh.login = begin.Prompt == promptLogin
	if begin.MaxAge != nil {
		f.fresh.limited = true
		f.fresh.maxAge = begin.MaxAge.Truncate(time.Second)
		f.fresh.sent = m.Claims == nil || slices.Contains(m.Claims, "auth_time")
	}
	if f.fresh.sent {
		options = append(options, oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(f.fresh.maxAge/time.Second))))
	}
	return options, nil
}

// check compares what the flow wanted with when the provider says that the
// user has logged in (OpenID Connect Core §3.1.3.7, 13). It returns
// ErrAuthTooOld. A provider that was not told may leave auth_time out: then
// nothing is known, and the caller sees an AuthTime of zero.
func (w freshness) check(authTime *numericDate, began, now time.Time) error {
	switch {
	case authTime == nil && w.sent:
		return fmt.Errorf("%w: max_age was sent and auth_time is missing", ErrAuthTooOld)
	case authTime == nil:
		return nil
	case w.limited && now.Sub(authTime.Time) > w.maxAge+leeway:
		return fmt.Errorf("%w: auth_time is older than max_age", ErrAuthTooOld)
	case w.login && authTime.Before(began.Add(-leeway)):
		return fmt.Errorf("%w: auth_time is before the login that was asked for", ErrAuthTooOld)
	}
	return nil
}
