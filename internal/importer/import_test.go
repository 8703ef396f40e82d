package importer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/importer"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// world is a directory of the test's own.
type world struct {
	t        *testing.T
	db       *store.DB
	imports  *importer.Service
	accounts *account.Service
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	db := storetest.Open(t, databaseURL)
	jobs, err := queue.New(queue.Config{DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := directory.ParsePolicy(directory.PolicySettings{Block: []string{"blocked.example"}})
	if err != nil {
		t.Fatal(err)
	}
	stored := store.New(db, jobs)
	return &world{
		t: t, db: db,
		imports:  &importer.Service{Store: stored, Policy: policy, Now: time.Now, Batch: 2},
		accounts: &account.Service{Store: stored, Policy: policy, Now: time.Now},
	}
}

// invite makes a user who was there before.
func (w *world) invite(externalID, email string) directory.User {
	w.t.Helper()
	user, err := w.accounts.Invite(w.t.Context(), account.Invitation{Email: email, ExternalID: directory.ExternalID(externalID)})
	if err != nil {
		w.t.Fatal(err)
	}
	return user
}

func (w *world) exec(statement string, with ...any) {
	w.t.Helper()
	if _, err := w.db.SQL().ExecContext(w.t.Context(), statement, with...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(query string, with ...any) (n int) {
	w.t.Helper()
	if err := w.db.SQL().QueryRowContext(w.t.Context(), query, with...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func ignore(int64) {}

// staged begins an import of a CSV.
func (w *world) staged(text string, terms importer.Terms) *importer.Held {
	w.t.Helper()
	source, err := importer.NewCSV(strings.NewReader(text), nil, false)
	if err != nil {
		w.t.Fatal(err)
	}
	held, err := w.imports.Begin(audit.With(w.t.Context(), audit.Origin{Actor: "operator:root"}), terms)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { held.Release(w.t.Context()) })
	if err := held.Stage(w.t.Context(), source, ignore); err != nil {
		w.t.Fatal(err)
	}
	return held
}

// rejected is what is wrong, a line each.
func (w *world) rejected(id importer.ID) (lines []string) {
	w.t.Helper()
	err := w.imports.Rejected(w.t.Context(), id, func(r importer.Record) error {
		for _, c := range r.Complaints {
			lines = append(lines, fmt.Sprintf("%d %s %s", r.Line, c.Column, c.Code))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

func TestEachPersonIsCheckedByThemselves(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		rows := []struct{ row, want string }{
			{"1,a@x.org,Ann,en-GB", ""},
			{",b@x.org,,", "external_id required"},
			{"a\\b,c@x.org,,", "external_id external_id"},
			{"\"a\"\"b\",d@x.org,,", "external_id external_id"},
			{" 3,e@x.org,,", "external_id external_id"},
			{"a\tb,f@x.org,,", "external_id external_id"},
			{strings.Repeat("é", 128) + ",g@x.org,,", ""},
			{strings.Repeat("x", 129) + ",h@x.org,,", "external_id external_id"},
			{"4,,,", "email required"},
			{"5,not an address,,", "email email"},
			{"6,i@blocked.example,,", "email email_blocked"},
			{"7,j@x.org," + strings.Repeat("n", 101) + ",", "display_name display_name"},
			{"8,k@x.org,\u202eeno,", "display_name display_name"},
			{"9,l@x.org,,klingonisch", "locale locale"},
			{"10,not an address,\u202eeno,", "email email;display_name display_name"},
		}
		var text strings.Builder
		text.WriteString("external_id,email,display_name,locale\n")
		var want []string
		for i, r := range rows {
			text.WriteString(r.row + "\n")
			for complaint := range strings.SplitSeq(r.want, ";") {
				if complaint != "" {
					want = append(want, fmt.Sprintf("%d %s", i+2, complaint))
				}
			}
		}
		held := w.staged(text.String(), importer.Terms{})
		if err := held.Validate(t.Context()); !errors.Is(err, importer.ErrInvalid) {
			t.Errorf("validating says %v", err)
		}
		if got := w.rejected(held.Import.ID); !slices.Equal(got, want) {
			t.Errorf("wrong are %q, not %q", got, want)
		}
		if held.Import.Rows != 15 || held.Import.Invalid != 13 {
			t.Errorf("%+v", held.Import)
		}
		if n := w.count(`SELECT count(*) FROM users`); n != 0 {
			t.Errorf("%d users were made", n)
		}
	})
}

func TestPeopleAreHeldAgainstEachOtherAndAgainstTheDirectory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.invite("here", "here@x.org")
		gone := w.invite("gone", "gone@x.org")
		w.exec(`UPDATE users SET status = 'deleted', email = '', email_canonical = $1 WHERE id = $2`, string(gone.ID)+"@deleted.invalid", string(gone.ID))
		held := w.staged("external_id,email\n"+
			"one,one@x.org\n"+ // 2
			"two,ONE@X.org\n"+ // 3
			"three,three@x.org\n"+ // 4
			"three,four@x.org\n"+ // 5
			"three,five@x.org\n"+ // 6
			"here,Here@x.org\n"+ // 7: as it is here
			"here2,here@x.org\n"+ // 8
			"gone,new@x.org\n"+ // 9
			"six,six@x.org\n", // 10
			importer.Terms{SkipInvalid: true})
		if err := held.Validate(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"2 email duplicate", "3 email duplicate",
			"4 external_id duplicate", "5 external_id duplicate", "6 external_id duplicate",
			"7 email duplicate", "8 email duplicate", "8 email taken", "9 external_id deleted",
		}
		if got := w.rejected(held.Import.ID); !slices.Equal(got, want) {
			t.Errorf("wrong are %q, not %q", got, want)
		}
		w.says(held, "2 the same is on line 3", "3 the same is on line 2", "4 the same is on line 6", "6 the same is on line 4")
		if err := held.Commit(t.Context(), ignore); err != nil {
			t.Fatal(err)
		}
		if held.Import.Committed != 1 || w.count(`SELECT count(*) FROM users WHERE origin = 'import'`) != 1 {
			t.Errorf("%+v", held.Import)
		}
	})
}

// says holds complaints against "LINE TEXT".
func (w *world) says(held *importer.Held, want ...string) {
	w.t.Helper()
	var got []string
	err := w.imports.Rejected(w.t.Context(), held.Import.ID, func(r importer.Record) error {
		got = append(got, fmt.Sprintf("%d %s", r.Line, r.Complaints[0].Text))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			w.t.Errorf("%q is not among %q", line, got)
		}
	}
}

const fivePeople = "external_id,email,display_name\n1,p1@x.org,One\n2,p2@x.org,Two\n3,p3@x.org,Three\n4,p4@x.org,Four\n5,p5@x.org,Five\n"

func TestAPersonBecomesAUserWithTheirJobAndTheirLineOfTheAudit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		ctx := audit.With(t.Context(), audit.Origin{Actor: "operator:root"})
		held := w.staged(fivePeople, importer.Terms{Source: "five.csv", Format: "csv", Adopt: true})
		if err := errors.Join(held.Validate(ctx), held.Commit(ctx, ignore)); err != nil {
			t.Fatal(err)
		}
		if held.Import.Status != importer.Committed || held.Import.Committed != 5 || held.Import.Actor != "operator:root" {
			t.Errorf("%+v", held.Import)
		}
		for what, query := range map[string]string{
			"users": `SELECT count(*) FROM users WHERE status = 'received' AND origin = 'import' AND made_there AND adopt
				AND display_name <> '' AND email_canonical LIKE 'p%@x.org' AND external_id <> '' AND version = 1`,
			"jobs":               `SELECT count(*) FROM river_job WHERE kind = 'enrol' AND queue = 'import'`,
			"lines of the audit": `SELECT count(*) FROM audit_events WHERE action = 'user.received' AND actor = 'operator:root'`,
			"forgotten rows":     `SELECT count(*) FROM import_rows WHERE state = 'committed' AND email = '' AND external_id = '' AND display_name = ''`,
		} {
			if n := w.count(query); n != 5 {
				t.Errorf("there are %d %s", n, what)
			}
		}
		if p, err := w.imports.Look(ctx, held.Import.ID); err != nil || p != (importer.Provisioning{Pending: 5}) {
			t.Errorf("%+v, %v", p, err)
		}
		w.exec(`UPDATE users SET status = 'invited', internal_id = id WHERE external_id <> '3'`)
		w.exec(`UPDATE users SET status = 'conflict' WHERE external_id = '3'`)
		if p, err := w.imports.Await(ctx, held.Import.ID, func(importer.Provisioning) {}); err != nil || p != (importer.Provisioning{Settled: 4, Refused: 1}) {
			t.Errorf("%+v, %v", p, err)
		}
		held.Release(ctx)

		again := w.staged(fivePeople, importer.Terms{})
		if err := errors.Join(again.Validate(ctx), again.Commit(ctx, ignore)); err != nil {
			t.Fatal(err)
		}
		if again.Import.Unchanged != 5 || again.Import.Committed != 0 || w.count(`SELECT count(*) FROM river_job`) != 5 {
			t.Errorf("brought again, they are %+v", again.Import)
		}
	})
}

func TestWhoIsTakenMeanwhileIsLeftOutAndSaidSo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		held := w.staged(fivePeople, importer.Terms{})
		if err := held.Validate(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.invite("somebody", "p2@x.org")
		w.invite("4", "else@x.org")
		if err := held.Commit(t.Context(), ignore); err != nil {
			t.Fatal(err)
		}
		if held.Import.Committed != 3 || held.Import.Invalid != 2 {
			t.Errorf("%+v", held.Import)
		}
		if got, want := w.rejected(held.Import.ID), []string{"3  taken", "5  taken"}; !slices.Equal(got, want) {
			t.Errorf("wrong are %q, not %q", got, want)
		}
		if n := w.count(`SELECT count(*) FROM river_job WHERE queue = 'import'`); n != 3 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestAnImportIsResumedWhereItsLastBatchEnded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		held := w.staged(fivePeople, importer.Terms{})
		if err := held.Validate(t.Context()); err != nil {
			t.Fatal(err)
		}
		stopped := errors.New("stopped")
		func() {
			defer func() { _ = recover() }()
			_ = held.Commit(t.Context(), func(int64) { panic(stopped) }) // dies after its first batch
		}()
		if n := w.count(`SELECT count(*) FROM users`); n != 2 {
			t.Fatalf("the first batch made %d", n)
		}
		if _, err := w.imports.Resume(t.Context(), held.Import.ID); !isBusy(err) {
			t.Errorf("while another has it: %v", err)
		}
		// As if its process had died, and its claim had ended.
		w.exec(`UPDATE imports SET claim = NULL, claimed_until = NULL`)
		resumed := w.resume(held.Import.ID)
		if err := held.Commit(t.Context(), ignore); !errors.Is(err, importer.ErrLost) {
			t.Errorf("who has lost the import goes on: %v", err)
		}
		if err := resumed.Commit(t.Context(), ignore); err != nil {
			t.Fatal(err)
		}
		if n := w.count(`SELECT count(*) FROM users`); n != 5 || resumed.Import.Committed != 5 {
			t.Errorf("%d users, %+v", n, resumed.Import)
		}
		resumed.Release(t.Context())
		if again := w.resume(held.Import.ID); again.Import.Committed != 5 {
			t.Errorf("resumed once more it has made %d", again.Import.Committed)
		}
	})
}

