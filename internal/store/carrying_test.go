package store_test

import (
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// wish has something carried of the user, as whoever changes them does.
func wish(t *testing.T, db *store.DB, id directory.UserID) {
	t.Helper()
	_, err := db.SQL().ExecContext(t.Context(), `
		UPDATE users SET sync = 'pending', sync_change = sync_change + 1, sync_error_class = NULL WHERE id = $1`, string(id))
	if err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, s *store.Store, id directory.UserID) provision.Change {
	t.Helper()
	c, err := s.FindChange(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// claimed is the user as a worker has them, from at on.
func claimed(t *testing.T, s *store.Store, id directory.UserID, at time.Time) provision.Change {
	t.Helper()
	c := change(t, s, id)
	claim := provision.Claim{At: at, Until: at.Add(time.Minute), UnsureUntil: c.UnsureUntil}
	if mine, err := s.BeginChange(t.Context(), c, claim); !mine || err != nil {
		t.Fatal(mine, err)
	}
	c.ClaimedUntil = claim.Until
	return c
}

func TestAUserIsClaimedByOneWorkerWhileNothingHasChanged(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		for name, test := range map[string]struct {
			statement string
			later     time.Duration
			want      bool
		}{
			"nothing has happened":             {`UPDATE users SET locale = locale WHERE id = $1`, 0, true},
			"there is nothing to carry":        {`UPDATE users SET sync = 'synced' WHERE id = $1`, 0, false},
			"there is a newer change":          {`UPDATE users SET sync_change = sync_change + 1 WHERE id = $1`, 0, false},
			"they are somebody else there":     {`UPDATE users SET internal_id = 'other' WHERE id = $1`, 0, false},
			"they are suspended":               {`UPDATE users SET status = 'suspended' WHERE id = $1`, 0, false},
			"another has sent something":       {`UPDATE users SET sync_ambiguous_until = '2026-03-01 13:00:00+00:00' WHERE id = $1`, 0, false},
			"a create was sent":                {`UPDATE users SET provision_attempt = 7 WHERE id = $1`, 0, false},
			"another worker has them":          {`UPDATE users SET sync_claimed_until = '2026-03-01 13:00:00+00:00' WHERE id = $1`, 0, false},
			"another worker had them and died": {`UPDATE users SET sync_claimed_until = '2026-03-01 13:00:00+00:00' WHERE id = $1`, time.Hour, true},
		} {
			reset := `UPDATE users SET sync = 'pending', status = 'invited', sync_ambiguous_until = NULL, sync_claimed_until = NULL WHERE id = $1`
			if _, err := db.SQL().ExecContext(t.Context(), reset, string(anna)); err != nil {
				t.Fatal(err)
			}
			c := change(t, s, anna)
			if _, err := db.SQL().ExecContext(t.Context(), test.statement, string(anna)); err != nil {
				t.Fatal(err)
			}
			at := moment.Add(test.later)
			claim := provision.Claim{At: at, Until: at.Add(time.Minute), UnsureUntil: at.Add(time.Hour)}
			if mine, err := s.BeginChange(t.Context(), c, claim); mine != test.want || err != nil {
				t.Errorf("%s: %v, %v", name, mine, err)
			}
			if got := change(t, s, anna); test.want && (!got.ClaimedUntil.Equal(claim.Until) || !got.UnsureUntil.Equal(claim.UnsureUntil)) {
				t.Errorf("%s: claimed until %s, unsure until %s", name, got.ClaimedUntil, got.UnsureUntil)
			}
		}
	})
}

func TestWhatCameOfACallHoldsOnlyForWhatWasSent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		for _, o := range []provision.Outcome{
			{Sync: directory.SyncSynced},
			{Sync: directory.SyncFailed, Class: "rejected"},
			{Sync: directory.SyncPending, Class: "ambiguous", UnsureUntil: moment.Add(time.Hour)},
		} {
			for _, newer := range []bool{false, true} {
				wish(t, db, anna)
				c := claimed(t, s, anna, moment)
				want := o
				if newer {
					wish(t, db, anna)
					want.Sync, want.Class = directory.SyncPending, ""
				}
				for i := range 2 {
					if held, err := s.EndChange(t.Context(), c, o); held != (i == 0) || err != nil {
						t.Errorf("%+v, %v: held %v, %v", o, newer, held, err)
					}
				}
				got := change(t, s, anna)
				if got.User.Sync != want.Sync || got.User.SyncClass != string(want.Class) || !got.UnsureUntil.Equal(want.UnsureUntil) || !got.ClaimedUntil.IsZero() {
					t.Errorf("%+v, with a newer change %v: %+v", o, newer, got)
				}
			}
		}
	})
}

