package signup_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

// invited accepts a sign-up with the address and lets so much time pass that
// it is seen to be invited.
func (w *world) invited(address string) signup.Receipt {
	w.t.Helper()
	receipt := w.accept(address).Receipt
	w.settle(w.clock.now())
	w.exec(`UPDATE users SET status = 'invited', internal_id = $1 WHERE status = 'received' AND email = $2`, "int-"+address, address)
	w.clock.advance(time.Second)
	return receipt
}

func (w *world) jobsOf(kind string) (n int) {
	w.t.Helper()
	w.scan(`SELECT count(*) FROM river_job WHERE kind = $1`, &n, kind)
	return n
}

func TestASVS_2_3_2_TheMailIsSentAgainOnceAMinute(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.invited("anna@example.com")
		w.clock.set(moment)
		w.clock.advance(time.Second)
		due := rounded.Add(resendAfter).Truncate(time.Second)
		for _, at := range []time.Time{moment.Add(time.Second), due.Add(-time.Second), due.Add(-time.Microsecond)} {
			w.clock.set(at)
			_, err := w.Resend(t.Context(), receipt, client)
			limited, ok := errors.AsType[*signup.LimitedError](err)
			if !ok {
				t.Fatalf("at %s: %v", at, err)
			}
			wait := limited.Decision.RetryAfter
			if wait < time.Second || wait%time.Second != 0 || at.Add(wait).Before(due) || wait > due.Sub(at)+time.Second {
				t.Errorf("at %s one is told to wait %s, and may at %s", at, wait, due)
			}
		}
		if n := w.jobsOf("resend"); n != 0 {
			t.Errorf("%d jobs", n)
		}
		for i := range 3 {
			w.clock.set(due)
			due = due.Add(resendAfter)
			got, err := w.Resend(t.Context(), receipt, client)
			want := signup.Signup{Receipt: receipt, Status: signup.Invited, ResendAfter: due}
			if err != nil || got != want {
				t.Errorf("%+v, %v; not %+v", got, err, want)
			}
			if found, err := w.Status(t.Context(), receipt); err != nil || found != want {
				t.Errorf("the status is %+v, %v; not %+v", found, err, want)
			}
			if n := w.jobsOf("resend"); n != i+1 {
				t.Errorf("%d jobs", n)
			}
		}
	})
}

func TestOnlyWhoIsInvitedCanHaveTheMailAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.invited("anna@example.com")
		for name, change := range map[string]func(){
			"under way":       func() { w.exec(`UPDATE signups SET settled_at = NULL`) },
			"not yet shown":   func() { w.exec(`UPDATE signups SET settled_at = $1`, w.clock.now().Add(time.Second).UTC()) },
			"refused":         func() { w.exec(`UPDATE users SET status = 'failed'`) },
			"in conflict":     func() { w.exec(`UPDATE users SET status = 'conflict'`) },
			"with a passkey":  func() { w.exec(`UPDATE users SET status = 'active', activated_at = $1`, rounded.Add(time.Minute)) },
			"suspended since": func() { w.exec(`UPDATE users SET status = 'suspended', activated_at = $1`, rounded.Add(time.Minute)) },
		} {
			w.exec(`UPDATE signups SET settled_at = created_at`)
			w.exec(`UPDATE users SET status = 'invited', activated_at = NULL`)
			w.clock.set(moment.Add(time.Hour))
			change()
			if got, err := w.Resend(t.Context(), receipt, client); !errors.Is(err, signup.ErrNotInvited) || got.Receipt != "" {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		for _, unknown := range []signup.Receipt{"", "what?", "Az-_0Az-_0Az-_0Az-_0AQ"} {
			if got, err := w.Resend(t.Context(), unknown, client); !errors.Is(err, signup.ErrNotFound) || got.Receipt != "" {
				t.Errorf("%q: %+v, %v", unknown, got, err)
			}
		}
		if n := w.jobsOf("resend"); n != 0 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestASVS_6_3_8_AResendSaysNothingOfTheUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for _, status := range []directory.Status{
			directory.Invited, directory.Active, directory.Suspended, directory.Deleting, directory.Deleted,
		} {
			w.clock.set(moment)
			w.registered(addressOf(status), status)
			w.clock.set(moment.Add(time.Hour))
			receipt, jobs := w.invited(addressOf(status)), w.jobsOf("resend")
			want := moment.Add(time.Hour + time.Second + 2*resendAfter).UTC().Truncate(time.Second)
			if _, err := w.Resend(t.Context(), receipt, client); err == nil {
				t.Errorf("%s: the mail can be had too early", status)
			}
			w.clock.advance(resendAfter)
			got, err := w.Resend(t.Context(), receipt, client)
			if err != nil || got != (signup.Signup{Receipt: receipt, Status: signup.Invited, ResendAfter: want}) {
				t.Errorf("%s: %+v, %v", status, got, err)
			}
			if n := w.jobsOf("resend") - jobs; n != 1 {
				t.Errorf("%s: %d jobs", status, n)
			}
		}
	})
}

