package provision_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
)

var onCreate = simulator.Match{Method: "POST", Path: "/v1/manage/users"}

// once is a fault of the next create.
func once(e simulator.Effect) simulator.Fault {
	return simulator.Fault{Match: onCreate, Effect: e, Times: 1}
}

// story is one create and what follows from how it fails.
type story struct {
	fault   simulator.Effect
	timeout time.Duration // of the first call, if not a generous one
	// What arrives at the provider, with and without a look-up.
	found, unseen string
	want          state
	creates       int
	waits         time.Duration // at least this long passes between two creates
}

// The create that failed happened anyway: the user is there, and is adopted.
var happened = story{
	found: "create find", unseen: "create recover", want: state{status: directory.Invited, attempt: 1, settled: true}, creates: 1, waits: quarantine,
}

// It did nothing: after the quarantine the user is created.
var didNothing = story{
	found: "create find create", unseen: "create recover create", want: state{status: directory.Invited, attempt: 2, settled: true}, creates: 1, waits: quarantine,
}

// It surely did nothing, and does not count.
var notDone = story{
	found: "create create", unseen: "create create", want: state{status: directory.Invited, attempt: 1, settled: true}, creates: 1,
}

func (s story) on(e simulator.Effect) story { s.fault = e; return s }

func (s story) within(timeout time.Duration) story { s.timeout = timeout; return s }

func refused(as directory.Status, class string, e simulator.Effect) story {
	return story{fault: e, found: "create", unseen: "create", want: state{status: as, attempt: 1, class: class, settled: true}}
}

func TestACreateEndsInOneUserHoweverItFails(t *testing.T) {
	t.Parallel()
	text := func(s string) jsontext.Value { return jsontext.Value(`"` + s + `"`) }
	const (
		soon      = 400 * time.Millisecond
		elsewhere = `{"internal_id":"x","external_id":"not ours"}`
	)
	const never, before = simulator.CommitNever, simulator.CommitBefore
	stories := map[string]story{
		"an error after it happened":                      happened.on(simulator.Effect{Status: 500, Commit: before}),
		"an error before it happened":                     didNothing.on(simulator.Effect{Status: 500, Commit: never}),
		"a gateway that gave up after it happened":        happened.on(simulator.Effect{Status: 504, Commit: before}),
		"a gateway that gave up before it happened":       didNothing.on(simulator.Effect{Status: 504, Commit: never}),
		"a proxy's own timeout after it happened":         happened.on(simulator.Effect{Status: 408, Commit: before}),
		"an error in HTML":                                didNothing.on(simulator.Effect{Status: 502, Body: text("<html>Bad Gateway</html>"), Commit: never}),
		"a lost answer after it happened":                 happened.on(simulator.Effect{Drop: true, Commit: before}),
		"a lost connection before it happened":            didNothing.on(simulator.Effect{Drop: true, Commit: never}),
		"no answer in time after it happened":             happened.on(simulator.Effect{DelayMS: 60_000, Commit: before}).within(soon),
		"no answer in time before it happened":            didNothing.on(simulator.Effect{DelayMS: 60_000, Status: 500, Commit: never}).within(soon),
		"a success that is no JSON, after it happened":    happened.on(simulator.Effect{Status: 200, Body: text("ok"), Commit: before}),
		"a success that is no JSON, before it happened":   didNothing.on(simulator.Effect{Status: 200, Body: text("ok"), Commit: never}),
		"a success without a body":                        happened.on(simulator.Effect{Status: 204, Commit: before}),
		"a success that names nobody, after it happened":  happened.on(simulator.Effect{Status: 200, Body: jsontext.Value(`{}`), Commit: before}),
		"a success that names nobody, before it happened": didNothing.on(simulator.Effect{Status: 200, Body: jsontext.Value(`{}`), Commit: never}),
		"a success that names somebody else":              happened.on(simulator.Effect{Status: 200, Body: jsontext.Value(elsewhere), Commit: before}),
		"a success that is cut off":                       happened.on(simulator.Effect{Status: 200, Body: text(`{\"internal_id\":`), Commit: before}),
		"a refusal of the data":                           refused(directory.Failed, "rejected", simulator.Effect{Status: 422}),
		"another refusal of the data":                     refused(directory.Failed, "rejected", simulator.Effect{Status: 400}),
		"a token that is refused":                         notDone.on(simulator.Effect{Status: 401}),
		"a token that may not":                            notDone.on(simulator.Effect{Status: 403}),
		"a limit on calls":                                notDone.on(simulator.Effect{Status: 429}),
		"an address that is not the API's":                notDone.on(simulator.Effect{Status: 404}),
		"a redirect, which would take the token elsewhere": notDone.on(simulator.Effect{
			Status: 302, Headers: map[string]string{"Location": "https://elsewhere.example"}, Commit: never,
		}),
	}
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for name, s := range stories {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				w.fault(t, once(s.fault))
				a := w.accept(t)
				if s.timeout > 0 {
					patient := w.service.Provider
					w.service.Provider = client(t, w.tenant.url, s.timeout)
					w.clock.advance(w.carry(t, a))
					w.service.Provider = patient
				}
				w.carryOut(t, a)
				trace := map[bool]string{true: s.found, false: s.unseen}[lookup]
				if got := w.tenant.trace(); got != trace {
					t.Errorf("the provider saw %q, not %q", got, trace)
				}
				w.check(t, a, s.want, s.creates)
				checkWaits(t, w.tenant.all(), s.waits)
			})
		}
	})
}

