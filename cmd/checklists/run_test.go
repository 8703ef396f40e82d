package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// threeRows is a list with a row of each kind.
const threeRows = `title: A list
parts:
  - name: A part
    rows:
      - {id: BBA-01, level: MUST, asks: this must be proven}
      - {id: BBA-02, level: MUST, asks: this cannot be asked, not_applicable: for a reason}
      - {id: BBA-03, level: MUST, asks: this comes later, later: what lacks}
`

// judgeRun runs the program on a list and what go test is to have printed.
func judgeRun(t *testing.T, rows, events string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "one.yaml"), []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	code = run(append([]string{"-lists", folder}, args...), strings.NewReader(events), &out, &errs)
	return code, out.String(), errs.String()
}

// ends are the events of tests of one package: "pass TestA", "skip TestA/b", or
// "run TestA" for one that does not end. An action alone is the package's. What
// fails says so, and why if nothing below it failed.
func ends(lines ...string) string {
	var text strings.Builder
	for i, line := range lines {
		action, name, _ := strings.Cut(line, " ")
		if name != "" && action != "run" {
			text.WriteString(`{"Action":"run","Package":"p","Test":"` + name + `"}` + "\n")
		}
		if action == "fail" && name != "" {
			output := `{"Action":"output","Package":"p","Test":"` + name + `","Output":"`
			if !strings.Contains(strings.Join(lines[:i], "\n"), "fail "+name+"/") {
				text.WriteString(output + "what " + name + ` says\n"}` + "\n")
			}
			text.WriteString(output + "--- FAIL: " + name + ` (0.00s)\n"}` + "\n")
		}
		text.WriteString(`{"Action":"` + action + `","Package":"p","Test":"` + name + `"}` + "\n")
	}
	return text.String()
}

