package program

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store/storetest"
)

// twin is a user of both directories.
type twin struct{ id, internal string }

// seedTwins makes users who are the same on both sides.
func (w *world) seedTwins(n int) []twin {
	w.t.Helper()
	db := w.behind()
	defer func() { _ = db.Close() }()
	before := time.Now().UTC().Add(-48 * time.Hour).Truncate(time.Microsecond)
	twins := make([]twin, n)
	for i := range twins {
		id, email := string(directory.NewUserID()), fmt.Sprintf("user.%d@example.com", i)
		twins[i] = twin{id, w.createThere(id, email, "Anna")}
		if _, err := db.SQL().ExecContext(w.t.Context(), `INSERT INTO users (id, external_id, internal_id, email, email_canonical,
			display_name, status, provision_attempt, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 'Anna', 'active', 1, $6, $7)`,
			id, id, twins[i].internal, email, email, before, before); err != nil {
			w.t.Fatal(err)
		}
	}
	return twins
}

// atTenant asks the tenant as its administrator would.
func (w *world) atTenant(method, path, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	request := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+testToken)
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.sim.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	return answer
}

func (w *world) createThere(externalID, email, name string) string {
	w.t.Helper()
	var made struct {
		ID string `json:"id"`
	}
	body := fmt.Sprintf(`{"user":{"external_id":%q,"email_address":%q,"username":%q,"display_name":%q}}`, externalID, email, externalID, name)
	if err := json.Unmarshal(w.atTenant(http.MethodPost, "/v2/users", body).Body.Bytes(), &made); err != nil {
		w.t.Fatal(err)
	}
	return made.ID
}

func (w *world) rename(u twin, name string) {
	w.t.Helper()
	w.atTenant(http.MethodPatch, "/v2/users/"+u.internal, fmt.Sprintf(`{"user":{"display_name":%q}}`, name))
}

// reconcile runs the command and returns what it printed where.
func (w *world) reconcile(args ...string) (stdout, stderr string, err error) {
	w.t.Helper()
	var out, errs bytes.Buffer
	err = Run(w.t.Context(), slices.Concat([]string{"reconcile"}, args), w.environ(), &out, &errs)
	return out.String(), errs.String(), err
}

// differ fails the test unless the command ended because so many differences
// are left.
func differ(t *testing.T, err error, left int) {
	t.Helper()
	if differences, ok := errors.AsType[*DifferencesError](err); !ok || differences.Left != left {
		t.Errorf("%d differences: %v", left, err)
	}
}

func TestReconcileShowsTheDifferencesAndRepairsWhatItIsTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		twins := w.seedTwins(30)
		out, _, err := w.reconcile()
		if err != nil || !strings.Contains(out, "30 users there, 0 differences") {
			t.Errorf("where there is none: %v\n%s", err, out)
		}
		w.rename(twins[3], "Another")
		if err := w.sim.SetStatus(twins[4].internal, simulator.StatusDeleted); err != nil {
			t.Fatal(err)
		}
		w.createThere("=HYPERLINK(1)", "stranger@example.org", "A stranger")

		out, _, err = w.reconcile()
		differ(t, err, 3)
		for _, shown := range []string{"attributes_differ  " + twins[3].id, "missing_there      " + twins[4].id, "display_name=Another", "display_name=Anna"} {
			if !strings.Contains(out, shown) {
				t.Errorf("the table has no %q\n%s", shown, out)
			}
		}
		out, _, err = w.reconcile("--output", "json")
		differ(t, err, 3)
		var shown struct {
			Reconciliation struct {
				UsersThere int                                 `json:"users_there"`
				Counts     map[reconcile.Class]reconcile.Count `json:"counts"`
			} `json:"reconciliation"`
			Findings []findingJSON `json:"findings"`
		}
		if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Findings) != 3 ||
			shown.Reconciliation.UsersThere != 30 || shown.Reconciliation.Counts[reconcile.UnknownHere].Found != 1 {
			t.Errorf("%v: %s", err, out)
		}
		out, _, err = w.reconcile("--output", "csv")
		differ(t, err, 3)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || len(rows) != 4 || !slices.Equal(rows[0], columns()) || !strings.Contains(out, ",'=HYPERLINK(1),") {
			t.Errorf("%v: %s", err, out)
		}

		_, told, err := w.reconcile("--repair", "all", "--dry-run")
		differ(t, err, 3)
		if !strings.Contains(told, "1 differences would be repaired, of 10 that may be") {
			t.Errorf("a dry run says\n%s", told)
		}
		out, _, err = w.reconcile("--repair", "all,missing_there")
		differ(t, err, 1)
		if strings.Count(out, "  repaired\n") != 2 {
			t.Errorf("a repair says\n%s", out)
		}
		w.start() // which has the jobs worked
		w.eventually("what was repaired is so", func() error {
			_, _, err := w.reconcile()
			if differences, ok := errors.AsType[*DifferencesError](err); !ok || differences.Left != 1 {
				return fmt.Errorf("it ends with %w", err)
			}
			for _, u := range w.sim.Users() {
				if u.InternalID == twins[3].internal && u.DisplayName != "Anna" {
					return errors.New("there is another name there")
				}
			}
			return nil
		})
		w.eventually("who is created again has another mail", func() error {
			if mails := w.sim.Mailbox("user.4@example.com"); len(mails) != 2 {
				return fmt.Errorf("they have %d", len(mails))
			}
			return nil
		})
	})
}

func TestReconcileRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args    []string
		setting string
		says    string
	}{
		"a class that is none":                         {args: []string{"--repair", "everything"}, says: `there is no class "everything"`},
		"a class that an operator decides about":       {args: []string{"--repair", "duplicate"}, says: "an operator decides"},
		"a dry run of nothing":                         {args: []string{"--dry-run"}, says: "--dry-run is for --repair"},
		"another repair for a run that was begun":      {args: []string{"--resume", "--repair", "all"}, says: "leave --repair"},
		"more than the whole directory":                {args: []string{"--max-percent", "101"}, says: "--max-percent"},
		"a part that is none":                          {args: []string{"--max-percent", "NaN"}, says: "--max-percent"},
		"less than nothing":                            {args: []string{"--max-changes=-1"}, says: "--max-changes"},
		"who waits for a moment":                       {args: []string{"--stuck-after", "1s"}, says: "--stuck-after"},
		"a form that is none":                          {args: []string{"--output", "xml"}, says: "--output"},
		"a provider at which nobody can be looked up":  {setting: "PORTICO_BEYOND_LOOKUP=none", says: "PORTICO_BEYOND_LOOKUP is not v2"},
		"a comparison ten times a second":              {setting: "PORTICO_RECONCILE_EVERY=100ms", says: "PORTICO_RECONCILE_EVERY"},
		"a resumption where nothing was interrupted":   {args: []string{"--resume"}, says: "no run was interrupted"},
		"a database whose schema is not that of today": {setting: "PORTICO_DATABASE_URL=" + storetest.EmptySQLite(t), says: "schema is not up to date"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := plannedWorld(t, storetest.SQLite(t))
			if setting, value, ok := strings.Cut(c.setting, "="); ok {
				w.settings[setting] = value
			}
			out, _, err := w.reconcile(c.args...)
			if err == nil || !strings.Contains(err.Error(), c.says) || out != "" {
				t.Errorf("it ends with %v and prints %q", err, out)
			}
		})
	}
}

// The status is what a script goes by, and a process that is killed says
// nothing.
func TestReconcileSurvivesKill9AndItsStatusSaysWhatItFound(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts and kills processes, and waits for a lease to end")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		twins := w.seedTwins(40)
		for i := range 8 {
			w.rename(twins[i], "Another")
		}
		if _, err := w.sim.AddFault(simulator.Fault{
			Match: simulator.Match{Method: http.MethodGet, Path: "*"}, Effect: simulator.Effect{DelayMS: 150},
		}); err != nil {
			t.Fatal(err)
		}
		process := func(args ...string) *exec.Cmd {
			cmd := exec.Command(path, slices.Concat([]string{"reconcile"}, args)...)
			cmd.Env = slices.Concat(w.environ(), []string{"PATH=" + os.Getenv("PATH")})
			return cmd
		}
		killed := process("--repair", "attributes_differ")
		if err := killed.Start(); err != nil {
			t.Fatal(err)
		}
		w.eventually("it is half way through", func() error {
			if faults := w.sim.Faults(); faults[0].Hits < 9 {
				return fmt.Errorf("only %d calls were made", faults[0].Hits)
			}
			return nil
		})
		_ = killed.Process.Kill()
		_ = killed.Wait()
		w.sim.ClearFaults()
		resumed := process("--resume", "--output", "json")
		out, err := resumed.Output()
		if err != nil { // all are repaired, so that none is left
			t.Errorf("the resumption ends with %v\n%s", err, out)
		}
		var shown struct {
			Findings []findingJSON `json:"findings"`
		}
		if err := json.Unmarshal(out, &shown); err != nil || len(shown.Findings) != 8 {
			t.Errorf("%v: %s", err, out)
		}
		again := process()
		if err := again.Run(); err != nil { // the changes are on their way
			t.Errorf("where there is none it ends with %v", err)
		}
		w.rename(twins[20], "Another")
		again = process()
		if err := again.Run(); again.ProcessState.ExitCode() != 3 {
			t.Errorf("where there is one it ends with %v", err)
		}
	})
}

func TestServeComparesTheDirectoriesFromTimeToTime(t *testing.T) {
	t.Parallel()
	w := newKindWorld(t, storetest.SQLite(t))
	w.settings["PORTICO_RECONCILE_EVERY"] = "1s"
	twins := w.seedTwins(5)
	_, log := w.start()
	w.eventually("it finds that they agree", func() error { return logged(log, `"msg":"the directories agree"`) })
	w.rename(twins[1], "Another")
	w.eventually("it finds that they differ", func() error {
		return logged(log, `"level":"WARN","msg":"the directories differ: portico reconcile shows in what"`)
	})
	w.eventually("the line says in how much", func() error { return logged(log, `"attributes_differ":1`) })
}

func logged(log *watcher, text string) error {
	if !strings.Contains(log.String(), text) {
		return errors.New("nothing says " + text)
	}
	return nil
}
