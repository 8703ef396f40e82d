package internal_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"slices"
)

// program is all of our packages, to follow texts through.
type program struct{ all []*code }

// inSource reports whether all of a text is in the source. What is on the way
// already is taken for granted: a text that is made of itself and of others is
// as good as the others.
func (p *program) inSource(c *code, e ast.Expr, way []types.Object) bool {
	if c.info.Types[e].Value != nil {
		return true
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return p.inSource(c, e.X, way)
	case *ast.BinaryExpr:
		return e.Op == token.ADD && p.inSource(c, e.X, way) && p.inSource(c, e.Y, way)
	case *ast.CompositeLit:
		return p.allInSource(c, e.Elts, way)
	case *ast.Ident:
		return p.objectInSource(c, c.info.Uses[e], way)
	case *ast.SelectorExpr:
		return p.objectInSource(c, c.info.Uses[e.Sel], way)
	case *ast.CallExpr:
		return p.resultInSource(c, e, way)
	}
	return false
}

func (p *program) allInSource(c *code, texts []ast.Expr, way []types.Object) bool {
	return !slices.ContainsFunc(texts, func(e ast.Expr) bool { return !p.inSource(c, e, way) })
}

// objectInSource looks at everything that a variable, field or parameter ever is.
func (p *program) objectInSource(c *code, object types.Object, way []types.Object) bool {
	variable, ok := object.(*types.Var)
	if !ok || variable.Exported() {
		return false // whoever imports the package could set it
	}
	if slices.Contains(way, object) {
		return true
	}
	way = append(slices.Clone(way), object)
	values, known := c.valuesOf(variable)
	return known && len(values) > 0 && p.allInSource(c, values, way)
}

// valuesOf returns what the variable is set to, anywhere, and false where that
// cannot be told.
func (c *code) valuesOf(variable *types.Var) (values []ast.Expr, known bool) {
	known = true
	is := func(e ast.Expr) bool {
		if index, ok := e.(*ast.IndexExpr); ok {
			e = index.X // an element is set
		}
		switch e := e.(type) {
		case *ast.Ident:
			return c.info.Uses[e] == variable || c.info.Defs[e] == variable
		case *ast.SelectorExpr:
			return c.info.Uses[e.Sel] == variable
		}
		return false
	}
	c.inspect(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if is(left) && len(n.Lhs) == len(n.Rhs) {
					values = append(values, n.Rhs[i])
				} else if is(left) {
					known = false // one of several results
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if is(name) && i < len(n.Values) {
					values = append(values, n.Values[i])
				}
			}
		case *ast.RangeStmt:
			if n.Key != nil && is(n.Key) || n.Value != nil && is(n.Value) {
				values = append(values, n.X)
			}
		case *ast.UnaryExpr:
			known = known && (n.Op != token.AND || !is(n.X)) // somebody else may set it
		case *ast.CompositeLit:
			if structure, ok := c.info.TypeOf(n).Underlying().(*types.Struct); ok {
				values = append(values, fieldOf(n, structure, variable)...)
			}
		case *ast.FuncDecl:
			if i := parameter(c, n.Type, variable); i >= 0 {
				arguments, called := c.argumentsOf(c.info.Defs[n.Name], i)
				values, known = append(values, arguments...), known && called && !n.Name.IsExported()
			}
		case *ast.FuncLit:
			known = known && parameter(c, n.Type, variable) < 0
		}
	})
	return values, known
}

// fieldOf is what the literal sets the field to.
func fieldOf(literal *ast.CompositeLit, structure *types.Struct, field *types.Var) (values []ast.Expr) {
	for i, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if name, isName := pair.Key.(*ast.Ident); isName && name.Name == field.Name() && holds(structure, field) {
				values = append(values, pair.Value)
			}
		} else if structure.Field(i) == field {
			values = append(values, element)
		}
	}
	return values
}

func holds(structure *types.Struct, field *types.Var) bool {
	for f := range structure.Fields() {
		if f == field {
			return true
		}
	}
	return false
}

// parameter is the variable's place among a function's parameters, or -1.
func parameter(c *code, function *ast.FuncType, variable *types.Var) int {
	i := 0
	for _, field := range function.Params.List {
		for _, name := range field.Names {
			if c.info.Defs[name] == variable {
				return i
			}
			i++
		}
	}
	return -1
}

