package provision

import (
	"slices"
	"sync"
	"time"
)

// pace remembers how long creates have taken lately, so that a sign-up for
// which none is needed is done no sooner.
type pace struct {
	mu     sync.Mutex
	recent []time.Duration
	next   int
}

// paceKept is how many creates are remembered.
const paceKept = 32

func (p *pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.recent) < paceKept {
		p.recent = append(p.recent, d)
		return
	}
	p.recent[p.next] = d
	p.next = (p.next + 1) % paceKept
}

// since returns when a create that began at begun would have ended, or now if
// that is later.
func (p *pace) since(begun, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.recent) == 0 {
		return now
	}
	sorted := slices.Sorted(slices.Values(p.recent))
	if done := begun.Add(sorted[len(sorted)/2]); done.After(now) {
		return done
	}
	return now
}
