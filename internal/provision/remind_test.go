package provision_test

import (
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
)

// remindOut meets a wish for another mail, as the job remind does.
func (w *world) remindOut(t *testing.T, a accepted, wished time.Time) {
	t.Helper()
	for range 100 {
		again, err := w.service.Remind(t.Context(), a.userID, wished)
		if err != nil {
			t.Fatal(err)
		}
		if again == 0 {
			return
		}
		w.clock.advance(again)
	}
	t.Fatal("not reminded")
}

func (w *world) mailed(t *testing.T, a accepted, want int) {
	t.Helper()
	if n := len(w.tenant.Mailbox(a.email.String())); n != want {
		t.Errorf("%d mails, not %d, after %q\n%s", n, want, w.tenant.trace(), w.log)
	}
}

func TestAnAdministratorsWishIsOneMail(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		a := w.invite(t)
		w.clock.advance(mailPause)
		wished := w.clock.now()
		w.remindOut(t, a, wished)
		w.mailed(t, a, 2)
		w.clock.advance(time.Hour)
		w.remindOut(t, a, wished) // its worker died after all was done
		w.mailed(t, a, 2)
		w.remindOut(t, a, w.clock.now())
		w.mailed(t, a, 3)
		w.clock.advance(mailPause / 2)
		w.remindOut(t, a, w.clock.now()) // too soon
		w.mailed(t, a, 3)
	})
}

func TestAWishForAMailGoesAsItsAnswerSays(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for name, test := range map[string]struct {
			effect simulator.Effect
			mails  int
		}{
			"a limit is waited out, for longer than the wish is old": {
				simulator.Effect{Status: 429, Headers: map[string]string{"Retry-After": "600"}}, 2,
			},
			"a refused token is waited out":         {simulator.Effect{Status: 401}, 2},
			"what may have gone out is not sent":    {simulator.Effect{Status: 503}, 1},
			"what has gone out is not sent again":   {simulator.Effect{Drop: true, Commit: simulator.CommitBefore}, 2},
			"whom the provider has not gets nobody": {simulator.Effect{Status: 404}, 1},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				a := w.invite(t)
				w.clock.advance(mailPause)
				w.next(t, onRecover, test.effect)
				w.remindOut(t, a, w.clock.now())
				w.mailed(t, a, test.mails)
			})
		}
	})
}

func TestOnlyWhoIsStillToEnrolIsReminded(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		for _, status := range directory.Statuses() {
			a := w.invite(t)
			w.clock.advance(mailPause)
			w.set(t, a, status)
			w.remindOut(t, a, w.clock.now())
			want := 1
			if status == directory.Invited {
				want = 2
			}
			w.mailed(t, a, want)
		}
		if !lookup {
			return
		}
		enrolled := w.invite(t)
		w.tenant.enrol(t, enrolled.email.String())
		w.clock.advance(mailPause)
		w.remindOut(t, enrolled, w.clock.now())
		w.mailed(t, enrolled, 1)
		if got := w.state(t, enrolled); got.status != directory.Active {
			t.Errorf("stands at %+v", got)
		}
	})
}
