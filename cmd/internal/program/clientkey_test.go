package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/clientkey"
)

// commands runs a command and returns its two streams.
func (w *world) commands(args ...string) (stdout, stderr string, err error) {
	w.t.Helper()
	var out, diagnostics bytes.Buffer
	err = Run(w.t.Context(), args, w.environ(), &out, &diagnostics)
	return out.String(), diagnostics.String(), err
}

func TestClientKeyNewMakesAKeyThatPublicNames(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{clientkey.ES256, clientkey.RS256} {
		t.Run("ASVS-11.2.3 "+algorithm, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, settings: map[string]string{}}
			private, said, err := w.commands("client-key", "new", "--alg="+algorithm)
			if err != nil {
				t.Fatal(err)
			}
			key, err := clientkey.Parse(private)
			if err != nil || key.Algorithm() != algorithm || key.Strength() < 128 {
				t.Fatalf("it prints something else than a strong key: %v", err)
			}
			if !strings.Contains(said, "private key "+key.ID()) || strings.Contains(said, "BEGIN") {
				t.Errorf("it says %s", said)
			}
			w.settings["PORTICO_OIDC_CLIENT_KEY"] = private
			public, said, err := w.commands("client-key", "public")
			if err != nil || said != "" || public != string(key.Public())+"\n" {
				t.Errorf("%v: %s%s", err, public, said)
			}
			var set struct{ Keys []map[string]string }
			if err := json.Unmarshal([]byte(public), &set); err != nil || len(set.Keys) != 1 || set.Keys[0]["d"] != "" {
				t.Errorf("it prints %s", public)
			}
		})
	}
}

func TestClientKeyNewWritesAFileForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	w := &world{t: t, settings: map[string]string{}}
	path := filepath.Join(t.TempDir(), "client.pem")
	stdout, said, err := w.commands("client-key", "new", "--out", path)
	if err != nil || stdout != "" || !strings.Contains(said, path) {
		t.Fatalf("%v: %s%s", err, stdout, said)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.commands("client-key", "new", "--out", path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key is written over: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key that was there has changed: %v", err)
	}
	w.settings["PORTICO_OIDC_CLIENT_KEY_FILE"] = path
	if public, _, err := w.commands("client-key", "public"); err != nil || !strings.Contains(public, `"kty":"EC"`) {
		t.Errorf("%v: %s", err, public)
	}
}

func TestClientKeyRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key  string
		args []string
		want string
	}{
		"another algorithm":       {"", []string{"new", "--alg=HS256"}, "--alg"},
		"no key":                  {"", []string{"public"}, "PORTICO_OIDC_CLIENT_KEY is not set"},
		"a key that is none":      {"canary-password", []string{"public"}, "PORTICO_OIDC_CLIENT_KEY holds an unusable client key"},
		"an argument that is one": {"", []string{"public", "canary-password"}, "unexpected argument"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, settings: map[string]string{"PORTICO_OIDC_CLIENT_KEY": c.key}}
			stdout, _, err := w.commands(append([]string{"client-key"}, c.args...)...)
			var usage *UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) || stdout != "" {
				t.Fatalf("%v: %s", err, stdout)
			}
		})
	}
}
