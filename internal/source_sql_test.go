package internal_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// A value that is put into the text of a statement can end the statement and
// begin another (CWE-89). So every text that goes to the database has to be
// put together from what is in the source, and values go beside it.
//
// "From what is in the source" is followed, not guessed: through variables,
// fields, parameters and results of our own functions, to constants, digits,
// and repetitions and joins of them. What cannot be followed is refused.
func TestASVS_1_2_4_ValuesReachTheDatabaseAsParameters(t *testing.T) {
	t.Parallel()
	p := &program{all: ours(t, nil)}
	statements := 0
	for _, c := range p.all {
		if c.path != "internal/store" && c.path != "internal/queue" {
			continue // nobody else may import a database's library
		}
		n, bad := p.statements(c)
		statements += n
		for _, found := range bad {
			t.Error(found)
		}
	}
	if statements < 80 {
		t.Errorf("only %d texts go to the database: this looks in the wrong place", statements)
	}
	for says, body := range map[string]string{
		"":                                        "s.db.Where(`id = ?`, text).Order(`id`).Updates(map[string]any{`id`: text})",
		"a value in the text of a statement":      "s.db.Exec(`DELETE FROM users WHERE id = '` + text + `'`)",
		"a value as the statement":                "s.db.Raw(text)",
		"a value by Sprintf":                      "s.db.Raw(fmt.Sprintf(`SELECT '%s'`, text))",
		"a value in a condition":                  "s.db.Where(`id = ` + text)",
		"a value as a condition":                  "s.db.First(&userRow{}, text)",
		"a value for an order":                    "s.db.Order(text)",
		"a value for a column":                    "s.db.Pluck(text, nil)",
		"a value for a table":                     "s.db.Table(text)",
		"a value in an expression":                "s.db.Update(`id`, gorm.Expr(text))",
		"a value in a clause":                     "s.db.Order(clause.OrderBy{Expression: clause.Expr{SQL: text}})",
		"a value for a key":                       "s.db.Updates(map[string]any{text: 1})",
		"a value for a key, later":                "m := map[string]any{}; m[text] = 1; s.db.Updates(m)",
		"a value through the pool":                "_, _ = s.pool.Exec(context.Background(), `SELECT ` + text)",
		"a value that is repeated":                "s.db.Raw(strings.Repeat(text, 2))",
		"a value in a variable that was fine":     "q := `SELECT 1`; if text != `` { q += text }; s.db.Raw(q)",
		"a value through a function":              "added2(s, text)",
		"a value through a result":                "s.db.Raw(added3(text))",
		"a value in a field":                      "of := struct{ table string }{text}; s.db.Raw(`DELETE FROM ` + of.table)",
		"a value in a list":                       "s.db.Raw(strings.Join([]string{`SELECT 1`, text}, `,`))",
		"a value in a list, later":                "l := make([]string, 1); l[0] = text; s.db.Raw(strings.Join(l, `,`))",
		"a value of a type that another chose":    "var of any = text; s.db.Where(of)",
		"a statement that cannot be followed":     "s.db.Raw(os.Getenv(`QUERY`))",
		"a function that is handed on as a value": "f := added2; f(s, text)",
	} {
		t.Run(cmp.Or(says, "nothing")+" would be noticed", func(t *testing.T) {
			t.Parallel()
			added := "package store; import (\"context\"; \"fmt\"; \"os\"; \"strings\"; \"gorm.io/gorm\"; \"gorm.io/gorm/clause\");" +
				"var _ = []any{fmt.Sprint, os.Getenv, strings.Join, gorm.Expr, clause.Expr{}, context.Background};" +
				"func (s *Store) Added(text string) { " + body + " }\n" +
				"func added2(s *Store, query string) { s.db.Raw(query) }\n" +
				"func (s *Store) Added2() { added2(s, `SELECT 1`) }\n" +
				"func added3(text string) string { if text == `x` { return text }; return `SELECT 1` }\n"
			p := &program{all: ours(t, map[string]string{"internal/store": added, "internal/queue": "package queue"})}
			_, bad := p.statements(p.all[slices.IndexFunc(p.all, func(c *code) bool { return c.path == "internal/store" })])
			if want := min(len(says), 1); len(bad) != want {
				t.Errorf("%d are, not %d: %q", len(bad), want, bad)
			}
		})
	}
}

