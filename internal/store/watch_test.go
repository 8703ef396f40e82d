package store_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestEachWishForAMailIsClaimedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		anna := provisioned(t, s, "anna@example.com") // whose create has sent one at the moment
		wish := func(at time.Time) {
			t.Helper()
			if wished, err := s.WishResend(t.Context(), anna.Signup, at, at); !wished || err != nil {
				t.Fatal(wished, err)
			}
		}
		claim := func(subject provision.Subject, at time.Time) int32 {
			t.Helper()
			var won atomic.Int32
			var workers sync.WaitGroup
			for range 16 {
				workers.Go(func() {
					mine, err := s.ClaimEnrolmentMail(t.Context(), subject, at, at.Add(-time.Minute))
					if err != nil {
						t.Error(err)
					}
					if mine {
						won.Add(1)
					}
				})
			}
			workers.Wait()
			return won.Load()
		}
		want := func(what string, got, want int32) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %d may send a mail, not %d", what, got, want)
			}
		}
		first, second, third := moment.Add(time.Minute), moment.Add(2*time.Minute), moment.Add(time.Hour)
		want("nobody has wished", claim(anna, third), 0)
		wish(first)
		want("one has wished", claim(anna, first), 1)
		want("for the same wish", claim(anna, third), 0)
		wish(first)
		want("right after the last mail", claim(anna, second.Add(-time.Microsecond)), 0)
		want("as that mail was for it too", claim(anna, third), 0)
		want("a sign-up that met the user", claim(enlist(t, s, "anna@example.com"), second), 1)
		wish(third)
		want("another wish", claim(anna, third), 1)
		// Whoever claimed before the last claim cannot take it back.
		for _, test := range []struct {
			claimed time.Time
			want    int32
		}{{second, 0}, {third, 1}} {
			if err := s.ReleaseEnrolmentMail(t.Context(), anna, test.claimed, test.claimed.Add(-time.Minute)); err != nil {
				t.Fatal(err)
			}
			want("after a release", claim(anna, third), test.want)
		}
	})
}

func TestOnlyAnInvitedUserMayGetTheEnrolmentMailAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := provisioned(t, s, "anna@example.com")
		for _, status := range directory.Statuses() {
			exec(t, db, `UPDATE users SET status = $1, enrolment_mail_at = NULL`, string(status))
			exec(t, db, `UPDATE signups SET resends = 1, mails_claimed = 0`)
			claimed, err := s.ClaimEnrolmentMail(t.Context(), anna, moment, moment)
			if claimed != (status == directory.Invited) || err != nil {
				t.Errorf("%s: %v, %v", status, claimed, err)
			}
		}
	})
}

