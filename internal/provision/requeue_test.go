package provision_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestUsersWhoHaveLostTheirJobGetAnother(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		changed, leaving, staying, waiting, done := w.invite(t), w.invite(t), w.invite(t), w.accept(t), w.invite(t)
		w.edit(t, changed, "Berta")
		w.leave(t, leaving, time.Minute)
		w.leave(t, staying, grace)
		w.enlist(t, waiting) // its sign-up is under way
		w.edit(t, waiting, "Berta")
		imported := w.make(t, newcomer{origin: directory.FromImport})
		invited := w.make(t, newcomer{origin: directory.FromAdmin})
		retried := w.accept(t)
		w.next(t, onCreate, simulator.Effect{Status: 422})
		w.carryOut(t, retried)
		w.set(t, retried, directory.Provisioning)
		failed := w.make(t, newcomer{origin: directory.FromAdmin, status: directory.Failed})
		w.exec(t, `DELETE FROM river_job`)
		w.clock.advance(2 * time.Minute)
		for _, round := range []time.Duration{0, time.Minute, time.Hour} {
			w.clock.advance(round)
			if err := w.service.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			for name, test := range map[string]struct {
				who          accepted
				change, jobs int
			}{
				"a change that is pending":              {changed, 1, 0},
				"a deletion that is due":                {leaving, 1, 0},
				"a deletion that is not":                {staying, 0, 0},
				"a user whose sign-up is under way":     {waiting, 0, 0},
				"a user who was imported":               {imported, 0, 1},
				"a user who was invited":                {invited, 0, 1},
				"a user who is tried again":             {retried, 0, 1},
				"a user who has failed":                 {failed, 0, 0},
				"a user of whom there is nothing to do": {done, 0, 0},
			} {
				if got := w.jobs(t, "change", test.who); got != test.change {
					t.Errorf("%s: %d jobs of changes", name, got)
				}
				if got := w.jobs(t, "enrol", test.who); got != test.jobs {
					t.Errorf("%s: %d jobs of their own", name, got)
				}
			}
		}
		if n := w.count(t, `SELECT count(*) FROM river_job WHERE kind = 'enrol' AND queue = 'import'`); n != 1 {
			t.Errorf("%d in the queue of imports", n)
		}
		if !strings.Contains(w.log.String(), "users had lost their jobs and have new ones") {
			t.Errorf("nobody is told:\n%s", w.log)
		}
	})
}
