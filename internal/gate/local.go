package gate

import (
	"sync"
	"time"
)

// local is what one replica knows by itself: which of its tokens was refused,
// and who waits.
type local struct {
	mu      sync.Mutex
	refused string    // the token with which it was refused last
	tried   time.Time // when it last called with a token that is refused
	next    [lanes]time.Time
}

// noteRefused remembers that the token was refused. Without it, two replicas
// with different tokens that are both refused would each take the other's for
// a reason to try its own again, with no pause.
func (l *local) noteRefused(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = token
}

// noteAccepted forgets that the token was refused.
func (l *local) noteAccepted(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == token {
		l.refused = ""
	}
}

// fresh reports whether the token is not known to have been refused.
func (l *local) fresh(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return token != l.refused
}

// mayTry reports whether a refused token may be tried once more, while another
// replica's has opened the gate. It may be accepted again by now: nobody else
// would find out.
func (l *local) mayTry(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := now.Sub(l.tried); since >= 0 && since < operatorLook {
		return false
	}
	l.tried = now
	return true
}

// The waits.
const (
	// While only an operator can mend it, look this often whether one has.
	operatorWait = 5 * time.Second
	// A probe may be under way: most are answered within this.
	probeWait = time.Second
	// Where no budget says how fast waiting calls can be let through.
	leastStep = 10 * time.Millisecond
	// The longest that a call is told to wait beyond the first that waits. A
	// thousand imports may come back less often than people who wait.
	longWait   = time.Minute
	longerWait = 10 * time.Minute
)

// wait returns how long a call of the lane should wait that cannot pass before
// earliest is over. Each that asks is given a turn one step after the last, so
// that a thousand jobs do not come back at once. When the turns reach too far
// ahead, they are given out from the beginning again.
func (l *local) wait(lane Lane, now time.Time, earliest, step time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	step, span := max(step, leastStep), longWait
	if lane >= Import {
		span = longerWait
	}
	first := now.Add(max(earliest, leastStep))
	turn := l.next[lane]
	if turn.Before(first) || turn.After(first.Add(span)) {
		turn = first
	}
	l.next[lane] = turn.Add(step)
	return turn.Sub(now)
}

// waitClosed is how long the first that waits should.
func waitClosed(s State, now time.Time) time.Duration {
	left := s.Until.Sub(now)
	switch {
	case left <= probeLimit:
		return min(left, probeWait)
	case s.Because.needsOperator():
		return operatorWait
	default:
		return left
	}
}
