package internal_test

import (
	"go/ast"
	"go/constant"
	"go/types"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestASVS_16_1_1_TheREADMEListsWhatIsLogged holds the README's table against
// the code, both ways: whoever is to be told of something by a line has to find
// the line, and one that is not there is waited for in vain.
func TestASVS_16_1_1_TheREADMEListsWhatIsLogged(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := logTable(string(raw))
	logged := make(map[string]bool)
	fields := make(map[string]bool)
	for _, c := range ours(t, nil) {
		for _, line := range c.logLines() {
			logged[line.message] = true
			row, ok := listed[line.message]
			switch {
			case !ok:
				t.Errorf("%s: %q is not in the README", line.at, line.message)
			case line.level != "" && !strings.Contains(row.levels, line.level):
				t.Errorf("%s: %q is %s, and in the README %s", line.at, line.message, line.level, row.levels)
			}
		}
		if c.path == "api" {
			maps.Copy(fields, c.accessFields())
		}
	}
	for message := range listed {
		if !logged[message] {
			t.Errorf("nothing logs %q, which the README lists", message)
		}
	}
	if len(fields) < 9 {
		t.Errorf("a request's line has only %v: this looks in the wrong place", fields)
	}
	for field := range fields {
		if !strings.Contains(listed["request"].about, "`"+field+"`") {
			t.Errorf("the README does not say that a request's line has its %s", field)
		}
	}
	if rows := logTable("### What is logged\n| `a`, `b` | INFO | x |\n\n| `c` | INFO | x |"); len(rows) != 2 || rows["b"].levels != "INFO" {
		t.Errorf("a table is read as %v", rows)
	}
	added := "package session; import (\"context\"; \"log/slog\"; \"time\");" +
		"func added(l *slog.Logger) { l.Log(context.Background(), slog.LevelError, \"b\" + \"c\"); l.Warn(\"d\") };" +
		"var record = slog.NewRecord(time.Time{}, slog.LevelInfo, \"e\", 0)"
	found := ours(t, map[string]string{"internal/session": added})[0].logLines()
	for _, want := range []string{"ERROR bc", "WARN d", "INFO e"} {
		if !slices.ContainsFunc(found, func(line logLine) bool { return line.level+" "+line.message == want }) {
			t.Errorf("%s would not be noticed", want)
		}
	}
}

// logRow is what the README says of a message.
type logRow struct{ levels, about string }

var quoted = regexp.MustCompile("`([^`]+)`")

// logTable reads the table of the messages.
func logTable(readme string) map[string]logRow {
	rows := make(map[string]logRow)
	_, section, _ := strings.Cut(readme, "### What is logged\n")
	begun := false
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			if begun {
				break
			}
			continue
		}
		begun = true
		for _, message := range quoted.FindAllStringSubmatch(cells[1], -1) {
			rows[message[1]] = logRow{strings.TrimSpace(cells[2]), cells[3]}
		}
	}
	return rows
}

// logLine is a line that the code can log; its level is empty where that is
// decided when it is logged.
type logLine struct{ at, level, message string }

// levels are the logger's methods and what they log at.
var levels = map[string]string{"Debug": "DEBUG", "Info": "INFO", "Warn": "WARN", "Error": "ERROR", "Log": ""}

func (c *code) logLines() (lines []logLine) {
	c.inspect(func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return
		}
		callee := c.callee(call)
		method, isLogger := strings.CutPrefix(callee, "(*log/slog.Logger).")
		level, isLog := levels[strings.TrimSuffix(strings.TrimSuffix(method, "Attrs"), "Context")]
		if !(isLogger && isLog) && callee != "log/slog.NewRecord" { // which goes past the logger
			return
		}
		line := logLine{at: c.where(call), level: level}
		for _, argument := range call.Args {
			value := c.info.Types[argument].Value
			switch {
			case value == nil:
			case value.Kind() == constant.String:
				line.message = constant.StringVal(value)
			case isLevel(c.info.TypeOf(argument)):
				n, _ := constant.Int64Val(value)
				line.level = slog.Level(n).String()
			}
			if line.message != "" {
				break // what follows are attributes
			}
		}
		lines = append(lines, line)
	})
	return lines
}

func isLevel(kind types.Type) bool {
	named, ok := kind.(*types.Named)
	return ok && named.Obj().Name() == "Level" && named.Obj().Pkg().Path() == "log/slog"
}

// accessFields are the attributes of a request's line: those that the function
// makes which logs it.
func (c *code) accessFields() map[string]bool {
	fields := make(map[string]bool)
	for _, file := range c.files {
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Name.Name != "logRequest" {
				continue
			}
			ast.Inspect(function, func(n ast.Node) bool {
				if call, isCall := n.(*ast.CallExpr); isCall && strings.HasPrefix(c.callee(call), "log/slog.") {
					if key := c.info.Types[call.Args[0]].Value; key != nil {
						fields[constant.StringVal(key)] = true
					}
				}
				return true
			})
		}
	}
	return fields
}
