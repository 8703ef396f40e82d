package program

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store/storetest"
)

// byClient lets the world's Portico authenticate by client credentials, whose
// secret comes from a file, and returns the file.
func (w *world) byClient(secret string) (file string) {
	w.t.Helper()
	file = filepath.Join(w.t.TempDir(), "secret")
	w.write(file, secret)
	delete(w.settings, "PORTICO_BEYOND_API_TOKEN")
	w.settings["PORTICO_BEYOND_CLIENT_ID"] = "portico"
	w.settings["PORTICO_BEYOND_CLIENT_SECRET_FILE"] = file
	return file
}

func (w *world) write(file, text string) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// fetches counts the tokens that were asked for.
func (w *world) fetches() (n int) {
	for _, call := range w.sim.Requests() {
		if call.Path == "/v2/oauth2/token" {
			n++
		}
	}
	return n
}

func TestASVS_13_2_1_ClientCredentialsCarrySignUpsThroughLostTokens(t *testing.T) {
	t.Parallel()
	w := newKindWorld(t, storetest.Postgres(t))
	w.byClient(w.settings["PORTICO_OIDC_CLIENT_SECRET"])
	_, log := w.start()
	b := w.browser()
	for round := range 3 {
		for i := range 4 {
			email := fmt.Sprintf("user-%d-%d@example.com", round, i)
			b.arrivesOnce(b.signUp(email), email)
		}
		if got := w.fetches(); got != round+1 {
			t.Errorf("round %d: %d fetches", round, got)
		}
		w.sim.RevokeTokens()
	}
	if text := log.String(); strings.Contains(text, `"level":"ERROR"`) || strings.Contains(text, `"level":"WARN"`) {
		t.Errorf("a token that ended raised an alarm:\n%s", text)
	}
	noSecrets(t, log.String(), w.settings["PORTICO_OIDC_CLIENT_SECRET"])
}

func TestASVS_13_3_4_AClientSecretThatIsReplacedOnDiskLetsSignUpsThrough(t *testing.T) {
	t.Parallel()
	w := newKindWorld(t, storetest.SQLite(t))
	file := w.byClient("a-secret-that-was-revoked")
	_, log := w.start()
	b := w.browser()
	r := b.signUp("ada@example.com")
	w.eventually("the alarm is raised", func() error {
		if !strings.Contains(log.String(), `"level":"ERROR"`) {
			return errors.New("no error is logged")
		}
		return nil
	})
	w.write(file, w.settings["PORTICO_OIDC_CLIENT_SECRET"])
	b.arrivesOnce(r, "ada@example.com")
	noSecrets(t, log.String(), "a-secret-that-was-revoked")
	noSecrets(t, log.String(), w.settings["PORTICO_OIDC_CLIENT_SECRET"])
}

