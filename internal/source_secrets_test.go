package internal_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// secret is how we call what nobody may guess bit by bit.
var secret = regexp.MustCompile(`(?i)(state|nonce|verifier|token|secret|code|challenge|receipt|password|csrf|signature|mac)$`)

// comparedPlainly are the comparisons that anyone may time, since what is
// called like a secret there is none, and why.
var comparedPlainly = map[string]string{
	"slices.Contains of code in internal/challenge": "the reason that the service gives for its refusal",
	"map of code in api":                            "the problem code of an answer",
	"!= of State in cmd/internal/program":           "how far a comparison of the directories is",
	"== of token in internal/gate":                  "the fingerprint of the API's token as this program has it, against one that the database has",
	"!= of token in internal/gate":                  "the same",
	"!= of Token in internal/gate":                  "the same",
	"!= of RefusedToken in internal/gate":           "two of the database's",
	"== of after in internal/gate":                  "what is known of the provider before a call and after it",
}

// Comparing byte by byte and stopping at the first that differs tells how many
// were right (CWE-208). State, nonce and challenge are compared in constant
// time; sessions, codes and receipts are found in the database by their hash,
// of which nobody can choose the beginning.
func TestASVS_11_2_4_SecretsAreComparedInConstantTimeOrByHash(t *testing.T) {
	t.Parallel()
	excused := make(map[string]bool)
	inConstantTime := make(map[string]bool)
	for _, c := range ours(t, nil) {
		for _, found := range c.plainComparisons() {
			if _, ok := comparedPlainly[found.what]; ok {
				excused[found.what] = true
				continue
			}
			t.Errorf("%s: %s: compare it by subtle.ConstantTimeCompare, or find it by its hash", found.at, found.what)
		}
		c.inspect(func(n ast.Node) {
			call, ok := n.(*ast.CallExpr)
			if !ok || c.callee(call) != "crypto/subtle.ConstantTimeCompare" {
				return
			}
			for _, argument := range call.Args {
				inConstantTime[strings.ToLower(secret.FindString(c.called(argument)))] = true
			}
		})
	}
	for what := range comparedPlainly {
		if !excused[what] {
			t.Errorf("%s is excused, and does not happen", what)
		}
	}
	for _, needed := range []string{"state", "nonce", "challenge"} {
		if !inConstantTime[needed] {
			t.Errorf("nothing compares a %s in constant time", needed)
		}
	}
	const head = "package session; import (\"bytes\"; \"slices\"); func added(a, b, state, nonce string, x, y Token, p, q Challenge, token []byte) bool { return "
	for _, body := range []string{
		"state == b", "b != state", "x == y", "p == q", "bytes.Equal(token, []byte(a))", "slices.Contains([]string{a}, nonce)",
		"string(token) == a", "func() bool { switch nonce { case a: return true }; return false }()", "map[string]bool{}[state]",
	} {
		added := head + body + " || bytes.Equal(nil, nil) || slices.Contains([]string{a}, b) }"
		if found := ours(t, map[string]string{"internal/session": added})[0].plainComparisons(); len(found) != 1 {
			t.Errorf("of %s this would be noticed: %v", body, found)
		}
	}
}

// comparison is one that takes as long as the texts are alike.
type comparison struct{ at, what string }

// plainComparisons are those of secrets with what is not known when the
// program is compiled.
func (c *code) plainComparisons() (found []comparison) {
	note := func(n ast.Node, function string, operands ...ast.Expr) {
		for _, operand := range operands {
			if !c.isText(operand) || c.info.Types[operand].Value != nil {
				return // what is compared to is in the source, or no text
			}
		}
		for _, operand := range operands {
			if c.isSecret(operand) {
				found = append(found, comparison{c.where(n), fmt.Sprintf("%s of %s in %s", function, c.called(operand), c.path)})
				return
			}
		}
	}
	c.inspect(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				note(n, n.Op.String(), n.X, n.Y)
			}
		case *ast.SwitchStmt:
			for _, statement := range n.Body.List {
				if clause, ok := statement.(*ast.CaseClause); ok && n.Tag != nil {
					for _, value := range clause.List {
						note(value, "switch", n.Tag, value)
					}
				}
			}
		case *ast.IndexExpr:
			if _, isMap := c.info.TypeOf(n.X).Underlying().(*types.Map); isMap {
				note(n, "map", n.Index)
			}
		case *ast.CallExpr:
			switch name := c.callee(n); name {
			case "bytes.Equal", "bytes.Compare", "strings.Compare", "strings.EqualFold", "reflect.DeepEqual", "slices.Equal":
				note(n, name, n.Args[0], n.Args[1])
			case "slices.Contains", "slices.Index":
				note(n, name, n.Args[1])
			}
		}
	})
	return found
}