func TestASVS_15_4_2_OfTwentyWishesAtOnceOneCounts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.invited("anna@example.com")
		w.clock.advance(resendAfter)
		won := 0
		for _, a := range concurrently(20, func() (signup.Signup, error) { return w.Resend(t.Context(), receipt, client) }) {
			if a.err == nil {
				won++
			} else if limited, ok := errors.AsType[*signup.LimitedError](a.err); !ok || limited.Decision.RetryAfter < time.Second {
				t.Error(a.err)
			}
		}
		if n := w.jobsOf("resend"); won != 1 || n != 1 {
			t.Errorf("%d counted, %d jobs", won, n)
		}
	})
}

func TestASVS_2_3_2_WishesAreLimitedByClient(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.invited("anna@example.com")
		w.limit(ratelimit.Limits{Client: ratelimit.Limit{Count: 2, Per: time.Minute}})
		// Too early, with a quota: one is told of the quota as well.
		_, err := w.Resend(t.Context(), receipt, client)
		limited, ok := errors.AsType[*signup.LimitedError](err)
		if !ok || limited.Decision.Refused != "resend" || limited.Decision.Quota.Limit != 2 || limited.Decision.Quota.Remaining != 1 {
			t.Errorf("too early: %v, %+v", err, limited)
		}
		// A receipt that was guessed costs as much.
		if _, err := w.Resend(t.Context(), "Az-_0Az-_0Az-_0Az-_0AQ", client); !errors.Is(err, signup.ErrNotFound) {
			t.Error(err)
		}
		_, err = w.Resend(t.Context(), receipt, client)
		if limited, ok = errors.AsType[*signup.LimitedError](err); !ok || limited.Decision.Refused != ratelimit.Client {
			t.Errorf("too often: %v, %+v", err, limited)
		}
		w.clock.advance(resendAfter)
		got, err := w.Resend(t.Context(), receipt, client)
		if err != nil || got.Limit.Quota != (ratelimit.Quota{Limit: 2, Remaining: 1, Reset: 30 * time.Second}) {
			t.Errorf("later: %+v, %v", got, err)
		}
	})
}

func TestAWishWhoseJobCannotBeInsertedDoesNotCount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.invited("anna@example.com")
		w.clock.advance(resendAfter)
		broken := errors.New("no job")
		s := over(t, w.db, jobsFunc(func(context.Context, *sql.Tx, signup.ID) error { return broken }))
		s.clock.set(w.clock.now())
		if _, err := s.Resend(t.Context(), receipt, client); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if _, err := w.Resend(t.Context(), receipt, client); err != nil || w.jobsOf("resend") != 1 {
			t.Errorf("afterwards: %v, %d jobs", err, w.jobsOf("resend"))
		}
	})
}
