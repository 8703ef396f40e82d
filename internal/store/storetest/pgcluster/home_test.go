package pgcluster

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSweepRemovesOnlyWhatADeadOwnerLeft(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	folder := func(name string) string {
		dir := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	locked := func(dir string) *os.File {
		lock, err := lockNew(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lock.Close() })
		return lock
	}
	dead := folder("portico-pg-dead")
	if err := locked(dead).Close(); err != nil { // what the kernel does for a process that is killed
		t.Fatal(err)
	}
	living := folder("portico-pg-living")
	locked(living)
	unborn := folder("portico-pg-unborn")
	other := folder("somebody-elses")
	if err := os.WriteFile(filepath.Join(other, lockName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "portico-pg-link")
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}

	// Folders of another account are not looked at.
	sweep(base, &syscall.Credential{Uid: uint32(os.Geteuid()) + 1})
	if _, err := os.Stat(dead); err != nil {
		t.Error("another account's folder is gone:", err)
	}

	sweep(base, nil)
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", dead, err)
	}
	for name, dir := range map[string]string{
		"a living owner's": living, "one that is being made": unborn, "another name": other, "a link": link,
	} {
		if _, err := os.Lstat(dir); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
}

func TestServerAccountMustReachItsFolder(t *testing.T) {
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", closed)
	if got := tempDir(nil); got != closed {
		t.Errorf("for our own account: %s, want %s", got, closed)
	}
	if got := tempDir(&syscall.Credential{Uid: 1}); got != "/tmp" {
		t.Errorf("for another account: %s, want /tmp", got)
	}
}
