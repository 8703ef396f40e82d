package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAListIsReadOrRefused(t *testing.T) {
	t.Parallel()
	const head = "title: T\nparts:\n  - name: P\n    rows:\n"
	for _, test := range []struct{ says, file, want string }{
		{"a whole row", head + "      - {id: BBA-01, level: MUST, asks: something}\n", ""},
		{"a reason", head + "      - {id: BBA-01, level: MUST, asks: something, not_applicable: why}\n", ""},
		{"nothing", "", "EOF"},
		{"no title", "parts: [{name: P, rows: [{id: BBA-01, level: MUST, asks: something}]}]", "title"},
		{"no parts", "title: T", "parts"},
		{"a part without rows", "title: T\nparts: [{name: P}]", "rows"},
		{"a field that nobody reads", head + "      - {id: BBA-01, level: MUST, asks: something, latter: x}\n", "latter"},
		{"no level", head + "      - {id: BBA-01, asks: something}\n", "level"},
		{"nothing asked", head + "      - {id: BBA-01, level: MUST}\n", "asks"},
		{"both excuses", head + "      - {id: BBA-01, level: MUST, asks: something, later: x, not_applicable: y}\n", "not both"},
		{"an id twice", head + strings.Repeat("      - {id: BBA-01, level: MUST, asks: something}\n", 2), "twice"},
		{"an id that no name could hold", head + "      - {id: 3.5.1, level: MUST, asks: something}\n", "3.5.1"},
		{"two ids in one", head + "      - {id: BBA-01 S-01, level: MUST, asks: something}\n", "BBA-01 S-01"},
		{"no id", head + "      - {level: MUST, asks: something}\n", `""`},
	} {
		t.Run(test.says, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "one.yaml"), []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			lists, err := readLists(folder)
			switch {
			case test.want == "" && (err != nil || len(lists) != 1 || lists[0].name != "one"):
				t.Errorf("it is read as %+v, %v", lists, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "one.yaml")):
				t.Errorf("it is refused with %v, which should name the file and say %q", err, test.want)
			}
		})
	}
	t.Run("an id that two lists have", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		for _, name := range []string{"one.yaml", "two.yaml"} {
			file := head + "      - {id: BBA-01, level: MUST, asks: something}\n"
			if err := os.WriteFile(filepath.Join(folder, name), []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := readLists(folder); err == nil || !strings.Contains(err.Error(), "two.yaml") {
			t.Errorf("it is %v", err)
		}
	})
	t.Run("a folder without lists", func(t *testing.T) {
		t.Parallel()
		if _, err := readLists(t.TempDir()); err == nil {
			t.Error("an empty folder has lists")
		}
	})
}
