package signup_test

import (
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

func (w *world) tells(receipt signup.Receipt, want signup.Status, format string, args ...any) {
	w.t.Helper()
	found, err := w.Status(w.t.Context(), receipt)
	if err != nil || found.Status != want || found.Receipt != receipt {
		w.t.Errorf("the receipt "+format+" tells %q, %v; not %q", append(args, found.Status, err, want)...)
	}
}

func TestTheStatusTellsWhatItsHolderMayKnow(t *testing.T) {
	t.Parallel()
	told := map[directory.Status]signup.Status{
		directory.Received:     signup.Invited, // settled without a user's having moved cannot be
		directory.Provisioning: signup.Invited,
		directory.Invited:      signup.Invited,
		directory.Active:       signup.Invited,
		directory.Suspended:    signup.Invited,
		directory.Failed:       signup.Failed,
		directory.Conflict:     signup.Failed,
		directory.Deleting:     signup.Invited,
		directory.Deleted:      signup.Invited,
	}
	if len(told) != len(directory.Statuses()) {
		t.Fatalf("%d statuses, %d in the table", len(directory.Statuses()), len(told))
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		first, duplicate := w.accept("anna@example.com").Receipt, w.accept("anna@example.com").Receipt
		w.enlist()
		w.clock.advance(time.Hour)
		for status, want := range told {
			for _, receipt := range []signup.Receipt{first, duplicate} {
				w.exec(`UPDATE users SET status = $1, internal_id = 'int-anna', activated_at = NULL`, string(status))
				w.exec(`UPDATE signups SET settled_at = NULL`)
				w.tells(receipt, signup.Received, "under way, of a user who is %s,", status)
				w.exec(`UPDATE signups SET settled_at = created_at`)
				w.tells(receipt, want, "of a user who is %s", status)
				// Whether the owner of the address had a passkey before is not
				// for others to see (user enumeration, CWE-204).
				for _, before := range []time.Duration{-24 * time.Hour, -time.Microsecond, 0} {
					w.exec(`UPDATE users SET activated_at = $1`, rounded.Add(before))
					w.tells(receipt, want, "of a user who is %s since %s", status, before)
				}
				for _, after := range []time.Duration{time.Microsecond, time.Minute} {
					w.exec(`UPDATE users SET activated_at = $1`, rounded.Add(after))
					w.tells(receipt, signup.Active, "of a user who is %s and had a passkey after %s", status, after)
				}
			}
		}
	})
}

func TestTheStatusMovesInCoarseSteps(t *testing.T) {
	t.Parallel()
	tests := []struct {
		settled, shown time.Duration // after the acceptance
	}{
		{-time.Hour, time.Second}, // a replica whose clock is behind
		{-time.Microsecond, time.Second},
		{0, time.Second},
		{time.Microsecond, time.Second},
		{999999 * time.Microsecond, time.Second},
		{time.Second, time.Second},
		{time.Second + time.Microsecond, 2 * time.Second},
		{2 * time.Second, 2 * time.Second},
		{2*time.Second + time.Microsecond, 4 * time.Second},
		{3 * time.Second, 4 * time.Second},
		{4*time.Second + time.Microsecond, 8 * time.Second},
		{time.Minute, 64 * time.Second},
		{10 * time.Minute, 1024 * time.Second},
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.accept("anna@example.com").Receipt
		w.enlist()
		for status, shown := range map[directory.Status]signup.Status{
			directory.Invited: signup.Invited, directory.Failed: signup.Failed, directory.Active: signup.Active,
		} {
			w.exec(`UPDATE users SET status = $1, internal_id = 'int-anna', activated_at = NULL`, string(status))
			if status == directory.Active {
				w.exec(`UPDATE users SET activated_at = $1`, rounded.Add(time.Microsecond))
			}
			for _, test := range tests {
				w.exec(`UPDATE signups SET settled_at = $1`, rounded.Add(test.settled))
				w.clock.set(rounded.Add(test.shown - time.Microsecond))
				w.tells(receipt, signup.Received, "settled after %s, just before %s,", test.settled, test.shown)
				w.clock.set(rounded.Add(test.shown))
				w.tells(receipt, shown, "settled after %s, at %s,", test.settled, test.shown)
			}
		}
	})
}

func TestASignupThatWasNeverEnlistedStaysReceived(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		receipt := w.accept("anna@example.com").Receipt
		for range 3 {
			w.clock.advance(365 * 24 * time.Hour)
			w.tells(receipt, signup.Received, "of a sign-up without a job")
		}
	})
}