// called is the name that the code has for a value.
func (c *code) called(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.ParenExpr:
		return c.called(e.X)
	case *ast.StarExpr:
		return c.called(e.X)
	case *ast.SliceExpr:
		return c.called(e.X)
	case *ast.IndexExpr:
		return c.called(e.X)
	case *ast.CallExpr: // a conversion, or a way to write the value
		if len(e.Args) == 1 {
			return cmp.Or(c.called(e.Args[0]), c.called(e.Fun))
		}
		return c.called(e.Fun)
	}
	return ""
}

// isText reports whether the value is a string, bytes, an array of them, or a
// struct that wraps such a thing.
func (c *code) isText(e ast.Expr) bool {
	return isTextual(c.info.TypeOf(e))
}

func isTextual(kind types.Type) bool {
	switch kind := kind.Underlying().(type) {
	case *types.Basic:
		return kind.Info()&types.IsString != 0
	case *types.Slice:
		return isByte(kind.Elem())
	case *types.Array:
		return isByte(kind.Elem())
	case *types.Struct:
		for field := range kind.Fields() {
			if isTextual(field.Type()) {
				return true
			}
		}
	}
	return false
}

func isByte(kind types.Type) bool {
	basic, ok := kind.Underlying().(*types.Basic)
	return ok && basic.Kind() == types.Uint8
}

// isSecret reports whether the value, or its type, is called like a secret and
// not like the hash of one.
func (c *code) isSecret(e ast.Expr) bool {
	names := []string{c.called(e)}
	if named, ok := c.info.TypeOf(e).(*types.Named); ok {
		names = append(names, named.Obj().Name())
	}
	return slices.ContainsFunc(names, secret.MatchString) &&
		!slices.ContainsFunc(names, func(name string) bool { return strings.Contains(strings.ToLower(name), "hash") })
}

// keptPlainly are columns that are called like a secret and hold none, and why.
var keptPlainly = map[string]string{
	"refused_token": "a part of the hash of the API's token",
	"challenge":     "the hash of the verifier",
	"state":         "how far an import, a comparison or a delivery has come; a flow's state is in no table",
}

// Whoever reads the database must not find what opens a session, and a look-up
// by a hash takes as long whatever is guessed.
func TestASVS_11_2_4_TheDatabaseHasSecretsByTheirHash(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"postgres", "sqlite"} {
		files, err := filepath.Glob(filepath.Join("store", "migrations", dialect, "*.sql"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		var schema strings.Builder
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			schema.Write(raw)
		}
		columns := columnsOf(schema.String())
		for _, hashed := range []string{"token_hash", "receipt_hash", "code_hash", "key_hash"} {
			if !slices.Contains(columns, hashed) {
				t.Errorf("%s: there is no column %s", dialect, hashed)
			}
		}
		for _, column := range columns {
			if secret.MatchString(column) && keptPlainly[column] == "" {
				t.Errorf("%s: the column %s would hold a secret: keep its hash", dialect, column)
			}
		}
		for column := range keptPlainly {
			if !slices.Contains(columns, column) {
				t.Errorf("%s: there is no column %s to excuse", dialect, column)
			}
		}
	}
	for _, line := range []string{"    session_token text NOT NULL,", "    ADD COLUMN verifier BLOB;"} {
		if columns := columnsOf(line); len(columns) != 1 || !secret.MatchString(columns[0]) {
			t.Errorf("%q would not be noticed", line)
		}
	}
}

// column is the line that adds a column which can hold a text.
var column = regexp.MustCompile(`(?im)^[ \t]*(?:ALTER TABLE \w+ )?(?:ADD COLUMN )?([a-z_]+)[ \t]+(?:text|bytea|blob)\b`)

func columnsOf(schema string) (columns []string) {
	for _, found := range column.FindAllStringSubmatch(schema, -1) {
		columns = append(columns, found[1])
	}
	return columns
}
