package main

import (
	"fmt"
	"io"
	"strconv"
)

// line is one line of what a run comes to: the README's table.
type line struct{ what, connections, ours, theirs, ratio, target string }

// summary is all of them.
type summary []line

// add adds what a contest has come to.
func (s *summary) add(t table) {
	for _, n := range t.connections {
		l := line{what: t.name + ", a second", connections: strconv.Itoa(n), ratio: fmt.Sprintf("%.2f", t.ratio(n))}
		var best float64
		for _, c := range t.contestants {
			switch perSecond := t.perSecond(c, n); c.role {
			case ours:
				l.ours = thousands(perSecond)
			case baseline:
				best = max(best, perSecond)
			case bystander, beside:
			}
		}
		l.theirs = thousands(best)
		if target, ok := t.targets[n]; ok {
			l.target = fmt.Sprintf("%.2f", target)
		}
		s.put(l)
	}
}

// put adds a line, or replaces what was measured before.
func (s *summary) put(l line) {
	for i, before := range *s {
		if before.what == l.what && before.connections == l.connections {
			(*s)[i] = l
			return
		}
	}
	*s = append(*s, l)
}

// print writes a table of Markdown.
func (s summary) print(out io.Writer) {
	if len(s) == 0 {
		return
	}
	fmt.Fprint(out, "\n| | connections | Portico | by hand | ratio | wanted |\n|---|--:|--:|--:|--:|--:|\n")
	for _, l := range s {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", l.what, l.connections, l.ours, l.theirs, l.ratio, l.target)
	}
}

// thousands is a number as people read it.
func thousands(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
