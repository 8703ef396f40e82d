package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// listed is what the go command says of a package.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Export     string // file with what the compiler knows of its exported part
}

// product are the packages that the binary is made of, libraries included.
var product = sync.OnceValues(func() ([]listed, error) {
	list := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Dir,GoFiles,Export", "./cmd/portico")
	list.Dir = ".."
	var complaint bytes.Buffer
	list.Stderr = &complaint
	raw, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, complaint.String())
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(raw)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
})

// code is a package of ours with the types of what it says.
type code struct {
	path  string
	files []*ast.File
	info  *types.Info
	at    *token.FileSet
}

// where says where in the repository a node is.
func (c *code) where(n ast.Node) string {
	at := c.at.Position(n.Pos())
	return fmt.Sprintf("%s/%s:%d", c.path, filepath.Base(at.Filename), at.Line)
}

// library is what the product's packages import, which takes the longest to
// read and is read once for all tests.
var library = struct {
	sync.Mutex // of the importer, which one check at a time may use
	types.Importer

	files *token.FileSet
}{files: token.NewFileSet()}

// ours are the product's packages of this module, each with the types of what
// it says. A file of more's is added to the package that is its key.
func ours(t *testing.T, more map[string]string) []*code {
	t.Helper()
	packages, err := product()
	if err != nil {
		t.Fatal(err)
	}
	library.Lock()
	defer library.Unlock()
	if library.Importer == nil {
		exports := make(map[string]string)
		for _, p := range packages {
			exports[p.ImportPath] = p.Export
		}
		library.Importer = importer.ForCompiler(library.files, "gc", func(path string) (io.ReadCloser, error) {
			return os.Open(exports[path])
		})
	}
	files := library.files
	var all []*code
	for _, p := range packages {
		path, isOurs := strings.CutPrefix(p.ImportPath, module)
		if !isOurs || more != nil && more[path] == "" {
			continue // to show that a check can fail, its own package is enough
		}
		c := &code{path: path, at: files, info: &types.Info{
			Types: make(map[ast.Expr]types.TypeAndValue), Defs: make(map[*ast.Ident]types.Object),
			Uses: make(map[*ast.Ident]types.Object), Selections: make(map[*ast.SelectorExpr]*types.Selection),
		}}
		for _, name := range p.GoFiles {
			c.parse(t, filepath.Join(p.Dir, name), nil)
		}
		if source := more[path]; source != "" {
			c.parse(t, filepath.Join(p.Dir, "added.go"), source)
		}
		if _, err := (&types.Config{Importer: library.Importer}).Check(p.ImportPath, files, c.files, c.info); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if len(all) == 0 || more == nil && len(all) < len(domain) {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}

func (c *code) parse(t *testing.T, path string, source any) {
	t.Helper()
	file, err := parser.ParseFile(c.at, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	c.files = append(c.files, file)
}

// inspect calls visit for every node of the package.
func (c *code) inspect(visit func(n ast.Node)) {
	for _, file := range c.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				visit(n)
			}
			return true
		})
	}
}

// callee is the full name of the function that is called.
func (c *code) callee(call *ast.CallExpr) string {
	switch function := call.Fun.(type) {
	case *ast.SelectorExpr:
		if f, ok := c.info.Uses[function.Sel].(*types.Func); ok {
			return f.FullName()
		}
	case *ast.Ident:
		if f, ok := c.info.Uses[function].(*types.Func); ok {
			return f.FullName()
		}
	}
	return ""
}

// Go's regular expressions take time that is linear in the text. Others
// backtrack, and a text can be made that they take years for (CWE-1333).
func TestASVS_1_3_12_NoPatternCanBeMadeToRunForLong(t *testing.T) {
	t.Parallel()
	packages, err := product()
	if err != nil {
		t.Fatal(err)
	}
	var linked []string
	for _, p := range packages {
		linked = append(linked, p.ImportPath)
	}
	if !slices.Contains(linked, "regexp") {
		t.Error("Go's own is not among what is linked: this looks in the wrong place")
	}
	for _, engine := range patternEngines(linked) {
		t.Errorf("%s is linked into the product: it matches patterns, and does not promise to end soon", engine)
	}
	for _, engine := range []string{"github.com/dlclark/regexp2", "github.com/dlclark/regexp2/syntax", "github.com/GRbit/go-pcre", "github.com/wasilibs/go-re2"} {
		if len(patternEngines(append(linked, engine))) == 0 {
			t.Errorf("%s would not be noticed", engine)
		}
	}
}

// patternEngine is how libraries that match patterns are called.
var patternEngine = regexp.MustCompile(`(?i)regexp|regex|pcre|onig|rubex|hyperscan|(^|[/-])re2([/-]|$)`)

// patternEngines returns those of the packages that match patterns and are not
// of the standard library, whose paths begin with no host.
func patternEngines(packages []string) []string {
	return slices.DeleteFunc(slices.Clone(packages), func(path string) bool {
		host, _, _ := strings.Cut(path, "/")
		return !strings.Contains(host, ".") || !patternEngine.MatchString(path)
	})
}

// Without a look at the certificate, TLS is spoken with whoever sits in
// between (CWE-295). It is looked for by its name, in commands and stand-ins
// too: nothing of ours has a use for it.
func TestASVS_12_3_2_NobodyTurnsTheCheckOfCertificatesOff(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, found := range uncheckedTLS(t, path, source) {
			t.Error(found)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v", files, err)
	}
	for _, source := range []string{
		"package p; import \"crypto/tls\"; var c = &tls.Config{InsecureSkipVerify: true}",
		"package p; import \"crypto/tls\"; func f(c *tls.Config, unsafe bool) { c.InsecureSkipVerify = unsafe }",
		"package p; import \"crypto/tls\"; var c = tls.Config{VerifyPeerCertificate: nil}",
		"package p; import \"crypto/tls\"; var c = tls.Config{MinVersion: tls.VersionTLS11}",
	} {
		if len(uncheckedTLS(t, "added.go", []byte(source))) == 0 {
			t.Errorf("this would not be noticed: %s", source)
		}
	}
	asks := "package p; import \"crypto/tls\"; func f(c *tls.Config) bool { return !c.InsecureSkipVerify }"
	if found := uncheckedTLS(t, "added.go", []byte(asks)); found != nil {
		t.Errorf("this weakens nothing: %s", found)
	}
}

// weakens are the names by which crypto/tls is made to trust others than the
// system does, or to speak versions that are broken.
var weakens = []string{"InsecureSkipVerify", "VerifyPeerCertificate", "VerifyConnection", "VersionTLS10", "VersionTLS11", "VersionSSL30"}

func uncheckedTLS(t *testing.T, path string, source []byte) (found []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(map[*ast.Ident]bool) // `!c.InsecureSkipVerify`: whether the check is on
	ast.Inspect(file, func(n ast.Node) bool {
		if not, ok := n.(*ast.UnaryExpr); ok && not.Op == token.NOT {
			if field, ok := not.X.(*ast.SelectorExpr); ok {
				asked[field.Sel] = true
			}
		}
		if name, ok := n.(*ast.Ident); ok && slices.Contains(weakens, name.Name) && !asked[name] {
			found = append(found, fmt.Sprintf("%s has %s: nobody would know whom we talk to", files.Position(n.Pos()), name.Name))
		}
		return true
	})
	return found
}