// checkWaits fails the test when two creates are closer together.
func checkWaits(t *testing.T, calls []call, atLeast time.Duration) {
	t.Helper()
	var last time.Time
	for _, c := range calls {
		if c.op != "create" {
			continue
		}
		if gap := c.at.Sub(last); gap < atLeast {
			t.Errorf("created again after %s, not %s", gap, atLeast)
		}
		last = c.at
	}
}

func TestACreateThatWorksIsTheOnlyCall(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for name, wrap := range map[string]bool{"flat": false, "wrapped": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				w.modes(t, func(m *simulator.Modes) { m.Wrap = wrap })
				a := w.accept(t)
				if again := w.carry(t, a); again != 0 {
					t.Errorf("again in %s", again)
				}
				w.check(t, a, state{directory.Invited, 1, "", true}, 1)
				if again := w.carry(t, a); again != 0 {
					t.Errorf("carried out, again in %s", again)
				}
				if got := w.tenant.trace(); got != "create" {
					t.Errorf("the provider saw %q", got)
				}
				user := w.tenant.Users()[0]
				if user.Email != a.email.String() || user.UserName != string(a.externalID()) || user.DisplayName != "Anna" || user.Mails != 1 {
					t.Errorf("the provider has %+v", user)
				}
			})
		}
	})
}

func TestSeveralFailuresInARowEndInOneUser(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		for _, e := range []simulator.Effect{
			{Status: 503},
			{Status: 429, Headers: map[string]string{"Retry-After": "90"}},
			{Drop: true},
			{Status: 401},
			{Status: 500, Commit: simulator.CommitBefore},
		} {
			w.fault(t, once(e))
		}
		a := w.accept(t)
		w.carryOut(t, a)
		w.check(t, a, state{directory.Invited, 3, "", true}, 1) // two were sent back unread
	})
}

// crowded is a provider that answers no create before so many are under way.
type crowded struct {
	*beyondidentity.Client

	enough int
	full   chan struct{} // closed when they are

	mu        sync.Mutex
	now, most int
}

func (p *crowded) CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error) {
	p.mu.Lock()
	p.now++
	if p.most = max(p.most, p.now); p.now == p.enough && p.most == p.enough {
		select {
		case <-p.full:
		default:
			close(p.full)
		}
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.now--
	}()
	select {
	case <-p.full:
	case <-ctx.Done():
	}
	return p.Client.CreateUser(ctx, user)
}

func TestNoMoreCreatesAreUnderWayThanThereArePlaces(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		const places = 3
		w := newWorld(t, db, lookup)
		provider := &crowded{Client: client(t, w.tenant.url, generous), enough: places, full: make(chan struct{})}
		w.service.Provider, w.service.Creates = provider, make(chan struct{}, places)
		all := make([]accepted, 4*places)
		var carried sync.WaitGroup
		for i := range all {
			all[i] = w.accept(t)
			carried.Go(func() {
				if again, err := w.service.Carry(t.Context(), all[i].id); again != 0 || err != nil {
					t.Errorf("again in %s, %v", again, err)
				}
			})
		}
		carried.Wait()
		for _, a := range all {
			if got := w.state(t, a); got != (state{directory.Invited, 1, "", true}) || w.tenant.user(t, a.externalID()).Creates != 1 {
				t.Errorf("one stands at %+v", got)
			}
		}
		if provider.most != places || len(w.service.Creates) != 0 {
			t.Errorf("%d creates were under way at once, and %d places are taken", provider.most, len(w.service.Creates))
		}
	})
}

func TestASignupThatWaitsForAPlaceWhenTheProgramStopsIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.service.Creates = make(chan struct{}, 1)
		w.service.Creates <- struct{}{}
		a := w.accept(t)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := w.service.Carry(ctx, a.id); !errors.Is(err, context.Canceled) {
			t.Errorf("it is stopped with %v", err)
		}
		if n := w.count(t, `SELECT count(*) FROM users WHERE id = $1`, string(a.userID)); n != 0 || w.tenant.trace() != "" {
			t.Errorf("%d users, and the provider saw %q", n, w.tenant.trace())
		}
		<-w.service.Creates
		w.carryOut(t, a)
		w.check(t, a, state{directory.Invited, 1, "", true}, 1)
	})
}
