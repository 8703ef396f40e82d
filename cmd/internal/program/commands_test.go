package program

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store/storetest"
)

// command runs a command and returns what it printed.
func (w *world) command(args ...string) (string, error) {
	w.t.Helper()
	var out bytes.Buffer
	err := Run(w.t.Context(), args, w.environ(), &out, &out)
	return out.String(), err
}

func TestMigrateBringsADatabaseUpToDateAndSaysSo(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{
		"postgres": storetest.EmptyPostgres(t),
		"sqlite":   storetest.EmptySQLite(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, settings: map[string]string{"PORTICO_DATABASE_URL": databaseURL}}
			if out, err := w.command("migrate", "status"); err == nil || !strings.Contains(out, "missing") {
				t.Errorf("status of an empty database: %v\n%s", err, out)
			}
			for range 2 {
				if out, err := w.command("migrate", "up"); err != nil {
					t.Errorf("up: %v\n%s", err, out)
				}
			}
			if out, err := w.command("migrate", "status"); err != nil || strings.Contains(out, "missing") || !strings.Contains(out, "applied") {
				t.Errorf("status: %v\n%s", err, out)
			}
		})
	}
}

func TestCheckFindsNothingWhereEverythingIsRight(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		out, err := w.command("check")
		if err != nil || strings.Contains(out, "FAILED") {
			t.Errorf("%v\n%s", err, out)
		}
		for _, line := range []string{"settings", "database", "schema", "discovery", "management API"} {
			if !strings.Contains(out, "\n"+line) {
				t.Errorf("nothing about %s\n%s", line, out)
			}
		}
		if len(w.sim.Users()) != 0 || len(w.sim.Mailbox("")) != 0 {
			t.Error("it left something at the provider")
		}
	})
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, w *world)
		want   string // the line that fails begins so
	}{
		"a setting": {
			func(_ *testing.T, w *world) { w.settings["PORTICO_KEYS"] = "c2hvcnQ=" }, "settings",
		},
		"a database that is not there": {
			func(t *testing.T, w *world) {
				w.settings["PORTICO_DATABASE_URL"] = "postgres://nobody:canary-password@" + freeAddress(t) + "/none?sslmode=disable"
			}, "database",
		},
		"an empty database": {
			func(t *testing.T, w *world) { w.settings["PORTICO_DATABASE_URL"] = storetest.EmptySQLite(t) }, "schema",
		},
		"a provider that is not there": {
			func(t *testing.T, w *world) { w.settings["PORTICO_OIDC_ISSUER"] = "http://" + freeAddress(t) }, "discovery",
		},
		"an issuer that the provider does not name": {
			func(_ *testing.T, w *world) { w.settings["PORTICO_OIDC_ISSUER"] += "/" }, "discovery",
		},
		"a token that is refused": {
			func(_ *testing.T, w *world) { w.settings["PORTICO_BEYOND_API_TOKEN"] = "canary-another-token" }, "management API",
		},
		"an API that fails": {
			func(t *testing.T, w *world) {
				if _, err := w.sim.AddFault(simulator.Fault{
					Match: simulator.Match{Path: "/v2/users"}, Effect: simulator.Effect{Status: http.StatusBadGateway},
				}); err != nil {
					t.Fatal(err)
				}
			}, "management API",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newKindWorld(t, storetest.SQLite(t))
			c.change(t, w)
			out, err := w.command("check")
			if err == nil {
				t.Errorf("it ends well\n%s", out)
			}
			failed := 0
			for line := range strings.Lines(out) {
				if strings.Contains(line, "FAILED") {
					failed++
					if !strings.HasPrefix(line, c.want) {
						t.Errorf("this fails instead of %s: %s", c.want, line)
					}
				}
			}
			if failed != 1 {
				t.Errorf("%d lines failed\n%s", failed, out)
			}
			if strings.Contains(out, "canary-") {
				t.Errorf("it holds a secret\n%s", out)
			}
		})
	}
}

func TestVersionIsOneLine(t *testing.T) {
	t.Parallel()
	w := &world{t: t}
	out, err := w.command("version")
	if err != nil || !strings.HasPrefix(out, "portico ") || strings.Count(out, "\n") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}
