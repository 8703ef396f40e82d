package gate

import "time"

// Lane says what a call is for. A lower value goes first.
type Lane int

// The lanes.
const (
	Signup    Lane = iota // somebody waits for the first mail
	Resend                // somebody waits for another
	Change                // somebody changed or closed an account
	Import                // many users at once
	Reconcile             // nobody waits
)

const lanes = int(Reconcile) + 1

// window is what the budget counts calls in.
const window = time.Minute

// The bucket holds one call in burstShare of the budget: what may be sent at
// once is taken off what may be sent steadily, and lanes are told apart by the
// bucket's level, for which a few seconds' worth of calls is enough.
const (
	burstShare = 10
	leastBurst = 2 // so that there is a level for lower lanes to leave
)

// budget is a bucket that takes step to win back one call.
type budget struct {
	step  time.Duration // zero where there is no budget
	depth time.Duration // by how much a first lane's call may find it in debt
}

// budgetOf returns the bucket that allows at most perMinute calls in any
// minute: a burst, and one more every step for the rest of it.
func budgetOf(perMinute int) budget {
	if perMinute <= 0 {
		return budget{}
	}
	burst := min(perMinute, max(leastBurst, perMinute/burstShare))
	steady := perMinute - burst + 1
	// Rounded up to whole microseconds, which is what the store keeps.
	micros := (int(window.Microseconds()) + steady - 1) / steady
	step := time.Duration(micros) * time.Microsecond
	return budget{step: step, depth: time.Duration(burst-1) * step}
}

func (b budget) limited() bool { return b.step > 0 }

// slack is the debt at which the lane still passes.
func (b budget) slack(lane Lane) time.Duration {
	return (b.depth * time.Duration(lanes-1-int(lane)) / time.Duration(lanes-1)).Truncate(time.Microsecond)
}

// draw is a call of the lane's, made now. A gate that was opened in spite of
// the token is closed to it.
func (b budget) draw(lane Lane, now time.Time, token string) Draw {
	return Draw{Now: now, Step: b.step, Latest: now.Add(b.slack(lane)), Token: token}
}

// broken reports whether the bucket's debt is more than it can be in: a clock
// was ahead when it was written. Waiting for that moment could take for ever.
func (b budget) broken(emptyAt, now time.Time) bool {
	return emptyAt.Sub(now) > b.depth+b.step+2*window
}

// Draw is one call's share of the budget.
type Draw struct {
	Now    time.Time
	Step   time.Duration // what the call costs, whole microseconds
	Latest time.Time     // the bucket must be empty by then
	Token  string        // must not be the refused one; "" for any
}

// From takes the call out of the bucket and reports whether there was room in
// it, and the gate open.
func (d Draw) From(s State) (State, bool) {
	if !s.Open() || s.EmptyAt.After(d.Latest) || s.refuses(d.Token) {
		return s, false
	}
	s.EmptyAt = d.after(s)
	return s, true
}

// after is when the bucket is empty again after the call.
func (d Draw) after(s State) time.Time {
	if d.Step == 0 {
		return s.EmptyAt
	}
	return later(s.EmptyAt, d.Now).Add(d.Step)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
