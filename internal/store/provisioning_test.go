package store_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestASubjectIsFoundByItsSignup(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		id, userID := accept(t, s, "Anna@example.com")
		want := provision.Subject{Signup: id, AcceptedAt: moment, Locale: "de"}
		if found := find(t, s, id); found != want {
			t.Errorf("before it has a user, found %+v, not %+v", found, want)
		}
		enlisted, err := s.Enlist(t.Context(), id, moment.Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		want.Kind = signup.New
		want.User = directory.User{
			ID: userID, ExternalID: directory.ExternalID(userID), Email: directory.RestoreEmail("Anna@example.com", "anna@example.com"),
			DisplayName: "Anna", Status: directory.Received, CreatedAt: moment, UpdatedAt: moment.Add(time.Second),
			Locale: "de", Origin: directory.FromSignup, Sync: directory.SyncSynced, Version: 1,
		}
		want.MadeThere = true
		if found := find(t, s, id); found != want || enlisted != want {
			t.Errorf("found %+v, enlisted %+v, not %+v", found, enlisted, want)
		}
		duplicate := enlist(t, s, "anna@example.com")
		want.Signup, want.Kind = duplicate.Signup, signup.Duplicate
		if found := find(t, s, duplicate.Signup); found != want || duplicate != want {
			t.Errorf("the duplicate is %+v, found %+v, not %+v", duplicate, found, want)
		}
		unknown := signup.ID(uuid.Must(uuid.NewV7()).String())
		if _, err := s.FindSubject(t.Context(), unknown); !errors.Is(err, provision.ErrNotFound) {
			t.Errorf("an unknown sign-up: %v", err)
		}
		if _, err := s.Enlist(t.Context(), unknown, moment); !errors.Is(err, provision.ErrNotFound) {
			t.Errorf("an unknown sign-up is enlisted: %v", err)
		}
	})
}

func TestASVS_2_3_4_OfAHundredSignupsWithOneAddressOneMakesItsUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		const all = 100
		ids := make([]signup.ID, all)
		for i := range ids {
			ids[i], _ = accept(t, s, "anna@example.com")
		}
		subjects := make([]provision.Subject, all)
		var workers sync.WaitGroup
		for i, id := range ids {
			workers.Go(func() {
				var err error
				if subjects[i], err = s.Enlist(t.Context(), id, moment); err != nil {
					t.Error(err)
				}
			})
		}
		workers.Wait()
		kinds := make(map[signup.Kind]int)
		for i, subject := range subjects {
			kinds[subject.Kind]++
			if subject.User.ID != subjects[0].User.ID || subject.Signup != ids[i] {
				t.Errorf("%+v", subject)
			}
		}
		if kinds[signup.New] != 1 || kinds[signup.Duplicate] != all-1 {
			t.Errorf("kinds are %v", kinds)
		}
		if n := count(t, db, `SELECT count(*) FROM users`); n != 1 {
			t.Errorf("%d users", n)
		}
		if got := audited(t, db, subjects[0].User.ID); !slices.Equal(got, []string{"portico user.received - received - signup"}) {
			t.Errorf("the audit says %q", got)
		}
	})
}

func TestOfManyWorkersWithOneSignupAllGetTheSameUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		id, candidate := accept(t, s, "anna@example.com")
		var workers sync.WaitGroup
		for range 16 {
			workers.Go(func() {
				subject, err := s.Enlist(t.Context(), id, moment)
				if err != nil || subject.Kind != signup.New || subject.User.ID != candidate {
					t.Errorf("enlisted %+v, %v", subject, err)
				}
			})
		}
		workers.Wait()
		if n := count(t, db, `SELECT count(*) FROM users`) + count(t, db, `SELECT count(*) FROM audit_events`); n != 2 {
			t.Errorf("%d users and lines of the audit", n)
		}
	})
}

func TestACandidateIsForgottenOnceTheSignupHasItsUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		const whole = `SELECT count(*) FROM signups WHERE candidate_id IS NOT NULL AND email IS NOT NULL
			AND email_canonical IS NOT NULL AND display_name IS NOT NULL AND kind IS NULL AND user_id IS NULL`
		const blank = `SELECT count(*) FROM signups WHERE candidate_id IS NULL AND email IS NULL
			AND email_canonical IS NULL AND display_name IS NULL AND kind IS NOT NULL AND user_id IS NOT NULL`
		first, _ := accept(t, s, "anna@example.com")
		second, _ := accept(t, s, "anna@example.com")
		for i, id := range []signup.ID{first, second} {
			if n := count(t, db, whole); n != 2-i {
				t.Errorf("%d candidates", n)
			}
			if _, err := s.Enlist(t.Context(), id, moment); err != nil {
				t.Fatal(err)
			}
			if n := count(t, db, blank); n != i+1 {
				t.Errorf("%d sign-ups have forgotten their candidate, not %d", n, i+1)
			}
		}
	})
}

func TestAnAttemptIsBegunOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		subject := enlist(t, s, "anna@example.com")
		var seen []provision.Subject
		for attempt := range 3 {
			until := moment.Add(time.Duration(attempt) * time.Minute)
			var won atomic.Int32
			var workers sync.WaitGroup
			for range 16 {
				workers.Go(func() {
					mine, err := s.BeginAttempt(t.Context(), subject, until, moment)
					if err != nil {
						t.Error(err)
					}
					if mine {
						won.Add(1)
					}
				})
			}
			workers.Wait()
			if won.Load() != 1 {
				t.Errorf("attempt %d was begun by %d workers", attempt, won.Load())
			}
			seen = append(seen, subject)
			subject = find(t, s, subject.Signup)
			if subject.Attempt != attempt+1 || subject.User.Status != directory.Provisioning || !subject.AmbiguousUntil.Equal(until) {
				t.Errorf("stored %+v", subject)
			}
		}
		for _, stale := range seen {
			if mine, err := s.BeginAttempt(t.Context(), stale, moment, moment); mine || err != nil {
				t.Errorf("attempt after %d was begun: %v", stale.Attempt, err)
			}
		}
	})
}

func TestAPostponementIsTheLatestAttempts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		first := begin(t, s, enlist(t, s, "anna@example.com"), moment)
		second := begin(t, s, first, moment)
		later := moment.Add(time.Hour)
		ambiguous := provision.Postponement{Attempt: 1, AmbiguousUntil: later, Class: "ambiguous", At: moment}
		if moved, err := s.Postpone(t.Context(), first, ambiguous); moved || err != nil {
			t.Errorf("an attempt that is past postponed: %v, %v", moved, err)
		}
		ambiguous.Attempt = 2
		if moved, err := s.Postpone(t.Context(), second, ambiguous); !moved || err != nil {
			t.Errorf("postponed: %v, %v", moved, err)
		}
		third := find(t, s, second.Signup)
		if !third.AmbiguousUntil.Equal(later) || third.Attempt != 2 || third.User.Status != directory.Provisioning {
			t.Errorf("stored %+v", third)
		}
		if class := lastErrorClass(t, db, third.User.ID); class != "ambiguous" {
			t.Errorf("class %q", class)
		}
		limited := provision.Postponement{Attempt: 1, Class: "rate_limited", At: moment}
		if moved, err := s.Postpone(t.Context(), third, limited); !moved || err != nil {
			t.Errorf("postponed again: %v, %v", moved, err)
		}
		if found := find(t, s, third.Signup); !found.AmbiguousUntil.IsZero() || found.Attempt != 1 {
			t.Errorf("stored %+v", found)
		}
		if n := count(t, db, `SELECT count(*) FROM audit_events`); n != 2 {
			t.Errorf("%d lines of the audit: to stay is no move", n)
		}
	})
}

// An attempt that did not count is made again under the same number. What is
// known of the one before must not pass for what is known of the other.
func TestALatePostponementOfAnAttemptThatDidNotCountChangesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		first := begin(t, s, enlist(t, s, "anna@example.com"), moment.Add(time.Minute))
		nothing := provision.Postponement{Attempt: 0, Class: "unreachable", At: moment}
		if moved, err := s.Postpone(t.Context(), first, nothing); !moved || err != nil {
			t.Fatal(moved, err)
		}
		again := begin(t, s, find(t, s, first.Signup), moment.Add(time.Minute+time.Microsecond))
		if again.Attempt != first.Attempt {
			t.Fatalf("attempt %d, not %d", again.Attempt, first.Attempt)
		}
		if moved, err := s.Postpone(t.Context(), first, nothing); moved || err != nil {
			t.Errorf("postponed: %v, %v", moved, err)
		}
		if mine, err := s.BeginAttempt(t.Context(), first, moment, moment); mine || err != nil {
			t.Errorf("begun: %v, %v", mine, err)
		}
		if found := find(t, s, first.Signup); found != again {
			t.Errorf("stored %+v, not %+v", found, again)
		}
	})
}

func TestTheInternalIDIsWrittenOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		subject := begin(t, s, enlist(t, s, "anna@example.com"), moment)
		ambiguous := provision.Postponement{Attempt: 1, AmbiguousUntil: moment, Class: "ambiguous", At: moment}
		if moved, err := s.Postpone(t.Context(), subject, ambiguous); !moved || err != nil {
			t.Fatal(moved, err)
		}
		if moved, err := s.Invite(t.Context(), subject, "int-1", moment); !moved || err != nil {
			t.Fatal(moved, err)
		}
		for _, other := range []directory.InternalID{"int-1", "int-2"} {
			for _, as := range []provision.Subject{subject, find(t, s, subject.Signup)} {
				if moved, err := s.Invite(t.Context(), as, other, moment); moved || err != nil {
					t.Errorf("invited again as %s: %v, %v", other, moved, err)
				}
			}
		}
		found := find(t, s, subject.Signup)
		if found.User.InternalID != "int-1" || found.User.Status != directory.Invited || !found.AmbiguousUntil.IsZero() {
			t.Errorf("stored %+v", found)
		}
		if class := lastErrorClass(t, db, subject.User.ID); class != "" {
			t.Errorf("class %q", class)
		}
	})
}

func TestAnInternalIDBelongsToOneUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		first := provisioned(t, s, "anna@example.com")
		second := begin(t, s, enlist(t, s, "bert@example.com"), moment)
		moved, err := s.Invite(t.Context(), second, first.User.InternalID, moment)
		if moved || !errors.Is(err, provision.ErrInternalIDTaken) {
			t.Errorf("invited: %v, %v", moved, err)
		}
		if found := find(t, s, second.Signup); found != second {
			t.Errorf("stored %+v", found)
		}
		if got := audited(t, db, second.User.ID); len(got) != 2 {
			t.Errorf("the audit says %q", got)
		}
	})
}

func TestAUserWhoIsNoLongerProvisionedIsNotMoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		stale := enlist(t, s, "anna@example.com")
		for _, status := range directory.Statuses() {
			if status == directory.Received || status == directory.Provisioning {
				continue
			}
			exec(t, db, `UPDATE users SET status = $1, internal_id = 'int-1'`, string(status))
			before := find(t, s, stale.Signup)
			for _, subject := range []provision.Subject{stale, before} {
				for name, move := range map[string]func() (bool, error){
					"BeginAttempt": func() (bool, error) { return s.BeginAttempt(t.Context(), subject, moment, moment) },
					"Postpone": func() (bool, error) {
						return s.Postpone(t.Context(), subject, provision.Postponement{Class: "ambiguous", At: moment})
					},
					"Invite": func() (bool, error) { return s.Invite(t.Context(), subject, "int-2", moment) },
					"Refuse": func() (bool, error) { return s.Refuse(t.Context(), subject, directory.Failed, "rejected", moment) },
				} {
					if moved, err := move(); moved || err != nil {
						t.Errorf("%s moved a user who is %s: %v, %v", name, status, moved, err)
					}
				}
			}
			if after := find(t, s, stale.Signup); after != before {
				t.Errorf("%s: stored %+v, not %+v", status, after, before)
			}
		}
		if n := count(t, db, `SELECT count(*) FROM audit_events`); n != 1 {
			t.Errorf("%d lines of the audit", n)
		}
	})
}

func TestARefusalEndsProvisioningAndItsQuarantine(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		for address, status := range map[string]directory.Status{"anna@example.com": directory.Failed, "bert@example.com": directory.Conflict} {
			subject := begin(t, s, enlist(t, s, address), moment)
			if moved, err := s.Refuse(t.Context(), subject, status, "why", moment); !moved || err != nil {
				t.Errorf("refused: %v, %v", moved, err)
			}
			if moved, err := s.Refuse(t.Context(), subject, status, "again", moment); moved || err != nil {
				t.Errorf("refused twice: %v, %v", moved, err)
			}
			found := find(t, s, subject.Signup)
			if found.User.Status != status || !found.AmbiguousUntil.IsZero() || found.Attempt != 1 || found.User.InternalID != "" {
				t.Errorf("stored %+v", found)
			}
			if class := lastErrorClass(t, db, subject.User.ID); class != "why" {
				t.Errorf("class %q", class)
			}
		}
	})
}

func TestASignupIsSettledOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		a, other := acceptance(t, "anna@example.com"), acceptance(t, "bert@example.com")
		for _, a := range []signup.Acceptance{a, other} {
			if err := s.AcceptSignup(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		for _, at := range []time.Time{moment.Add(time.Second), moment.Add(time.Minute)} {
			if err := s.Settle(t.Context(), a.ID, at); err != nil {
				t.Fatal(err)
			}
		}
		if record, err := s.FindSignup(t.Context(), a.ReceiptHash); err != nil || !record.SettledAt.Equal(moment.Add(time.Second)) {
			t.Errorf("stored %+v, %v", record, err)
		}
		if record, err := s.FindSignup(t.Context(), other.ReceiptHash); err != nil || !record.SettledAt.IsZero() {
			t.Errorf("the other is %+v, %v", record, err)
		}
		if !find(t, s, a.ID).Settled || find(t, s, other.ID).Settled {
			t.Error("provisioning sees it otherwise")
		}
	})
}
