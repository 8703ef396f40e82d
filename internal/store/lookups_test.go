package store_test

import (
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

var lookUpSessions = flag.Int("lookups.sessions", 20_000, "sessions among which a look-up must cost about what it does among a thousand")

func TestSessionsAreFoundOverAnIndexHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	t.Run("on SQLite", func(t *testing.T) {
		t.Parallel()
		store.CheckLookUpsOnSQLite(t, storetest.Open(t, storetest.SQLite(t)))
	})
	t.Run("on Postgres", func(t *testing.T) {
		t.Parallel()
		for _, sessions := range []int{1000, *lookUpSessions} {
			pages, took := store.CheckLookUpsOnPostgres(t, storetest.Open(t, storetest.Postgres(t)), sessions)
			t.Logf("among %d sessions, one look-up of 64 touches %.1f pages and takes %s", sessions, pages, took)
			// Two indexes of at most four levels, and a row of each table.
			if pages > 10 {
				t.Errorf("among %d sessions, one look-up touches %.1f pages", sessions, pages)
			}
		}
	})
}

// TestEachSessionOfALookUpHasItsOwnMethodsAndTime holds what is read of one row
// apart from what was read of those before it.
func TestEachSessionOfALookUpHasItsOwnMethodsAndTime(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		proved := moment.Add(-time.Hour)
		want := make(map[session.Hash]session.Session)
		var hashes []session.Hash
		for _, amr := range [][]string{
			{"hwk"}, {"hwk", "user"}, nil, {`a","b`}, {`\`, "<&>"}, {"fünf", "]"}, {`"]`, `["`}, {""},
		} {
			o := opening()
			o.Session.AMR, o.Session.AuthTime = amr, proved
			if _, err := s.OpenSession(t.Context(), identityOf(anna), o); err != nil {
				t.Fatal(err)
			}
			if len(hashes)%2 == 1 { // as sessions were before there was a time
				if _, err := db.SQL().ExecContext(t.Context(), `UPDATE sessions SET auth_time = NULL WHERE id = $1`, string(o.Session.ID)); err != nil {
					t.Fatal(err)
				}
				o.Session.AuthTime = o.Session.CreatedAt
			}
			want[o.Hash] = o.Session
			hashes = append(hashes, o.Hash)
		}
		found, err := s.FindSessions(t.Context(), hashes)
		if err != nil || len(found) != len(hashes) {
			t.Fatalf("%d are found, %v", len(found), err)
		}
		for _, f := range found {
			if of := want[f.Hash]; !slices.Equal(f.Session.AMR, of.AMR) || !f.Session.AuthTime.Equal(of.AuthTime) {
				t.Errorf("it has %q at %s, not %q at %s", f.Session.AMR, f.Session.AuthTime, of.AMR, of.AuthTime)
			}
		}
	})
}
