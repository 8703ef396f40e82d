package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// outcome is how a test or package ended. A later one is worse: of a test that
// ran several times, the worst counts.
type outcome int

const (
	passed outcome = iota + 1
	skipped
	unfinished // it began and never ended: a panic or a timeout elsewhere
	failed
)

// ran is one test of one package, or the package itself (name "").
type ran struct {
	pkg, name string
	outcome   outcome
	running   bool
	output    []string // of what did not pass
}

// results is all that a run of `go test -json` said.
type results struct {
	tests    map[[2]string]*ran // by package and name
	packages map[string]*ran
	builds   map[string]*ran // what the compiler said, by import path
}

// event is a line of test2json, or of the build (`go help buildjson`).
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

// errNothingRan is for a run that has no test: whatever was to run them failed
// before it did.
var errNothingRan = errors.New("no test ran: its command failed, or the file is another")

// readResults reads what go test printed, and writes its own closing line of
// each package to progress. What is no event is handed on there.
//
// It returns errNothingRan, a read error, or what is wrong with a line.
func readResults(r io.Reader, progress io.Writer) (*results, error) {
	all := &results{tests: make(map[[2]string]*ran), packages: make(map[string]*ran), builds: make(map[string]*ran)}
	lines := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		switch text := bytes.TrimSpace(line); {
		case len(text) == 0:
		case text[0] != '{':
			fmt.Fprintf(progress, "%s\n", text)
		default:
			var e event
			if err := json.Unmarshal(text, &e); err != nil {
				return nil, fmt.Errorf("line %d is no event of go test's: %w", number, err)
			}
			all.take(e, progress)
		}
		if err != nil {
			break
		}
	}
	if len(all.tests) == 0 && !all.failed() {
		return nil, errNothingRan
	}
	return all, nil
}

func (all *results) take(e event, progress io.Writer) {
	if e.Package == "" {
		if e.ImportPath != "" {
			all.build(e)
		}
		return
	}
	pkg := all.packages[e.Package]
	if pkg == nil {
		pkg = &ran{pkg: e.Package, outcome: passed, running: true}
		all.packages[e.Package] = pkg
	}
	r := pkg
	if e.Test != "" {
		key := [2]string{e.Package, e.Test}
		if r = all.tests[key]; r == nil {
			r = &ran{pkg: e.Package, name: e.Test}
			all.tests[key] = r
		}
	}
	switch e.Action {
	case "start", "run":
		r.running = true
	case "output":
		r.output = append(r.output, e.Output)
	case "pass":
		r.end(passed)
	case "skip":
		if r == pkg {
			r.end(passed) // a package without tests
		} else {
			r.end(skipped)
		}
	case "fail":
		r.end(failed)
	}
	// go test ends each package with a line of its own.
	if r == pkg && e.Action == "output" && closing.MatchString(e.Output) {
		_, _ = io.WriteString(progress, e.Output)
	}
}

var closing = regexp.MustCompile(`^(?:ok {2}|FAIL|\? {3})\t`)

func (all *results) build(e event) {
	b := all.builds[e.ImportPath]
	if b == nil {
		b = &ran{pkg: e.ImportPath, outcome: passed}
		all.builds[e.ImportPath] = b
	}
	switch e.Action {
	case "build-output":
		b.output = append(b.output, e.Output)
	case "build-fail":
		b.outcome = failed
	}
}

func (r *ran) end(o outcome) {
	r.running = false
	r.outcome = max(r.outcome, o)
	if r.outcome == passed {
		r.output = nil
	}
}

// result is how the test or package ended, now that nothing more comes.
func (r *ran) result() outcome {
	if r.running {
		return max(r.outcome, unfinished)
	}
	return r.outcome
}

// failed reports whether anything failed or did not end.
func (all *results) failed() bool {
	for _, group := range []map[string]*ran{all.packages, all.builds} {
		for _, r := range group {
			if r.result() >= unfinished {
				return true
			}
		}
	}
	for _, r := range all.tests {
		if r.result() >= unfinished {
			return true
		}
	}
	return false
}

// ordered returns every test, by package and name.
func (all *results) ordered() []*ran {
	return slices.SortedFunc(maps.Values(all.tests), func(a, b *ran) int {
		return strings.Compare(a.pkg+"\x00"+a.name, b.pkg+"\x00"+b.name)
	})
}

// brokenOutside returns the packages that failed although none of their tests
// did: by TestMain, a leak, or a build.
func (all *results) brokenOutside() map[string]bool {
	broken := make(map[string]bool)
	for path, p := range all.packages {
		if p.result() >= unfinished {
			broken[path] = true
		}
	}
	for _, r := range all.tests {
		if r.result() >= unfinished {
			delete(broken, r.pkg)
		}
	}
	return broken
}

// failures writes what went wrong: what failed tests and packages said, and the
// compiler. A test that failed only because one below it did says nothing.
func (all *results) failures(w io.Writer) {
	tests := all.ordered()
	for i, r := range tests {
		said := r.said()
		if r.result() < unfinished || said == "" && all.failedBelow(r, tests[i+1:]) {
			continue
		}
		heading := "FAIL"
		if r.result() == unfinished {
			heading = "DID NOT END"
		}
		fmt.Fprintf(w, "--- %s: %s\n%s", heading, r, said)
	}
	broken := all.brokenOutside()
	for _, path := range slices.Sorted(maps.Keys(all.packages)) {
		p := all.packages[path]
		said := p.said()
		if p.result() >= unfinished && (said != "" || broken[path]) {
			fmt.Fprintf(w, "--- FAIL: %s, outside of its tests\n%s", path, said)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(all.builds)) {
		if b := all.builds[path]; b.outcome == failed {
			fmt.Fprint(w, strings.Join(b.output, ""))
		}
	}
}

// said is the output without the lines by which go test says what runs.
func (r *ran) said() string {
	var said strings.Builder
	for _, line := range r.output {
		if !framing.MatchString(line) {
			said.WriteString(line)
		}
	}
	return said.String()
}

var framing = regexp.MustCompile(`^\s*(?:=== [A-Z]+ |--- (?:PASS|FAIL|SKIP): )|^(?:PASS|FAIL|FAIL\t.*|exit status \d+)\n?$`)

// failedBelow reports whether a test below r failed; those come after r.
func (all *results) failedBelow(r *ran, after []*ran) bool {
	for _, other := range after {
		if other.pkg != r.pkg || !strings.HasPrefix(other.name, r.name) {
			return false
		}
		if strings.HasPrefix(other.name, r.name+"/") && other.result() >= unfinished {
			return true
		}
	}
	return false
}

// String is the test's package, without the module that all share, and name.
func (r *ran) String() string {
	return strings.TrimPrefix(r.pkg, "github.com/portico-id/portico/") + " " + r.name
}
