package program

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/importer"
	"github.com/portico-id/portico/internal/store/storetest"
)

// written is a file with the text.
func written(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// offline is a directory with a schema, and nobody who serves.
func offline(t *testing.T, databaseURL string) *world {
	t.Helper()
	return &world{t: t, settings: map[string]string{"PORTICO_DATABASE_URL": databaseURL}}
}

// must runs a command that has to end well.
func (w *world) must(args ...string) string {
	w.t.Helper()
	out, err := w.command(args...)
	if err != nil {
		w.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

func TestRejectedRowsAreCorrectedAndBroughtIn(t *testing.T) {
	t.Parallel()
	for format, text := range map[string]string{
		"csv": "crm,email,display_name\n1,a@example.com,Ann\n2,b.example.com,\"Bob, \"\"B\"\"\"\n3,c@example.com,Cy\n",
		"ndjson": `{"crm":"1","email":"a@example.com","display_name":"Ann"}` + "\n" +
			`{"crm":"2","email":"b.example.com","display_name":"Bob, \"B\""}` + "\n" + `{"crm":"3","email":"c@example.com"}` + "\n",
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := offline(t, storetest.SQLite(t))
			file, rejects := written(t, "people."+format, text), filepath.Join(t.TempDir(), "rejects."+format)
			line := map[string]string{"csv": "3", "ndjson": "2"}[format]

			out, err := w.command("users", "import", file, "--external-id", "crm", "--no-wait")
			if err == nil || !strings.Contains(err.Error(), "1 of 3 rows are not valid: nothing was written") ||
				!strings.Contains(out, line+"     email   email  is not an e-mail address") {
				t.Fatalf("%v\n%s", err, out)
			}
			if out := w.must("users", "list", "--output", "json"); strings.TrimSpace(out) != "[]" {
				t.Fatalf("there are users:\n%s", out)
			}
			out, err = w.command("users", "import", file, "--external-id", "crm", "--dry-run", "--skip-invalid")
			if err == nil || !strings.Contains(out, "made users          0") {
				t.Fatalf("a dry run: %v\n%s", err, out)
			}
			out = w.must("users", "import", file, "--external-id", "crm", "--no-wait", "--skip-invalid", "--rejects", rejects)
			if !strings.Contains(out, "made users          2") || !strings.Contains(out, "on their way there  2") {
				t.Errorf("it says\n%s", out)
			}
			rejected := read(t, rejects)
			if !strings.Contains(rejected, "is not an e-mail address") || strings.Contains(rejected, "Ann") {
				t.Errorf("rejected are\n%s", rejected)
			}
			corrected := written(t, "corrected."+format, strings.Replace(rejected, "b.example.com", "b@example.com", 1))
			if out := w.must("users", "import", corrected, "--external-id", "crm", "--no-wait"); !strings.Contains(out, "made users          1") {
				t.Errorf("it says\n%s", out)
			}
			exported := w.must("users", "export", "--format", format)
			again := w.must("users", "import", written(t, "exported."+format, exported), "--no-wait", "--output", "json")
			var report importReport
			_, object, _ := strings.Cut(again, "{")
			if err := json.Unmarshal([]byte("{"+object), &report); err != nil {
				t.Fatalf("%v\n%s", err, again)
			}
			if report.Import.Unchanged != 3 || report.Import.Committed != 0 || !strings.Contains(exported, "Bob, ") {
				t.Errorf("what was exported is brought in as %+v:\n%s", report, exported)
			}
		})
	}
}

func TestWhatCannotBeImportedIsSaidInALine(t *testing.T) { //nolint:tparallel // in turn: they share a directory
	t.Parallel()
	w := offline(t, storetest.SQLite(t))
	people := storetest.EmptyPostgres(t)
	fine := written(t, "people.csv", "external_id,email\n1,a@example.com\n")
	for name, c := range map[string]struct {
		args  []string
		usage bool
		want  string
	}{
		"nothing":                    {nil, true, "from where?"},
		"a file and a query":         {[]string{fine, "--query", "SELECT 1"}, true, "which is it?"},
		"a query of nobody":          {[]string{"--query", "SELECT 1"}, true, "PORTICO_IMPORT_DATABASE_URL"},
		"a suffix that says nothing": {[]string{"people.xlsx"}, true, "is it CSV or NDJSON?"},
		"a file that is not there":   {[]string{"none.csv"}, false, "no such file"},
		"a column that is not there": {
			[]string{fine, "--email", "mail"},
			false,
			`people.csv: line 1: there is no column "mail" for email: the columns are "external_id", "email"`,
		},
		"a query without the columns": {
			[]string{"--from-database", people, "--query", "SELECT 1 AS id, 'a@x.org' AS mail"},
			false,
			`the query: there is no column "external_id" for external_id: the columns are "id", "mail"`,
		},
		"a query that is none":   {[]string{"--from-database", people, "--query", "SELEKT"}, false, "syntax error"},
		"a query that writes":    {[]string{"--from-database", people, "--query", "CREATE TABLE x (id int)"}, false, "read-only transaction"},
		"two statements":         {[]string{"--from-database", people, "--query", "COMMIT; SELECT 1"}, false, "multiple commands"},
		"a URL that is none":     {[]string{"--from-database", "mysql://canary-password@x", "--query", "SELECT 1"}, false, "must be postgres://"},
		"an import that is none": {[]string{"--resume", "x"}, true, "no such import"},
		"a batch of nobody":      {[]string{fine, "--batch", "0"}, true, "--batch is 1 to 5000"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := w.command(append([]string{"users", "import"}, c.args...)...)
			var usage *UsageError
			if err == nil || errors.As(err, &usage) != c.usage || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v\n%s", err, out)
			}
			if strings.Contains(out, "canary-password") || strings.Contains(err.Error(), "canary-password") {
				t.Error("it gives a password away")
			}
		})
	}
}

