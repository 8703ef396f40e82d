package gate

import "time"

// Reason says why no call may pass.
type Reason string

// The reasons.
const (
	Failing       Reason = "failing"       // it cannot be reached, or fails itself
	RateLimited   Reason = "rate_limited"  // it asked for a pause
	Unauthorized  Reason = "unauthorized"  // it refuses the token: an operator must act
	Misconfigured Reason = "misconfigured" // what answers is not its API: an operator must act
	OverBudget    Reason = "over_budget"   // our own limit; the gate is open
)

// needsOperator reports whether waiting alone will not mend it.
func (r Reason) needsOperator() bool { return r == Unauthorized || r == Misconfigured }

// State is what all replicas know of the provider. Times are UTC, in whole
// microseconds.
type State struct {
	EmptyAt      time.Time // when the budget's bucket will be empty
	Failures     int       // in a row, while open
	Closures     int       // in a row: the closure and each probe that failed
	Because      Reason    // "" while open
	Since        time.Time // zero while open
	Until        time.Time // when a probe may pass; zero while open
	RefusedToken string    // fingerprint of the latest token that was refused
}

// The times of closures.
const (
	failuresInARow = 5 // close the gate

	firstFailing = time.Second
	longFailing  = 30 * time.Second
	firstLimited = 10 * time.Second // where a 429 does not say for how long
	longLimited  = time.Minute
	operatorLook = time.Minute

	// probeLimit is how long a probe holds the gate. Whoever finds less than
	// this left cannot tell a probe's hold from the end of a closure.
	probeLimit = 15 * time.Second
	// longest is more than any closure: the provider can ask for an hour. A
	// closure that lasts longer was written by a clock that was ahead.
	longest = 2 * time.Hour
)

// Open reports whether calls may pass.
func (s State) Open() bool { return s.Because == "" }

// refuses reports whether the token was the latest to be refused.
func (s State) refuses(token string) bool { return token != "" && token == s.RefusedToken }

// probeDue reports whether a probe with the token may pass now. Fresh says
// that the token is not known to have been refused.
func (s State) probeDue(now time.Time, token string, fresh bool) bool {
	left := s.Until.Sub(now)
	if left <= 0 || left > longest {
		return true
	}
	return s.Because.needsOperator() && fresh && token != s.RefusedToken && left > probeLimit
}

// closure names a closure. One that was prolonged by a failed probe, or for
// another reason, is another: whoever probed the earlier one cannot open it.
type closure struct {
	because  Reason
	since    time.Time
	closures int
}

func (s State) closure() closure {
	return closure{because: s.Because, since: s.Since, closures: s.Closures}
}

func (s State) is(c closure) bool {
	return s.Because == c.because && s.Since.Equal(c.since) && s.Closures == c.closures
}

// outcome is how a call ended.
type outcome struct {
	at         time.Time
	reason     Reason        // "" for an answer
	retryAfter time.Duration // what the provider asks for; zero if it does not say
	token      string        // in use when the call was admitted
	probe      bool
	probed     closure // where it was a probe
}

// after is the state once the outcome is known. It is the same where the
// outcome is no news.
func (s State) after(o outcome) State {
	probe := o.probe && !s.Open() && s.is(o.probed)
	switch {
	case o.reason == "":
		if probe || s.Open() {
			return s.opened(o.token)
		}
		// It was begun before the closure: a 429 that came later than it
		// knows better.
		return s
	case s.Open() && o.reason == Failing:
		s.Failures++
		if s.Failures < failuresInARow {
			return s
		}
		return s.closed(o)
	case s.Open() && o.reason.needsOperator() && s.refuses(o.token):
		return s // another token has opened the gate since
	case s.Open():
		return s.closed(o)
	case probe:
		s.Until = o.at // its hold ends
		return s.closed(o)
	default:
		return s.joined(o)
	}
}

// opened is the state after an answer to a call with the token.
func (s State) opened(token string) State {
	s.Failures, s.Closures = 0, 0
	s.Because, s.Since, s.Until = "", time.Time{}, time.Time{}
	if s.refuses(token) {
		s.RefusedToken = ""
	}
	return s
}

// closed is the state after a failure that closes the gate, or keeps it
// closed. It never ends earlier for it.
func (s State) closed(o outcome) State {
	if s.Open() {
		s.Since = o.at
	}
	s.Because = o.reason
	s.Until = later(s.Until, o.at.Add(o.pause(s.Closures)))
	s.Closures++
	if o.reason.needsOperator() {
		s.RefusedToken = o.token
	}
	return s
}

// joined is the state after a call that was begun before the closure, or
// before its present turn, has failed too. Dozens of them may end together, so
// they do not count as closures, by which the pauses grow.
func (s State) joined(o outcome) State {
	switch {
	case s.Because.needsOperator():
		return s
	case o.reason.needsOperator():
		return s.closed(o)
	case o.reason == RateLimited:
		if until := o.at.Add(o.pause(max(s.Closures-1, 0))); until.After(s.Until) {
			s.Because, s.Until = RateLimited, until
		}
	}
	return s
}

// pause is how long the gate stays closed, after so many closures in a row.
func (o outcome) pause(closures int) time.Duration {
	switch {
	case o.reason.needsOperator():
		return operatorLook
	case o.reason == RateLimited && o.retryAfter > 0:
		return o.retryAfter.Truncate(time.Microsecond)
	case o.reason == RateLimited:
		return doubled(firstLimited, closures, longLimited)
	default:
		return doubled(firstFailing, closures, longFailing)
	}
}

// doubled is first, doubled so many times, and at most long.
func doubled(first time.Duration, times int, long time.Duration) time.Duration {
	for ; times > 0 && first < long; times-- {
		first *= 2
	}
	return min(first, long)
}
