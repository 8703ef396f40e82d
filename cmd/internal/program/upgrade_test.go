package program

import (
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

// The other replicas of a rolling upgrade, and whoever goes back, run on a schema
// with steps that they do not know.
func TestAVersionRunsOnASchemaThatIsAheadOfIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		w.settings["PORTICO_MIGRATE_ON_START"] = "false"
		db := w.behind()
		for _, statement := range []string{
			`INSERT INTO goose_db_version (version_id, is_applied) VALUES (900001, true)`,
			`CREATE TABLE of_a_later_version (id integer)`,
		} {
			if _, err := db.SQL().ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if out := w.must("migrate", "status"); strings.Contains(out, "missing") {
			t.Errorf("it says\n%s", out)
		}
		w.start()
		b := w.browser()
		b.arrivesOnce(b.signUp("ada@example.com"), "ada@example.com")
	})
}
