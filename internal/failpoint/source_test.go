package failpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTheSourceCallsOnlyNamesThatExist(t *testing.T) {
	t.Parallel()
	for at, call := range calls(t) {
		known := slices.Concat(Points, []string{""}) // "" is not a literal: Here itself checks it
		if call.function == "Seeded" {
			known = slices.Concat(Bugs, bugConstants)
		}
		if !slices.Contains(known, call.name) {
			t.Errorf("%s: %s(%q) names nothing", at, call.function, call.name)
		}
	}
}

// bugConstants are the names of the constants, for callers that use those.
var bugConstants = []string{
	"JobOutsideTransaction", "NoQuarantine", "NoLookup", "AdoptByEmail", "CommitRetried", "SelectUnique",
}

type call struct{ function, name string }

// calls finds what the module calls of this package, by place.
func calls(t *testing.T) map[string]call {
	t.Helper()
	found := make(map[string]call)
	files := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return nil //nolint:nilerr // whoever builds that file hears of it
		}
		ast.Inspect(file, func(n ast.Node) bool {
			c, isCall := n.(*ast.CallExpr)
			if !isCall || len(c.Args) != 1 {
				return true
			}
			selector, isSelector := c.Fun.(*ast.SelectorExpr)
			if !isSelector {
				return true
			}
			if from, isName := selector.X.(*ast.Ident); isName && from.Name == "failpoint" {
				found[files.Position(c.Pos()).String()] = call{selector.Sel.Name, argument(c.Args[0])}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for at, c := range found {
		if c.function != "Here" && c.function != "Seeded" {
			delete(found, at)
		}
	}
	return found
}

// argument is a literal's text, or the name of one of our constants.
func argument(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.SelectorExpr:
		return e.Sel.Name
	default:
		return ""
	}
}
