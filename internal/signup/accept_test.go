package signup_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAnAcceptedSignupIsOneReceiptAndOneJobAndThenOneUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		accepted, err := w.Accept(t.Context(), signup.Request{
			Email: "Anna@Example.com", DisplayName: "Anna", Locale: "de-CH", TermsVersion: "2026-01",
		})
		if err != nil {
			t.Fatal(err)
		}
		want := signup.Signup{Receipt: accepted.Receipt, Status: signup.Received, ResendAfter: rounded.Add(resendAfter).Truncate(time.Second)}
		if accepted != want {
			t.Errorf("accepted %+v, not %+v", accepted, want)
		}
		if n := w.rows(); n != (stored{signups: 1, jobs: 1}) {
			t.Errorf("stored %+v", n)
		}
		candidate := w.table("signups")[0]
		w.enlist()
		if n := w.rows(); n != (stored{users: 1, signups: 1, jobs: 1}) {
			t.Errorf("once enlisted: %+v", n)
		}
		got := readBack(t, w.db)
		if got.externalID != got.userID || got.userID != candidate["candidate_id"] {
			t.Errorf("external_id is %q, the user's id %q, the candidate's %q", got.externalID, got.userID, candidate["candidate_id"])
		}
		got.userID, got.externalID = "", ""
		if (got != row{
			email: "Anna@Example.com", canonical: "anna@example.com", name: "Anna", status: "received",
			kind: "new", locale: "de-CH", terms: "2026-01",
		}) {
			t.Errorf("stored %+v", got)
		}
		found, err := w.Status(t.Context(), accepted.Receipt)
		if err != nil || found != want {
			t.Errorf("status %+v, %v", found, err)
		}
	})
}

// row is what is stored of a sign-up and its user.
type row struct{ userID, externalID, email, canonical, name, status, kind, locale, terms string }

func readBack(t *testing.T, db *store.DB) row {
	t.Helper()
	var r row
	var job string
	err := db.SQL().QueryRowContext(t.Context(), `
		SELECT u.id, u.external_id, u.email, u.email_canonical, u.display_name, u.status, s.kind, s.locale, s.terms_version, j.kind
		FROM signups s JOIN users u ON u.id = s.user_id CROSS JOIN river_job j`).
		Scan(&r.userID, &r.externalID, &r.email, &r.canonical, &r.name, &r.status, &r.kind, &r.locale, &r.terms, &job)
	if err != nil {
		t.Fatal(err)
	}
	if job != "signup" {
		t.Errorf("the job is a %q", job)
	}
	return r
}

func TestASecondSignupWithAnAddressAddsAReceiptAndAJobAndNoUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		first := w.accept("anna@example.com")
		w.enlist()
		for i, spelling := range []string{"anna@example.com", "Anna@EXAMPLE.com", "ａｎｎａ@example。com"} {
			second, err := w.Accept(t.Context(), signup.Request{Email: spelling, DisplayName: "Not Anna"})
			if err != nil {
				t.Fatal(err)
			}
			if second.Receipt == first.Receipt {
				t.Error("the same receipt")
			}
			second.Receipt = first.Receipt
			if second != first {
				t.Errorf("%s: a duplicate shows: %+v, not %+v", spelling, second, first)
			}
			w.enlist()
			if n := w.rows(); n != (stored{users: 1, signups: i + 2, jobs: i + 2}) {
				t.Errorf("%s: stored %+v", spelling, n)
			}
		}
		var name, email string
		row := w.db.SQL().QueryRowContext(t.Context(), `SELECT display_name, email FROM users`)
		if err := row.Scan(&name, &email); err != nil || name != "" || email != "anna@example.com" {
			t.Errorf("a duplicate changed the user: %q, %q, %v", name, email, err)
		}
		for _, receipt := range w.table("signups") {
			for _, column := range []string{"candidate_id", "email", "email_canonical", "display_name"} {
				if receipt[column] != "<nil>" {
					t.Errorf("once enlisted, a sign-up still has the %s %s", column, receipt[column])
				}
			}
		}
	})
}

