package built

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// folders have what was built, until Remove.
var folders struct { //nolint:gochecknoglobals // of the test's process
	sync.Mutex

	paths []string
}

// Once returns a function that builds the command of an import path, with flags
// of go build, when it is called first, and returns where it is.
func Once(importPath string, flags ...string) func() (path string, err error) {
	return sync.OnceValues(func() (string, error) {
		if err := noticeSource(); err != nil {
			return "", err
		}
		folder, err := os.MkdirTemp("", "portico-test-")
		if err != nil {
			return "", err
		}
		folders.Lock()
		folders.paths = append(folders.paths, folder)
		folders.Unlock()
		path := filepath.Join(folder, filepath.Base(importPath))
		build := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), importPath)...) //nolint:gosec,noctx // a test's own
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w: %s", importPath, err, out)
		}
		return path, nil
	})
}

// noticeSource looks at every file that a build may read. The go command keeps
// the outcome of a test until a file that the test has looked at is another, and
// it does not know what a build has read.
func noticeSource() error {
	root, err := os.Getwd() // the package's folder
	if err != nil {
		return err
	}
	for !isModule(root) {
		above := filepath.Dir(root)
		if above == root {
			return errors.New("there is no go.mod above the test")
		}
		root = above
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // another test's, and gone
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.Type().IsRegular():
			_, _ = os.Stat(path)
		}
		return nil
	})
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

// Main runs the tests of a package, and removes what they have built.
func Main(m *testing.M) {
	m.Run() // with whose result the process exits
	if err := Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// Remove removes what was built.
func Remove() error {
	folders.Lock()
	defer folders.Unlock()
	var failed error
	for _, path := range folders.paths {
		failed = errors.Join(failed, os.RemoveAll(path))
	}
	folders.paths = nil
	return failed
}
