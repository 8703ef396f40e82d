package pgcluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// home is a cluster's folder: data, the server's log, and the owner's lock.
//
//	<temp>/portico-pg-*/          mode 0700, of the account that the server runs as
//	    data/                     the data directory
//	    server.log                what the server said since the first start
//	    owner.lock                locked as long as the owner lives
type home struct {
	dir  string
	lock *os.File
	cred *syscall.Credential // the server's account, nil for our own
}

const (
	homePattern = "portico-pg-*"
	lockName    = "owner.lock"
)

func (h *home) data() string { return filepath.Join(h.dir, "data") }
func (h *home) log() string  { return filepath.Join(h.dir, "server.log") }

// newHome makes the folder of one cluster, owned by the account that its
// server will run as, and sweeps away those of owners that are gone.
func newHome() (*home, error) {
	cred, err := serverAccount()
	if err != nil {
		return nil, err
	}
	base := tempDir(cred)
	sweep(base, cred)
	dir, err := os.MkdirTemp(base, homePattern)
	if err != nil {
		return nil, err
	}
	h := &home{dir: dir, cred: cred}
	if h.lock, err = lockNew(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return nil, errors.Join(err, h.remove())
		}
	}
	return h, nil
}

// remove deletes the folder and releases its lock.
func (h *home) remove() error {
	return errors.Join(os.RemoveAll(h.dir), h.lock.Close())
}

// serverAccount returns the account that the server runs as: ours, or, since
// Postgres refuses to run as root, that of postgres or nobody.
func serverAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // no credential is what exec takes for "our own"
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("pgcluster: account %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("pgcluster: Postgres does not run as root, and there is neither a postgres nor a nobody account: create one, or run as another user")
}

// tempDir returns the temporary folder, or /tmp where root's own is closed to
// the server's account.
func tempDir(cred *syscall.Credential) string {
	base := os.TempDir()
	if cred == nil {
		return base
	}
	const mayPass = 0o001
	for dir := base; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&mayPass == 0 {
			return "/tmp"
		}
		if dir == filepath.Dir(dir) {
			return base
		}
	}
}

// lockNew creates the owner's lock, which ends with this process. The file
// gets its name when it is locked, so that sweep never sees it unlocked while
// we live.
func lockNew(dir string) (*os.File, error) {
	draft := filepath.Join(dir, lockName+".new")
	f, err := os.OpenFile(draft, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("pgcluster: lock %s: %w", draft, err), f.Close())
	}
	if err := os.Rename(draft, filepath.Join(dir, lockName)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweep removes the folders that killed owners left behind. A server that
// should still run in one ends by itself when it misses its files, within a
// minute. Nothing that belongs to another account is touched: anybody may put
// a folder of that name into a shared /tmp.
func sweep(base string, cred *syscall.Credential) {
	account := uint32(os.Geteuid()) //nolint:gosec // a uid is 32 bits wide
	if cred != nil {
		account = cred.Uid
	}
	dirs, _ := filepath.Glob(filepath.Join(base, homePattern)) // the only error is a bad pattern
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || ownerOf(info) != account {
			continue
		}
		if abandoned(dir) {
			_ = os.RemoveAll(dir) // what cannot be removed is not ours to worry about
		}
	}
}

// abandoned reports whether the lock of a cluster's folder is free.
func abandoned(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false // still being made, or not ours
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

func ownerOf(info fs.FileInfo) uint32 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ^uint32(0)
	}
	return stat.Uid
}