// statements returns how many texts the package hands to the database, and
// which of them hold what is not in the source.
func (p *program) statements(c *code) (n int, bad []string) {
	foreign := 0
	check := func(text ast.Expr, of string) {
		n++
		// One text is an operator's own: what they ask of another directory's
		// database, which they could ask without us.
		if strings.HasPrefix(c.where(text), "internal/store/foreign.go:") && foreign == 0 && strings.HasSuffix(of, "Query") {
			foreign++
			return
		}
		if !p.inSource(c, text, nil) {
			bad = append(bad, fmt.Sprintf("%s: the text of %s is not all in the source: pass values beside it", c.where(text), of))
		}
	}
	c.inspect(func(node ast.Node) {
		switch node := node.(type) {
		case *ast.CallExpr:
			for _, text := range c.texts(node) {
				check(text, c.called(node.Fun))
			}
		case *ast.CompositeLit:
			named, isNamed := c.info.TypeOf(node).(*types.Named)
			isClause := isNamed && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == "gorm.io/gorm/clause"
			for _, element := range node.Elts {
				pair, isPair := element.(*ast.KeyValueExpr)
				switch {
				case isPair && isColumns(c.info.TypeOf(node)):
					check(pair.Key, "a column")
				case isClause && isPair && c.isString(pair.Value):
					check(pair.Value, "a clause")
				case isClause && !isPair && c.isString(element):
					check(element, "a clause")
				}
			}
		case *ast.AssignStmt:
			for _, left := range node.Lhs {
				if index, ok := left.(*ast.IndexExpr); ok && isColumns(c.info.TypeOf(index.X)) {
					check(index.Index, "a column")
				}
			}
		}
	})
	return n, bad
}

// isColumns reports whether the type is what GORM takes values by column as.
func isColumns(kind types.Type) bool {
	columns, ok := kind.Underlying().(*types.Map)
	if !ok {
		return false
	}
	_, isAny := columns.Elem().Underlying().(*types.Interface)
	return isAny && types.Identical(columns.Key(), types.Typ[types.String])
}

// asks are the methods that take a statement, whoever has them.
var asks = []string{"Raw", "Exec", "ExecContext", "Query", "QueryContext", "QueryRow", "QueryRowContext", "Prepare", "PrepareContext", "Queue"}

// databases are the packages whose functions take texts that become SQL.
var databases = []string{
	"gorm.io/gorm", "gorm.io/gorm/clause", "database/sql",
	"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgxpool", "github.com/jackc/pgx/v5/pgconn",
}

// texts are the arguments of a call that become a part of a statement.
func (c *code) texts(call *ast.CallExpr) (texts []ast.Expr) {
	var function *types.Func
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		function, _ = c.info.Uses[f.Sel].(*types.Func)
	case *ast.Ident:
		function, _ = c.info.Uses[f].(*types.Func)
	}
	if function == nil || function.Pkg() == nil ||
		!slices.Contains(databases, function.Pkg().Path()) && !slices.Contains(asks, function.Name()) {
		return nil
	}
	signature := function.Signature()
	if signature.Recv() == nil && function.Name() != "Expr" {
		return nil // it opens a database, or makes settings
	}
	for i, argument := range call.Args {
		parameter := signature.Params().At(min(i, signature.Params().Len()-1))
		variadic := signature.Variadic() && i >= signature.Params().Len()-1
		switch {
		case variadic && parameter.Name() == "conds" && function.Name() != "Clauses":
			// GORM takes the first of them for a condition, if it is a text.
			if i == signature.Params().Len()-1 {
				texts = append(texts, argument)
			}
		case variadic && function.Name() != "Distinct":
		case i == 1 && strings.HasPrefix(function.Name(), "Update"): // the value of the column
		case c.isString(argument), isOpaque(c.info.TypeOf(argument)):
			texts = append(texts, argument)
		}
	}
	return texts
}

func (c *code) isString(e ast.Expr) bool {
	kind := c.info.TypeOf(e)
	if kind == nil { // the name of a field
		return false
	}
	basic, ok := kind.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsString != 0
}

// isOpaque reports whether a value of the type could be a text.
func isOpaque(kind types.Type) bool {
	empty, ok := kind.Underlying().(*types.Interface)
	return ok && empty.NumMethods() == 0
}
