package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const repository = "../.."

// families are the ids that are numbered: from 01, with none left out, so that
// a row cannot get lost between two edits.
var families = map[string]int{"BBA": 26, "S": 26, "BCL": 13, "FAPI2": 12, "GOIDC": 36}

func TestTheListsAreWhole(t *testing.T) {
	t.Parallel()
	lists, err := readLists(filepath.Join(repository, "checklists"))
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	rows := make(map[string]int)
	for _, l := range lists {
		for _, p := range l.Parts {
			for _, r := range p.Rows {
				known[r.ID] = true
				rows[l.name]++
			}
		}
	}
	for family, n := range families {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprintf("%s-%02d", family, i); !known[id] {
				t.Errorf("%s is in no list", id)
			}
		}
	}
	for name, want := range map[string]int{"asvs": 176, "bff": 65, "relying-party": 105} {
		if rows[name] != want {
			t.Errorf("%s has %d rows, not %d", name, rows[name], want)
		}
	}
}

// TestEveryIDThatATestNamesIsInAList finds what is mistyped without running
// anything. This folder's own tests are left out: they need ids that are none.
func TestEveryIDThatATestNamesIsInAList(t *testing.T) {
	t.Parallel()
	lists, err := readLists(filepath.Join(repository, "checklists"))
	if err != nil {
		t.Fatal(err)
	}
	excused := make(map[string]string)
	known := make(map[string]bool)
	for _, l := range lists {
		for _, p := range l.Parts {
			for _, r := range p.Rows {
				known[r.ID] = true
				if r.NotApplicable != "" {
					excused[r.ID] = r.NotApplicable
				}
			}
		}
	}
	found := 0
	for path, source := range testFiles(t) {
		functions := testNames(t, path, source)
		for _, name := range functions {
			if fold := strings.ToUpper(name); len(idsInName(name)) == 0 && undelimited.MatchString(fold) {
				t.Errorf("%s: an id in %s does not end where its word does", path, name)
			}
		}
		ids := idsIn(string(source))
		for _, name := range functions {
			ids = append(ids, idsInName(name)...)
		}
		for _, id := range ids {
			found++
			if !known[id] {
				t.Errorf("%s: no list has %s", path, id)
			}
			if reason := excused[id]; reason != "" {
				t.Errorf("%s: %s is not applicable: %s", path, id, reason)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d ids were found: the tests are elsewhere", found)
	}
}

// undelimited is what looks like an id in a function's name.
var undelimited = regexp.MustCompile(`(?:BBA|BCL|FAPI2|GOIDC|ASVS)_?\d`)

// testFiles returns every test file of the repository and what is in it.
func testFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != repository &&
			(strings.HasPrefix(name, ".") || name == "node_modules" || path == filepath.Join(repository, "cmd", "checklists")) {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// testNames returns the test functions in a file.
func testNames(t *testing.T, path string, source []byte) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if ok && function.Recv == nil && (strings.HasPrefix(function.Name.Name, "Test") || strings.HasPrefix(function.Name.Name, "Fuzz")) {
			names = append(names, function.Name.Name)
		}
	}
	return names
}