func TestWhatARunProves(t *testing.T) {
	t.Parallel()
	const one = "one: 1 proven, 1 not applicable, 1 missing (1 of them for later)"
	const none = "one: 0 proven, 1 not applicable, 2 missing (1 of them for later)"
	for _, test := range []struct {
		says   string
		events string
		code   int
		stdout string
		stderr string
	}{
		{"a subtest that passes", ends("pass TestA/BBA-01_x", "pass TestA", "pass"), exitProven, one, ""},
		{"a function that passes", ends("pass TestBBA01_A", "pass"), exitProven, "proven          p TestBBA01_A", ""},
		{"two that pass", ends("pass TestA/BBA-01_x", "pass TestA/BBA-01_y", "pass TestA", "pass"), exitProven, "p TestA/BBA-01_x, p TestA/BBA-01_y\n", ""},
		{"many that pass", ends("pass TestA/BBA-01_x", "pass TestA/BBA-01_y", "pass TestA/BBA-01_z", "pass TestA", "pass"), exitProven, "and 1 more\n", ""},
		{"one below it that has another name", ends("pass TestA/BBA-01/z", "pass TestA/BBA-01", "pass TestA", "pass"), exitProven, "p TestA/BBA-01\n", ""},
		{"a name with slashes of its own", ends("pass TestA/BBA-01_at_https://x", "pass TestA", "pass"), exitProven, one, ""},
		{"none at all", ends("pass TestA", "pass"), exitMissing, none, ""},
		{"an id within a word", ends("pass TestA/XBBA-01", "pass TestA", "pass"), exitMissing, none, ""},
		{"the row that is for later", ends("pass TestBBA01_A", "pass TestBBA03_B", "pass"), exitMissing, "2 proven", "BBA-03 is for later, and p TestBBA03_B"},
		{"the row that is not applicable", ends("pass TestBBA01_A", "pass TestBBA02_B", "pass"), exitMissing, one, "BBA-02 is not applicable, and p TestBBA02_B"},
		{"a row that there is not", ends("pass TestBBA01_A", "pass TestBBA77_B", "pass"), exitMissing, one, "no list has BBA-77, which p TestBBA77_B claims"},
		{"one that fails", ends("fail TestBBA01_A", "fail"), exitMissing, "[p TestBBA01_A: failed]", "--- FAIL: p TestBBA01_A\nwhat TestBBA01_A says"},
		{"one that fails beside one that passes", ends("fail TestBBA01_A", "pass TestBBA01_B", "fail"), exitMissing, none, "what TestBBA01_A says"},
		{"one whose parent fails", ends("pass TestA/BBA-01", "fail TestA", "fail"), exitMissing, "something that failed above it", "what TestA says"},
		{"one whose child fails", ends("fail TestBBA01_A/x", "fail TestBBA01_A", "fail"), exitMissing, none, "what TestBBA01_A/x says"},
		{"one that is skipped", ends("skip TestBBA01_A", "pass"), exitMissing, "[p TestBBA01_A: was skipped]", ""},
		{"one that is skipped beside one that passes", ends("skip TestBBA01_A", "pass TestBBA01_B", "pass"), exitProven, one, ""},
		{"one whose child is skipped", ends("skip TestBBA01_A/x", "pass TestBBA01_A", "pass"), exitMissing, "with something skipped", ""},
		{"one whose parent is skipped", ends("pass TestA/BBA-01", "skip TestA", "pass"), exitMissing, "with something skipped", ""},
		{"one that does not end", ends("run TestBBA01_A", "fail"), exitMissing, "did not end", "--- DID NOT END: p TestBBA01_A"},
		{"one that passes once and fails once", ends("pass TestBBA01_A", "fail TestBBA01_A", "fail"), exitMissing, none, "what TestBBA01_A says"},
		{"one in a package that fails otherwise", ends("pass TestBBA01_A", "fail"), exitMissing, "its package failed outside", "--- FAIL: p, outside of its tests"},
		{"one in a package that does not end", ends("pass TestBBA01_A", "start"), exitMissing, none, "outside of its tests"},
		{"a test that fails elsewhere", ends("pass TestBBA01_A", "fail TestB", "fail"), exitMissing, one, "what TestB says"},
		{
			"a package that does not compile",
			ends("pass TestBBA01_A", "pass") + `{"ImportPath":"q","Action":"build-output","Output":"q.go:1: no\n"}` + "\n" +
				`{"ImportPath":"q","Action":"build-fail"}` + "\n" + `{"Action":"fail","Package":"q","FailedBuild":"q"}`,
			exitMissing, one, "q.go:1: no",
		},
		{"words between the events", "warning: x\n" + ends("pass TestBBA01_A", "pass"), exitProven, one, "warning: x"},
		{"nothing", "", exitNothing, "", "no test ran"},
		{"what is no result", "{\"Action\":", exitNothing, "", "line 1"},
	} {
		t.Run(test.says, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := judgeRun(t, threeRows, test.events)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit code %d, want %d\n%s\nwant %q\n%s\nwant %q", code, test.code, stdout, test.stdout, stderr, test.stderr)
			}
		})
	}
}

func TestOnlyTheInnermostFailureIsShown(t *testing.T) {
	t.Parallel()
	_, _, stderr := judgeRun(t, threeRows, ends("fail TestA/b/c", "fail TestA/b", "pass TestA/d", "fail TestA", "fail"))
	if strings.Count(stderr, "--- FAIL") != 1 || !strings.Contains(stderr, "what TestA/b/c says") {
		t.Errorf("it shows\n%s", stderr)
	}
}

func TestTheTableInMarkdown(t *testing.T) {
	t.Parallel()
	code, stdout, _ := judgeRun(t, threeRows, ends("pass TestA/BBA-01_a|b<c>`d", "pass TestA", "pass"), "-markdown")
	for _, want := range []string{
		"## A list\n\none: 1 proven, 1 not applicable, 1 missing (1 of them for later).\n\n### A part\n",
		"| BBA-01 | MUST | this must be proven | proven | `p TestA/BBA-01_a\\|b&lt;c>'d` |\n",
		"| BBA-02 | MUST | this cannot be asked | not applicable | for a reason |\n",
		"| BBA-03 | MUST | this comes later | missing | what lacks |\n",
	} {
		if code != exitProven || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, and there is no %q in\n%s", code, want, stdout)
		}
	}
}

func TestWhatCannotBeRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		says string
		args []string
		code int
		want string
	}{
		{"a folder that is not there", []string{"-lists", "/nowhere"}, exitNothing, "no list in /nowhere"},
		{"a file that is not there", []string{"-json", "/nowhere"}, exitNothing, "/nowhere"},
		{"a flag that is none", []string{"-all"}, exitNothing, "-all"},
		{"an argument", []string{"./..."}, exitNothing, "nothing is expected here"},
		{"help", []string{"-h"}, exitProven, "-markdown"},
	} {
		t.Run(test.says, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := judgeRun(t, threeRows, "", test.args...)
			if code != test.code || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, %q", code, stderr)
			}
		})
	}
}

// TestARealRun holds what is read against what the go command really prints,
// with every way in which a package can end.
func TestARealRun(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, source := range map[string]string{
		"go.mod":             "module example.test/run\n\ngo 1.26\n",
		"good/a_test.go":     "package good\nimport \"testing\"\nfunc TestBBA01_A(t *testing.T) { t.Run(\"S-01 a/b\", func(t *testing.T) {}) }",
		"bad/a_test.go":      "package bad\nimport \"testing\"\nfunc TestB(t *testing.T) { t.Run(\"S-02 x\", func(t *testing.T) { t.Error(\"it is so\") }) }",
		"skips/a_test.go":    "package skips\nimport \"testing\"\nfunc TestC(t *testing.T) { t.Run(\"S-03 x\", func(t *testing.T) { t.Skip() }) }",
		"panics/a_test.go":   "package panics\nimport \"testing\"\nfunc TestD(t *testing.T) { t.Run(\"S-04 x\", func(t *testing.T) { panic(\"help\") }) }",
		"leaks/a_test.go":    "package leaks\nimport \"testing\"\nfunc TestE(t *testing.T) { t.Run(\"S-05 x\", func(t *testing.T) {}) }",
		"leaks/main_test.go": "package leaks\nimport (\"os\"; \"testing\")\nfunc TestMain(m *testing.M) { m.Run(); os.Exit(1) }",
		"broken/a_test.go":   "package broken\nimport \"testing\"\nfunc TestS06_F(t *testing.T) { undefined() }",
		"without/a_file.go":  "package without",
	} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lists := filepath.Join(folder, "lists")
	if err := os.Mkdir(lists, 0o700); err != nil {
		t.Fatal(err)
	}
	rows := "title: T\nparts:\n  - name: P\n    rows:\n"
	row := "      - {id: %s, level: x, asks: x}\n"
	rows += fmt.Sprintf(strings.Repeat(row, 7), "BBA-01", "S-01", "S-02", "S-03", "S-04", "S-05", "S-06")
	if err := os.WriteFile(filepath.Join(lists, "real.yaml"), []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", "test", "-json", "./...")
	command.Dir = folder
	// A workspace or flags of whoever runs this are not about that module.
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOTOOLCHAIN=local")
	events, err := command.Output()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Fatalf("go test ended with %v, and packages fail", err)
	}

	saved := filepath.Join(folder, "test.json")
	if err := os.WriteFile(saved, events, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	if code := run([]string{"-lists", lists, "-json", saved}, strings.NewReader(""), &stdout, &stderr); code != exitMissing {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"BBA-01  proven          example.test/run/good TestBBA01_A\n",
		"S-01    proven          example.test/run/good TestBBA01_A/S-01_a/b\n",
		"x [example.test/run/bad TestB/S-02_x: failed]\n",
		"x [example.test/run/skips TestC/S-03_x: was skipped]\n",
		"x [example.test/run/panics TestD/S-04_x: failed]\n",
		"x [example.test/run/leaks TestE/S-05_x: passed, and its package failed outside of its tests]\n",
		"S-06    missing         x\n",
		"real: 2 proven, 0 not applicable, 5 missing\n",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("there is no %q in\n%s", want, stdout.String())
		}
	}
	for _, want := range []string{"it is so", "panic: help", "undefined: undefined", "run/leaks, outside of its tests"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("there is no %q in\n%s", want, stderr.String())
		}
	}
}
