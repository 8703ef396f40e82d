package provision_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// eachAlone is eachWay where each test has its database to itself: a
// reconciler looks at everybody.
func eachAlone(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		test(t, newWorld(t, storetest.Open(t, databaseURL), true))
	})
}

func (w *world) reconcile(t *testing.T) {
	t.Helper()
	if err := w.service.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) audit(t *testing.T, a accepted) (actions []string) {
	t.Helper()
	rows, err := w.db.SQL().QueryContext(t.Context(), `SELECT action FROM audit_events WHERE user_id = $1 ORDER BY id`, string(a.userID))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var action string
		if err := rows.Scan(&action); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, action)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return actions
}

func TestASignupThatHasLostItsJobGetsAnother(t *testing.T) {
	t.Parallel()
	const jobs = `SELECT count(*) FROM river_job WHERE kind = 'signup'`
	eachAlone(t, func(t *testing.T, w *world) {
		var lost []accepted
		for range 3 {
			lost = append(lost, w.accept(t))
		}
		w.enlist(t, lost[1])
		w.exec(t, `DELETE FROM river_job`)
		w.carryOut(t, lost[2]) // and needs none
		alive := w.accept(t)
		w.reconcile(t)
		if n := w.count(t, jobs); n != 1 {
			t.Errorf("at once there are %d jobs", n)
		}
		w.clock.advance(2*time.Minute + time.Microsecond)
		for range 2 {
			w.reconcile(t)
			if n := w.count(t, jobs); n != 3 {
				t.Errorf("%d jobs", n)
			}
		}
		if n := strings.Count(w.log.String(), "had lost their jobs"); n != 1 {
			t.Errorf("told %d times\n%s", n, w.log)
		}
		for _, a := range append(lost, alive) {
			w.carryOut(t, a)
		}
	})
}

func TestHundredsOfSignupsThatHaveLostTheirJobsGetOthers(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, w *world) {
		const all = 450
		for range all {
			w.accept(t)
		}
		w.exec(t, `DELETE FROM river_job`)
		w.clock.advance(3 * time.Minute)
		w.reconcile(t)
		if n := w.count(t, `SELECT count(DISTINCT CAST(args AS text)) FROM river_job`); n != all {
			t.Errorf("%d have jobs", n)
		}
	})
}

func TestAPasskeyThatNobodyToldUsOfIsNoticed(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, w *world) {
		a, idle := w.invite(t), w.invite(t)
		w.tenant.enrol(t, a.email.String())
		w.clock.advance(time.Minute)
		at := w.clock.now()
		for range 2 {
			w.reconcile(t)
		}
		record, err := w.store.FindSignup(t.Context(), a.hash)
		if err != nil || record.UserStatus != directory.Active || !record.ActivatedAt.Equal(at) {
			t.Errorf("the receipt shows %+v, %v", record, err)
		}
		want := []string{"user.received", "user.provisioning", "user.invited", "user.active"}
		if got := w.audit(t, a); !slices.Equal(got, want) {
			t.Errorf("the audit says %q", got)
		}
		if got := w.state(t, idle); got.status != directory.Invited {
			t.Errorf("the other is %s", got.status)
		}
		if n := len(w.tenant.all()); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestAUserWhoVanishesIsNotedOnceAndThatTheyAreBack(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, w *world) {
		a := w.invite(t)
		internalID := w.tenant.user(t, a.externalID()).InternalID
		for _, stage := range []struct {
			there string
			class string
			lines int
		}{
			{simulator.StatusActive, "", 0}, {simulator.StatusDeleted, provision.ClassVanished, 1}, {simulator.StatusActive, "", 2},
		} {
			if err := w.tenant.SetStatus(internalID, stage.there); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				w.clock.advance(25 * time.Hour)
				w.reconcile(t)
			}
			if got := w.state(t, a); got.class != stage.class || got.status != directory.Invited {
				t.Errorf("%s there: stands at %+v", stage.there, got)
			}
			if n := strings.Count(w.log.String(), "whether the provider has the user"); n != stage.lines {
				t.Errorf("%s there: told %d times", stage.there, n)
			}
		}
		want := []string{"user.received", "user.provisioning", "user.invited", "user.vanished", "user.reappeared"}
		if got := w.audit(t, a); !slices.Equal(got, want) {
			t.Errorf("the audit says %q", got)
		}
	})
}

