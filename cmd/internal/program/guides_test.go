package program

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// pages are what is read in the repository: the README and the guides.
func pages(t *testing.T) []string {
	t.Helper()
	guides, err := filepath.Glob(root + "docs/*.md")
	if err != nil || len(guides) < 4 {
		t.Fatalf("there are the guides %q (%v)", guides, err)
	}
	return append(guides, readme, security)
}

// A link has a target, and a heading has an anchor as GitHub makes it.
var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fenced    = regexp.MustCompile("(?ms)^```.*?\n```$")
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	ofAnchors = func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		default:
			return -1
		}
	}
)

func anchors(t *testing.T, path string) (all []string) {
	t.Helper()
	for _, found := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, path), ""), -1) {
		all = append(all, strings.Map(ofAnchors, found[1]))
	}
	return all
}

func TestEveryLinkOfTheGuidesLeadsSomewhere(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, page := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, page), ""), -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue // somebody else's
			}
			checked++
			path := page
			if target != "" {
				path = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s leads to %s, which is not there", page, found[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(t, path), anchor) {
				t.Errorf("%s leads to %s, and there is no such heading", page, found[1])
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d links were looked at", checked)
	}
}

// What a page names, by how it is written.
var (
	namedVariable = regexp.MustCompile(`PORTICO_[A-Z0-9_]*[A-Z0-9]`)
	namedRoute    = regexp.MustCompile("`(GET|POST|PATCH|PUT|DELETE) (/[^`\\s?]*)")
	// A command is named at the begin of a line of shell, or as `portico …`.
	namedCommand = regexp.MustCompile("(?m)(?:^\\$? *|until |`|: )portico ([a-z-]+)(?: ([a-z-]+))?")
)

func TestWhatTheGuidesNameExists(t *testing.T) {
	t.Parallel()
	variables, routes, commands := knownVariables(t), knownRoutes(t), knownCommands(t)
	counts := make(map[string]int)
	for _, page := range pages(t) {
		text := read(t, page)
		for _, name := range namedVariable.FindAllString(text, -1) {
			counts["variables"]++
			if !variables(name) {
				t.Errorf("%s names %s, which is no setting", page, name)
			}
		}
		for _, found := range namedRoute.FindAllStringSubmatch(text, -1) {
			counts["routes"]++
			if !slices.Contains(routes, found[1]+" "+variablePart.ReplaceAllString(found[2], "{}")) {
				t.Errorf("%s names %s %s, which is no route", page, found[1], found[2])
			}
		}
		for _, found := range namedCommand.FindAllStringSubmatch(text, -1) {
			counts["commands"]++
			below, ok := commands[found[1]]
			if !ok || len(below) > 0 && found[2] != "" && !slices.Contains(below, found[2]) {
				t.Errorf("%s names portico %s %s, which is no command", page, found[1], found[2])
			}
		}
	}
	for _, kind := range []string{"variables", "routes", "commands"} {
		if counts[kind] < 10 {
			t.Errorf("only %d %s were looked at", counts[kind], kind)
		}
	}
}

// asked are the variables that docker-compose.yml takes from who starts it.
var asked = regexp.MustCompile(`\$\{(PORTICO_[A-Z_]+)`)

// knownVariables reports what is a setting: of Portico, of its tests, of the
// simulator or of docker-compose.yml.
func knownVariables(t *testing.T) func(name string) bool {
	t.Helper()
	// PORTICO_PORT is what a Kubernetes cluster sets beside a Service of our name.
	known := []string{importDatabaseURL, "PORTICO_PORT"}
	for _, found := range asked.FindAllStringSubmatch(read(t, root+"docker-compose.yml"), -1) {
		known = append(known, found[1])
	}
	for field := range reflect.TypeFor[Config]().Fields() {
		known = append(known, variable(flagName(field)))
	}
	return func(name string) bool {
		own := strings.HasPrefix(name, prefix+"TEST_") || strings.HasPrefix(name, prefix+"SIM_")
		return own || slices.Contains(known, strings.TrimSuffix(name, fileSuffix))
	}
}

var variablePart = regexp.MustCompile(`\{[^}]*\}`)

// knownRoutes are the contract's, the probes and the simulator's.
func knownRoutes(t *testing.T) []string {
	t.Helper()
	var contract struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal([]byte(read(t, root+"openapi.yaml")), &contract); err != nil {
		t.Fatal(err)
	}
	routes := []string{"GET /livez", "GET /readyz", "GET /metrics", "POST /sim/faults"}
	for path, operations := range contract.Paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
			if _, ok := operations[strings.ToLower(method)]; ok {
				routes = append(routes, method+" "+variablePart.ReplaceAllString(path, "{}"))
			}
		}
	}
	return routes
}

// knownCommands are the program's, each with those below it.
func knownCommands(t *testing.T) map[string][]string {
	t.Helper()
	parser, err := kong.New(new(cli), kong.Name("portico"), kong.ExplicitGroups(groups()))
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string][]string)
	for _, command := range parser.Model.Children {
		known[command.Name] = nil
		for _, below := range command.Children {
			known[command.Name] = append(known[command.Name], below.Name)
		}
	}
	return known
}

// line is a command in a piece of shell, up to where its output goes.
var line = regexp.MustCompile(`(?m)^\$? *portico ([^>|&#\n]*)`)

func TestTheCommandsOfTheGuidesAreUnderstood(t *testing.T) {
	t.Parallel()
	guides, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, guide := range guides {
		for _, piece := range fenced.FindAllString(read(t, guide), -1) {
			for _, found := range line.FindAllStringSubmatch(piece, -1) {
				parser, err := environment{}.parser(new(cli), io.Discard, io.Discard, func(int) {})
				if err != nil {
					t.Fatal(err)
				}
				checked++
				if _, err := parser.Parse(strings.Fields(strings.ReplaceAll(found[1], `"`, ""))); err != nil {
					t.Errorf("%s says portico %s: %v", guide, found[1], err)
				}
			}
		}
	}
	if checked < 8 {
		t.Errorf("only %d commands were looked at", checked)
	}
}

var (
	namedTest = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	aTest     = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\)`)
)

func TestEveryThreatIsShownToBeStopped(t *testing.T) {
	t.Parallel()
	tests := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "node_modules":
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			for _, found := range aTest.FindAllStringSubmatch(read(t, path), -1) {
				tests[found[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := tableOf(t, section(t, root+"docs/threat-model.md", "## Threats"))
	if len(rows) < 20 {
		t.Errorf("there are only %d threats", len(rows))
	}
	for _, row := range rows {
		named := namedTest.FindAllStringSubmatch(row[2], -1)
		if len(row) != 3 || row[1] == "" || len(named) == 0 {
			t.Errorf("nothing shows that this is stopped: %s", row[0])
		}
		for _, found := range named {
			if !tests[found[1]] {
				t.Errorf("%s: there is no %s", row[0], found[1])
			}
		}
	}
}
