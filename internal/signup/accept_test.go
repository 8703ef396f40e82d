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

func TestAnAcceptedSignupIsOneUserOneReceiptAndOneJob(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		s, db := newService(t, databaseURL)
		accepted, err := s.Accept(t.Context(), signup.Request{
			Email: "Anna@Example.com", DisplayName: "Anna", Locale: "de-CH", TermsVersion: "2026-01",
		})
		if err != nil {
			t.Fatal(err)
		}
		want := signup.Signup{Receipt: accepted.Receipt, Status: signup.Received, ResendAfter: rounded.Add(resendAfter).Truncate(time.Second)}
		if accepted != want {
			t.Errorf("accepted %+v, not %+v", accepted, want)
		}
		if n := countRows(t, db); n != (stored{1, 1, 1}) {
			t.Errorf("stored %+v", n)
		}
		got := readBack(t, db)
		if got.externalID != got.userID {
			t.Errorf("external_id is %q, the user's id %q", got.externalID, got.userID)
		}
		got.userID, got.externalID = "", ""
		if (got != row{
			email: "Anna@Example.com", canonical: "anna@example.com", name: "Anna", status: "received",
			kind: "new", locale: "de-CH", terms: "2026-01",
		}) {
			t.Errorf("stored %+v", got)
		}
		found, err := s.Status(t.Context(), accepted.Receipt)
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
		s, db := newService(t, databaseURL)
		first := accept(t, s, "anna@example.com")
		for i, spelling := range []string{"anna@example.com", "Anna@EXAMPLE.com", "ａｎｎａ@example。com"} {
			second, err := s.Accept(t.Context(), signup.Request{Email: spelling, DisplayName: "Not Anna"})
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
			if n := countRows(t, db); n != (stored{1, i + 2, i + 2}) {
				t.Errorf("%s: stored %+v", spelling, n)
			}
		}
		var name, email string
		row := db.SQL().QueryRowContext(t.Context(), `SELECT display_name, email FROM users`)
		if err := row.Scan(&name, &email); err != nil || name != "" || email != "anna@example.com" {
			t.Errorf("a duplicate changed the user: %q, %q, %v", name, email, err)
		}
	})
}

func TestFiftySignupsWithOneAddressAtOnceMakeOneUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		s, db := newService(t, databaseURL)
		const crowd = 50
		receipts := make([]signup.Receipt, crowd)
		var all sync.WaitGroup
		for i := range crowd {
			all.Go(func() {
				accepted, err := s.Accept(t.Context(), signup.Request{Email: "anna@example.com"})
				if err != nil {
					t.Error(err)
				}
				receipts[i] = accepted.Receipt
			})
		}
		all.Wait()
		if n := countRows(t, db); n != (stored{1, crowd, crowd}) {
			t.Errorf("stored %+v", n)
		}
		var made int
		row := db.SQL().QueryRowContext(t.Context(), `SELECT count(*) FROM signups WHERE kind = 'new'`)
		if err := row.Scan(&made); err != nil || made != 1 {
			t.Errorf("%d sign-ups made the user, %v", made, err)
		}
		distinct := make(map[signup.Receipt]bool)
		for _, receipt := range receipts {
			distinct[receipt] = true
			if _, err := s.Status(t.Context(), receipt); err != nil {
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
		s, db := newService(t, databaseURL)
		for _, address := range []string{"", "anna", "anna@b@c.example", "an\u200bna@example.com", "anna\x00@example.com", "ann\xff@example.com"} {
			accepted, err := s.Accept(t.Context(), signup.Request{Email: address})
			if !errors.Is(err, directory.ErrEmail) || accepted != (signup.Signup{}) {
				t.Errorf("%q: %+v, %v", address, accepted, err)
			}
			if address != "" && err != nil && strings.Contains(err.Error(), address) {
				t.Errorf("the error repeats the address: %v", err)
			}
		}
		if n := countRows(t, db); n != (stored{}) {
			t.Errorf("stored %+v", n)
		}
	})
}

func TestASignupWhoseJobCannotBeInsertedIsNotStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		whole, db := newService(t, databaseURL)
		broken := errors.New("no job")
		var asked []signup.ID
		s := over(db, jobsFunc(func(_ context.Context, _ *sql.Tx, id signup.ID) error {
			asked = append(asked, id)
			return broken
		}))
		if _, err := s.Accept(t.Context(), signup.Request{Email: "anna@example.com"}); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if n := countRows(t, db); n != (stored{}) {
			t.Errorf("stored %+v", n)
		}
		accept(t, whole, "anna@example.com")
		if _, err := s.Accept(t.Context(), signup.Request{Email: "anna@example.com"}); !errors.Is(err, broken) {
			t.Errorf("a duplicate: got %v", err)
		}
		if n := countRows(t, db); n != (stored{1, 1, 1}) {
			t.Errorf("stored %+v", n)
		}
		if len(asked) != 2 || asked[0] == asked[1] {
			t.Errorf("jobs were asked for %v", asked)
		}
	})
}

func TestASignupThatIsGivenUpByItsClientIsNotHalfStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, db := newService(t, databaseURL)
		ctx, cancel := context.WithCancel(t.Context())
		s := over(db, jobsFunc(func(context.Context, *sql.Tx, signup.ID) error {
			cancel()
			return nil
		}))
		if _, err := s.Accept(ctx, signup.Request{Email: "anna@example.com"}); err == nil {
			t.Error("accepted after its context had ended")
		}
		if n := countRows(t, db); n != (stored{}) {
			t.Errorf("stored %+v", n)
		}
	})
}

func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		s, db := newService(t, databaseURL)
		accepted := accept(t, s, "anna@example.com")
		late, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		if _, err := s.Accept(late, signup.Request{Email: "bert@example.com"}); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("too late: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Accept(t.Context(), signup.Request{Email: "bert@example.com"}); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("accept: %v", err)
		}
		if _, err := s.Status(t.Context(), accepted.Receipt); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, signup.ErrNotFound) {
			t.Errorf("status: %v", err)
		}
	})
}