func TestCheckSaysHowItAuthenticatesAndWhatItMayDo(t *testing.T) {
	t.Parallel()
	secret := func(w *world) string { return w.settings["PORTICO_OIDC_CLIENT_SECRET"] }
	for name, c := range map[string]struct {
		change func(t *testing.T, w *world)
		lines  map[string]string // what: its result and something of its detail
		fails  bool
	}{
		"a token": {
			change: func(*testing.T, *world) {},
			lines: map[string]string{
				"management API": "ok|API token accepted", "users at the provider": "ok|listed and looked up by internal_id",
			},
		},
		"client credentials": {
			change: func(_ *testing.T, w *world) { w.byClient(secret(w)) },
			lines: map[string]string{
				"management API": "ok|client credentials of portico accepted", "users at the provider": "ok|listed and looked up by internal_id",
			},
		},
		"client credentials that are refused": {
			change: func(_ *testing.T, w *world) { w.byClient("canary-another-secret") },
			lines:  map[string]string{"management API": "FAILED|client credentials of portico"},
			fails:  true,
		},
		"client credentials where users cannot be looked up": {
			change: func(_ *testing.T, w *world) { w.byClient(secret(w)); w.settings["PORTICO_BEYOND_LOOKUP"] = "none" },
			lines: map[string]string{
				"management API": "unknown|client credentials of portico", "users at the provider": "warning|neither listed nor changed",
			},
		},
		"refused client credentials where users cannot be looked up": {
			change: func(_ *testing.T, w *world) {
				w.byClient("canary-another-secret")
				w.settings["PORTICO_BEYOND_LOOKUP"] = "none"
			},
			lines: map[string]string{"management API": "FAILED|client credentials of portico"},
			fails: true,
		},
		"a token that may not list": {
			change: func(t *testing.T, w *world) { forbid(t, w, "/v2/users", 1) },
			lines: map[string]string{
				"management API": "ok|", "users at the provider": "warning|API token may not have them listed",
			},
		},
		"a token that may not look up by internal_id": {
			change: func(t *testing.T, w *world) { forbid(t, w, "/v2/users/*", 0) },
			lines: map[string]string{
				"management API": "ok|", "users at the provider": "warning|looked up by internal_id",
			},
		},
		"a token that may do nothing of it": {
			change: func(t *testing.T, w *world) { forbid(t, w, "/v2/users*", 1) },
			lines: map[string]string{
				"management API": "ok|", "users at the provider": "warning|listed and looked up by internal_id",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newKindWorld(t, storetest.SQLite(t))
			c.change(t, w)
			out, err := w.command("check")
			if (err != nil) != c.fails {
				t.Errorf("%v\n%s", err, out)
			}
			for what, want := range c.lines {
				result, detail, _ := strings.Cut(want, "|")
				if !hasLine(out, what, result) || !strings.Contains(out, detail) {
					t.Errorf("nothing like %q of %s\n%s", want, what, out)
				}
			}
			noSecrets(t, out, "canary-")
			if len(w.sim.Users()) != 0 || len(w.sim.Ledger().Entries) != 0 {
				t.Error("it left something at the provider")
			}
		})
	}
}

func TestTheGateKnowsWhatIsInUseByItsFingerprint(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("first-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := Config{BeyondAPIURL: "https://api.byndid.com"}
	token, client, another, elsewhere := base, base, base, base
	token.BeyondAPIToken.value = "first-secret"
	client.BeyondClientID, client.BeyondClientSecret = "portico", Secret{value: "first-secret", file: file}
	another.BeyondClientID, another.BeyondClientSecret = "portico-2", client.BeyondClientSecret
	elsewhere.BeyondAPIURL, elsewhere.BeyondClientID, elsewhere.BeyondClientSecret = "https://api-eu.byndid.com", "portico", client.BeyondClientSecret
	seen := map[string]string{}
	note := func(name string, config Config) {
		t.Helper()
		mark := fingerprint(config)
		if other, ok := seen[mark]; ok || len(mark) != 16 || strings.Contains(mark, "secret") {
			t.Errorf("%s has the fingerprint %q, as has %q", name, mark, other)
		}
		seen[mark] = name
		if mark != fingerprint(config) {
			t.Errorf("%s has another one each time", name)
		}
	}
	note("a token", token)
	note("a client with the same secret", client)
	note("another client", another)
	note("the client elsewhere", elsewhere)
	if err := os.WriteFile(file, []byte("second-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	note("the client with the secret that the file has now", client)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := fingerprint(client); got != "" {
		t.Errorf("a secret that is not there has the fingerprint %q", got)
	}
}

// forbid has the API refuse what asks for the path, but for the first so many
// times. The look-up by external_id is the list, too, and comes first.
func forbid(t *testing.T, w *world, path string, skip int) {
	t.Helper()
	fault := simulator.Fault{Match: simulator.Match{Path: path}, Effect: simulator.Effect{Status: http.StatusForbidden}}
	if skip > 0 {
		fault.Flap = &simulator.Flap{Up: skip, Down: 1000}
	}
	if _, err := w.sim.AddFault(fault); err != nil {
		t.Fatal(err)
	}
}
