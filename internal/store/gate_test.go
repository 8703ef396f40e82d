package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// draw is a call at the moment, where the bucket may have that debt.
func draw(slack time.Duration) gate.Draw {
	return gate.Draw{Now: moment, Step: time.Second, Latest: moment.Add(slack), Token: "token"}
}

func drawn(t *testing.T, s *store.Store, d gate.Draw) bool {
	t.Helper()
	ok, err := s.DrawCall(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func swapped(t *testing.T, s *store.Store, from, to gate.State) bool {
	t.Helper()
	ok, err := s.SwapGate(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func loadGate(t *testing.T, s *store.Store) gate.State {
	t.Helper()
	state, err := s.LoadGate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestTheGateIsStoredAsItIs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		before := loadGate(t, s)
		if !before.Open() || before.Failures != 0 || before.RefusedToken != "" || before.EmptyAt.After(moment) {
			t.Errorf("at first %+v", before)
		}
		for _, after := range []gate.State{
			{EmptyAt: moment, Failures: 3},
			{
				EmptyAt: moment.Add(time.Microsecond), Failures: 5, Closures: 2, Because: gate.Unauthorized,
				Since: moment.Add(100 * time.Millisecond), Until: moment.Add(time.Minute), RefusedToken: "token",
			},
			{EmptyAt: moment.Truncate(time.Second), RefusedToken: "token"},
			{EmptyAt: moment},
		} {
			if !swapped(t, s, before, after) {
				t.Fatalf("not swapped from %+v to %+v", before, after)
			}
			if before = loadGate(t, s); before != after {
				t.Errorf("stored %+v, not %+v", before, after)
			}
		}
	})
}

func TestASwapIsOfTheStateThatWasSeen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		closed := gate.State{
			EmptyAt: moment, Failures: 5, Closures: 2, Because: gate.Failing,
			Since: moment, Until: moment.Add(time.Second), RefusedToken: "token",
		}
		if !swapped(t, s, loadGate(t, s), closed) {
			t.Fatal("not swapped")
		}
		for name, change := range map[string]func(*gate.State){
			"failures": func(s *gate.State) { s.Failures++ },
			"closures": func(s *gate.State) { s.Closures++ },
			"reason":   func(s *gate.State) { s.Because = gate.RateLimited },
			"none":     func(s *gate.State) { s.Because = "" },
			"since":    func(s *gate.State) { s.Since = s.Since.Add(time.Microsecond) },
			"until":    func(s *gate.State) { s.Until = s.Until.Add(time.Microsecond) },
			"token":    func(s *gate.State) { s.RefusedToken = "" },
			"empty_at": func(s *gate.State) { s.EmptyAt = s.EmptyAt.Add(time.Microsecond) },
		} {
			other := closed
			change(&other)
			to := other
			to.EmptyAt = moment.Add(time.Hour)
			if swapped(t, s, other, to) {
				t.Errorf("swapped although the %s is another", name)
			}
		}
		// Calls are let through meanwhile, and do not disturb it.
		other, to := closed, closed
		other.EmptyAt = moment.Add(time.Hour)
		to.EmptyAt = other.EmptyAt
		to.Until = moment.Add(time.Minute)
		if !swapped(t, s, other, to) {
			t.Error("not swapped for the budget's sake")
		}
		if after := loadGate(t, s); !after.EmptyAt.Equal(closed.EmptyAt) || !after.Until.Equal(to.Until) {
			t.Errorf("stored %+v", after)
		}
	})
}

func TestACallIsDrawnFromAnOpenGateWithRoom(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		for i := range 3 {
			if !drawn(t, s, draw(2*time.Second)) {
				t.Errorf("call %d was not drawn", i)
			}
			if at := loadGate(t, s).EmptyAt; !at.Equal(moment.Add(time.Duration(i+1) * time.Second)) {
				t.Errorf("call %d: empty at %s", i, at)
			}
		}
		if drawn(t, s, draw(3*time.Second-time.Microsecond)) {
			t.Error("drawn without room")
		}
		open := loadGate(t, s)
		refused := open
		refused.RefusedToken = "token"
		if !swapped(t, s, open, refused) || drawn(t, s, draw(time.Minute)) {
			t.Error("drawn with a token that was refused")
		}
		for _, token := range []string{"another", ""} {
			d := draw(time.Minute)
			d.Token = token
			if !drawn(t, s, d) {
				t.Errorf("not drawn with token %q", token)
			}
		}
		closed := open
		closed.Because, closed.Since, closed.Until = gate.Failing, moment, moment
		if !swapped(t, s, refused, closed) || drawn(t, s, draw(time.Minute)) {
			t.Error("drawn from a closed gate")
		}
	})
}

func TestCallsThatAreDrawnAtOnceAreAllCounted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		var n atomic.Int32
		var callers sync.WaitGroup
		for range 32 {
			callers.Go(func() {
				if ok, err := s.DrawCall(t.Context(), draw(9*time.Second)); err != nil {
					t.Error(err)
				} else if ok {
					n.Add(1)
				}
			})
		}
		callers.Wait()
		if n.Load() != 10 || !loadGate(t, s).EmptyAt.Equal(moment.Add(10*time.Second)) {
			t.Errorf("%d calls, empty at %s", n.Load(), loadGate(t, s).EmptyAt)
		}
	})
}

func TestAGateWithoutItsRowSaysSo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		if _, err := db.SQL().ExecContext(t.Context(), `DELETE FROM provider_gate`); err != nil {
			t.Fatal(err)
		}
		if state, err := s.LoadGate(t.Context()); err == nil {
			t.Errorf("loaded %+v", state)
		}
	})
}