// argumentsOf returns what the function is called with at a parameter's place,
// and false if it is used other than by calling it.
func (c *code) argumentsOf(function types.Object, place int) (arguments []ast.Expr, called bool) {
	uses, calls := 0, 0
	c.inspect(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Ident:
			if c.info.Uses[n] == function {
				uses++
			}
		case *ast.CallExpr:
			name, ok := n.Fun.(*ast.Ident)
			if selector, isSelector := n.Fun.(*ast.SelectorExpr); isSelector {
				name, ok = selector.Sel, true
			}
			if ok && c.info.Uses[name] == function && place < len(n.Args) {
				calls++
				arguments = append(arguments, n.Args[place])
			}
		}
	})
	return arguments, uses == calls
}

// digits are functions whose result has nothing else.
var digits = []string{"strconv.Itoa", "strconv.FormatInt", "strconv.FormatUint"}

// resultInSource looks at what a call returns.
func (p *program) resultInSource(c *code, call *ast.CallExpr, way []types.Object) bool {
	if c.info.Types[call.Fun].IsType() {
		return p.allInSource(c, call.Args, way) // a conversion
	}
	if name, ok := call.Fun.(*ast.Ident); ok {
		if c.info.Uses[name] == types.Universe.Lookup("make") {
			return true // what is in it is set elsewhere
		}
		if function, isVariable := c.info.Uses[name].(*types.Var); isVariable {
			return p.literalsInSource(c, function, way)
		}
	}
	switch name := c.callee(call); {
	case slices.Contains(digits, name):
		return true
	case name == "strings.Repeat":
		return p.inSource(c, call.Args[0], way)
	case name == "strings.Join":
		return p.allInSource(c, call.Args, way)
	case name == "fmt.Sprintf":
		return !slices.ContainsFunc(call.Args, func(e ast.Expr) bool { return !c.isInteger(e) && !p.inSource(c, e, way) })
	default:
		return p.returnsInSource(name, way)
	}
}

func (c *code) isInteger(e ast.Expr) bool {
	basic, ok := c.info.TypeOf(e).Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsInteger != 0
}

// literalsInSource looks at the function literals that a variable holds.
func (p *program) literalsInSource(c *code, function *types.Var, way []types.Object) bool {
	values, known := c.valuesOf(function)
	for _, value := range values {
		literal, ok := value.(*ast.FuncLit)
		if !ok || !p.bodyInSource(c, literal.Body, way) {
			return false
		}
	}
	return known && len(values) > 0
}

// returnsInSource looks at what our functions of that name return: if it is
// an interface's, all methods that could be meant.
func (p *program) returnsInSource(name string, way []types.Object) bool {
	found := false
	for _, c := range p.all {
		for _, file := range c.files {
			for _, declaration := range file.Decls {
				function, ok := declaration.(*ast.FuncDecl)
				if !ok || !c.meant(function, name) {
					continue
				}
				if found = true; function.Body == nil || !p.bodyInSource(c, function.Body, way) {
					return false
				}
			}
		}
	}
	return found
}

// jobsMethod is a method of one of the store's interfaces, whose text another
// package writes.
var jobsMethod = regexp.MustCompile(`^\(` + regexp.QuoteMeta(module) + `internal/store\.\w+\)\.(\w+)$`)

func (c *code) meant(function *ast.FuncDecl, name string) bool {
	if defined, ok := c.info.Defs[function.Name].(*types.Func); ok && defined.FullName() == name {
		return true
	}
	method := jobsMethod.FindStringSubmatch(name)
	return method != nil && function.Recv != nil && function.Name.Name == method[1]
}

func (p *program) bodyInSource(c *code, body *ast.BlockStmt, way []types.Object) bool {
	all := true
	ast.Inspect(body, func(n ast.Node) bool {
		if _, isOther := n.(*ast.FuncLit); isOther {
			return false
		}
		if leave, ok := n.(*ast.ReturnStmt); ok {
			all = all && len(leave.Results) == 1 && p.inSource(c, leave.Results[0], way)
		}
		return true
	})
	return all
}
