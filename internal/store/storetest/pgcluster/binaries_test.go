package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeInstall makes a folder with an initdb and a postgres that says version.
func fakeInstall(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho '%s'\n", version)
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNewestInstallationIsChosen(t *testing.T) {
	t.Parallel()
	v15 := fakeInstall(t, "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)")
	v9 := fakeInstall(t, "postgres (PostgreSQL) 9.6.24")
	beta := fakeInstall(t, "postgres (PostgreSQL) 18beta1")
	odd := fakeInstall(t, "no such thing")
	clientOnly := t.TempDir()
	linked := t.TempDir()
	if err := os.Symlink(filepath.Join(v15, "initdb"), filepath.Join(linked, "initdb")); err != nil {
		t.Fatal(err)
	}

	for name, tt := range map[string]struct {
		dirs []string
		want string
		says string
	}{
		"the highest version, wherever it stands":     {dirs: []string{beta, v15, v9}, want: beta},
		"versions are numbers, not text":              {dirs: []string{v9, v15}, want: v15},
		"a link in PATH leads to the real folder":     {dirs: []string{linked}, want: v15},
		"what is no server is passed over":            {dirs: []string{odd, clientOnly, "/nowhere", v15}, want: v15},
		"an old one alone is refused, and says so":    {dirs: []string{v9}, says: "too old"},
		"nothing at all is an error of its own":       {dirs: []string{clientOnly}, says: errNoPostgres.Error()},
		"an odd one alone is no server that would do": {dirs: []string{odd}, says: errNoPostgres.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newest(t.Context(), tt.dirs)
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("error %v, want %q", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.dir != tt.want {
				t.Errorf("chose %s (%d), want %s", got.dir, got.major, tt.want)
			}
		})
	}
}

func TestPortThatSomebodyElseHasIsNotUsed(t *testing.T) {
	t.Parallel()
	other, c := private(t), private(t)
	if err := c.Crash(); err != nil {
		t.Fatal(err)
	}
	s := c.server
	s.url, s.port = other.server.url, other.server.port // as if it had taken ours

	err := c.Restart(t.Context())
	if !errors.Is(err, errPortTaken) {
		t.Fatalf("Restart on another server's port: %v, want errPortTaken", err)
	}
	if s.cmd != nil {
		t.Error("the server that could not bind its port is not cleared away")
	}
}

func TestFailedStartSaysWhyInOneLine(t *testing.T) {
	t.Parallel()
	c := private(t)
	if err := c.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.server.home.data(), "PG_VERSION")); err != nil {
		t.Fatal(err)
	}
	err := c.Restart(t.Context())
	if err == nil {
		t.Fatal("a broken cluster started")
	}
	if got := err.Error(); !strings.Contains(got, "not a valid data directory") || strings.Contains(got, "\n") {
		t.Errorf("got %q", got)
	}
}
