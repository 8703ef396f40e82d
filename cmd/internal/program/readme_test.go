package program

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

//go:generate go test . -run TheREADMEHasEverySetting$ -update

// update writes the README's table instead of comparing it.
var update = flag.Bool("update", false, "write the README's configuration table")

const (
	tableBegin = "<!-- configuration: written by `go generate ./cmd/...` -->\n"
	tableEnd   = "<!-- end of configuration -->"
	readme     = "../../../README.md"
)

func TestTheREADMEHasEverySetting(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), tableBegin)
	table, after, ends := strings.Cut(rest, tableEnd)
	if !ok || !ends {
		t.Fatal("the README has no place for the table")
	}
	want := settingsTable()
	if *update {
		if err := os.WriteFile(readme, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want {
		t.Errorf("the README's table is not the code's: run `go generate ./cmd/...`\n%s", want)
	}
}

// settingsTable is every setting in Markdown.
func settingsTable() string {
	var table strings.Builder
	for _, group := range groups() {
		fmt.Fprintf(&table, "\n**%s**\n\n| variable | default | what it says |\n|---|---|---|\n", group.Title)
		for field := range reflect.TypeFor[Config]().Fields() {
			if field.Tag.Get("group") != group.Key {
				continue
			}
			name := "`" + variable(flagName(field)) + "`"
			if field.Type == reflect.TypeFor[Secret]() {
				name += " (secret)"
			}
			value := field.Tag.Get("default")
			switch {
			case value != "":
				value = "`" + value + "`"
			case field.Type.Kind() == reflect.Bool:
				value = "`false`"
			}
			fmt.Fprintf(&table, "| %s | %s | %s |\n", name, value, field.Tag.Get("help"))
		}
	}
	return table.String() + "\n"
}
