package store_test

import (
	"errors"
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
		db, s := newStore(t, databaseURL)
		id, userID := accept(t, s, "Anna@example.com")
		duplicate, _ := accept(t, s, "anna@example.com")
		found := find(t, s, id)
		want := provision.Subject{Kind: signup.New, User: directory.User{
			ID: userID, ExternalID: directory.ExternalID(userID), Email: directory.RestoreEmail("Anna@example.com", "anna@example.com"),
			Status: directory.Received, CreatedAt: moment, UpdatedAt: moment,
		}}
		if found != want {
			t.Errorf("found %+v, not %+v", found, want)
		}
		want.Kind = signup.Duplicate
		if found := find(t, s, duplicate); found != want {
			t.Errorf("the duplicate is of %+v, not %+v", found, want)
		}
		if _, err := s.FindSubject(t.Context(), signup.ID(uuid.Must(uuid.NewV7()).String())); !errors.Is(err, provision.ErrNotFound) {
			t.Errorf("an unknown sign-up: %v", err)
		}
		if _, err := db.SQL().ExecContext(t.Context(), `UPDATE signups SET user_id = NULL`); err != nil {
			t.Fatal(err)
		}
		if _, err := s.FindSubject(t.Context(), id); !errors.Is(err, provision.ErrNotFound) {
			t.Errorf("a sign-up whose user is gone: %v", err)
		}
	})
}

func TestAnAttemptIsBegunOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		id, userID := accept(t, s, "anna@example.com")
		for attempt := range 3 {
			until := moment.Add(time.Duration(attempt) * time.Minute)
			var won atomic.Int32
			var workers sync.WaitGroup
			for range 16 {
				workers.Go(func() {
					mine, err := s.BeginAttempt(t.Context(), userID, attempt, until)
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
			found := find(t, s, id)
			if found.Attempt != attempt+1 || found.User.Status != directory.Provisioning || !found.AmbiguousUntil.Equal(until) {
				t.Errorf("stored %+v", found)
			}
		}
		for _, stale := range []int{-1, 0, 1, 2, 4} {
			if mine, err := s.BeginAttempt(t.Context(), userID, stale, moment); mine || err != nil {
				t.Errorf("attempt after %d was begun: %v", stale, err)
			}
		}
	})
}

func TestAPostponementIsTheLatestAttempts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		id, userID := accept(t, s, "anna@example.com")
		for attempt := range 2 {
			if mine, err := s.BeginAttempt(t.Context(), userID, attempt, moment); !mine || err != nil {
				t.Fatal(mine, err)
			}
		}
		later := moment.Add(time.Hour)
		if moved, err := s.Postpone(t.Context(), userID, 1, later, "ambiguous"); moved || err != nil {
			t.Errorf("an attempt that is past postponed: %v, %v", moved, err)
		}
		if moved, err := s.Postpone(t.Context(), userID, 2, later, "ambiguous"); !moved || err != nil {
			t.Errorf("postponed: %v, %v", moved, err)
		}
		if found := find(t, s, id); !found.AmbiguousUntil.Equal(later) || found.Attempt != 2 || found.User.Status != directory.Provisioning {
			t.Errorf("stored %+v", found)
		}
		if class := lastErrorClass(t, db, userID); class != "ambiguous" {
			t.Errorf("class %q", class)
		}
		if moved, err := s.Postpone(t.Context(), userID, 2, time.Time{}, "rate_limited"); !moved || err != nil {
			t.Errorf("postponed again: %v, %v", moved, err)
		}
		if found := find(t, s, id); !found.AmbiguousUntil.IsZero() {
			t.Errorf("still ambiguous until %s", found.AmbiguousUntil)
		}
	})
}

func TestTheInternalIDIsWrittenOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		id, userID := accept(t, s, "anna@example.com")
		if mine, err := s.BeginAttempt(t.Context(), userID, 0, moment); !mine || err != nil {
			t.Fatal(mine, err)
		}
		if moved, err := s.Postpone(t.Context(), userID, 1, moment, "ambiguous"); !moved || err != nil {
			t.Fatal(moved, err)
		}
		if moved, err := s.Invite(t.Context(), userID, "int-1"); !moved || err != nil {
			t.Fatal(moved, err)
		}
		for _, other := range []directory.InternalID{"int-1", "int-2"} {
			if moved, err := s.Invite(t.Context(), userID, other); moved || err != nil {
				t.Errorf("invited again as %s: %v, %v", other, moved, err)
			}
		}
		found := find(t, s, id)
		if found.User.InternalID != "int-1" || found.User.Status != directory.Invited || !found.AmbiguousUntil.IsZero() {
			t.Errorf("stored %+v", found)
		}
		if class := lastErrorClass(t, db, userID); class != "" {
			t.Errorf("class %q", class)
		}
	})
}

func TestAnInternalIDBelongsToOneUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		_, first := accept(t, s, "anna@example.com")
		id, second := accept(t, s, "bert@example.com")
		if moved, err := s.Invite(t.Context(), first, "int-1"); !moved || err != nil {
			t.Fatal(moved, err)
		}
		if moved, err := s.Invite(t.Context(), second, "int-1"); moved || !errors.Is(err, provision.ErrInternalIDTaken) {
			t.Errorf("invited: %v, %v", moved, err)
		}
		if found := find(t, s, id); found.User.Status != directory.Received || found.User.InternalID != "" {
			t.Errorf("stored %+v", found)
		}
	})
}

func TestAUserWhoIsNoLongerProvisionedIsNotMoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		id, userID := accept(t, s, "anna@example.com")
		for _, status := range directory.Statuses() {
			if status == directory.Received || status == directory.Provisioning {
				continue
			}
			if _, err := db.SQL().ExecContext(t.Context(), `UPDATE users SET status = $1, internal_id = 'int-1'`, string(status)); err != nil {
				t.Fatal(err)
			}
			before := find(t, s, id)
			for name, move := range map[string]func() (bool, error){
				"BeginAttempt": func() (bool, error) { return s.BeginAttempt(t.Context(), userID, 0, moment) },
				"Postpone":     func() (bool, error) { return s.Postpone(t.Context(), userID, 0, moment, "ambiguous") },
				"Invite":       func() (bool, error) { return s.Invite(t.Context(), userID, "int-2") },
				"Refuse":       func() (bool, error) { return s.Refuse(t.Context(), userID, directory.Failed, "rejected") },
			} {
				if moved, err := move(); moved || err != nil {
					t.Errorf("%s moved a user who is %s: %v, %v", name, status, moved, err)
				}
			}
			if after := find(t, s, id); after != before {
				t.Errorf("%s: stored %+v, not %+v", status, after, before)
			}
		}
	})
}

func TestARefusalEndsProvisioningAndItsQuarantine(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		for address, status := range map[string]directory.Status{"anna@example.com": directory.Failed, "bert@example.com": directory.Conflict} {
			id, userID := accept(t, s, address)
			if mine, err := s.BeginAttempt(t.Context(), userID, 0, moment); !mine || err != nil {
				t.Fatal(mine, err)
			}
			if moved, err := s.Refuse(t.Context(), userID, status, "why"); !moved || err != nil {
				t.Errorf("refused: %v, %v", moved, err)
			}
			if moved, err := s.Refuse(t.Context(), userID, status, "again"); moved || err != nil {
				t.Errorf("refused twice: %v, %v", moved, err)
			}
			found := find(t, s, id)
			if found.User.Status != status || !found.AmbiguousUntil.IsZero() || found.Attempt != 1 || found.User.InternalID != "" {
				t.Errorf("stored %+v", found)
			}
			if class := lastErrorClass(t, db, userID); class != "why" {
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
	})
}
