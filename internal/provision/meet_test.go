package provision_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

const countNotices = `SELECT count(*) FROM river_job WHERE kind = 'notice'`

// settledAt is when the sign-up was settled; zero before.
func (w *world) settledAt(t *testing.T, a accepted) time.Time {
	t.Helper()
	record, err := w.store.FindSignup(t.Context(), a.hash)
	if err != nil {
		t.Fatal(err)
	}
	return record.SettledAt
}

func TestADuplicateOfASignupThatIsUnderWayFollowsIt(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		first := w.accept(t)
		w.enlist(t, first)
		w.clock.advance(time.Millisecond)
		duplicate := w.acceptAs(t, first.email.String())
		follow := func(status directory.Status) {
			t.Helper()
			again := w.carry(t, duplicate)
			if again < 500*time.Millisecond || again > 15*time.Second || !w.settledAt(t, duplicate).IsZero() {
				t.Errorf("%s: again in %s", status, again)
			}
			if got := w.state(t, first); got.status != status {
				t.Errorf("the first is %s, not %s", got.status, status)
			}
		}
		follow(directory.Received)
		w.fault(t, once(simulator.Effect{Status: 503}))
		w.clock.advance(w.carry(t, first))
		w.tenant.forget()
		follow(directory.Provisioning)
		if got := w.tenant.trace(); got != "" {
			t.Errorf("the provider saw %q", got)
		}
		w.clock.advance(time.Hour)
		follow(directory.Provisioning)
		w.carryOut(t, first)
		w.carryOut(t, duplicate)
		// The mail that went out since was for both.
		if user := w.tenant.user(t, first.externalID()); user.Creates != 1 || user.Mails != 1 {
			t.Errorf("%d creates, %d mails", user.Creates, user.Mails)
		}
	})
}

func TestASignupThatOnlyFollowsAnotherCostsNothingOfTheBudget(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.gate.PerMinute = 60
		left := func() int {
			t.Helper()
			gate, err := w.gate.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n, _ := w.gate.Left(gate)
			return n
		}
		first := w.accept(t)
		w.enlist(t, first)
		duplicate := w.acceptAs(t, first.email.String())
		before := left()
		for range 3 {
			w.carry(t, duplicate)
		}
		if now := left(); now != before {
			t.Errorf("%d calls are left of %d", now, before)
		}
		w.carry(t, first)
		if now := left(); now >= before {
			t.Errorf("a create leaves %d calls of %d", now, before)
		}
	})
}

func TestFiftyDuplicatesOfAnInvitedUsersSignupSendOneMail(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		first := w.invite(t)
		for round, mails := range []int{1, 2, 3} { // the first is the create's
			var duplicates []accepted
			for range 50 {
				duplicates = append(duplicates, w.acceptAs(t, first.email.String()))
			}
			var workers sync.WaitGroup
			for _, a := range duplicates {
				workers.Go(func() {
					if again, err := w.service.Carry(t.Context(), a.id); again != 0 || err != nil {
						t.Errorf("again in %s, %v", again, err)
					}
				})
			}
			workers.Wait()
			if user := w.tenant.user(t, first.externalID()); user.Mails != mails || user.Creates != 1 {
				t.Errorf("round %d: %d mails, %d creates", round, user.Mails, user.Creates)
			}
			for _, a := range duplicates {
				if w.settledAt(t, a).IsZero() {
					t.Error("not settled")
				}
			}
			w.clock.advance(mailPause)
		}
	})
}

func TestAUserWhoHasEnrolledBecomesActiveInsteadOfGettingAMail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		for name, wish := range map[string]func(first accepted){
			"another sign-up": func(first accepted) { w.carryOut(t, w.acceptAs(t, first.email.String())) },
			"another mail": func(first accepted) {
				if again, err := w.service.Resend(t.Context(), first.id); again != 0 || err != nil {
					t.Errorf("again in %s, %v", again, err)
				}
			},
		} {
			first := w.invite(t)
			w.tenant.enrol(t, first.email.String())
			w.clock.advance(mailPause)
			w.tenant.forget()
			wish(first)
			if got := w.tenant.trace(); got != "find" {
				t.Errorf("%s: the provider saw %q", name, got)
			}
			if got := w.state(t, first); got.status != directory.Active {
				t.Errorf("%s: the user is %s", name, got.status)
			}
		}
	})
}

