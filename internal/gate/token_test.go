package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/gate"
)

func TestANewTokenOpensTheGateByItself(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 60} {
		eachPair(t, perMinute, func(t *testing.T, w *world, a, b *replica) {
			a.call(t, failure(beyondidentity.Unauthorized))
			if wait := b.refused(t, gate.Signup, gate.Unauthorized); wait > 5*time.Second {
				t.Errorf("nobody looks for %s whether there is a new token", wait)
			}
			w.clock.advance(2 * time.Second)
			a.replace("token-2")
			b.replace("token-2")
			probe := b.admitted(t, gate.Import)
			a.refused(t, gate.Signup, gate.Unauthorized)
			probe.Done(t.Context(), nil)
			a.call(t, nil)
			b.call(t, nil)
			if all := a.log.String() + b.log.String(); strings.Count(all, "level=ERROR") != 1 || strings.Contains(all, "token-") {
				t.Errorf("logged %s", all)
			}
		})
	}
}

func TestTheSameTokenIsTriedEachMinuteAndAlarmsOnce(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, w *world, a, b *replica) {
		a.call(t, failure(beyondidentity.Unauthorized))
		for range 3 {
			w.clock.advance(time.Minute - time.Microsecond)
			b.refused(t, gate.Signup, gate.Unauthorized)
			w.clock.advance(time.Microsecond)
			b.call(t, failure(beyondidentity.Unauthorized))
		}
		if all := a.log.String() + b.log.String(); strings.Count(all, "level=ERROR") != 1 {
			t.Errorf("logged %s", all)
		}
		a.replace("token-2") // which is no better: worth another alarm
		a.call(t, failure(beyondidentity.Unauthorized))
		if n := strings.Count(a.log.String(), "level=ERROR"); n != 2 {
			t.Errorf("%d alarms: %s", n, a.log)
		}
		// The other replica's is another, but it knows that it was refused.
		b.refused(t, gate.Signup, gate.Unauthorized)
		a.refused(t, gate.Signup, gate.Unauthorized)
	})
}

func TestAReplicaWithTheOldTokenDoesNotCloseTheGateForTheOthers(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{0, 60} {
		eachPair(t, perMinute, func(t *testing.T, w *world, a, b *replica) {
			old := b.admitted(t, gate.Signup)
			a.call(t, failure(beyondidentity.Unauthorized))
			a.replace("token-2")
			a.call(t, nil)
			old.Done(t.Context(), failure(beyondidentity.Unauthorized))
			a.call(t, nil)

			b.call(t, failure(beyondidentity.Unauthorized)) // its own look
			for range 3 {
				b.refused(t, gate.Signup, gate.Unauthorized)
				if s := b.state(t); s.Because != gate.Unauthorized {
					t.Errorf("state %+v", s)
				}
				a.call(t, nil)
				w.clock.advance(time.Minute)
				b.call(t, failure(beyondidentity.Unauthorized))
			}
			if strings.Count(a.log.String(), "level=ERROR") != 1 || !strings.Contains(b.log.String(), "of this replica") {
				t.Errorf("logged %s and %s", a.log, b.log)
			}
			b.replace("token-2")
			b.call(t, nil)
			b.call(t, nil)
		})
	}
}

func TestATokenThatIsTakenAgainIsForgiven(t *testing.T) {
	t.Parallel()
	eachPair(t, 60, func(t *testing.T, w *world, a, b *replica) {
		a.call(t, failure(beyondidentity.Unauthorized))
		a.replace("token-2")
		a.call(t, nil)
		a.replace("token-1") // rolled back, with its permissions mended
		a.call(t, nil)
		a.call(t, nil)
		b.call(t, nil)
		if s := b.state(t); !s.Open() || s.RefusedToken != "" {
			t.Errorf("state %+v", s)
		}
		w.clock.advance(time.Minute)
	})
}

func TestARefusalOfATokenThatHasBeenReplacedSaysNothing(t *testing.T) {
	t.Parallel()
	eachPair(t, 0, func(t *testing.T, w *world, a, b *replica) {
		permit := a.admitted(t, gate.Signup)
		a.replace("token-2")
		permit.Done(t.Context(), failure(beyondidentity.Unauthorized))
		a.call(t, nil)
		b.call(t, nil)

		b.call(t, rateLimited(time.Second))
		w.clock.advance(time.Second)
		probe := a.admitted(t, gate.Signup)
		a.replace("token-3")
		probe.Done(t.Context(), failure(beyondidentity.Unauthorized))
		a.call(t, nil) // is the next probe
		b.call(t, nil)
	})
}

func TestWithoutATokenTheGateClosesUntilThereIsOne(t *testing.T) {
	t.Parallel()
	eachPair(t, 60, func(t *testing.T, _ *world, a, b *replica) {
		a.replace("")
		a.call(t, &beyondidentity.Error{Op: "create user", Class: beyondidentity.Unauthorized})
		a.refused(t, gate.Signup, gate.Unauthorized)
		b.call(t, nil) // it has one
		a.replace("token-2")
		a.call(t, nil)
	})
}
