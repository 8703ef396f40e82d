package store_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAFlowIsFinishedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		var first atomic.Int32
		var answers sync.WaitGroup
		for range 100 {
			answers.Go(func() {
				won, err := s.UseFlow(t.Context(), "flow", moment)
				if err != nil {
					t.Error(err)
				}
				if won {
					first.Add(1)
				}
			})
		}
		answers.Wait()
		if first.Load() != 1 {
			t.Errorf("%d answers were the first", first.Load())
		}
		if won, err := s.UseFlow(t.Context(), "Flow", moment); !won || err != nil {
			t.Errorf("another flow: %v, %v", won, err)
		}
		if n := count(t, db, `SELECT count(*) FROM used_flows`); n != 2 {
			t.Errorf("%d flows", n)
		}
	})
}

func TestWhatHasExpiredIsPurgedAndNothingElse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		var kept, gone []session.Opening
		for i := range 5 {
			o := opening()
			o.Session.ExpiresAt = moment.Add(time.Duration(i-3) * time.Microsecond) // three are past
			o.Session.LastSeenAt = moment.Add(-time.Hour)
			expire(t, s, anna, o, strconv.Itoa(i))
			if i < 3 {
				gone = append(gone, o)
			} else {
				kept = append(kept, o)
			}
		}
		for i, want := range []int{2, 1, 0} {
			if purged, err := s.PurgeExpired(t.Context(), moment, time.Hour, 2); purged != want || err != nil {
				t.Errorf("round %d purged %d, %v; not %d", i, purged, err, want)
			}
		}
		checkPurged(t, s, kept, gone)
		for _, table := range []string{"used_flows", "idempotency_keys", "native_codes", "used_logout_tokens"} {
			if n := count(t, db, `SELECT count(*) FROM `+table); n != 2 {
				t.Errorf("%d %s", n, table)
			}
		}
		if n := count(t, db, `SELECT count(*) FROM users`) + count(t, db, `SELECT count(*) FROM signups`); n != 7 {
			t.Errorf("%d users and sign-ups", n)
		}
	})
}

// expire stores one row of every kind that ends when the session does.
func expire(t *testing.T, s *store.Store, user directory.UserID, o session.Opening, name string) {
	t.Helper()
	if _, err := s.OpenSession(t.Context(), identityOf(user), o); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseFlow(t.Context(), "flow"+name, o.Session.ExpiresAt); err != nil {
		t.Fatal(err)
	}
	a := acceptance(t, "key"+name+"@example.com")
	a.Key = &signup.StoredKey{Hash: a.ReceiptHash, Sealed: []byte("sealed"), ExpiresAt: o.Session.ExpiresAt}
	if err := s.AcceptSignup(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	granted := session.Granted{
		Hash: session.CodeHash(o.Hash), Login: session.Login{Identity: identityOf(user)}, CreatedAt: moment, ExpiresAt: o.Session.ExpiresAt,
	}
	if err := s.GrantCode(t.Context(), granted, nil); err != nil {
		t.Fatal(err)
	}
	logout := session.ProviderLogout{Issuer: "https://auth.example/v2", Subject: "nobody", TokenID: name, ExpiresAt: o.Session.ExpiresAt}
	if _, err := s.EndSessionsOfProvider(t.Context(), logout); err != nil {
		t.Fatal(err)
	}
}

func checkPurged(t *testing.T, s *store.Store, kept, gone []session.Opening) {
	t.Helper()
	for _, o := range gone {
		if _, _, err := s.FindSession(t.Context(), o.Hash, session.Browser); !errors.Is(err, session.ErrUnknown) {
			t.Errorf("past its end: %v", err)
		}
	}
	for _, o := range kept {
		if _, _, err := s.FindSession(t.Context(), o.Hash, session.Browser); err != nil {
			t.Errorf("not past its end: %v", err)
		}
	}
}

func TestASessionThatWasNotUsedForTooLongIsPurged(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		var kept, gone []session.Opening
		for i := range 5 {
			o := opening()
			o.Session.LastSeenAt = moment.Add(-time.Hour + time.Duration(i-3)*time.Microsecond) // three are past
			if _, err := s.OpenSession(t.Context(), identityOf(anna), o); err != nil {
				t.Fatal(err)
			}
			if i < 3 {
				gone = append(gone, o)
			} else {
				kept = append(kept, o)
			}
		}
		for i, want := range []int{2, 1, 0} {
			if purged, err := s.PurgeExpired(t.Context(), moment, time.Hour, 2); purged != want || err != nil {
				t.Errorf("round %d purged %d, %v; not %d", i, purged, err, want)
			}
		}
		checkPurged(t, s, kept, gone)
	})
}

// SQLite has one writer, and no lock on a row.
func TestARowThatSomebodyHasLockedHoldsNoPurgeUp(t *testing.T) {
	t.Parallel()
	db, s := newStore(t, storetest.Postgres(t))
	anna := invite(t, s, "anna@example.com")
	all := make([]session.Opening, 6)
	for i := range all {
		all[i] = opening()
		all[i].Session.ExpiresAt = moment.Add(-time.Minute)
		expire(t, s, anna, all[i], strconv.Itoa(i))
	}
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	tables := []string{"sessions", "native_codes", "used_flows", "used_logout_tokens", "idempotency_keys"}
	for _, table := range tables {
		if _, err := tx.ExecContext(t.Context(), `SELECT FROM `+table+` ORDER BY expires_at LIMIT 2 FOR UPDATE`); err != nil {
			t.Fatal(err)
		}
	}
	patient, cancel := context.WithTimeout(t.Context(), await.Patience) // or it would hang
	defer cancel()
	for i, want := range []int{3, 1, 0} {
		if purged, err := s.PurgeExpired(patient, moment, time.Hour, 3); purged != want || err != nil {
			t.Errorf("round %d purged %d, %v; not %d", i, purged, err, want)
		}
	}
	for _, table := range tables {
		if n := count(t, db, `SELECT count(*) FROM `+table); n != 2 {
			t.Errorf("%d %s are left", n, table)
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if purged, err := s.PurgeExpired(t.Context(), moment, time.Hour, 3); purged != 2 || err != nil {
		t.Errorf("then it purged %d, %v", purged, err)
	}
}