func TestTheOwnerOfAnAddressIsToldOnceADay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		for name, test := range map[string]struct {
			status directory.Status
			mailer bool
			perDay int
		}{
			"an active user":                      {directory.Active, true, 1},
			"a suspended user":                    {directory.Suspended, true, 1},
			"an active user, without mail server": {directory.Active, false, 0},
			"a user about to be deleted":          {directory.Deleting, true, 0},
			"a deleted user":                      {directory.Deleted, true, 0},
			"a user who failed":                   {directory.Failed, true, 0},
			"a user in conflict":                  {directory.Conflict, true, 0},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, storetest.Open(t, databaseURL), true)
				if test.mailer {
					w.service.Mailer = w.mailer(t)
				}
				w.exec(t, `DELETE FROM river_job`)
				first := w.invite(t)
				w.set(t, first, test.status)
				for day := range 3 {
					for range 4 {
						a := w.acceptAs(t, first.email.String())
						w.carryOut(t, a)
						if w.settledAt(t, a).IsZero() {
							t.Error("not settled")
						}
						w.clock.advance(6 * time.Hour)
					}
					if n := w.count(t, countNotices); n != test.perDay*(day+1) {
						t.Errorf("after %d days %d notices", day+1, n)
					}
				}
				if strings.Contains(w.tenant.trace(), "recover") || strings.Contains(w.tenant.trace(), "create") {
					t.Errorf("the provider saw %q", w.tenant.trace())
				}
			})
		}
	})
}

// slow is a provider whose creates take their time.
type slow struct {
	*beyondidentity.Client

	clock *clock
	takes time.Duration
}

func (p slow) CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error) {
	defer p.clock.advance(p.takes)
	return p.Client.CreateUser(ctx, user)
}

func TestADuplicateIsSettledNoSoonerThanACreateTakes(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		provider := client(t, w.tenant.url, generous)
		w.service.Mailer = w.mailer(t)
		var firsts []accepted
		for _, takes := range []time.Duration{
			100 * time.Millisecond, 900 * time.Millisecond, 300 * time.Millisecond, 200 * time.Millisecond, 700 * time.Millisecond,
		} {
			w.service.Provider = slow{provider, w.clock, takes}
			a := w.accept(t)
			begun := w.clock.now()
			w.carryOut(t, a)
			if got := w.settledAt(t, a).Sub(begun); got != takes {
				t.Errorf("a new sign-up is settled after %s", got)
			}
			firsts = append(firsts, a)
		}
		w.clock.advance(mailPause)
		for i, status := range []directory.Status{directory.Invited, directory.Active, directory.Failed, directory.Deleted} {
			w.set(t, firsts[i], status)
			a := w.acceptAs(t, firsts[i].email.String())
			begun := w.clock.now()
			w.carryOut(t, a)
			if got := w.settledAt(t, a).Sub(begun); got != 300*time.Millisecond { // the median
				t.Errorf("a duplicate of a user who is %s is settled after %s", status, got)
			}
		}
	})
}

func TestEachWishForAnotherMailHasOne(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		w := newWorld(t, db, lookup)
		w.service.Mailer = w.mailer(t)
		a := w.invite(t)
		for wish := range 3 {
			w.clock.advance(mailPause)
			now := w.clock.now()
			if wished, err := w.store.WishResend(t.Context(), a.id, now, now.Add(mailPause)); !wished || err != nil {
				t.Fatal(wished, err)
			}
			// Its job may be worked again long after, for its worker died.
			for range 3 {
				w.clock.advance(time.Millisecond)
				if again, err := w.service.Resend(t.Context(), a.id); again != 0 || err != nil {
					t.Errorf("again in %s, %v", again, err)
				}
				w.clock.advance(2 * mailPause)
			}
			if user := w.tenant.user(t, a.externalID()); user.Mails != wish+2 {
				t.Errorf("%d mails after %d wishes", user.Mails, wish+1)
			}
		}
	})
}

