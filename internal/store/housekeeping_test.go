package store_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
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
			if _, err := s.OpenSession(t.Context(), identityOf(anna), o); err != nil {
				t.Fatal(err)
			}
			if _, err := s.UseFlow(t.Context(), "flow"+strconv.Itoa(i), o.Session.ExpiresAt); err != nil {
				t.Fatal(err)
			}
			a := acceptance(t, "key"+strconv.Itoa(i)+"@example.com")
			a.Key = &signup.StoredKey{Hash: a.ReceiptHash, Sealed: []byte("sealed"), ExpiresAt: o.Session.ExpiresAt}
			if err := s.AcceptSignup(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if i < 3 {
				gone = append(gone, o)
			} else {
				kept = append(kept, o)
			}
		}
		for i, want := range []int{2, 1, 0} {
			if purged, err := s.PurgeExpired(t.Context(), moment, 2); purged != want || err != nil {
				t.Errorf("round %d purged %d, %v; not %d", i, purged, err, want)
			}
		}
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
		if n := count(t, db, `SELECT count(*) FROM used_flows`); n != 2 {
			t.Errorf("%d flows", n)
		}
		if n := count(t, db, `SELECT count(*) FROM idempotency_keys`); n != 2 {
			t.Errorf("%d idempotency keys", n)
		}
		if n := count(t, db, `SELECT count(*) FROM users`) + count(t, db, `SELECT count(*) FROM signups`); n != 7 {
			t.Errorf("%d users and sign-ups", n)
		}
	})
}