func TestDoubtIsCastOnWhomTheProviderHasAndNobodyElse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna, bert := invite(t, s, "anna@example.com"), enlist(t, s, "bert@example.com").User.ID
		for _, id := range []directory.UserID{anna, bert} {
			if err := s.DoubtChange(t.Context(), id, moment); err != nil {
				t.Fatal(err)
			}
		}
		if got := change(t, s, anna); got.User.Sync != directory.SyncPending || !got.UnsureUntil.Equal(moment) {
			t.Errorf("anna: %+v", got)
		}
		if got := change(t, s, bert); got.User.Sync != directory.SyncSynced || !got.UnsureUntil.IsZero() {
			t.Errorf("bert: %+v", got)
		}
		if n := count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'change'`); n != 1 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestATombstoneIsMadeOfWhomAWorkerHasAndWhoIsLeaving(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		wish(t, db, anna)
		c := claimed(t, s, anna, moment)
		bury := func(c provision.Change, want bool) {
			t.Helper()
			if buried, err := s.Bury(t.Context(), c, "left_at_provider", moment); buried != want || err != nil {
				t.Errorf("buried %v, %v", buried, err)
			}
		}
		bury(c, false) // stays
		if _, err := db.SQL().ExecContext(t.Context(), `UPDATE users SET status = 'deleting' WHERE id = $1`, string(anna)); err != nil {
			t.Fatal(err)
		}
		late := c
		late.ClaimedUntil = late.ClaimedUntil.Add(time.Second)
		bury(late, false) // somebody else's
		bury(c, true)
		bury(c, false) // already
		user := change(t, s, anna).User
		if user.Status != directory.Deleted || user.Email.Canonical() != string(anna)+"@deleted.invalid" || user.ExternalID != directory.ExternalID(anna) {
			t.Errorf("is %+v", user)
		}
		lines := audited(t, db, anna)
		if last := lines[len(lines)-1]; last != "portico user.deleted deleting deleted left_at_provider" {
			t.Errorf("the audit ends with %q", last)
		}
	})
}

func TestATakeoverIsOfWhoIsStillToBeProvisionedAndOfNobodyElses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		other := invite(t, s, "other@example.com")
		anna := enlist(t, s, "anna@example.com")
		subject, err := s.FindUserSubject(t.Context(), anna.User.ID)
		if err != nil {
			t.Fatal(err)
		}
		if mine, err := s.BeginLook(t.Context(), subject, moment); !mine || err != nil {
			t.Fatal(mine, err)
		}
		subject.User.Status = directory.Provisioning
		taken := provision.Takeover{InternalID: change(t, s, other).User.InternalID, At: moment}
		if moved, err := s.TakeOver(t.Context(), subject, taken); moved || err != provision.ErrInternalIDTaken { //nolint:errorlint // as it is
			t.Errorf("another's: %v, %v", moved, err)
		}
		free := provision.Takeover{InternalID: "free", Active: true, Differs: true, At: moment}
		for i := range 2 {
			if moved, err := s.TakeOver(t.Context(), subject, free); moved != (i == 0) || err != nil {
				t.Errorf("%v, %v", moved, err)
			}
		}
		got, err := s.FindUserSubject(t.Context(), anna.User.ID)
		if err != nil || got.MadeThere || got.User.Status != directory.Active || got.User.Sync != directory.SyncPending || got.User.InternalID != "free" {
			t.Errorf("is %+v, %v", got, err)
		}
		if n := count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'change'`); n != 1 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestUsersWhoShouldHaveAJobAreFoundPageByPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		want := make(map[directory.UserID]bool)
		for _, address := range []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com"} {
			id := invite(t, s, address)
			wish(t, db, id)
			want[id] = true
		}
		var after directory.UserID
		for {
			page, err := s.PendingChanges(t.Context(), moment, after, 2)
			if err != nil || len(page) > 2 {
				t.Fatalf("%d users, %v", len(page), err)
			}
			if len(page) == 0 {
				break
			}
			for _, id := range page {
				if !want[id] || id <= after {
					t.Errorf("%s twice, or out of order", id)
				}
				delete(want, id)
				after = id
			}
		}
		if len(want) != 0 {
			t.Errorf("%d were not found", len(want))
		}
	})
}

func TestChangesThatWereKeptAreRevivedWithTheirJobs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		for i, address := range []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com"} {
			class := provision.ClassUnsupported
			if i == 3 {
				class = "rejected"
			}
			id := invite(t, s, address)
			if _, err := db.SQL().ExecContext(t.Context(), `UPDATE users SET sync = 'failed', sync_error_class = $1 WHERE id = $2`, class, string(id)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []int{2, 1, 0} {
			if n, err := s.ReviveUnsupported(t.Context(), 2); n != want || err != nil {
				t.Errorf("revived %d, %v; not %d", n, err, want)
			}
		}
		if n := count(t, db, `SELECT count(*) FROM users WHERE sync = 'pending'`); n != 3 {
			t.Errorf("%d are pending", n)
		}
		if n := count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'change'`); n != 3 {
			t.Errorf("%d jobs", n)
		}
	})
}
