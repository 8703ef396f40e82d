package simulator

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// dice decide what a hostile simulator does. They are no secret.
type dice struct{ *rand.Rand } //nolint:forbidigo // chance that can be replayed, not a secret

// throw takes dice of its own for each call, so that what one misfortune draws
// does not change the next.
func throw(seed, call uint64) dice {
	return dice{rand.New(rand.NewPCG(seed, call))} //nolint:gosec,forbidigo // chance that can be replayed, not a secret
}

// between is from low to high, both included.
func (d dice) between(low, high int) int { return low + d.IntN(high-low+1) }

// wait is from 1 ms to the longest, and more often short than long: a tenth of
// them exceed four fifths of it.
func (d dice) wait(longest time.Duration) int {
	part := d.Float64()
	return max(1, int(part*part*float64(longest.Milliseconds())))
}

func oneOf[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// misfortune is one of the things that a hostile simulator does to a call.
type misfortune struct {
	name   string
	weight int
	effect func(dice, Hostility) Effect
}

// misfortunes are weighed so that every fate of an effect is common, and what
// holds a client up is rarer.
func misfortunes() []misfortune {
	return []misfortune{
		{"error_before", 12, failing(CommitBefore)},
		{"error_never", 10, failing(CommitNever)},
		{"error_late", 10, failing(CommitLate)},
		{"drop_before", 10, dropping(CommitBefore)},
		{"drop_never", 6, dropping(CommitNever)},
		{"drop_late", 10, dropping(CommitLate)},
		{"cut", 10, cutting},
		{"drip", 4, dripping},
		{"body_before", 8, garbling(CommitBefore)},
		{"body_never", 3, garbling(CommitNever)},
		{"body_late", 3, garbling(CommitLate)},
		{"limit", 8, limiting},
		{"slow_before", 3, slowing(CommitBefore)},
		{"slow_after", 3, slowing(CommitAfter)},
	}
}

func pick(d dice, h Hostility) misfortune {
	all := misfortunes()
	if h.Unauthorized {
		all = append(all, misfortune{"unauthorized", 2, refusing})
	}
	sum := 0
	for _, m := range all {
		sum += m.weight
	}
	at := d.IntN(sum)
	i := slices.IndexFunc(all, func(m misfortune) bool {
		at -= m.weight
		return at < 0
	})
	return all[i]
}

func failing(c Commit) func(dice, Hostility) Effect {
	return func(d dice, h Hostility) Effect {
		e := Effect{Commit: c, Status: oneOf(d, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusRequestTimeout)}
		if c == CommitLate {
			e.DelayMS = d.wait(h.Lateness)
		}
		return e
	}
}

func dropping(c Commit) func(dice, Hostility) Effect {
	return func(d dice, h Hostility) Effect {
		e := Effect{Commit: c, Drop: true, Reset: d.IntN(2) == 0}
		if c == CommitLate {
			e.DelayMS = d.wait(h.Lateness)
		}
		return e
	}
}

// cutting breaks off at a byte of the status line, the headers or the body.
func cutting(d dice, _ Hostility) Effect {
	after := d.between(0, 600)
	return Effect{Commit: CommitBefore, DropAfter: &after, Reset: d.IntN(2) == 0}
}

// dripping needs about ten drops for an answer.
func dripping(d dice, h Hostility) Effect {
	return Effect{Commit: CommitBefore, DripMS: max(1, d.wait(h.Lateness)/10), DripBytes: dripBytes}
}

func garbling(c Commit) func(dice, Hostility) Effect {
	return func(d dice, h Hostility) Effect {
		e := Effect{Commit: c, Status: http.StatusOK, BodyKind: oneOf(d, BodyKinds()...)}
		if c == CommitLate {
			e.DelayMS = d.wait(h.Lateness)
		}
		return e
	}
}

// limiting leaves out the kind that stops a client for as long as it believes.
func limiting(d dice, _ Hostility) Effect {
	kinds := slices.DeleteFunc(LimitKinds(), func(k LimitKind) bool { return k == LimitHuge })
	return Effect{Commit: CommitNever, LimitKind: oneOf(d, kinds...), LimitSeconds: 1}
}

func slowing(c Commit) func(dice, Hostility) Effect {
	return func(d dice, h Hostility) Effect { return Effect{Commit: c, DelayMS: d.wait(h.Lateness)} }
}

func refusing(d dice, _ Hostility) Effect {
	return Effect{Commit: CommitNever, Status: oneOf(d, http.StatusUnauthorized, http.StatusForbidden)}
}