func isBusy(err error) bool {
	var busy *importer.BusyError
	return errors.As(err, &busy)
}

func (w *world) resume(id importer.ID) *importer.Held {
	w.t.Helper()
	held, err := w.imports.Resume(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { held.Release(w.t.Context()) })
	return held
}

// broken gives a few people and then an error.
type broken struct {
	left int
	err  error
}

func (b *broken) Next(context.Context) (importer.Record, error) {
	if b.left == 0 {
		return importer.Record{}, b.err
	}
	b.left--
	return importer.Record{Line: int64(b.left), ExternalID: strconv.Itoa(b.left), Email: fmt.Sprintf("p%d@x.org", b.left)}, nil
}

func TestOfAnInputThatBreaksOffNothingIsKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for name, c := range map[string]struct {
			source *broken
			want   error
		}{
			"after many":  {&broken{1200, io.ErrUnexpectedEOF}, io.ErrUnexpectedEOF},
			"with nobody": {&broken{0, io.EOF}, &importer.InputError{Code: importer.Empty, Text: "there is nobody in it"}},
		} {
			held, err := w.imports.Begin(t.Context(), importer.Terms{})
			if err != nil {
				t.Fatal(err)
			}
			err = held.Stage(t.Context(), c.source, ignore)
			held.Release(t.Context())
			if err == nil || err.Error() != c.want.Error() {
				t.Errorf("%s: %v, not %v", name, err, c.want)
			}
			if n := w.count(`SELECT count(*) FROM import_rows`); n != 0 || held.Import.Status != importer.Discarded {
				t.Errorf("%s: %d rows are left of one that is %s", name, n, held.Import.Status)
			}
		}
	})
}
