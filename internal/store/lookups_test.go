package store_test

import (
	"flag"
	"testing"

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
