package webhook

import "time"

// Schedule is when a delivery is attempted: each duration is the wait before
// an attempt, counted from the one before. There are as many attempts as there
// are durations.
type Schedule []time.Duration

// Published returns the schedule that the specification gives as its example:
// ten attempts within 75 hours, 35 minutes and 5 seconds.
func Published() Schedule {
	return Schedule{
		0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// jitter is how much longer a wait may be, as a part of it: what failed at one
// time is not tried again at one time.
const jitter = 0.1

// longestAsked bounds a wait that an answer asks for.
const longestAsked = 24 * time.Hour

// After returns how long to wait after so many attempts have failed, and
// whether there is another one. asked is what the receiver asks for, or zero;
// random is in [0, 1).
func (s Schedule) After(attempts int, asked time.Duration, random float64) (time.Duration, bool) {
	if attempts < 0 || attempts >= len(s) {
		return 0, false
	}
	wait := s[attempts]
	wait += time.Duration(float64(wait) * jitter * random)
	return max(wait, min(asked, longestAsked)), true
}