func TestAUserUnderAnotherInternalIDHasVanished(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, w *world) {
		a := w.invite(t)
		if err := w.tenant.SetStatus(w.tenant.user(t, a.externalID()).InternalID, simulator.StatusDeleted); err != nil {
			t.Fatal(err)
		}
		w.put(t, a.externalID(), a.email.String())
		w.tenant.enrol(t, a.email.String()) // a stranger's passkey
		w.clock.advance(time.Hour)
		w.reconcile(t)
		if got := w.state(t, a); got.class != provision.ClassVanished || got.status != directory.Invited {
			t.Errorf("stands at %+v", got)
		}
	})
}

func TestAUserIsLookedAtEverMoreRarely(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, w *world) {
		a := w.invite(t)
		invited := w.clock.now()
		looks := func(every, until time.Duration) (at []time.Duration) {
			w.tenant.forget()
			for w.clock.now().Sub(invited) < until {
				w.clock.advance(every)
				w.reconcile(t)
			}
			for _, c := range w.tenant.all() {
				at = append(at, c.at.Sub(invited))
			}
			return at
		}
		minute := looks(time.Second, 2*time.Minute)
		if len(minute) < 7 || len(minute) > 8 || minute[0] < 15*time.Second {
			t.Errorf("in the first two minutes looked at %v", minute)
		}
		first := looks(5*time.Minute, 24*time.Hour)
		for i := 1; i < len(first); i++ {
			if gap, want := first[i]-first[i-1], first[i-1]/10; gap < want || gap > want+5*time.Minute {
				t.Errorf("looked at %s and then at %s", first[i-1], first[i])
			}
		}
		if month := looks(6*time.Hour, 40*24*time.Hour); len(month) < 40 || len(month) > 60 {
			t.Errorf("in the first forty days looked %d times", len(month))
		}
		w.set(t, a, directory.Active)
		if active := looks(12*time.Hour, 100*24*time.Hour); len(active) < 8 || len(active) > 10 {
			t.Errorf("active, looked %d times in sixty days", len(active))
		}
	})
}

func TestAReconcilerStopsWhereTheProviderDoes(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, w *world) {
		for range 5 {
			w.invite(t)
		}
		w.tenant.forget()
		w.clock.advance(time.Hour)
		w.fault(t, simulator.Fault{Match: onFind, Effect: simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "60"}}, Times: 1})
		w.reconcile(t)
		if n := len(w.tenant.all()); n != 1 {
			t.Errorf("%d calls, of which the first was refused", n)
		}
		w.reconcile(t)
		if n := len(w.tenant.all()); n != 1 {
			t.Errorf("%d calls while the gate is closed", n)
		}
		w.clock.advance(time.Minute)
		w.reconcile(t)
		if n := len(w.tenant.all()); n != 6 {
			t.Errorf("%d calls in all", n)
		}
	})
}

func TestWithoutALookUpAReconcilerOnlyMendsJobs(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, w *world) {
		w.service.Lookup = nil
		w.invite(t)
		w.clock.advance(time.Hour)
		w.reconcile(t)
		if got := w.tenant.trace(); got != "" {
			t.Errorf("the provider saw %q", got)
		}
	})
}

func TestAReconcilerTellsThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.service.Store, _ = storeOver(t, storetest.Open(t, storetest.EmptySQLite(t)))
		if err := w.service.Reconcile(t.Context()); err == nil {
			t.Error("it says nothing")
		}
	})
}
