package signup_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// addressOf is an address that is as long as that of every other status.
func addressOf(status directory.Status) string { return fmt.Sprintf("%012s@example.com", status) }

// TestASVS_6_3_8_EveryAddressCostsTheSameWrites is user enumeration by what a sign-up
// leaves or costs (CWE-204, CWE-208).
func TestASVS_6_3_8_EveryAddressCostsTheSameWrites(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		if separator := "?"; strings.HasPrefix(databaseURL, "postgres") {
			if strings.Contains(databaseURL, "?") {
				separator = "&"
			}
			databaseURL += separator + "pool_max_conns=1" // which counts alone
		}
		w := newWorld(t, databaseURL)
		for _, status := range directory.Statuses() {
			w.registered(addressOf(status), status)
		}
		var work []string // what each transaction had done when the job was enqueued
		already := 0
		watched := over(t, w.db, jobsFunc(func(ctx context.Context, tx *sql.Tx, _ signup.ID) error {
			done, err := workOf(ctx, tx, w.db.Dialect(), already)
			work = append(work, done)
			return err
		}))
		users := w.table("users")
		var wantRow map[string]string
		var want signup.Signup
		for i, status := range append([]directory.Status{"unknown"}, directory.Statuses()...) {
			before := watched.rows()
			request := signup.Request{
				Email: addressOf(status), DisplayName: "Someone", Locale: "en", TermsVersion: "1",
				IdempotencyKey: "key of " + addressOf(status), Body: []byte(addressOf(status)),
			}
			if w.db.Dialect() == store.SQLite {
				w.scan(`SELECT total_changes()`, &already)
			} else {
				w.exec(`SELECT pg_stat_force_next_flush()`) // begins to count anew
			}
			got, err := watched.Accept(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			after := watched.rows()
			if after.signups-before.signups != 1 || after.keys-before.keys != 1 || after.users != before.users {
				t.Errorf("%s: %+v became %+v", status, before, after)
			}
			row := watched.newest()
			if i == 0 {
				want, wantRow = got, row
			}
			if got.Receipt = want.Receipt; got != want {
				t.Errorf("%s: answered with %+v, not %+v", status, got, want)
			}
			if !maps.Equal(row, wantRow) {
				t.Errorf("%s: stored %v, not %v", status, row, wantRow)
			}
		}
		counted := "rows changed: 2"
		if w.db.Dialect() == store.Postgres {
			counted = "idempotency_keys 1 0 0, signups 1 0 0"
		}
		if len(work) != len(directory.Statuses())+1 || len(slices.Compact(work)) != 1 || work[0] != counted {
			t.Errorf("the transactions did %q, not %q", work, counted)
		}
		if !slices.EqualFunc(w.table("users"), users, maps.Equal) {
			t.Error("a sign-up changed a user")
		}
	})
}

// TestWithoutAKeyToo is the same for what Postgres does in one statement.
func TestWithoutAKeyToo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for _, status := range directory.Statuses() {
			w.registered(addressOf(status), status)
		}
		users := w.table("users")
		var wantRow map[string]string
		for _, status := range append([]directory.Status{"unknown"}, directory.Statuses()...) {
			before := w.rows()
			_, err := w.Accept(t.Context(), signup.Request{Email: addressOf(status), DisplayName: "Someone", Locale: "en", TermsVersion: "1"})
			if err != nil {
				t.Fatal(err)
			}
			before.signups++
			before.jobs++
			if after := w.rows(); after != before {
				t.Errorf("%s: there are %+v, not %+v", status, after, before)
			}
			row := w.newest()
			if wantRow == nil {
				wantRow = row
			}
			if !maps.Equal(row, wantRow) {
				t.Errorf("%s: stored %v, not %v", status, row, wantRow)
			}
		}
		if !slices.EqualFunc(w.table("users"), users, maps.Equal) {
			t.Error("a sign-up changed a user")
		}
	})
}

// newest is the sign-up that was accepted last, without what must differ. It
// has no user: SQLite and Postgres both list it last.
func (w *world) newest() map[string]string {
	w.t.Helper()
	rows := w.table("signups WHERE user_id IS NULL ORDER BY id DESC LIMIT 1")
	for _, name := range []string{"id", "receipt_hash", "candidate_id", "email", "email_canonical"} {
		rows[0][name] = fmt.Sprint("of length ", len(rows[0][name]) > 0)
	}
	return rows[0]
}

// workOf is what the transaction has done so far, as the database counts it.
func workOf(ctx context.Context, tx *sql.Tx, dialect store.Dialect, already int) (done string, err error) {
	if dialect == store.SQLite {
		var changes int
		err = tx.QueryRowContext(ctx, `SELECT total_changes()`).Scan(&changes)
		return fmt.Sprint("rows changed: ", changes-already), err
	}
	err = tx.QueryRowContext(ctx, `
		SELECT string_agg(concat_ws(' ', relname, n_tup_ins, n_tup_upd, n_tup_del), ', ' ORDER BY relname)
		FROM pg_stat_xact_user_tables
		WHERE n_tup_ins + n_tup_upd + n_tup_del > 0
			OR relname = 'users' AND coalesce(seq_scan, 0) + coalesce(idx_scan, 0) > 0`).Scan(&done)
	return done, err
}

// TestASVS_6_3_8_AcceptingNeverLooksAtUsers takes the table away, so that whoever looks
// would fail.
func TestASVS_6_3_8_AcceptingNeverLooksAtUsers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.registered("anna@example.com", directory.Active)
		w.exec(`ALTER TABLE users RENAME TO users_are_away`)
		for _, address := range []string{"anna@example.com", "bert@example.com"} {
			for _, key := range []string{"", address, address} { // the last is a replay
				_, err := w.Accept(t.Context(), signup.Request{Email: address, IdempotencyKey: key})
				if err != nil {
					t.Errorf("%s with the key %q: %v", address, key, err)
				}
			}
		}
	})
}
