package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// errTooSlow says that a ratio is below half its target.
var errTooSlow = errors.New("too slow")

// table is the outcome of one contest.
type table struct {
	contest

	results map[cell][]result
	spent   map[string]spent // by contestant
}

// print writes the table.
func (t table) print(out io.Writer) {
	row := func(title string, value func(connections int) string) {
		fmt.Fprintf(out, "  %-34s", title)
		for _, n := range t.connections {
			fmt.Fprintf(out, "%12s", value(n))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "\n%s\n", t.name)
	row("requests a second at connections", strconv.Itoa)
	for _, c := range t.contestants {
		row(c.title, func(n int) string { return fmt.Sprintf("%.0f", t.perSecond(c, n)) })
	}
	row("ours : best baseline", func(n int) string { return fmt.Sprintf("%.2f", t.ratio(n)) })
	row("target", func(n int) string {
		if target, ok := t.targets[n]; ok {
			return fmt.Sprintf("%.2f", target)
		}
		return ""
	})
	row("", func(n int) string {
		switch target, ok := t.targets[n]; {
		case !ok:
			return ""
		case t.ratio(n) >= target:
			return "reached"
		default:
			return "MISSED"
		}
	})
	fmt.Fprintln(out)
	row("99 of 100 answered within, ms", strconv.Itoa)
	for _, c := range t.contestants {
		row(c.title, func(n int) string { return fmt.Sprintf("%.2f", t.slowest(c, n).Seconds()*1000) })
	}
	// What a machine that is shared blurs least; the database's is not in it.
	fmt.Fprintf(out, "\n  %-34s%12s%12s\n", "the process itself", "CPU, µs", "memory, MiB")
	for _, c := range t.contestants {
		answers := 0
		for _, n := range t.connections {
			for _, r := range t.results[cell{c.id, n}] {
				answers += r.Answers
			}
		}
		s := t.spent[c.id]
		fmt.Fprintf(out, "  %-34s%12.1f%12.1f\n", c.title, s.cpu.Seconds()*1e6/float64(answers), float64(s.memory)/(1<<20))
	}
}

func (t table) perSecond(c contestant, connections int) float64 {
	return median(t.results[cell{c.id, connections}], func(r result) float64 { return r.PerSecond })
}

func (t table) slowest(c contestant, connections int) time.Duration {
	return median(t.results[cell{c.id, connections}], func(r result) time.Duration { return r.P99 })
}

// ratio is how many times as many requests ours has answered as the best
// baseline: the median of the rounds, each compared with itself, so that a
// round in which the machine was busy counts no less than others.
func (t table) ratio(connections int) float64 {
	var our, best contestant
	for _, c := range t.contestants {
		switch {
		case c.role == ours:
			our = c
		case c.role == baseline && (best.id == "" || t.perSecond(c, connections) > t.perSecond(best, connections)):
			best = c
		}
	}
	theirs := t.results[cell{best.id, connections}]
	ratios := make([]float64, len(theirs))
	for round, r := range t.results[cell{our.id, connections}] {
		ratios[round] = r.PerSecond / theirs[round].PerSecond
	}
	return median(ratios, func(r float64) float64 { return r })
}

// tooSlow reports whether a ratio is below half its target. Half, since a
// machine that is shared is no judge of the rest.
func (t table) tooSlow() bool {
	return slices.ContainsFunc(t.connections, func(n int) bool { return t.ratio(n) < t.targets[n]/2 })
}

func median[T any, N int64 | float64 | time.Duration](of []T, value func(T) N) N {
	values := make([]N, len(of))
	for i, v := range of {
		values[i] = value(v)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