func TestANoticeIsClaimedOnceAndBegunOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := provisioned(t, s, "anna@example.com")
		jobs := func() int { return count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'notice'`) }
		if begun, err := s.BeginNotice(t.Context(), anna.User.ID); begun || err != nil {
			t.Errorf("begun without a claim: %v, %v", begun, err)
		}
		for day := range 3 {
			at := moment.Add(time.Duration(day) * 24 * time.Hour)
			var claimed, begun atomic.Int32
			var workers sync.WaitGroup
			for range 16 {
				workers.Go(func() {
					mine, err := s.ClaimNotice(t.Context(), anna, at, at.Add(-24*time.Hour))
					if err != nil {
						t.Error(err)
					}
					if mine {
						claimed.Add(1)
					}
				})
			}
			workers.Wait()
			if claimed.Load() != 1 || jobs() != day+1 {
				t.Errorf("on day %d claimed %d times, %d jobs in all", day, claimed.Load(), jobs())
			}
			for range 16 {
				workers.Go(func() {
					mine, err := s.BeginNotice(t.Context(), anna.User.ID)
					if err != nil {
						t.Error(err)
					}
					if mine {
						begun.Add(1)
					}
				})
			}
			workers.Wait()
			if begun.Load() != 1 {
				t.Errorf("on day %d begun %d times", day, begun.Load())
			}
			if err := s.UndoNotice(t.Context(), anna.User.ID); err != nil {
				t.Fatal(err)
			}
			if mine, err := s.BeginNotice(t.Context(), anna.User.ID); !mine || err != nil {
				t.Errorf("begun again: %v, %v", mine, err)
			}
		}
	})
}

func TestANoticeWhoseJobCannotBeStoredIsNotClaimed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := provisioned(t, s, "anna@example.com")
		exec(t, db, `ALTER TABLE river_job RENAME TO elsewhere`)
		if claimed, err := s.ClaimNotice(t.Context(), anna, moment, moment); claimed || err == nil {
			t.Errorf("claimed: %v, %v", claimed, err)
		}
		if n := count(t, db, `SELECT count(*) FROM users WHERE notice_at IS NOT NULL`); n != 0 {
			t.Error("and marked")
		}
	})
}

func TestOverdueSignupsComeInTheirOrderPageByPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		var want []signup.ID
		for i := range 7 {
			id, _ := accept(t, s, "anna@example.com")
			if i == 3 {
				if err := s.Settle(t.Context(), id, moment); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want = append(want, id)
		}
		if got, err := s.OverdueSignups(t.Context(), moment, "", 10); len(got) != 0 || err != nil {
			t.Errorf("before the time: %v, %v", got, err)
		}
		var got []signup.ID
		var after signup.ID
		for {
			page, err := s.OverdueSignups(t.Context(), moment.Add(time.Microsecond), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			got, after = append(got, page...), page[len(page)-1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, not %v", got, want)
		}
	})
}

func TestUsersAreDueWhenTheirTimeComes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		enlist(t, s, "nobody@example.com") // the provider does not have them
		anna, bert := provisioned(t, s, "anna@example.com").User, provisioned(t, s, "bert@example.com").User
		due := func(at time.Time, limit int) (ids []directory.UserID) {
			t.Helper()
			users, err := s.DueUsers(t.Context(), at, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, user := range users {
				ids = append(ids, user.ID)
			}
			return ids
		}
		first := moment.Add(15 * time.Second) // after the invitation
		if got := due(first.Add(-time.Microsecond), 9); len(got) != 0 {
			t.Errorf("%d are due at once", len(got))
		}
		if err := s.CheckAgain(t.Context(), anna.ID, first.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if got := due(first, 9); !slices.Equal(got, []directory.UserID{bert.ID}) {
			t.Errorf("due are %v", got)
		}
		if got := due(first.Add(time.Hour), 9); !slices.Equal(got, []directory.UserID{bert.ID, anna.ID}) {
			t.Errorf("due are %v", got)
		}
		if got := due(first.Add(time.Hour), 1); !slices.Equal(got, []directory.UserID{bert.ID}) {
			t.Errorf("due are %v", got)
		}
		for _, status := range directory.Statuses() {
			exec(t, db, `UPDATE users SET status = $1 WHERE id = $2`, string(status), string(anna.ID))
			if err := s.CheckAgain(t.Context(), anna.ID, moment); err != nil {
				t.Fatal(err)
			}
			watched := status == directory.Invited || status == directory.Active || status == directory.Suspended
			if got := due(moment, 9); (len(got) == 1) != watched {
				t.Errorf("%s: due are %v", status, got)
			}
		}
	})
}

func TestAUserBecomesActiveOnceAndOnlyFromInvited(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := provisioned(t, s, "anna@example.com").User.ID
		for _, status := range directory.Statuses() {
			exec(t, db, `UPDATE users SET status = $1, activated_at = NULL`, string(status))
			news, err := s.Activate(t.Context(), anna, moment.Add(time.Hour))
			if news != (status == directory.Invited) || err != nil {
				t.Errorf("%s: %v, %v", status, news, err)
			}
			if n := count(t, db, `SELECT count(*) FROM users WHERE activated_at IS NOT NULL AND status = 'active'`); (n == 1) != news {
				t.Errorf("%s: stored otherwise", status)
			}
		}
	})
}

func TestAReceiptIsActiveWithItsUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		a := acceptance(t, "anna@example.com")
		if err := s.AcceptSignup(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		subject, err := s.Enlist(t.Context(), a.ID, moment)
		if err != nil {
			t.Fatal(err)
		}
		subject = begin(t, s, subject, moment)
		if _, err := s.Invite(t.Context(), subject, "int-1", moment); err != nil {
			t.Fatal(err)
		}
		later := moment.Add(time.Hour)
		if news, err := s.Activate(t.Context(), subject.User.ID, later); !news || err != nil {
			t.Fatal(news, err)
		}
		record, err := s.FindSignup(t.Context(), a.ReceiptHash)
		if err != nil || record.UserStatus != directory.Active || !record.ActivatedAt.Equal(later) {
			t.Errorf("the receipt shows %+v, %v", record, err)
		}
		// A login later on is not when they got their passkey.
		identity := identityOf(subject.User.ID)
		identity.InternalID = "int-1"
		if _, err := s.OpenSession(t.Context(), identity, opening()); err != nil {
			t.Fatal(err)
		}
		if again, err := s.FindSignup(t.Context(), a.ReceiptHash); err != nil || again != record {
			t.Errorf("after a login it shows %+v, %v", again, err)
		}
	})
}

func TestThatAUserVanishedIsNotedOnceAndThatTheyReappeared(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := provisioned(t, s, "anna@example.com").User.ID
		for i, test := range []struct{ vanished, news bool }{
			{false, false}, {true, true}, {true, false}, {false, true}, {false, false}, {true, true},
		} {
			var news atomic.Int32
			var workers sync.WaitGroup
			for range 8 {
				workers.Go(func() {
					told, err := s.MarkVanished(t.Context(), anna, test.vanished, moment)
					if err != nil {
						t.Error(err)
					}
					if told {
						news.Add(1)
					}
				})
			}
			workers.Wait()
			if (news.Load() == 1) != test.news || news.Load() > 1 {
				t.Errorf("%d: it was news to %d", i, news.Load())
			}
			want := map[bool]string{true: provision.ClassVanished}[test.vanished]
			if class := lastErrorClass(t, db, anna); class != want {
				t.Errorf("%d: class %q, not %q", i, class, want)
			}
		}
	})
}

func TestAWishForAnotherMailIsStoredWithItsJobUnlessItComesTooSoon(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		a := acceptance(t, "anna@example.com")
		if err := s.AcceptSignup(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		at := a.ResendAfter
		for i := range 3 {
			if wished, err := s.WishResend(t.Context(), a.ID, at.Add(-time.Microsecond), at.Add(time.Hour)); wished || err != nil {
				t.Errorf("too soon: %v, %v", wished, err)
			}
			var wishes atomic.Int32
			var askers sync.WaitGroup
			for range 16 {
				askers.Go(func() {
					wished, err := s.WishResend(t.Context(), a.ID, at, at.Add(time.Minute))
					if err != nil {
						t.Error(err)
					}
					if wished {
						wishes.Add(1)
					}
				})
			}
			askers.Wait()
			at = at.Add(time.Minute)
			jobs := count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'resend'`)
			if wishes.Load() != 1 || jobs != i+1 {
				t.Errorf("%d wishes were granted, %d jobs in all", wishes.Load(), jobs)
			}
			if n := count(t, db, `SELECT resends FROM signups`); n != i+1 {
				t.Errorf("counted %d", n)
			}
		}
	})
}
