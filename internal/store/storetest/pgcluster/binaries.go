package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// minMajor is the oldest Postgres that is still maintained upstream.
const minMajor = 14

var errNoPostgres = errors.New("no Postgres server found")

// installed is a folder that holds initdb and postgres, and their version.
type installed struct {
	dir   string
	major int
}

func (i installed) initdb() string   { return filepath.Join(i.dir, "initdb") }
func (i installed) postgres() string { return filepath.Join(i.dir, "postgres") }

// findOrInstall returns the newest Postgres of this machine, after installing
// Debian's where there is none and that can be done.
func findOrInstall(ctx context.Context) (installed, error) {
	bin, err := newest(ctx, candidates(os.Getenv("PATH")))
	if err == nil || !errors.Is(err, errNoPostgres) {
		return bin, err
	}
	if !canInstall() {
		return installed{}, fmt.Errorf("%w: install Postgres %d or newer (Debian: apt-get install postgresql), or set %s to a server's URL",
			err, minMajor, EnvURL)
	}
	if err := install(ctx); err != nil {
		return installed{}, err
	}
	return newest(ctx, candidates(os.Getenv("PATH")))
}

// candidates lists the folders where a server may be: PATH, then where the
// distributions put one that they keep out of PATH.
func candidates(path string) []string {
	dirs := filepath.SplitList(path)
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",               // Debian, Ubuntu
		"/usr/pgsql-*/bin",                        // PGDG on Fedora and RHEL
		"/usr/libexec/postgresql*",                // Alpine
		"/opt/homebrew/opt/postgresql@*/bin",      // Homebrew, Apple silicon
		"/usr/local/opt/postgresql@*/bin",         // Homebrew, Intel
		"/Applications/Postgres.app/Contents/*/*", // Postgres.app
	} {
		matches, _ := filepath.Glob(pattern) // the only error is a bad pattern
		dirs = append(dirs, matches...)
	}
	return dirs
}

// newest returns the newest server of the folders, or errNoPostgres.
func newest(ctx context.Context, dirs []string) (installed, error) {
	var best installed
	seen := map[string]bool{}
	for _, dir := range dirs {
		// A distribution's PATH may hold links; the server looks for its own
		// files beside the real binary.
		initdb, err := filepath.EvalSymlinks(filepath.Join(dir, "initdb"))
		if err != nil {
			continue
		}
		bin := installed{dir: filepath.Dir(initdb)}
		if seen[bin.dir] {
			continue
		}
		seen[bin.dir] = true
		if bin.major, err = majorOf(ctx, bin.postgres()); err != nil {
			continue
		}
		if bin.major > best.major {
			best = bin
		}
	}
	switch {
	case best.major == 0:
		return installed{}, errNoPostgres
	case best.major < minMajor:
		return installed{}, fmt.Errorf("postgres %d in %s is too old: install %d or newer, or set %s to a server's URL",
			best.major, best.dir, minMajor, EnvURL)
	}
	return best, nil
}

// versionLine is the first line of `postgres --version`, such as "postgres
// (PostgreSQL) 17.2 (Debian 17.2-1)" or "postgres (PostgreSQL) 18beta1".
var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func majorOf(ctx context.Context, postgres string) (int, error) {
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("%s --version: %w", postgres, err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("%s --version says %q", postgres, strings.TrimSpace(string(out)))
	}
	return strconv.Atoi(string(match[1]))
}
