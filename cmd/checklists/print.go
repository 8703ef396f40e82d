package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// shown is how many tests of a row are named; the rest are counted.
const shown = 2

// plain writes a table per list, and then the totals of all.
func (v verdict) plain(w io.Writer) {
	for _, l := range v.lists {
		fmt.Fprintf(w, "%s: %s\n", l.name, l.Title)
		width := l.width()
		for _, p := range l.parts {
			fmt.Fprintf(w, "\n  %s\n", p.name)
			for _, j := range p.rows {
				fmt.Fprintf(w, "  %-*s  %-14s  %s\n", width, j.ID, j.state, j.text())
			}
		}
		fmt.Fprintln(w)
	}
	for _, l := range v.lists {
		fmt.Fprintln(w, l.totals())
	}
}

// width is the longest id's.
func (l judgedList) width() int {
	width := 0
	for _, p := range l.parts {
		for _, j := range p.rows {
			width = max(width, utf8.RuneCountInString(j.ID))
		}
	}
	return width
}

// text is what proves the row, why it is not applicable, or what lacks.
func (j judged) text() string {
	switch {
	case j.state == proven:
		return few(j.proofs, ", ")
	case j.state == notApplicable:
		return j.NotApplicable
	case len(j.doubts) > 0:
		return j.Asks + " [" + few(j.doubts, "; ") + "]"
	case j.Later != "":
		return j.Asks + " [later: " + j.Later + "]"
	}
	return j.Asks
}

// few names the first few tests and counts the others.
func few(tests []string, separator string) string {
	if more := len(tests) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(tests[:shown], separator), more)
	}
	return strings.Join(tests, separator)
}

// markdown writes the same for the documentation, what each row asks included.
func (v verdict) markdown(w io.Writer) {
	for _, l := range v.lists {
		fmt.Fprintf(w, "## %s\n\n%s.\n", cell(l.Title), l.totals())
		for _, p := range l.parts {
			fmt.Fprintf(w, "\n### %s\n\n| id | level | asks | state | by |\n|---|---|---|---|---|\n", cell(p.name))
			for _, j := range p.rows {
				fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", j.ID, cell(j.Level), cell(j.Asks), j.state, j.evidence())
			}
		}
		fmt.Fprintln(w)
	}
}

// evidence is the last column: tests as code, reasons as text.
func (j judged) evidence() string {
	switch {
	case j.state == proven:
		var tests []string
		for _, test := range j.proofs {
			tests = append(tests, "`"+strings.ReplaceAll(cell(test), "`", "'")+"`")
		}
		return few(tests, ", ")
	case j.state == notApplicable:
		return cell(j.NotApplicable)
	case len(j.doubts) > 0:
		return cell(few(j.doubts, "; "))
	}
	return cell(j.Later)
}

// cell keeps a text within its cell, whatever a test is called.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