func TestAWishForAnotherMailIsMetAsTheUserStands(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		w.service.Mailer = w.mailer(t)
		for _, status := range directory.Statuses() {
			a := w.invite(t)
			w.set(t, a, status)
			w.clock.advance(mailPause)
			if wished, err := w.store.WishResend(t.Context(), a.id, w.clock.now(), w.clock.now()); !wished || err != nil {
				t.Fatal(wished, err)
			}
			w.tenant.forget()
			w.exec(t, `DELETE FROM river_job`)
			if again, err := w.service.Resend(t.Context(), a.id); again != 0 || err != nil {
				t.Errorf("%s: again in %s, %v", status, again, err)
			}
			told := status == directory.Active || status == directory.Suspended
			if n := w.count(t, countNotices); (n == 1) != told {
				t.Errorf("%s: %d notices", status, n)
			}
			if mailed := w.tenant.trace() == "find recover"; mailed != (status == directory.Invited) {
				t.Errorf("%s: the provider saw %q", status, w.tenant.trace())
			}
		}
		unborn := w.accept(t)
		if again, err := w.service.Resend(t.Context(), unborn.id); again != 0 || err != nil {
			t.Errorf("before it has a user: again in %s, %v", again, err)
		}
		if again, err := w.service.Resend(t.Context(), signup.ID(uuid.NewString())); again != 0 || !errors.Is(err, provision.ErrNotFound) {
			t.Errorf("of no sign-up: again in %s, %v", again, err)
		}
	})
}

func TestAMailIsSentAgainIfItSurelyWasNotAndNotIfItMayHaveBeen(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for name, test := range map[string]struct {
			effect simulator.Effect
			again  bool
			mails  int // beside the create's
		}{
			"refused for its token":        {simulator.Effect{Status: 401}, true, 1},
			"refused for its rights":       {simulator.Effect{Status: 403}, true, 1},
			"sent elsewhere":               {simulator.Effect{Status: 405}, true, 1},
			"too many calls":               {simulator.Effect{Status: 429}, true, 1},
			"an error, after it was sent":  {simulator.Effect{Status: 500, Commit: simulator.CommitBefore}, false, 1},
			"an error, before it was sent": {simulator.Effect{Status: 500}, false, 0},
			"a lost answer":                {simulator.Effect{Drop: true, Commit: simulator.CommitBefore}, false, 1},
			"a user who is not there":      {simulator.Effect{Status: 404}, false, 0},
			"a refusal":                    {simulator.Effect{Status: 400}, false, 0},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				first := w.invite(t)
				w.clock.advance(mailPause)
				w.fault(t, simulator.Fault{Match: onRecover, Effect: test.effect, Times: 1})
				a := w.acceptAs(t, first.email.String())
				w.clock.advance(time.Millisecond)
				if again := w.carry(t, a); (again > 0) != test.again {
					t.Errorf("again in %s", again)
				}
				w.carryOut(t, a)
				if user := w.tenant.user(t, first.externalID()); user.Mails != 1+test.mails {
					t.Errorf("%d mails", user.Mails)
				}
			})
		}
	})
}

// hasty is a provider whose new user follows the mailed link and signs in here
// before the create has been answered.
type hasty struct {
	*beyondidentity.Client

	signIn func()
}

func (p hasty) CreateUser(ctx context.Context, user beyondidentity.NewUser) (beyondidentity.User, error) {
	defer p.signIn()
	return p.Client.CreateUser(ctx, user)
}

func TestASignupIsSettledThoughItsUserSignedInWhileTheCreateWasUnderWay(t *testing.T) {
	t.Parallel()
	answers := map[string]simulator.Effect{
		"that it is done":             {},
		"that it failed, and did not": {Status: 500, Commit: simulator.CommitBefore},
		"none":                        {Drop: true, Commit: simulator.CommitBefore},
		"that it will not be done":    {Status: 400, Commit: simulator.CommitBefore},
		"that somebody is in the way": {Status: 409, Commit: simulator.CommitBefore},
	}
	eachWay(t, func(t *testing.T, db *store.DB, lookup bool) {
		for answer, effect := range answers {
			t.Run(answer, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, lookup)
				a := w.accept(t)
				if effect.Commit != "" {
					w.fault(t, once(effect))
				}
				w.service.Provider = hasty{client(t, w.tenant.url, generous), func() {
					w.login(t, a, w.tenant.user(t, a.externalID()).InternalID)
				}}
				soon, mails := 2*time.Second, 1
				if !lookup {
					soon = quarantine // only then is it asked again what came of the create
				}
				if !lookup && effect.Status == http.StatusConflict {
					mails++ // which answers whose the one in the way is
				}
				if took := w.carryOut(t, a); took > soon {
					t.Errorf("took %s", took)
				}
				if got := w.state(t, a); got.status != directory.Active || !got.settled {
					t.Errorf("stands at %+v\n%s", got, w.log)
				}
				if user := w.tenant.user(t, a.externalID()); user.Creates != 1 || user.Mails != mails {
					t.Errorf("%d creates, %d mails", user.Creates, user.Mails)
				}
			})
		}
	})
}
