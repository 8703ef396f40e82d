package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestALoginIsRefusedAsTheDirectorySays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna, bert := invite(t, s, "anna@example.com"), invite(t, s, "bert@example.com")
		if _, err := s.OpenSession(t.Context(), identityOf(bert), opening()); err != nil {
			t.Fatal(err)
		}
		carl := enlist(t, s, "carl@example.com").User.ID
		foreign, taken := identityOf(anna), identityOf(anna)
		foreign.InternalID = "int-of-another"
		taken.Issuer, taken.Subject = identityOf(bert).Issuer, identityOf(bert).Subject
		unknown := identityOf(directory.NewUserID())
		for name, test := range map[string]struct {
			identity directory.Identity
			want     error
		}{
			"of a stranger":                           {unknown, directory.ErrNotRegistered},
			"with another internal_id":                {foreign, directory.ErrIdentityMismatch},
			"with a subject that is bound to another": {taken, directory.ErrIdentityMismatch},
			"of a user who was never provisioned":     {identityOf(carl), directory.ErrNotReady},
		} {
			user, err := s.OpenSession(t.Context(), test.identity, opening())
			if !errors.Is(err, test.want) || user != (directory.User{}) {
				t.Errorf("a login %s: %+v, %v", name, user, err)
			}
		}
		if n := count(t, db, `SELECT count(*) FROM sessions`); n != 1 {
			t.Errorf("%d sessions", n)
		}
		if n := count(t, db, `SELECT count(*) FROM users WHERE status = 'active'`); n != 1 {
			t.Errorf("%d users are active", n)
		}
	})
}

func TestALoginAdoptsTheInternalIDUnlessAnotherUserHasIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		bert := invite(t, s, "bert@example.com")
		subject := begin(t, s, enlist(t, s, "anna@example.com"), moment.Add(time.Hour))
		id, anna := subject.Signup, subject.User.ID
		late := provision.Postponement{Attempt: 1, AmbiguousUntil: moment.Add(time.Hour), Class: "ambiguous", At: moment}
		if moved, err := s.Postpone(t.Context(), subject, late); !moved || err != nil {
			t.Fatal(moved, err)
		}
		stolen := identityOf(anna)
		stolen.InternalID = identityOf(bert).InternalID
		if _, err := s.OpenSession(t.Context(), stolen, opening()); !errors.Is(err, directory.ErrIdentityMismatch) {
			t.Errorf("with another's internal_id: %v", err)
		}
		if found := find(t, s, id); found.User.Status != directory.Provisioning || found.User.InternalID != "" {
			t.Errorf("stored %+v", found)
		}
		user, err := s.OpenSession(t.Context(), identityOf(anna), opening())
		if err != nil || user.Status != directory.Active || user.InternalID != identityOf(anna).InternalID {
			t.Errorf("got %+v, %v", user, err)
		}
		found := find(t, s, id)
		user.Version, user.LastClass = found.User.Version, "" // which the login has moved, and settled
		if found.User != user || !found.AmbiguousUntil.IsZero() {
			t.Errorf("stored %+v, not %+v", found, user)
		}
		if class := lastErrorClass(t, db, anna); class != "" {
			t.Errorf("class %q", class)
		}
	})
}

func TestOfTwoFirstLoginsWithDifferentSubjectsOneBinds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		errs := make([]error, 16)
		var logins sync.WaitGroup
		for i := range errs {
			logins.Go(func() {
				identity := identityOf(anna)
				if i%2 == 0 {
					identity.Subject = "another"
				}
				_, errs[i] = s.OpenSession(t.Context(), identity, opening())
			})
		}
		logins.Wait()
		in := 0
		for i, err := range errs {
			if err == nil {
				in++
			} else if !errors.Is(err, directory.ErrIdentityMismatch) {
				t.Error(err)
			}
			if like := errs[(i+2)%len(errs)]; (err == nil) != (like == nil) {
				t.Errorf("of two logins with one subject, %v and %v", err, like)
			}
		}
		if in != len(errs)/2 || count(t, db, `SELECT count(*) FROM sessions`) != in {
			t.Errorf("%d of %d logged in", in, len(errs))
		}
	})
}

func TestALoginWhoseSessionCannotBeStoredChangesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna, bert := invite(t, s, "anna@example.com"), invite(t, s, "bert@example.com")
		first := opening()
		if _, err := s.OpenSession(t.Context(), identityOf(anna), first); err != nil {
			t.Fatal(err)
		}
		again := opening()
		again.Hash, again.Replaces = first.Hash, []session.Hash{first.Hash}
		if _, err := s.OpenSession(t.Context(), identityOf(bert), again); err == nil {
			t.Error("one token opens two sessions")
		}
		if n := count(t, db, `SELECT count(*) FROM users WHERE status = 'active'`); n != 1 {
			t.Errorf("%d users are active", n)
		}
		if user, _, err := s.FindSession(t.Context(), first.Hash, session.Browser); err != nil || user.ID != anna {
			t.Errorf("the first session is of %s, %v", user.ID, err)
		}
	})
}

