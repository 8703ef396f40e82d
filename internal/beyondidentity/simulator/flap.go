package simulator

import "time"

// Flap is a fault that comes and goes: up while calls fare well, down while
// they meet it, beginning with up. It is counted in time since the fault was
// armed, or in the calls that match.
type Flap struct {
	UpMS   int `json:"up_ms,omitempty"`
	DownMS int `json:"down_ms,omitempty"`
	// Up and Down are numbers of calls.
	Up   int `json:"up,omitempty"`
	Down int `json:"down,omitempty"`
}

// check returns a *FaultError for a flap that would never be down or that
// counts in both ways. A nil one is fine.
func (f *Flap) check() error {
	switch {
	case f == nil:
		return nil
	case f.UpMS < 0 || f.DownMS < 0 || f.Up < 0 || f.Down < 0:
		return wrong("flap", "cannot be negative")
	case (f.UpMS > 0 || f.DownMS > 0) && (f.Up > 0 || f.Down > 0):
		return wrong("flap", "counts in milliseconds or in calls, not in both")
	case f.DownMS == 0 && f.Down == 0:
		return wrong("flap", "is never down: give it down_ms or down")
	case f.UpMS > maxDelay || f.DownMS > maxDelay:
		return wrong("flap", "no period may exceed %d ms", maxDelay)
	}
	return nil
}

// isDown says how the n-th matching call fares, which comes so long after the
// fault was armed. A nil flap is always down.
func (f *Flap) isDown(n int, since time.Duration) bool {
	switch {
	case f == nil:
		return true
	case f.Down > 0:
		return (n-1)%(f.Up+f.Down) >= f.Up
	default:
		up := time.Duration(f.UpMS) * time.Millisecond
		period := up + time.Duration(f.DownMS)*time.Millisecond
		return since%period >= up
	}
}
