package program

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// findings runs check for a program to read.
func (w *world) findings() ([]finding, error) {
	w.t.Helper()
	out, err := w.command("check", "--output", "json")
	var all []finding
	if decoded := json.Unmarshal([]byte(out), &all); decoded != nil {
		w.t.Fatalf("%v in %s", decoded, out)
	}
	noSecrets(w.t, out, "canary-")
	return all, err
}

// finds returns the first finding of a check with that result.
func finds(all []finding, what, result string) (finding, bool) {
	for _, f := range all {
		if f.Check == what && f.Result == result {
			return f, true
		}
	}
	return finding{}, false
}

// trouble is something that is wrong, and what check has to say about it.
type trouble struct {
	breaks func(t *testing.T, w *world)
	what   string // the check that finds it
	result string
	fix    string // is in the fix
}

// fault has the simulator answer a path otherwise.
func fault(path string, status int) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		if _, err := w.sim.AddFault(simulator.Fault{Match: simulator.Match{Path: path}, Effect: simulator.Effect{Status: status}}); err != nil {
			t.Fatal(err)
		}
	}
}

func set(name, value string) func(t *testing.T, w *world) {
	return func(_ *testing.T, w *world) { w.settings[name] = value }
}

// troubles of settings, of the provider and of other servers, on any database.
func troubles() map[string]trouble {
	return map[string]trouble{
		"keys that are weak":          {set("PORTICO_KEYS", "c2hvcnQ="), "settings", resultFailed, "openssl rand -base64 32"},
		"a setting that is wrong":     {set("PORTICO_SIGNUP_MODE", "maybe"), "settings", resultFailed, "correct PORTICO_SIGNUP_MODE"},
		"an admin token that is none": {set("PORTICO_ADMIN_TOKENS", "nonsense"), "settings", resultFailed, "portico admin-token new"},
		"no admin tokens":             {func(*testing.T, *world) {}, "admin tokens", resultWarning, "portico admin-token new"},
		"webhooks into one's own network": {
			set("PORTICO_WEBHOOK_ALLOW_PRIVATE", "true"), "settings", resultWarning, "unset PORTICO_WEBHOOK_ALLOW_PRIVATE",
		},
		"a public URL without TLS": {func(*testing.T, *world) {}, "public URL", resultWarning, "https origin"},
		"proxies that are everybody": {
			set("PORTICO_TRUSTED_PROXIES", "0.0.0.0/0"), "trusted proxies", resultWarning, "networks that your proxies are in",
		},
		"an app of another site": {
			set("PORTICO_FRONTEND_ORIGINS", "http://app.localhost:3000"), "settings", resultWarning, "one site",
		},
		"a provider that nobody runs": {
			func(t *testing.T, w *world) { w.settings["PORTICO_OIDC_ISSUER"] = "http://" + freeAddress(t) }, "discovery", resultFailed, "nobody listens",
		},
		"a provider whose name nobody knows": {
			set("PORTICO_OIDC_ISSUER", "https://provider.invalid/v2"), "discovery", resultFailed, "PORTICO_OIDC_ISSUER",
		},
		"a provider that has no metadata": {
			fault("/v2/.well-known/openid-configuration", http.StatusNotFound), "discovery", resultFailed, "curl http",
		},
		"an issuer that is not the provider's": {
			func(_ *testing.T, w *world) { w.settings["PORTICO_OIDC_ISSUER"] += "/" }, "discovery", resultFailed, "a slash at the end counts",
		},
		"an address that is not registered": {
			set("PORTICO_PUBLIC_URL", "http://127.0.0.1:1"), "redirect URI", resultFailed, "redirect URI in the provider's console",
		},
		"a client that the provider does not know": {
			set("PORTICO_OIDC_CLIENT_ID", "somebody"), "redirect URI", resultFailed, "PORTICO_OIDC_CLIENT_ID",
		},
		"a provider that does not tell": {
			fault("/v2/authorize", http.StatusBadGateway), "redirect URI", resultUnknown, "/callback is a redirect URI",
		},
		"a token that is refused": {
			set("PORTICO_BEYOND_API_TOKEN", "canary-another-token"), "management API", resultFailed, "PORTICO_BEYOND_API_TOKEN",
		},
		"an API that nobody runs": {
			func(t *testing.T, w *world) { w.settings["PORTICO_BEYOND_API_URL"] = "http://" + freeAddress(t) },
			"management API", resultFailed, "PORTICO_BEYOND_API_URL",
		},
		"a token without the permission to look": {
			func(t *testing.T, w *world) { forbid(t, w, "/v2/users*", 1) }, "users at the provider", resultWarning, "users:read",
		},
		"look-ups that there are not": {
			set("PORTICO_BEYOND_LOOKUP", "none"), "users at the provider", resultWarning, "PORTICO_BEYOND_LOOKUP=v2",
		},
		"a mail server that nobody runs": {
			func(t *testing.T, w *world) { w.settings["PORTICO_SMTP_URL"] = "smtp://" + freeAddress(t) }, "mail server", resultFailed, "PORTICO_SMTP_URL",
		},
		"a mail server that refuses us": {
			func(t *testing.T, w *world) {
				w.settings["PORTICO_SMTP_URL"] = "smtp://canary-user:canary-pass@" + refusingMail(t)
			},
			"mail server", resultFailed, "user and password",
		},
		"a challenge that nobody runs": {
			func(t *testing.T, w *world) {
				w.settings["PORTICO_CHALLENGE_URL"], w.settings["PORTICO_CHALLENGE_SECRET"] = "http://"+freeAddress(t), "canary-challenge-secret"
			}, "challenge", resultFailed, "PORTICO_CHALLENGE_URL",
		},
		"a database that nobody runs": {
			func(t *testing.T, w *world) {
				w.settings["PORTICO_DATABASE_URL"] = "postgres://portico:canary-password@" + freeAddress(t) + "/portico?sslmode=disable"
			}, "database", resultFailed, "nobody listens",
		},
		"an empty database": {
			func(t *testing.T, w *world) { w.settings["PORTICO_DATABASE_URL"] = storetest.EmptySQLite(t) }, "schema", resultFailed, "portico migrate up",
		},
	}
}

func TestEveryFindingComesWithWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range troubles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newKindWorld(t, storetest.SQLite(t))
			c.breaks(t, w)
			c.hold(t, w)
		})
	}
}

// hold runs check and looks at what it says.
func (c trouble) hold(t *testing.T, w *world) {
	t.Helper()
	all, err := w.findings()
	if f, ok := finds(all, c.what, c.result); !ok || !strings.Contains(f.Fix, c.fix) {
		t.Errorf("no %s of %s with a fix like %q: %+v", c.result, c.what, c.fix, all)
	}
	failed := false
	for _, f := range all {
		failed = failed || f.Result == resultFailed
		if (f.Fix == "") != (f.Result == resultOK) {
			t.Errorf("%+v: what is not ok has a fix, and nothing else has", f)
		}
	}
	if failed != (err != nil) {
		t.Errorf("it ended with %v: %+v", err, all)
	}
}

func TestPostgresSaysWhatIsWrongWithTheRole(t *testing.T) {
	t.Parallel()
	at := func(change func(u *url.URL)) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) {
			t.Helper()
			u, err := url.Parse(w.settings["PORTICO_DATABASE_URL"])
			if err != nil {
				t.Fatal(err)
			}
			change(u)
			w.settings["PORTICO_DATABASE_URL"] = u.String()
		}
	}
	role := func(t *testing.T, w *world, grants ...string) {
		t.Helper()
		name := fmt.Sprintf("portico_check_%d", nextPort())
		behind(t, w, fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD 'canary-role'`, name))
		for _, grant := range grants {
			behind(t, w, strings.ReplaceAll(grant, "ROLE", name))
		}
		at(func(u *url.URL) { u.User = url.UserPassword(name, "canary-role") })(t, w)
	}
	for name, c := range map[string]trouble{
		"a password that is wrong": {
			at(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "canary-wrong") }), "database", resultFailed, "role and password",
		},
		"a database that is not there": {
			at(func(u *url.URL) { u.Path = "/nowhere" }), "database", resultFailed, "create the database",
		},
		"a role that may read nothing": {
			func(t *testing.T, w *world) { role(t, w) }, "schema", resultFailed, "grant the role",
		},
		"a role that may read and not write": {
			func(t *testing.T, w *world) { role(t, w, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO ROLE`) }, "database role", resultFailed, "GRANT them",
		},
		"a role that may do anything": {func(*testing.T, *world) {}, "database role", resultWarning, "a role of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newKindWorld(t, storetest.Postgres(t))
			c.breaks(t, w)
			c.hold(t, w)
		})
	}
	t.Run("a role that may do what it has to", func(t *testing.T) {
		t.Parallel()
		w := newKindWorld(t, storetest.Postgres(t))
		role(t, w, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ROLE`,
			`GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ROLE`)
		all, err := w.findings()
		for _, what := range []string{"database role", "way to the database"} {
			if _, ok := finds(all, what, resultOK); !ok || err != nil {
				t.Errorf("%s: %v: %+v", what, err, all)
			}
		}
	})
	t.Run("a way on which anybody could be the database", func(t *testing.T) {
		t.Parallel()
		for want, way := range map[string]store.Way{
			resultOK:      {Host: "db.example", Proven: true},
			resultWarning: {Host: "db.example"},
		} {
			if got := lookAtWay(way); got.Result != want || !strings.Contains(got.Detail, way.Host) || (got.Fix == "") != (want == resultOK) {
				t.Errorf("%+v: %+v", way, got)
			}
		}
	})
}

// behind does something as the database's owner.
func behind(t *testing.T, w *world, statement string) {
	t.Helper()
	db, err := store.Open(t.Context(), w.settings["PORTICO_DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.SQL().ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestAClockThatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		apart  time.Duration
		result string
	}{
		"together": {0, resultOK}, "a little apart": {-25 * time.Second, resultWarning}, "far apart": {5 * time.Minute, resultFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newKindWorld(t, storetest.SQLite(t))
			inner, err := url.Parse(w.simURL)
			if err != nil {
				t.Fatal(err)
			}
			// The provider by way of somebody with another clock.
			clock := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Date", time.Now().Add(c.apart).UTC().Format(http.TimeFormat))
				r.Host = inner.Host
				w.sim.ServeHTTP(rw, r)
			}))
			defer clock.Close()
			config := Config{OIDCIssuer: clock.URL + "/v2"}
			if f := config.tryClock(t.Context(), clock.Client()); f.Result != c.result || (c.result == resultOK) != (f.Fix == "") {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestCheckShowsAFixBelowWhatItIsFor(t *testing.T) {
	t.Parallel()
	w := newKindWorld(t, storetest.SQLite(t))
	w.settings["PORTICO_BEYOND_API_TOKEN"] = "canary-another-token"
	out, err := w.command("check")
	_, rest, _ := strings.Cut(out, "\nmanagement API")
	_, below, _ := strings.Cut(rest, "\n")
	if line, _, _ := strings.Cut(below, "\n"); err == nil || !strings.HasPrefix(strings.TrimSpace(line), "fix:") {
		t.Errorf("%v\n%s", err, out)
	}
}

// refusingMail is a mail server that lets nobody in.
func refusingMail(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go refuseMail(conn)
		}
	}()
	return listener.Addr().String()
}

// refuseMail speaks as much SMTP as it takes to refuse somebody.
func refuseMail(conn net.Conn) {
	defer conn.Close()
	_, _ = fmt.Fprint(conn, "220 mail.example ESMTP\r\n")
	for buffer := make([]byte, 1024); ; {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		switch word, _, _ := strings.Cut(strings.TrimSpace(string(buffer[:n])), " "); strings.ToUpper(word) {
		case "EHLO":
			_, _ = fmt.Fprint(conn, "250-mail.example\r\n250 AUTH PLAIN\r\n")
		case "QUIT":
			_, _ = fmt.Fprint(conn, "221 Bye\r\n")
			return
		default:
			_, _ = fmt.Fprint(conn, "535 5.7.8 no\r\n")
		}
	}
}
