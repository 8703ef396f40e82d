package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// cell is one contestant at one number of connections.
type cell struct {
	contestant  string
	connections int
}

// measure runs every contest. It returns errTooSlow if that was to be checked.
func measure(ctx context.Context, o options, out io.Writer) (err error) {
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o750); err != nil {
			return err
		}
	}
	db, err := newDatabase(ctx, o.sessions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	fmt.Fprintf(out, "%d cores, %d sessions, medians of %d rounds of %g s; Portico formats its access log and throws it away\n",
		runtime.NumCPU(), o.sessions, o.rounds, o.seconds)
	slow := false
	var all summary
	for _, c := range contests() {
		if len(o.connections) > 0 {
			c.connections = o.connections
		}
		tooSlow, err := c.print(ctx, o, db.url, &all, out)
		if err != nil {
			return err
		}
		slow = slow || tooSlow
	}
	if o.measures("provisioning") {
		tooSlow, err := o.insist(out, func() (bool, error) { return printProvisioning(ctx, o, db.url, &all, out) })
		if err != nil {
			return err
		}
		slow = slow || tooSlow
	}
	if o.measures("sizes") {
		if err := printSizes(ctx, o, &all, out); err != nil {
			return err
		}
	}
	all.print(out)
	if o.check && slow {
		return errTooSlow
	}
	return nil
}

// measures reports whether what is called so is to be measured.
func (o options) measures(name string) bool { return strings.Contains(name, o.only) }

// print measures the contest and writes its table, if it is wanted. It reports
// whether a ratio is below half its target.
func (c contest) print(ctx context.Context, o options, databaseURL string, all *summary, out io.Writer) (slow bool, err error) {
	if !o.measures(c.name) {
		return false, nil
	}
	return o.insist(out, func() (bool, error) {
		t, err := c.run(ctx, o, databaseURL)
		if err != nil {
			return false, err
		}
		t.print(out)
		all.add(t)
		return t.tooSlow(), nil
	})
}

// insist measures again, where that is to be checked, what was too slow: a
// machine that others use can be busy for a while, and a program that has become
// slow is slow every time.
func (o options) insist(out io.Writer, measure func() (slow bool, err error)) (slow bool, err error) {
	for range 3 {
		if slow, err = measure(); err != nil || !slow || !o.check {
			return slow, err
		}
		fmt.Fprintln(out, "\n  a ratio is below half its target")
	}
	return true, nil
}

// run starts all contestants and measures them in turns.
func (c contest) run(ctx context.Context, o options, databaseURL string) (t table, err error) {
	t = table{contest: c, results: make(map[cell][]result), spent: make(map[string]spent)}
	var running []*process
	defer func() {
		for _, p := range running {
			err = errors.Join(err, p.stop())
			t.spent[p.id] = p.spent()
		}
	}()
	s := setting{DatabaseURL: databaseURL}
	if c.provider != nil {
		p, err := start(ctx, *c.provider, s, "")
		if err != nil {
			return t, err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		s.ProviderURL = "http://" + p.address
	}
	for _, contestant := range c.contestants {
		p, err := start(ctx, contestant, s, o.profile)
		if err != nil {
			return t, err
		}
		running = append(running, p)
	}
	requests := c.requests(o.sessions)
	for range o.rounds {
		for _, connections := range c.connections {
			for _, p := range running {
				r, err := load(ctx, order{
					Address: p.address, Connections: connections, Requests: p.asked(requests),
					Duration: time.Duration(o.seconds * float64(time.Second)),
				})
				if err != nil {
					return t, fmt.Errorf("%s at %d connections: %w", p.title, connections, err)
				}
				at := cell{p.id, connections}
				t.results[at] = append(t.results[at], r)
			}
		}
	}
	return t, nil
}

// asked are the requests as the contestant can answer them: one that looks at
// nothing gives everybody the same answer.
func (c contestant) asked(requests []request) []request {
	if c.role != bystander {
		return requests
	}
	same := make([]request, len(requests))
	for i, r := range requests {
		same[i] = request{Raw: r.Raw, Status: r.Status, Fresh: r.Fresh}
	}
	return same
}
