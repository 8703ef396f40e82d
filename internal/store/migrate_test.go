package store_test

import (
	"sync"
	"testing"

	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestBothDialectsHaveTheSchemaOfTheRowStructs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		store.CheckSchema(t, storetest.Open(t, databaseURL))
	})
}

func TestRowsOfAnOlderSchemaSurviveTheWayUpAndTheWayBack(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{
		"postgres": storetest.EmptyPostgres(t),
		"sqlite":   storetest.EmptySQLite(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store.CheckMigrationOfRows(t, storetest.Open(t, databaseURL))
		})
	}
}

func TestMigratingSeveralTimesAtOnceMigratesOnce(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{
		"postgres": storetest.EmptyPostgres(t),
		"sqlite":   storetest.EmptySQLite(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var replicas sync.WaitGroup
			for range 4 {
				db := storetest.Open(t, databaseURL)
				replicas.Go(func() {
					if err := db.Migrate(t.Context(), queue.Migrate(db.Dialect() == store.Postgres)); err != nil {
						t.Error(err)
					}
				})
			}
			replicas.Wait()
			db := storetest.Open(t, databaseURL)
			if ok, err := db.UpToDate(t.Context()); !ok || err != nil {
				t.Errorf("up to date: %v, %v", ok, err)
			}
			steps, err := db.Migrations(t.Context())
			if err != nil || len(steps) == 0 {
				t.Fatalf("steps: %v, %v", steps, err)
			}
			for _, step := range steps {
				if !step.Applied {
					t.Errorf("step %s is missing", step.Name)
				}
			}
		})
	}
}

// A default account is a way in that everybody knows (CWE-1392).
func TestASVS_6_3_2_ANewInstallationHasNobodyInIt(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{
		"postgres": storetest.EmptyPostgres(t),
		"sqlite":   storetest.EmptySQLite(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, databaseURL)
			if err := db.Migrate(t.Context(), queue.Migrate(db.Dialect() == store.Postgres)); err != nil {
				t.Fatal(err)
			}
			for _, table := range []string{"users", "signups", "sessions", "native_codes", "invitations"} {
				if n := count(t, db, `SELECT count(*) FROM `+table); n != 0 {
					t.Errorf("%d %s are there from the start", n, table)
				}
			}
		})
	}
}

func TestADatabaseWithoutSchemaIsNotUpToDate(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{
		"postgres": storetest.EmptyPostgres(t),
		"sqlite":   storetest.EmptySQLite(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if ok, err := storetest.Open(t, databaseURL).UpToDate(t.Context()); ok || err != nil {
				t.Errorf("up to date: %v, %v", ok, err)
			}
		})
	}
}
