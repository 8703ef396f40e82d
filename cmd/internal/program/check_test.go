package program

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

func TestCheckAsksTheChallengesServiceAboutItsSecret(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reason := "invalid-input-response"
		if r.FormValue("secret") != "canary-challenge-secret" {
			reason = "invalid-input-secret"
		}
		_, _ = fmt.Fprintf(w, `{"success":false,"error-codes":[%q]}`, reason)
	}))
	t.Cleanup(service.Close)
	w := newKindWorld(t, storetest.SQLite(t))
	w.settings["PORTICO_CHALLENGE_URL"] = service.URL
	w.settings["PORTICO_CHALLENGE_SECRET"] = "canary-challenge-secret"
	out, err := w.command("check")
	if err != nil || !hasLine(out, "challenge", "ok") {
		t.Errorf("%v\n%s", err, out)
	}
	w.settings["PORTICO_CHALLENGE_SECRET"] = "canary-another-secret"
	out, err = w.command("check")
	if err == nil || !hasLine(out, "challenge", "FAILED") {
		t.Errorf("%v\n%s", err, out)
	}
	noSecrets(t, out, "canary-")
}

func TestCheckSaysThatTheGateIsClosed(t *testing.T) {
	t.Parallel()
	w := newKindWorld(t, storetest.Postgres(t))
	out, err := w.command("check")
	if err != nil || !hasLine(out, "gate to the provider", "ok") {
		t.Errorf("%v\n%s", err, out)
	}
	db := w.behind()
	defer db.Close()
	_, err = db.SQL().ExecContext(t.Context(), `UPDATE provider_gate SET closed_because = 'failing', closures = 1,
		closed_since = now(), closed_until = now() + interval '1 minute'`)
	if err != nil {
		t.Fatal(err)
	}
	out, err = w.command("check")
	if err != nil || !hasLine(out, "gate to the provider", "warning") {
		t.Errorf("%v\n%s", err, out)
	}
}

// hasLine reports whether the table says so of what.
func hasLine(table, what, result string) bool {
	for line := range strings.Lines(table) {
		if rest, ok := strings.CutPrefix(line, what); ok && strings.HasPrefix(strings.TrimSpace(rest), result) {
			return true
		}
	}
	return false
}
