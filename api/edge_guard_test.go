package api

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// undecided says, in sentences, which routes of a table lack what all must have.
func undecided(routes []route) []string {
	var d found
	for _, r := range routes {
		if r.guard < anyone || r.guard > byAdminToken {
			d.add("%s %s: nobody has decided who may call it", r.method, r.path)
		}
		if r.handle == nil || len(r.answers) == 0 {
			d.add("%s %s does nothing", r.method, r.path)
		}
		if r.guard != byAdminToken && !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete}, r.method) {
			d.add("%s %s: CORS does not allow the method", r.method, r.path)
		}
	}
	return d
}

func TestASVS_8_2_1_EveryRouteHasAGuard(t *testing.T) {
	t.Parallel()
	for _, complaint := range undecided(everyRoute()) {
		t.Error(complaint)
	}
}

func TestATableThatLacksSomethingIsNoticed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		mutate func(*route)
		says   string
	}{
		{"ASVS-8.2.1 no guard", func(r *route) { r.guard = 0 }, "nobody has decided"},
		{"ASVS-8.2.1 a guard that there is not", func(r *route) { r.guard = byAdminToken + 1 }, "nobody has decided"},
		{"no handler", func(r *route) { r.handle = nil }, "does nothing"},
		{"no answer", func(r *route) { r.answers = nil }, "does nothing"},
		{"a method that CORS does not allow", func(r *route) { r.method = http.MethodPut }, "CORS does not allow"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for i := range (&API{}).routes() {
				routes := (&API{}).routes()
				test.mutate(&routes[i])
				if all := undecided(routes); len(all) != 1 || !strings.Contains(all[0], test.says) {
					t.Errorf("of %s %s it says %q", routes[i].method, routes[i].path, all)
				}
			}
		})
	}
}

// strays returns what a server answers to that is not in the table.
func strays(e *echo.Echo, table []route) []string {
	var d found
	registered, tabled := make([]string, 0, len(table)), make([]string, 0, len(table))
	for _, r := range e.Routes() {
		registered = append(registered, r.Method+" "+r.Path)
	}
	for _, r := range table {
		tabled = append(tabled, r.method+" "+echoPath(r.path))
	}
	same(&d, "routes", tabled, registered)
	if len(registered) != len(tabled) {
		d.add("%d routes are registered, %d are in the table", len(registered), len(tabled))
	}
	return d
}

func TestBBA14_ASVS_6_3_4_TheServerHasTheRoutesOfTheTable(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := bare(t, &log)
	for _, stray := range slices.Concat(strays(a.echo, a.routes()), strays(a.ops, a.adminRoutes())) {
		t.Error(stray)
	}
	open := func(echo.Context) error { return nil }
	for name, plant := range map[string]func(*echo.Echo){
		"one more":         func(e *echo.Echo) { e.GET("/debug", open) },
		"one for all":      func(e *echo.Echo) { e.Any("/any", open) },
		"one of a group":   func(e *echo.Echo) { e.Group("/admin").POST("/users", open) },
		"files":            func(e *echo.Echo) { e.Static("/files", t.TempDir()) },
		"one for the rest": func(e *echo.Echo) { e.RouteNotFound("/*", open) },
	} {
		t.Run("a server with "+name+" is noticed", func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			planted := bare(t, &log)
			plant(planted.echo)
			if len(strays(planted.echo, planted.routes())) == 0 {
				t.Error("nothing says so")
			}
		})
	}
}

// registrars are the names by which Echo and net/http are told what to answer.
const registrars = " GET POST PUT PATCH DELETE HEAD OPTIONS TRACE CONNECT Any Match Group Static StaticFS File FileFS RouteNotFound Pre " +
	"Handle HandleFunc NewServeMux DefaultServeMux ListenAndServe ListenAndServeTLS Serve ServeTLS Server Router Routers "

// registrations returns where a file says what is answered, as it is written.
func registrations(t *testing.T, files *token.FileSet, file *ast.File) []string {
	t.Helper()
	var all []string
	add := func(n ast.Node) {
		var text bytes.Buffer
		if err := printer.Fprint(&text, files, n); err != nil {
			t.Fatal(err)
		}
		all = append(all, text.String())
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr: // called or handed on, it makes no difference
			of, _ := n.X.(*ast.Ident)
			logged := of != nil && of.Name == "slog" // slog.Any is an attribute
			if !logged && strings.Contains(registrars, " "+n.Sel.Name+" ") || n.Sel.Name == "New" && of != nil && of.Name == "echo" {
				add(n)
			}
		case *ast.CallExpr:
			name, ok := n.Fun.(*ast.SelectorExpr)
			// Of the many things called Add, only a route has so many parts.
			if ok && (name.Sel.Name == "Add" && len(n.Args) >= 3 || slices.Contains([]string{"Host", "Use", "newEcho"}, name.Sel.Name)) {
				add(n)
			}
		}
		return true
	})
	return all
}

// TestASVS_8_2_1_BBA14_RoutesAreRegisteredThroughTheirGuardAlone reads the
// package's source: the only route that is registered is one of the table,
// behind its guard.
func TestASVS_8_2_1_BBA14_RoutesAreRegisteredThroughTheirGuardAlone(t *testing.T) {
	t.Parallel()
	want := []string{
		"a.config.Log.Handler().Handle", // of a line of the log
		"a.newEcho(a.adminRoutes(), a.identify, a.harden(), a.log(a.watch(opsListener, a.adminRoutes())), a.recoverPanics, a.onlyAdministered, wholePath)",
		"a.newEcho(a.publicRoutes(), a.identify, a.harden(), a.log(a.watch(publicListener, a.publicRoutes())), a.recoverPanics, a.cors(), wholePath)",
		"e.Add(http.MethodHead, echoPath(route.path), a.guarded(route))",
		"e.Add(route.method, echoPath(route.path), a.guarded(route))",
		"e.Use(chain(around...))",
		"echo.New",
		"http.NewServeMux", // of the operations listener, as are the next two
		"mux.HandleFunc", "mux.HandleFunc",
		"probes.Handle", // of its figures
	}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, registrations(t, files, file)...)
	}
	slices.Sort(all)
	if !slices.Equal(all, want) {
		t.Errorf("what is answered is said by %q", all)
	}
	for _, planted := range []string{
		`e.GET("/debug", open)`, `e.Add("GET", "/debug", open)`, `add := e.POST; add("/debug", open)`, `e.Group("/admin")`,
		`e.Static("/", "/")`, `e.Any("/", open)`, `http.HandleFunc("/", open)`, `http.Handle("/", open)`, `e.RouteNotFound("/*", open)`,
		`echo.New()`, `(&http.Server{}).Serve(nil)`, `e.Host("x").GET("/", open)`, `e.Router().Add("GET", "/debug", open)`, `e.Use(open)`, `e.Pre(open)`,
	} {
		t.Run("a source with "+planted+" is noticed", func(t *testing.T) {
			t.Parallel()
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, "planted.go", "package api\nfunc planted() { "+planted+" }", 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(registrations(t, files, file)) == 0 {
				t.Error("nothing says so")
			}
		})
	}
}
