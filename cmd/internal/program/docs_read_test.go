package program

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// section is what is below a heading, up to the next of its level or above.
func section(t *testing.T, path, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut("\n"+read(t, path), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %q", path, heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	var text strings.Builder
	for line := range strings.Lines(rest) {
		if marks, _, isHeading := strings.Cut(line, "# "); isHeading && strings.Trim(marks, "#") == "" && len(marks) < len(level) {
			break
		}
		text.WriteString(line)
	}
	return text.String()
}

// says fails the test unless the text has the phrases, however its lines break.
func says(t *testing.T, text string, phrases ...string) {
	t.Helper()
	text = strings.Join(strings.Fields(text), " ")
	for _, phrase := range phrases {
		if !strings.Contains(text, phrase) {
			t.Errorf("it does not say %q", phrase)
		}
	}
}

// tableOf returns the cells of the text's first table, without its head.
func tableOf(t *testing.T, text string) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(text) {
		inner, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
		if !ok {
			if len(rows) > 0 {
				break
			}
			continue
		}
		var row []string
		for cell := range strings.SplitSeq(strings.TrimSuffix(inner, "|"), "|") {
			row = append(row, strings.TrimSpace(cell))
		}
		rows = append(rows, row)
	}
	if len(rows) < 3 || strings.Trim(strings.Join(rows[1], ""), "-") != "" {
		t.Fatalf("there is no table in %q", text)
	}
	return rows[2:]
}

// rowsOf returns the rows of the text's first table by their first cell.
func rowsOf(t *testing.T, text string) map[string][]string {
	t.Helper()
	rows := make(map[string][]string)
	for _, row := range tableOf(t, text) {
		rows[row[0]] = row
	}
	return rows
}

var inBackticks = regexp.MustCompile("`([^`]+)`")

func quotedIn(text string) (quoted []string) {
	for _, found := range inBackticks.FindAllStringSubmatch(text, -1) {
		quoted = append(quoted, found[1])
	}
	return quoted
}

func sorted(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// hasDefault returns the setting's row in the README: its name, its default,
// what it says.
func hasDefault(t *testing.T, name string) []string {
	t.Helper()
	for line := range strings.Lines(section(t, readme, "## Configuration")) {
		if strings.HasPrefix(line, "| `"+name+"`") {
			cells := strings.Split(line, " |")
			return []string{name, strings.Trim(cells[1], " "), strings.TrimSpace(cells[2])}
		}
	}
	t.Fatalf("the README has no %s", name)
	return nil
}

// number is the value of a constant of another package's, which has no need to
// export it.
func number(t *testing.T, path, name string) int64 {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), root+path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var value constant.Value
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, defined := range spec.Names {
				if defined.Name == name && i < len(spec.Values) {
					value = valueOf(spec.Values[i])
				}
			}
		}
		return true
	})
	if value == nil {
		t.Fatalf("%s has no constant %s that can be read", path, name)
	}
	n, _ := constant.Int64Val(value)
	return n
}

func duration(t *testing.T, path, name string) time.Duration {
	t.Helper()
	return time.Duration(number(t, path, name))
}

// units are the durations that constants are made of.
var units = map[string]time.Duration{
	"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour,
}

// valueOf is the value of an expression of numbers and durations, or nil.
func valueOf(e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.SelectorExpr:
		if unit := units[e.Sel.Name]; unit != 0 {
			return constant.MakeInt64(int64(unit))
		}
	case *ast.BinaryExpr:
		left, right := valueOf(e.X), valueOf(e.Y)
		if left == nil || right == nil {
			return nil
		}
		if by, ok := constant.Uint64Val(right); e.Op == token.SHL && ok {
			return constant.Shift(left, token.SHL, uint(by))
		}
		return constant.BinaryOp(left, e.Op, right)
	}
	return nil
}

// short writes a duration as settings do: 10m, 24h, 250ms.
func short(d time.Duration) string {
	text := d.String()
	if whole, ok := strings.CutSuffix(text, "m0s"); ok {
		text = whole + "m"
	}
	if whole, ok := strings.CutSuffix(text, "h0m"); ok {
		text = whole + "h"
	}
	return text
}

// inWords writes a duration of seconds: 30 s.
func inWords(d time.Duration) string { return strings.TrimSuffix(d.String(), "s") + " s" }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
