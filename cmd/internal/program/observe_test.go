package program

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/portico-id/portico/internal/store/storetest"
)

const (
	alertsFile    = root + "deploy/observe/alerts.yml"
	dashboardFile = root + "deploy/observe/dashboard.json"
	operateFile   = root + "docs/operate.md"
)

func hexOf(raw []byte) string { return hex.EncodeToString(raw) }

// alert is a rule of alerts.yml.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, alertsFile)), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no alarms")
	}
	return all
}

// expressions are those of the rules and panels, by where they are.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, a := range alerts(t) {
		all["alarm "+a.Alert] = a.Expr
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all["panel "+panel.Title+" "+target.RefID] = target.Expr
		}
	}
	return all
}

var (
	notNames = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	words    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
)

// metricsOf are the names of metrics in an expression of PromQL: its words that
// are neither functions, nor operators, nor labels.
func metricsOf(expression string) (names []string) {
	for _, word := range words.FindAllString(notNames.ReplaceAllString(expression, " "), -1) {
		word = strings.TrimSpace(word)
		if strings.HasSuffix(word, "(") || slices.Contains([]string{"and", "or", "unless", "bool", "offset", "e"}, word) {
			continue
		}
		names = append(names, word)
	}
	return names
}

func TestNamesAreFoundInExpressions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`max(portico_users{status=~"failed|conflict"}) > 0`:                                           "portico_users",
		`sum by (le, kind) (rate(a_bucket[$__rate_interval])) / b{x="y"} and on (z) c or absent(d_e)`: "a_bucket b c d_e",
		`time() - max(portico_mispelt_total) > 129600`:                                                "portico_mispelt_total",
		`histogram_quantile(0.99, sum by (le) (rate(f_bucket{route="/me",method="GET"}[5m]))) > 0.5`:  "f_bucket",
	} {
		if got := strings.Join(metricsOf(expression), " "); got != want {
			t.Errorf("%s has %q, not %q", expression, got, want)
		}
	}
}

// scraped are the names in a scrape, and the series of histograms.
func scraped(text string) map[string]bool {
	names := make(map[string]bool)
	for line := range strings.Lines(text) {
		if name := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`).FindString(line); name != "" {
			names[name] = true
		}
	}
	return names
}

func TestWhatAlarmsAndPanelsAskForIsInAScrape(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		w.settings["PORTICO_BEYOND_RATE_PER_MINUTE"] = "6000"
		w.start()
		b := w.browser()
		b.await(b.signUp("ada@example.com"), "invited")
		b.enrol("ada@example.com")
		b.follow(w.public + "/login")
		b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
		b.do(http.MethodGet, w.public+"/callback?code=x&state=y", "")
		differ := new(DifferencesError)
		err := Run(context.Background(), []string{"reconcile"}, w.environ(), io.Discard, io.Discard)
		if err != nil && !errors.As(err, &differ) {
			t.Fatal(err)
		}
		var text string
		w.eventually("the comparison is in a scrape", func() error {
			a, err := b.try(http.MethodGet, w.opsURL+"/metrics", "")
			if text = a.body; err == nil && !strings.Contains(text, "portico_reconcile_last_run_timestamp_seconds ") {
				err = errors.New("not yet")
			}
			return err
		})
		known := scraped(text)
		known["up"] = true // Prometheus' own
		for where, expression := range expressions(t) {
			for _, name := range metricsOf(expression) {
				if !known[name] {
					t.Errorf("%s: no scrape has %s", where, name)
				}
			}
		}
		for _, line := range []string{
			`portico_signups_total{outcome="accepted"} 1`, `portico_logins_total{check="none",outcome="success"} 1`,
			`portico_sessions_opened_total{by="login"} 1`, `portico_sessions_open 1`, `portico_database_up 1`,
			`portico_user_transitions_total{class="none",to="invited"} 1`, `portico_oldest_pending_signup_age_seconds 0`,
			`portico_provider_calls_total{class="none",job="signup",operation="create_user"} 1`,
		} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("the scrape does not say %s", line)
			}
		}
		documented(t, text)
	})
}

// documented holds what a scrape has against the table.
func documented(t *testing.T, text string) {
	t.Helper()
	rows := rowsOf(t, section(t, operateFile, "## Metrics"))
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 4 || fields[1] != "TYPE" || !strings.HasPrefix(fields[2], "portico_") {
			continue
		}
		row, ok := rows["`"+fields[2]+"`"]
		if !ok || row[1] != fields[3] || row[3] == "" {
			t.Errorf("the table says %q of the %s %s", row, fields[3], fields[2])
		}
		delete(rows, "`"+fields[2]+"`")
	}
	for name := range rows {
		t.Errorf("the table has %s, and no scrape does", name)
	}
}

func TestEachAlarmSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, a := range alerts(t) {
		text := section(t, operateFile, "### "+a.Alert)
		says(t, text, "**Symptom.**", "**Cause.**", "**What to do.**")
		if want := "/docs/operate.md#" + strings.ToLower(a.Alert); !strings.HasSuffix(a.Annotations["runbook_url"], want) {
			t.Errorf("%s leads to %s", a.Alert, a.Annotations["runbook_url"])
		}
		if a.Annotations["summary"] == "" || a.Labels["severity"] == "" {
			t.Errorf("%s has no summary, or no severity", a.Alert)
		}
	}
	said := regexp.MustCompile(`(?m)^### (\S+)`).FindAllStringSubmatch(read(t, operateFile), -1)
	if len(said) != len(alerts(t)) {
		t.Errorf("%d alarms have %d sections", len(alerts(t)), len(said))
	}
}
