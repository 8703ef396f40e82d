package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// What the clients do, as the table calls it.
const (
	asking    = "GET /me"
	signingUp = "POST /signup"
	polling   = "GET /signup/{id}?wait=3"
	loggingIn = "GET /login, /callback"
)

// jobs are what a client may do for the whole run; the clients take turns in
// choosing one.
//
//nolint:gochecknoglobals // a table
var jobs = []struct {
	name  string
	known bool // needs somebody with a passkey
	step  func(ctx context.Context, p *person) error
}{
	{asking, true, func(ctx context.Context, p *person) error {
		_, err := p.send(ctx, asking, http.MethodGet, p.w.public+"/me", "", http.StatusOK)
		return err
	}},
	{signingUp, false, func(ctx context.Context, p *person) error {
		id, err := p.signUp(ctx, signingUp, p.w.nextAddress())
		if err == nil {
			p.w.newest.Store(&id)
		}
		return err
	}},
	{polling, false, func(ctx context.Context, p *person) error {
		_, err := p.send(ctx, polling, http.MethodGet, p.w.public+"/signup/"+*p.w.newest.Load()+"?wait=3", "", http.StatusOK)
		return err
	}},
	{loggingIn, true, func(ctx context.Context, p *person) error {
		if err := p.logIn(ctx); err != nil {
			return err
		}
		_, err := p.send(ctx, asking, http.MethodGet, p.w.public+"/me", "", http.StatusOK)
		return err
	}},
}

// gather makes the clients: those who need it have a passkey, and are signed in.
func (w *world) gather(ctx context.Context) ([]*person, error) {
	first := w.newPerson()
	id, err := first.signUp(ctx, signingUp, w.nextAddress())
	if err != nil {
		return nil, err
	}
	w.newest.Store(&id)
	people := make([]*person, w.options.clients)
	errs := make(chan error, len(people))
	var all sync.WaitGroup
	for i := range people {
		people[i] = w.newPerson()
		if !jobs[i%len(jobs)].known {
			continue
		}
		all.Go(func() {
			if err := people[i].enrol(ctx, w.nextAddress()); err != nil {
				errs <- err
				return
			}
			errs <- people[i].logIn(ctx)
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return people, nil
}

// load lets everybody do their job until ctx ends. A failure that is no answer
// of the proxy's, such as a login that ends elsewhere, counts as well.
func (w *world) load(ctx context.Context, people []*person) {
	var all sync.WaitGroup
	for i, p := range people {
		job := jobs[i%len(jobs)]
		all.Go(func() {
			held := job.name == polling // which paces itself, while it is answered
			for ctx.Err() == nil {
				if !held && w.pace.Wait(ctx) != nil {
					return
				}
				before := w.tally.failures()
				err := job.step(ctx, p)
				held = job.name == polling && err == nil
				if err != nil && ctx.Err() == nil && w.tally.failures() == before {
					w.tally.note(job.name, 0, err)
				}
			}
		})
	}
	all.Wait()
}

// nextAddress is one that nobody has.
func (w *world) nextAddress() string { return fmt.Sprintf("person-%d@example.com", w.people.Add(1)) }