func TestASVS_2_3_4_FiftySignupsWithOneAddressAtOnceMakeOneUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		const crowd = 50
		receipts := make([]signup.Receipt, crowd)
		var all sync.WaitGroup
		for i := range crowd {
			all.Go(func() {
				accepted, err := w.Accept(t.Context(), signup.Request{Email: "anna@example.com"})
				if err != nil {
					t.Error(err)
				}
				receipts[i] = accepted.Receipt
			})
		}
		all.Wait()
		if n := w.rows(); n != (stored{signups: crowd, jobs: crowd}) {
			t.Errorf("stored %+v", n)
		}
		for _, id := range w.unlisted() {
			for range 2 { // a job that was rescued runs beside the one that it replaces
				all.Go(func() {
					if _, err := w.store.Enlist(t.Context(), id, moment); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if n := w.rows(); n != (stored{users: 1, signups: crowd, jobs: crowd}) {
			t.Errorf("once enlisted: %+v", n)
		}
		var made int
		w.scan(`SELECT count(*) FROM signups WHERE kind = 'new'`, &made)
		if made != 1 {
			t.Errorf("%d sign-ups made the user", made)
		}
		distinct := make(map[signup.Receipt]bool)
		for _, receipt := range receipts {
			distinct[receipt] = true
			if _, err := w.Status(t.Context(), receipt); err != nil {
				t.Error(err)
			}
		}
		if len(distinct) != crowd {
			t.Errorf("%d receipts", len(distinct))
		}
	})
}

func TestAnAddressThatIsNoneLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for _, address := range []string{"", "anna", "anna@b@c.example", "an\u200bna@example.com", "anna\x00@example.com", "ann\xff@example.com"} {
			accepted, err := w.Accept(t.Context(), signup.Request{Email: address, IdempotencyKey: "k"})
			if !errors.Is(err, directory.ErrEmail) || accepted != (signup.Signup{}) {
				t.Errorf("%q: %+v, %v", address, accepted, err)
			}
			if address != "" && err != nil && strings.Contains(err.Error(), address) {
				t.Errorf("the error repeats the address: %v", err)
			}
		}
		if n := w.rows(); n != (stored{}) {
			t.Errorf("stored %+v", n)
		}
	})
}

func TestASVS_2_3_3_ASignupWhoseJobCannotBeInsertedIsNotStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		whole := newWorld(t, databaseURL)
		broken := errors.New("no job")
		var asked []signup.ID
		s := over(t, whole.db, jobsFunc(func(_ context.Context, _ *sql.Tx, id signup.ID) error {
			asked = append(asked, id)
			return broken
		}))
		request := signup.Request{Email: "anna@example.com", IdempotencyKey: "k", Body: []byte("anna")}
		if _, err := s.Accept(t.Context(), request); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if _, err := s.Accept(t.Context(), signup.Request{Email: "anna@example.com"}); err == nil {
			t.Error("without a key it is accepted")
		}
		asked = asked[:1] // Postgres inserts the job of one without a key by itself
		if n := whole.rows(); n != (stored{}) {
			t.Errorf("stored %+v", n)
		}
		if _, err := whole.Accept(t.Context(), request); err != nil {
			t.Errorf("the key that came to nothing cannot be used: %v", err)
		}
		request.IdempotencyKey = "another"
		if _, err := s.Accept(t.Context(), request); !errors.Is(err, broken) {
			t.Errorf("a duplicate: got %v", err)
		}
		if n := whole.rows(); n != (stored{signups: 1, keys: 1, jobs: 1}) {
			t.Errorf("stored %+v", n)
		}
		if len(asked) != 2 || asked[0] == asked[1] {
			t.Errorf("jobs were asked for %v", asked)
		}
	})
}

func TestASVS_2_3_3_ASignupThatIsGivenUpByItsClientIsNotHalfStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		ctx, cancel := context.WithCancel(t.Context())
		w := over(t, storetest.Open(t, databaseURL), jobsFunc(func(context.Context, *sql.Tx, signup.ID) error {
			cancel()
			return nil
		}))
		if _, err := w.Accept(ctx, signup.Request{Email: "anna@example.com", IdempotencyKey: "k"}); err == nil {
			t.Error("accepted after its context had ended")
		}
		if n := w.rows(); n != (stored{}) {
			t.Errorf("stored %+v", n)
		}
	})
}

func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		accepted := w.accept("anna@example.com")
		late, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		if _, err := w.Accept(late, signup.Request{Email: "bert@example.com"}); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("too late: %v", err)
		}
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"", "k"} {
			_, err := w.Accept(t.Context(), signup.Request{Email: "bert@example.com", IdempotencyKey: key})
			if !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("accept with the key %q: %v", key, err)
			}
		}
		for name, ask := range map[string]func() error{
			"status": func() error { _, err := w.Status(t.Context(), accepted.Receipt); return err },
			"wait": func() error {
				_, err := w.Wait(t.Context(), accepted.Receipt, signup.Received, time.Minute)
				return err
			},
			"resend": func() error { _, err := w.Resend(t.Context(), accepted.Receipt, client); return err },
		} {
			if err := ask(); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, signup.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
