package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAURLThatNamesNoDatabaseIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{
		"nothing":                   "",
		"another kind of database":  "mysql://portico:hunter2@localhost/portico",
		"a connection string":       "host=localhost password=hunter2",
		"a port that is no number":  "postgres://portico:hunter2@localhost:port/portico",
		"a password with a percent": "postgres://portico:hunter2%@localhost/portico",
		"an unknown sslmode":        "postgres://portico:hunter2@localhost/portico?sslmode=maybe",
		"SQLite without a path":     "sqlite:",
		"SQLite in memory":          "sqlite::memory:",
		"SQLite in shared memory":   "sqlite:file::memory:?cache=shared",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), databaseURL)
			if !errors.Is(err, store.ErrURL) || db != nil {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

func TestAnSQLiteFileLiesWhereItsURLSays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a folder", "100% ours?#&=.db")
	db := storetest.Open(t, "sqlite:"+path)
	if err := db.Migrate(t.Context(), queue.Migrate(false)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("the folder is open to others: %v, %v", folder.Mode(), err)
	}
}

func TestAnSQLiteFileThatCannotBeOpenedFailsAtOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a folder": folder, "below a file": filepath.Join(file, "portico.db")} {
		if db, err := store.Open(t.Context(), "sqlite:"+path); err == nil {
			t.Errorf("%s was opened", name)
			_ = db.Close()
		}
	}
}

func TestAnSQLiteFileIsSyncedAtEachCommitAndKeepsItsForeignKeys(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), storetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
	} {
		var got string
		if err := db.SQL().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, not %s: %v", pragma, got, want, err)
		}
	}
}
