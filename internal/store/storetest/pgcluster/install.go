package pgcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// noMainCluster keeps Debian's package from creating and starting a server of
// its own, which would take port 5432 and disk space: all that is wanted of
// the package is its binaries.
const (
	noMainClusterFile = "/etc/postgresql-common/createcluster.d/portico-tests.conf"
	noMainCluster     = "create_main_cluster = false\n"
)

// canInstall reports whether this machine lets us install Debian's Postgres.
func canInstall() bool {
	_, noDebian := os.Stat("/etc/debian_version")
	_, noAptGet := exec.LookPath("apt-get")
	return noDebian == nil && noAptGet == nil && os.Geteuid() == 0
}

// install installs Debian's postgresql and upgrades nothing that is there.
func install(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "pgcluster: installing Debian's postgresql, once, for the tests")
	undo, err := writeNew(noMainClusterFile, noMainCluster)
	if err != nil {
		return fmt.Errorf("pgcluster: cannot prepare the installation of postgresql: %w", err)
	}
	defer undo()

	args := []string{
		// Another package's tests may be installing it at this moment.
		"-o", "DPkg::Lock::Timeout=300",
		"install", "-y", "--no-install-recommends", "--no-upgrade", "postgresql",
	}
	if aptGet(ctx, args...) == nil {
		return nil
	}
	// A fresh machine has no package lists, or old ones.
	if err := aptGet(ctx, "-o", "DPkg::Lock::Timeout=300", "update"); err != nil {
		return fmt.Errorf("%w; install postgresql by hand, or set %s to a server's URL", err, EnvURL)
	}
	if err := aptGet(ctx, args...); err != nil {
		return fmt.Errorf("%w; install postgresql by hand, or set %s to a server's URL", err, EnvURL)
	}
	return nil
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("pgcluster: apt-get %s: %w: %s", args[2], err, lastLine(out))
	}
	return nil
}

// writeNew writes a file that is not there yet and returns what takes it away
// again. A file that is there is the machine's owner's, and stays as it is.
func writeNew(name, content string) (undo func(), err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // configuration that Debian's tools read as another user
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the same
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(name) }, nil
}

// lastLine returns the last line of a program's output that is not empty.
func lastLine(out []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return lines[len(lines)-1]
}