func TestThousandsOfSessionsAreTouchedInOneGo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		seen := make(map[session.ID]time.Time)
		for range 2500 { // most of them have ended meanwhile
			seen[session.ID(uuid.NewString())] = moment
		}
		ahead, behind := opening(), opening()
		for _, o := range []session.Opening{ahead, behind} {
			if _, err := s.OpenSession(t.Context(), identityOf(anna), o); err != nil {
				t.Fatal(err)
			}
		}
		// Differences that a comparison as text could get wrong.
		seen[ahead.Session.ID] = moment.Add(time.Microsecond).In(time.FixedZone("CET", 3600))
		seen[behind.Session.ID] = moment.Truncate(time.Second)
		if left, err := s.TouchSessions(t.Context(), seen); err != nil || len(left) != 0 {
			t.Fatal(left, err)
		}
		for _, test := range []struct {
			opening session.Opening
			want    time.Time
		}{{ahead, moment.Add(time.Microsecond)}, {behind, moment}} {
			if _, found, err := s.FindSession(t.Context(), test.opening.Hash, session.Browser); err != nil || !found.LastSeenAt.Equal(test.want) {
				t.Errorf("last seen at %s, %v; not %s", found.LastSeenAt, err, test.want)
			}
		}
		if _, err := s.TouchSessions(t.Context(), nil); err != nil {
			t.Errorf("none: %v", err)
		}
	})
}

func TestTimesKeepTheirOrderHoweverManyDigitsTheyHave(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		o := opening()
		o.Session.LastSeenAt = moment.Truncate(time.Second)
		if _, err := s.OpenSession(t.Context(), identityOf(anna), o); err != nil {
			t.Fatal(err)
		}
		steps := []time.Duration{
			time.Microsecond, 10 * time.Microsecond, 15 * time.Microsecond, 100 * time.Millisecond, 150 * time.Millisecond,
			999999 * time.Microsecond, time.Second, time.Second + time.Microsecond, time.Minute, 12 * time.Hour,
		}
		if !slices.IsSorted(steps) {
			t.Fatal("the steps are not in order")
		}
		for _, step := range steps {
			for _, at := range []time.Duration{step, step - time.Microsecond} {
				if _, err := s.TouchSessions(t.Context(), map[session.ID]time.Time{o.Session.ID: o.Session.LastSeenAt.Add(at)}); err != nil {
					t.Fatal(err)
				}
			}
			_, found, err := s.FindSession(t.Context(), o.Hash, session.Browser)
			if err != nil || !found.LastSeenAt.Equal(o.Session.LastSeenAt.Add(step)) {
				t.Errorf("after %s last seen at %s, %v", step, found.LastSeenAt, err)
			}
		}
	})
}

// A logout under way, or another replica's batch, holds no batch up; and what
// was left for it is told, unless it has ended.
func TestABatchOfUsesWaitsForNobodyAndRevivesNothing(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	db, s := newStore(t, databaseURL)
	anna := invite(t, s, "anna@example.com")
	ending, free := opening(), opening()
	for _, o := range []session.Opening{ending, free} {
		if _, err := s.OpenSession(t.Context(), identityOf(anna), o); err != nil {
			t.Fatal(err)
		}
	}
	lastSeen := func(o session.Opening) time.Time {
		t.Helper()
		_, found, err := s.FindSession(t.Context(), o.Hash, session.Browser)
		if err != nil {
			t.Fatal(err)
		}
		return found.LastSeenAt
	}
	patient, cancel := context.WithTimeout(t.Context(), await.Patience) // or it would hang
	defer cancel()
	touch := func(at time.Time, want ...session.ID) {
		t.Helper()
		left, err := s.TouchSessions(patient, map[session.ID]time.Time{ending.Session.ID: at, free.Session.ID: at})
		if err != nil || !slices.Equal(left, want) {
			t.Errorf("left %v, %v; not %v", left, err, want)
		}
	}
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	end := func() {
		t.Helper()
		if _, err := tx.ExecContext(t.Context(), `DELETE FROM sessions WHERE id = $1`, string(ending.Session.ID)); err != nil {
			t.Fatal(err)
		}
	}
	end()
	first := moment.Add(time.Second)
	touch(first, ending.Session.ID)
	if at := lastSeen(free); !at.Equal(first) {
		t.Errorf("beside it, last seen at %s", at)
	}
	// The logout comes to nothing.
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	touch(first)
	if at := lastSeen(ending); !at.Equal(first) {
		t.Errorf("then, last seen at %s", at)
	}
	// The next one is carried out.
	if tx, err = db.SQL().BeginTx(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	end()
	second := moment.Add(time.Minute)
	touch(second, ending.Session.ID)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	touch(second.Add(time.Second))
	if n := count(t, db, `SELECT count(*) FROM sessions`); n != 1 {
		t.Errorf("%d sessions", n)
	}
}
