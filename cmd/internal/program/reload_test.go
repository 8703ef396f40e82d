package program

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/clientkey"
	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/login"
)

// newKey returns a random key of a ring.
func newKey(t *testing.T) string {
	t.Helper()
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// idsOf are the ids of the ring's keys.
func idsOf(t *testing.T, text string) []string {
	t.Helper()
	ring, err := keyring.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ring.IDs()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// watch is a reloader over a file with a ring, and what it logs.
type watch struct {
	*testing.T
	path   string
	live   *liveSecrets
	signal chan os.Signal
	log    *await.Log
	read   int // how much of the log the test has read
}

// watching runs a reloader in a bubble of time, from the ring text on.
func watching(t *testing.T, text string, test func(w *watch)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watch{T: t, path: filepath.Join(t.TempDir(), "keys"), signal: make(chan os.Signal), log: new(await.Log)}
		write(t, w.path, text)
		config := Config{
			Keys:             Secret{value: text, file: w.path},
			OIDCClientAuth:   login.AuthBasic,
			OIDCClientSecret: Secret{value: "canary-client-secret-9a8b"},
		}
		live, err := newLiveSecrets(&config)
		if err != nil {
			t.Fatal(err)
		}
		w.live = live
		r := newReloader(config, live, w.signal, slog.New(slog.NewJSONHandler(w.log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		synctest.Wait()
		test(w)
		cancel()
		running.Wait()
	})
}

// looks lets time pass until the file has been looked at n times.
func (w *watch) looks(n int) {
	<-time.After(time.Duration(n) * reloadEvery)
	synctest.Wait()
}

func (w *watch) hangUp() {
	w.signal <- syscall.SIGHUP
	synctest.Wait()
}

// said returns what was logged since it was asked last.
func (w *watch) said() string {
	log := w.log.String()
	news := log[w.read:]
	w.read = len(log)
	return news
}

// has fails the test unless the ring in use is that of the text.
func (w *watch) has(text string) {
	w.Helper()
	if want := idsOf(w.T, text); !slices.Equal(w.live.keys.IDs(), want) {
		w.Fatalf("the ring is %v, not %v", w.live.keys.IDs(), want)
	}
}

func TestASVS_13_3_4_AFileThatHasChangedIsTakenOnceItHasSettled(t *testing.T) {
	t.Parallel()
	older, newer := newKey(t), newKey(t)
	watching(t, older, func(w *watch) {
		if said := w.said(); !strings.Contains(said, `"setting":"PORTICO_KEYS","read_again":true,"ids":["`+idsOf(t, older)[0]+`"]`) {
			t.Errorf("the start says %s", said)
		}
		w.looks(10)
		if said := w.said(); said != "" {
			t.Errorf("nothing has changed, and the log says %s", said)
		}
		write(t, w.path, newer+","+older+"\n")
		w.looks(1)
		w.has(older)
		w.looks(1)
		w.has(newer + "," + older)
		ids := idsOf(t, newer+","+older)
		if said := w.said(); !strings.Contains(said, `"msg":"a secret was replaced","setting":"PORTICO_KEYS"`) ||
			!strings.Contains(said, fmt.Sprintf(`"ids":[%q,%q]`, ids[0], ids[1])) {
			t.Errorf("the log says %s", said)
		}
		w.looks(10)
		if said := w.said(); said != "" {
			t.Errorf("nothing has changed, and the log says %s", said)
		}
	})
}

func TestASVS_13_3_4_AFileThatIsHalfWrittenDropsNoKey(t *testing.T) {
	t.Parallel()
	older, newer := newKey(t), newKey(t)
	watching(t, older, func(w *watch) {
		// Cut at the comma, half of the ring is a ring.
		for _, half := range []string{"", newer[:10], newer, newer + ",", newer + "," + older[:7]} {
			write(t, w.path, half)
			w.looks(1)
			w.has(older)
		}
		write(t, w.path, newer+","+older)
		w.looks(2)
		w.has(newer + "," + older)
		if said := w.said(); strings.Contains(said, "ERROR") {
			t.Errorf("what was never whole is complained of: %s", said)
		}
	})
}

func TestABadFileIsRefusedOnceAndTheOldRingStaysInUse(t *testing.T) {
	t.Parallel()
	good := newKey(t)
	weak := base64.StdEncoding.EncodeToString([]byte("changeme-changeme-changeme-chang"))
	for name, spoil := range map[string]func(t *testing.T, path string){
		"ASVS-13.2.3 a passphrase": func(t *testing.T, path string) { write(t, path, weak) },
		"ASVS-13.2.3 zeroes behind a good key": func(t *testing.T, path string) {
			write(t, path, newKey(t)+","+base64.StdEncoding.EncodeToString(make([]byte, 32)))
		},
		"ASVS-11.2.3 a short key": func(t *testing.T, path string) {
			write(t, path, base64.StdEncoding.EncodeToString([]byte{1, 2, 3, 200, 5, 6, 7, 8, 99, 10, 11, 12, 13, 14, 15, 16}))
		},
		"an empty file":            func(t *testing.T, path string) { write(t, path, "") },
		"half of a key":            func(t *testing.T, path string) { write(t, path, newKey(t)[:20]) },
		"something else":           func(t *testing.T, path string) { write(t, path, "canary-password\n") },
		"a file that has no end":   func(t *testing.T, path string) { write(t, path, strings.Repeat("A", 1<<20)) },
		"a file that is gone":      func(t *testing.T, path string) { remove(t, path) },
		"a folder in its place":    func(t *testing.T, path string) { remove(t, path); mkdir(t, path) },
		"a pipe that nobody fills": func(t *testing.T, path string) { remove(t, path); mkfifo(t, path) },
		"a link to nothing": func(t *testing.T, path string) {
			remove(t, path)
			if err := os.Symlink(path+"-missing", path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watching(t, good, func(w *watch) {
				w.said()
				spoil(w.T, w.path)
				w.looks(20)
				w.has(good)
				said := w.said()
				if strings.Count(said, "\n") != 1 || !strings.Contains(said, `"level":"ERROR","msg":"a secret was not replaced`) ||
					!strings.Contains(said, `"setting":"PORTICO_KEYS"`) {
					t.Errorf("the log says %s", said)
				}
				if checkRegular(w.path) == nil {
					content, err := os.ReadFile(w.path)
					if err != nil || len(content) >= 8 && strings.Contains(said, string(content[:8])) {
						t.Errorf("the log holds what is in the file: %s, %v", said, err)
					}
				}
				if err := os.RemoveAll(w.path); err != nil {
					t.Fatal(err)
				}
				write(t, w.path, good)
				w.looks(2)
				if said := w.said(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "holds what is in use") {
					t.Errorf("once it is good again, the log says %s", said)
				}
				next := newKey(t)
				write(t, w.path, next+","+good)
				w.looks(2)
				w.has(next + "," + good)
			})
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestASVS_13_3_4_ASignalIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	older, newer := newKey(t), newKey(t)
	watching(t, older, func(w *watch) {
		w.said()
		w.hangUp()
		if said := w.said(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "holds what is in use") {
			t.Errorf("nothing has changed, and the log says %s", said)
		}
		write(t, w.path, newer+","+older)
		w.hangUp()
		w.has(newer + "," + older)
		w.said()
		for range 2 { // each question has its answer
			write(t, w.path, "nonsense")
			w.hangUp()
			w.has(newer + "," + older)
			if said := w.said(); strings.Count(said, "\n") != 1 || !strings.Contains(said, `"level":"ERROR"`) {
				t.Errorf("the log says %s", said)
			}
		}
		w.looks(5)
		if said := w.said(); said != "" {
			t.Errorf("what was said is said again: %s", said)
		}
	})
}

// TestALinkThatMovesOnIsNoticed is how Kubernetes replaces a mounted secret:
// the file's own time stamp and size say nothing.
func TestALinkThatMovesOnIsNoticed(t *testing.T) {
	t.Parallel()
	older, newer := newKey(t), newKey(t)
	watching(t, older, func(w *watch) {
		folder, stamp := t.TempDir(), time.Unix(1, 0)
		for version, text := range map[string]string{"one": older, "two": newer} {
			write(t, filepath.Join(folder, version), text)
			if err := os.Chtimes(filepath.Join(folder, version), stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct{ version, text string }{{"one", older}, {"two", newer}, {"one", older}} {
			link := filepath.Join(folder, "link")
			if err := os.Symlink(filepath.Join(folder, step.version), link); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(link, w.path); err != nil {
				t.Fatal(err)
			}
			w.looks(2)
			w.has(step.text)
		}
	})
}

func TestWhatComesFromNoFileIsNotReadAgain(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	mkfifo(t, pipe)
	synctest.Test(t, func(t *testing.T) {
		var log await.Log
		config := Config{
			Keys: Secret{value: newKey(t)}, OIDCClientAuth: login.AuthPost,
			OIDCClientSecret: Secret{value: "canary-client-secret-9a8b", file: pipe}, // as of a shell's <(…)
		}
		live, err := newLiveSecrets(&config)
		if err != nil {
			t.Fatal(err)
		}
		signal := make(chan os.Signal)
		r := newReloader(config, live, signal, slog.New(slog.NewJSONHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		<-time.After(10 * reloadEvery)
		signal <- syscall.SIGHUP
		synctest.Wait()
		cancel()
		running.Wait()
		if strings.Count(log.String(), `"read_again":false`) != 2 || strings.Contains(log.String(), "ERROR") ||
			!strings.Contains(log.String(), "there is nothing to read again") {
			t.Errorf("the log says %s", log.String())
		}
	})
}

func TestASVS_11_3_4_AWornKeyIsSaidOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	config := Config{Keys: Secret{value: newKey(t)}, OIDCClientAuth: login.AuthBasic, OIDCClientSecret: Secret{value: "canary-client-secret-9a8b"}}
	live, err := newLiveSecrets(&config)
	if err != nil {
		t.Fatal(err)
	}
	r := newReloader(config, live, nil, slog.New(slog.NewJSONHandler(&log, nil)))
	for _, worn := range []bool{false, true, true, false, false, true} {
		r.warnOfWear(t.Context(), worn)
	}
	if strings.Count(log.String(), `"level":"WARN"`) != 2 || !strings.Contains(log.String(), live.keys.IDs()[0]) {
		t.Errorf("the log says %s", log.String())
	}
}

func TestASVS_13_3_4_TheClientsCredentialsAreReplacedAtTheirNextUse(t *testing.T) {
	t.Parallel()
	first, err := clientkey.Generate(clientkey.ES256)
	if err != nil {
		t.Fatal(err)
	}
	second, err := clientkey.Generate(clientkey.ES256)
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Keys: Secret{value: newKey(t)}, OIDCClientAuth: login.AuthPrivateKey,
		OIDCClientKey: Secret{value: first},
	}
	live, err := newLiveSecrets(&config)
	if err != nil {
		t.Fatal(err)
	}
	before, err := live.ClientKey()
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := live.ClientSecret(); err == nil || secret != "" {
		t.Error("there is a client secret beside the key")
	}
	if err := live.takeClientKey(second[:40]); err == nil {
		t.Error("half a key is taken")
	}
	if same, err := live.ClientKey(); err != nil || same != before {
		t.Errorf("half a key has replaced the whole one: %v", err)
	}
	if err := live.takeClientKey(second); err != nil {
		t.Fatal(err)
	}
	if after, err := live.ClientKey(); err != nil || after == before {
		t.Errorf("the key was not replaced: %v", err)
	}

	config.OIDCClientAuth, config.OIDCClientKey = login.AuthBasic, Secret{}
	config.OIDCClientSecret = Secret{value: "canary-client-secret-9a8b"}
	if live, err = newLiveSecrets(&config); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "changeme-changeme", "short", "with a\nline break in it"} {
		if err := live.takeClientSecret(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if err := live.takeClientSecret("canary-client-secret-7c6d"); err != nil {
		t.Fatal(err)
	}
	if secret, err := live.ClientSecret(); err != nil || string(secret) != "canary-client-secret-7c6d" {
		t.Errorf("the secret was not replaced: %v", err)
	}
	if key, err := live.ClientKey(); err == nil || key != nil {
		t.Error("there is a client key beside the secret")
	}
}

func TestCredentialsThatDoNotFitTheWayStopTheStart(t *testing.T) {
	t.Parallel()
	key, err := clientkey.Generate(clientkey.ES256)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "canary-client-secret-9a8b"
	for name, c := range map[string]struct{ way, secret, key, want string }{
		"BBA-01 basic without a secret":         {"basic", "", "", "PORTICO_OIDC_CLIENT_SECRET is not set"},
		"BBA-01 post without a secret":          {"post", "", "", "PORTICO_OIDC_CLIENT_SECRET is not set"},
		"BBA-01 private_key_jwt without a key":  {"private_key_jwt", "", "", "PORTICO_OIDC_CLIENT_KEY is not set"},
		"BBA-01 no way at all":                  {"none", secret, "", "PORTICO_OIDC_CLIENT_AUTH must be"},
		"a key that has no use":                 {"basic", secret, key, "PORTICO_OIDC_CLIENT_KEY is set"},
		"BBA-01 a secret in place of the key":   {"private_key_jwt", secret, "", "PORTICO_OIDC_CLIENT_KEY is not set"},
		"ASVS-13.2.3 a default secret":          {"basic", "changeme-please-soon", "", "PORTICO_OIDC_CLIENT_SECRET is a default"},
		"ASVS-13.2.3 a secret of one character": {"basic", strings.Repeat("a", 32), "", "PORTICO_OIDC_CLIENT_SECRET is a few"},
		"a key that is none":                    {"private_key_jwt", "", "canary-no-key", "PORTICO_OIDC_CLIENT_KEY holds an unusable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live, err := newLiveSecrets(&Config{
				Keys: Secret{value: newKey(t)}, OIDCClientAuth: c.way,
				OIDCClientSecret: Secret{value: c.secret}, OIDCClientKey: Secret{value: c.key},
			})
			if live != nil || err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("%v, %v", live, err)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %q", err)
			}
		})
	}
}
