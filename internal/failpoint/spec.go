package failpoint

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrSpec says that a text is no plan for failpoints.
var ErrSpec = errors.New("not a plan for failpoints")

// Action is what a point does to its process.
type Action string

// The actions.
const (
	Kill  Action = "kill"  // SIGKILL to the process itself
	Panic Action = "panic" // a panic of the goroutine that passes
	Delay Action = "delay" // holds the goroutine up
)

// Rule is what happens at one point.
type Rule struct {
	Point  string
	Action Action
	Delay  time.Duration // of a Delay
	// Nth is the one passing that the rule acts at, counted from one. With
	// zero, Probability decides each time.
	Nth         int
	Probability float64 // above 0, at most 1
}

// Spec is a plan for one process.
type Spec struct {
	Seed  uint64 // of the probabilities
	Rules []Rule // at most one a point
}

// String is the plan as Parse reads it.
func (s Spec) String() string {
	parts := []string{"seed=" + strconv.FormatUint(s.Seed, 10)}
	for _, r := range s.Rules {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, ";")
}

// String is the rule as Parse reads it.
func (r Rule) String() string {
	text := r.Point + "=" + string(r.Action)
	if r.Action == Delay {
		text += ":" + r.Delay.String()
	}
	switch {
	case r.Nth > 0:
		return text + "@#" + strconv.Itoa(r.Nth)
	case r.Probability < 1:
		return text + "@" + strconv.FormatFloat(r.Probability, 'g', -1, 64)
	default:
		return text
	}
}

// Parse reads a plan. It returns ErrSpec for anything that is not one, names
// that nobody has included.
func Parse(text string) (Spec, error) {
	var s Spec
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		if name == "seed" {
			seed, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return Spec{}, wrong(part, "seed is not a number")
			}
			s.Seed = seed
			continue
		}
		rule, err := parseRule(name, value)
		if err != nil {
			return Spec{}, wrong(part, err.Error())
		}
		if slices.ContainsFunc(s.Rules, func(r Rule) bool { return r.Point == name }) {
			return Spec{}, wrong(part, "the point has two rules")
		}
		s.Rules = append(s.Rules, rule)
	}
	return s, nil
}

func wrong(part, reason string) error { return fmt.Errorf("%w: %q: %s", ErrSpec, part, reason) }

func parseRule(name, value string) (Rule, error) {
	if !slices.Contains(Points, name) {
		return Rule{}, errors.New("there is no such point")
	}
	action, when, hasWhen := strings.Cut(value, "@")
	action, delay, hasDelay := strings.Cut(action, ":")
	r := Rule{Point: name, Action: Action(action), Probability: 1}
	switch r.Action {
	case Kill, Panic:
		if hasDelay {
			return Rule{}, errors.New("only a delay takes a duration")
		}
	case Delay:
		var err error
		if r.Delay, err = time.ParseDuration(delay); err != nil || r.Delay <= 0 {
			return Rule{}, errors.New("a delay needs a duration, as in delay:50ms")
		}
	default:
		return Rule{}, errors.New("the action is none of kill, panic, delay")
	}
	if !hasWhen {
		return r, nil
	}
	return r.at(when)
}

// at is the rule with its condition: a probability, or # and a count.
func (r Rule) at(when string) (Rule, error) {
	var err error
	if nth, counts := strings.CutPrefix(when, "#"); counts {
		if r.Nth, err = strconv.Atoi(nth); err != nil || r.Nth < 1 {
			return Rule{}, errors.New("the passing is not a number from 1 on")
		}
		return r, nil
	}
	if r.Probability, err = strconv.ParseFloat(when, 64); err != nil || !(r.Probability > 0 && r.Probability <= 1) {
		return Rule{}, errors.New("the probability is not above 0 and at most 1")
	}
	return r, nil
}
