package provision_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

var (
	onFind    = simulator.Match{Method: "GET", Path: "/v2/users"}
	onRecover = simulator.Match{Method: "POST", Path: "/v1/manage/recover-user"}
)

// put makes a user at the provider behind Portico's back, without a trace.
func (w *world) put(t *testing.T, externalID directory.ExternalID, email string) {
	t.Helper()
	_, err := w.service.Provider.CreateUser(t.Context(), beyondidentity.NewUser{ExternalID: externalID, Email: email, DisplayName: "Put"})
	if err != nil {
		t.Fatal(err)
	}
	w.tenant.forget()
}

func TestAUserInTheWayIsAdoptedIfItIsOurs(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		a := w.accept(t)
		w.put(t, a.externalID(), "another@example.com") // the address plays no part
		if took := w.carryOut(t, a); took != 0 {
			t.Errorf("took %s", took)
		}
		w.check(t, a, state{directory.Invited, 1, "", true}, 1)
		if got, want := w.tenant.trace(), map[bool]string{true: "create find", false: "create recover"}[lookup]; got != want {
			t.Errorf("the provider saw %q, not %q", got, want)
		}
	})
}

func TestAUserInTheWayIsAConflictIfItIsNotOurs(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueBoth })
		a := w.accept(t)
		w.put(t, "somebody-else", a.email.String())
		if took := w.carryOut(t, a); took != 0 {
			t.Errorf("took %s", took)
		}
		w.check(t, a, state{directory.Conflict, 1, "conflict", true}, 0)
		if n := len(w.tenant.Users()); n != 1 {
			t.Errorf("the provider has %d users", n)
		}
	})
}

func TestAConflictIsResolvedHoweverAskingFails(t *testing.T) {
	t.Parallel()
	stories := map[string]simulator.Effect{
		"an error, after the mail was sent":    {Status: 500, Commit: simulator.CommitBefore},
		"an error, before the mail was sent":   {Status: 500, Commit: simulator.CommitNever},
		"a lost answer, after the mail":        {Drop: true, Commit: simulator.CommitBefore},
		"a lost connection, before the mail":   {Drop: true, Commit: simulator.CommitNever},
		"an answer that is no JSON":            {Status: 200, Body: jsontext.Value(`"ok"`), Commit: simulator.CommitBefore},
		"an answer that names somebody else":   {Status: 200, Body: jsontext.Value(`{"internal_id":"x","external_id":"y","users":[]}`)},
		"a token that is refused":              {Status: 401},
		"a limit on calls":                     {Status: 429, Headers: map[string]string{"Retry-After": "3"}},
		"a gateway that knows no such address": {Status: 405},
	}
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for name, effect := range stories {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				a := w.accept(t)
				w.put(t, a.externalID(), a.email.String())
				fault := simulator.Fault{Match: onRecover, Effect: effect, Times: 1}
				if lookup {
					fault.Match = onFind
					if effect.Drop {
						fault.Times = 2 // net/http itself repeats a GET whose kept connection was closed
					}
				}
				w.fault(t, fault)
				again := w.carry(t, a)
				if again <= 0 {
					t.Errorf("nothing left to do after %q", w.tenant.trace())
				}
				if got := w.state(t, a); got.status != directory.Provisioning || got.class == "" || got.settled {
					t.Errorf("stands at %+v", got)
				}
				if wait := w.ambiguousFor(t, a); wait != 0 {
					t.Errorf("a create that was refused is in quarantine for %s", wait)
				}
				w.clock.advance(again)
				w.carryOut(t, a)
				w.check(t, a, state{directory.Invited, 1, "", true}, 1) // what is found needs no second create
			})
		}
	})
}

func TestAProviderThatKeepsOurUserTwiceIsAConflict(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueNone })
		a := w.accept(t)
		w.put(t, a.externalID(), a.email.String())
		w.put(t, a.externalID(), a.email.String())
		w.fault(t, once(simulator.Effect{Status: 500}))
		w.carryOut(t, a)
		w.check(t, a, state{directory.Conflict, 1, "duplicate", true}, 2)
	})
}

func TestAnInternalIDThatAnotherUserHasIsAConflict(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		first, second := w.accept(t), w.accept(t)
		w.carryOut(t, first)
		taken := w.tenant.Users()[0].InternalID
		w.fault(t, once(simulator.Effect{
			Status: 200, Body: jsontext.Value(`{"internal_id":"` + taken + `","external_id":"` + string(second.externalID()) + `"}`),
		}))
		w.carryOut(t, second)
		if got, want := w.state(t, second), (state{directory.Conflict, 1, "internal_id_taken", true}); got != want {
			t.Errorf("stands at %+v, not %+v", got, want)
		}
		if got := w.state(t, first); got.status != directory.Invited {
			t.Errorf("the first stands at %+v", got)
		}
	})
}