func TestAnOperatorFindsAndChangesUsers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		w.start()
		file := written(t, "people.csv", "external_id,email\nann,ann@example.com\nbob,bob@example.com\n")
		if out := w.must("users", "import", file); !strings.Contains(out, "at the provider     2") {
			t.Fatalf("it says\n%s", out)
		}
		show := func(name string) (u userJSON) {
			t.Helper()
			if err := json.Unmarshal([]byte(w.must("users", "show", name, "--output", "json")), &u); err != nil {
				t.Fatal(err)
			}
			return u
		}
		ann := show("ann")
		for _, name := range []string{string(ann.ID), *ann.InternalID, "Ann@Example.com"} {
			if got := show(name); got.ID != ann.ID {
				t.Errorf("%s is %+v", name, got)
			}
		}
		for _, step := range [][2]string{
			{"suspend", "suspended"}, {"restore", "invited"}, {"resend", "invited"},
		} {
			if out := w.must("users", step[0], "ann"); !strings.Contains(out, "status        "+step[1]) {
				t.Errorf("%s says\n%s", step[0], out)
			}
		}
		if out := w.must("users", "list", "--status", "invited"); !strings.Contains(out, "ann@example.com") || !strings.Contains(out, "bob@example.com") {
			t.Errorf("list says\n%s", out)
		}
		var usage *UsageError
		if _, err := w.command("users", "delete", "bob"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--yes") {
			t.Errorf("deleting without a yes: %v", err)
		}
		w.must("users", "delete", "bob", "--yes")
		w.eventually("bob is gone", func() error {
			if u := show("bob"); u.Status != "deleted" {
				return errors.New("he is " + string(u.Status))
			}
			return nil
		})
		for _, args := range [][]string{{"retry", "ann"}, {"resolve", "ann", "--internal-id", "x"}} {
			var status *account.StatusError
			if _, err := w.command(append([]string{"users"}, args...)...); !errors.As(err, &status) {
				t.Errorf("%q: %v", args, err)
			}
		}
		if _, err := w.command("users", "show", "nobody"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
		if out := w.must("users", "export", "--format", "csv"); out != "external_id,email,display_name,locale\nann,ann@example.com,,\n" {
			t.Errorf("exported are\n%s", out)
		}
		if out, err := w.command("users", "import", file, "--no-wait"); err == nil || !strings.Contains(out, string(importer.WasDeleted)) {
			t.Errorf("bob is back: %v\n%s", err, out)
		}
	})
}
