package main

import (
	"context"
	"fmt"
)

// contest is one thing that is measured: programs that do the same work, and
// how much more of it in the same time ours must do.
type contest struct {
	name        string
	contestants []contestant
	provider    *contestant // that all of them need; nil for none
	// connections are how many keep-alive connections ask at once, one column
	// of the table each.
	connections []int
	// targets are the least ratios of ours to the best baseline, by
	// connections.
	targets map[int]float64
	// requests are what is asked, in turns, where there are so many sessions.
	requests func(sessions int) []request
}

// role is what a contestant is there for.
type role int

const (
	bystander role = iota // tells what there is to reach
	baseline              // ours is compared with the best of these
	ours
	beside // does the same work as ours, and more
)

// contestant is one program.
type contestant struct {
	id    string // for the command line and file names
	title string
	role  role
	// serve serves until ctx ends, and says where as soon as it does.
	serve func(ctx context.Context, s setting, ready func(address string)) error
}

// setting is what contestants are told.
type setting struct {
	DatabaseURL string
	// ProviderURL is where Beyond Identity is taken to be; empty for nowhere.
	ProviderURL string
	Profile     string // how its files are called but for their ends, or empty
}

// request is one request and what its answer must be, which shows that it is
// the answer to this one and no other.
type request struct {
	Raw    []byte
	Status int    // 0 for 200
	Want   []byte // that the body contains
	// Fresh is where in Raw a number of freshDigits digits stands that no other
	// request has; 0 for nowhere.
	Fresh int
	// Login is the number of the user who logs in, by this request and by the
	// one that its answer leads to; 0 for a request that is all there is.
	Login int
}

// freshDigits is how long the number is that makes a request unlike any other.
const freshDigits = 20

// contests are all that is measured by requests.
func contests() []contest {
	return []contest{meContest(), signupContest(), loginContest(), refusedContest()}
}

// contestantWith returns the contestant with this id.
func contestantWith(id string) (contestant, error) {
	all := []contestant{carrier()}
	for latency := range latencies() {
		all = append(all, provider(latency))
	}
	for _, c := range contests() {
		all = append(all, c.contestants...)
		if c.provider != nil {
			all = append(all, *c.provider)
		}
	}
	for _, candidate := range all {
		if candidate.id == id {
			return candidate, nil
		}
	}
	return contestant{}, fmt.Errorf("there is no contestant %q", id)
}
