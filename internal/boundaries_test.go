package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/portico-id/portico/"

// owned are libraries that one package knows, so that replacing one is a change
// to that package.
var owned = []struct {
	library string
	owners  []string
	reason  string
}{
	{"github.com/labstack/echo", []string{"api", "cmd/bench"}, "all of HTTP is in api: the step to Echo v5 is then a change to one package"},
	{"gorm.io/", []string{"internal/store"}, "rows are the store's business: the domain knows plain values"},
	{"github.com/glebarez/", []string{"internal/store"}, "which SQLite it is, the store decides"},
	{"github.com/pressly/goose", []string{"internal/store"}, "the schema's history is the store's"},
	{"github.com/riverqueue/", []string{"internal/queue"}, "jobs are called through the queue: another queue is a change to one package"},
	{"github.com/jackc/", []string{"internal/store", "internal/queue", "cmd/bench"}, "only what talks to Postgres knows how"},
	{"github.com/coreos/go-oidc", []string{"internal/login", "cmd/bench"}, "what go-oidc leaves to its caller is checked in one place"},
	{"golang.org/x/oauth2", []string{"internal/login", "cmd/bench"}, "codes and tokens stay where they are redeemed"},
	{"github.com/wneessen/go-mail", []string{"internal/mail"}, "how a letter is sent is one package's business"},
	{"github.com/emersion/", []string{"internal/beyondidentity/simulator"}, "a mail server has no business in the product"},
	{"github.com/zitadel/", []string{"internal/beyondidentity/simulator"}, "a provider's library has no business in the product"},
	{"github.com/go-playground/validator", []string{"api"}, "the contract's bounds are checked at the edge; the domain has rules of its own"},
	{"code.dny.dev/ssrf", []string{"internal/webhook/sender"}, "which addresses webhooks reach is decided in one place"},
	{"github.com/prometheus/", []string{"internal/telemetry"}, "what is measured is told in plain values: another way to show it is a change to one package"},
	{"go.opentelemetry.io/", []string{"internal/telemetry"}, "spans are begun where something is watched, and telemetry knows how"},
	{"github.com/alecthomas/kong", []string{"cmd/internal/program", "cmd/demo"}, "settings are read in cmd and nowhere else"},
}

// allowed says which packages of ours each package may import. What is not
// listed may import none.
var allowed = map[string][]string{
	"api": {
		"api/docs", "api/openapi", "internal/account", "internal/admintoken", "internal/audit", "internal/challenge", "internal/directory",
		"internal/invitation", "internal/login",
		"internal/nativeapp", "internal/ratelimit", "internal/session", "internal/signup", "internal/webhook",
	},
	"api/docs":                          {},
	"api/openapi":                       {},
	"internal/directory":                {},
	"internal/failpoint":                {},
	"internal/challenge":                {},
	"internal/mail":                     {},
	"internal/nativeapp":                {},
	"internal/clientkey":                {},
	"internal/invitation":               {"internal/directory"},
	"internal/audit":                    {"internal/directory"},
	"internal/admintoken":               {},
	"internal/account":                  {"internal/audit", "internal/directory", "internal/mail", "internal/ratelimit"},
	"internal/importer":                 {"internal/audit", "internal/directory"},
	"internal/ratelimit":                {"internal/directory"},
	"internal/signup":                   {"internal/directory", "internal/failpoint", "internal/invitation", "internal/ratelimit"},
	"internal/session":                  {"internal/directory"},
	"internal/keyring":                  {},
	"internal/login":                    {"internal/directory", "internal/keyring"},
	"internal/beyondidentity":           {"internal/directory"},
	"internal/beyondidentity/simulator": {}, // sharing a type with the client would let the two agree on a mistake
	"internal/gate":                     {"internal/beyondidentity", "internal/directory"},
	"internal/provision": {
		"internal/beyondidentity", "internal/directory", "internal/failpoint", "internal/gate", "internal/mail",
		"internal/signup",
	},
	"internal/reconcile": {
		"internal/account", "internal/audit", "internal/beyondidentity", "internal/directory", "internal/gate", "internal/signup",
	},
	"internal/webhook":        {"internal/directory"},
	"internal/webhook/sender": {"internal/webhook"},
	"internal/queue":          {"internal/account", "internal/directory", "internal/signup", "internal/webhook"},
	"internal/store": {
		"internal/account", "internal/audit", "internal/beyondidentity", "internal/directory", "internal/failpoint", "internal/gate",
		"internal/importer", "internal/invitation", "internal/provision", "internal/ratelimit", "internal/reconcile", "internal/session",
		"internal/signup", "internal/store/migrations", "internal/webhook",
	},
	"internal/store/migrations": {},
	"internal/telemetry":        {}, // plain values: what they mean is told by who wires it
}

// anything may import what it likes: commands, and what only tests use.
var anything = []string{
	"cmd/", "examples/", "api/apitest", "internal/await", "internal/built", "internal/login/hostile", "internal/loopback", "internal/mutate",
	"internal/store/storetest",
}

// domain packages decide; how things are stored, sent and drawn is not theirs.
var domain = []string{
	"internal/account", "internal/admintoken", "internal/audit", "internal/directory", "internal/gate", "internal/importer", "internal/invitation",
	"internal/provision", "internal/ratelimit", "internal/reconcile", "internal/session", "internal/signup", "internal/webhook",
}

// foreignToDomain are standard packages that a decision cannot need.
var foreignToDomain = []string{"net/http", "database/sql", "os", "html/template"}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for folder, imports := range imports(t) {
		for _, path := range imports {
			ours, isOurs := strings.CutPrefix(path, module)
			if isOurs && !free(folder) && !slices.Contains(allowed[folder], ours) {
				t.Errorf("%s imports %s: dependencies point inwards, and this arrow is not in the plan", folder, ours)
			}
			for _, o := range owned {
				if strings.HasPrefix(path, o.library) && !slices.Contains(o.owners, folder) && !strings.HasPrefix(folder, "internal/store/storetest") {
					t.Errorf("%s imports %s: %s", folder, path, o.reason)
				}
			}
			if slices.Contains(domain, folder) && slices.Contains(foreignToDomain, path) {
				t.Errorf("%s imports %s: it decides, and leaves the means to others", folder, path)
			}
		}
	}
}

func TestEveryPackageHasAMap(t *testing.T) {
	t.Parallel()
	for folder := range imports(t) {
		if folder == "." || folder == "cmd/portico" {
			continue // one file each, which says it all
		}
		if _, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", folder, "doc.go"), nil, parser.PackageClauseOnly); err != nil {
			t.Errorf("%s has no doc.go that says what it owns: %v", folder, err)
		}
	}
}

func TestThePlanNamesOnlyPackagesThatExist(t *testing.T) {
	t.Parallel()
	found := imports(t)
	for folder := range allowed {
		if _, ok := found[folder]; !ok {
			t.Errorf("the plan allows %s something, and there is no such package", folder)
		}
	}
}

func free(folder string) bool {
	return slices.ContainsFunc(anything, func(prefix string) bool {
		return strings.HasPrefix(folder+"/", prefix) || strings.HasPrefix(folder, prefix)
	})
}

// imports returns what each folder with Go code imports outside of its tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != ".." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "tools") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		folder, err := filepath.Rel("..", filepath.Dir(path))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		if _, ok := found[folder]; !ok {
			found[folder] = nil
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[folder] = append(found[folder], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < len(allowed) {
		t.Fatalf("only %d packages found", len(found))
	}
	return found
}
