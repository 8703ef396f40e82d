package main

import (
	"fmt"
	"maps"
	"slices"
)

// state is what became of a row.
type state int

const (
	missing state = iota
	notApplicable
	proven
)

func (s state) String() string {
	return [...]string{"missing", "not applicable", "proven"}[s]
}

// judged is a row and what tests say of it.
type judged struct {
	row

	state  state
	proofs []string // tests that prove it
	doubts []string // tests that claim it, and why they do not prove it
}

type judgedPart struct {
	name string
	rows []judged
}

type judgedList struct {
	list

	parts []judgedPart
}

// verdict is all lists, with what tests say of each row, and what contradicts.
type verdict struct {
	lists    []judgedList
	problems []string
}

// claims is what tests say of one id.
type claims struct {
	proofs, doubts []string
	failed         bool
}

// judge holds the lists against the results.
func judge(lists []list, all *results) verdict {
	var v verdict
	byID := collect(all)
	for _, l := range lists {
		jl := judgedList{list: l}
		for _, p := range l.Parts {
			jp := judgedPart{name: p.Name}
			for _, r := range p.Rows {
				j, problem := r.judge(byID[r.ID])
				if problem != "" {
					v.problems = append(v.problems, problem)
				}
				delete(byID, r.ID)
				jp.rows = append(jp.rows, j)
			}
			jl.parts = append(jl.parts, jp)
		}
		v.lists = append(v.lists, jl)
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		v.problems = append(v.problems, fmt.Sprintf("no list has %s, which %s claims", id, byID[id].first()))
	}
	return v
}

// judge returns the row with its state, and what contradicts the list.
func (r row) judge(c *claims) (j judged, problem string) {
	j = judged{row: r}
	if c == nil {
		if r.NotApplicable != "" {
			j.state = notApplicable
		}
		return j, ""
	}
	j.proofs, j.doubts = c.proofs, c.doubts
	switch {
	case r.NotApplicable != "":
		j.state = notApplicable
		return j, fmt.Sprintf("%s is not applicable, and %s claims to prove it", r.ID, c.first())
	case c.failed || len(c.proofs) == 0:
		return j, ""
	case r.Later != "":
		problem = fmt.Sprintf("%s is for later, and %s proves it: take its \"later\" out of the list, or the id out of the name", r.ID, c.first())
	}
	j.state = proven
	return j, problem
}

// first names one of the tests that claim the id.
func (c *claims) first() string {
	return slices.Concat(c.proofs, c.doubts)[0]
}

// collect returns what the tests say of each id that stands in a name.
func collect(all *results) map[string]*claims {
	byID := make(map[string]*claims)
	broken := all.brokenOutside()
	spoiled := all.spoiled()
	for _, r := range all.ordered() {
		for _, id := range idsInName(all.ownName(r)) {
			c := byID[id]
			if c == nil {
				c = &claims{}
				byID[id] = c
			}
			switch reason, spoils := r.doubt(spoiled, broken); {
			case spoils:
				c.failed = true
				c.doubts = append(c.doubts, r.String()+": "+reason)
			case reason != "":
				c.doubts = append(c.doubts, r.String()+": "+reason)
			default:
				c.proofs = append(c.proofs, r.String())
			}
		}
	}
	return byID
}

// ownName is the test's name without its parent's. A subtest may have a slash
// in a name of its own, so that the last one says nothing.
func (all *results) ownName(r *ran) string {
	for i := len(r.name) - 1; i > 0; i-- {
		if _, ok := all.tests[[2]string{r.pkg, r.name[:i]}]; ok && r.name[i] == '/' {
			return r.name[i+1:]
		}
	}
	return r.name
}

// doubt returns why the test proves nothing, or nothing; and whether it speaks
// against other tests of the same id.
func (r *ran) doubt(spoiled map[[2]string]outcome, broken map[string]bool) (reason string, spoils bool) {
	key := [2]string{r.pkg, r.name}
	switch {
	case r.result() == failed:
		return "failed", true
	case r.result() == unfinished:
		return "did not end", true
	case r.result() == skipped:
		return "was skipped", false
	case broken[r.pkg]:
		return "passed, and its package failed outside of its tests", true
	case spoiled[key] == skipped:
		return "passed, with something skipped above or below it", false
	case spoiled[key] > skipped:
		return "passed, with something that failed above it", false
	}
	return "", false
}

// spoiled returns the worst that happened above or below each test, where that
// is worse than a pass.
func (all *results) spoiled() map[[2]string]outcome {
	worst := make(map[[2]string]outcome)
	for key, r := range all.tests {
		for i, c := range r.name {
			above, ok := all.tests[[2]string{r.pkg, r.name[:i]}]
			if c != '/' || !ok {
				continue
			}
			if above.result() > passed {
				worst[key] = max(worst[key], above.result())
			}
			if r.result() > passed {
				aboveKey := [2]string{r.pkg, above.name}
				worst[aboveKey] = max(worst[aboveKey], r.result())
			}
		}
	}
	return worst
}

// holds reports whether nothing contradicts and nothing lacks that must be
// there.
func (v verdict) holds() bool {
	for _, l := range v.lists {
		if l.count(func(j judged) bool { return j.state == missing && j.Later == "" }) > 0 {
			return false
		}
	}
	return len(v.problems) == 0
}

func (l judgedList) count(has func(judged) bool) int {
	n := 0
	for _, p := range l.parts {
		for _, j := range p.rows {
			if has(j) {
				n++
			}
		}
	}
	return n
}

// totals is the list's last line.
func (l judgedList) totals() string {
	in := func(s state) int { return l.count(func(j judged) bool { return j.state == s }) }
	text := fmt.Sprintf("%s: %d proven, %d not applicable, %d missing", l.name, in(proven), in(notApplicable), in(missing))
	if later := l.count(func(j judged) bool { return j.state == missing && j.Later != "" }); later > 0 {
		text += fmt.Sprintf(" (%d of them for later)", later)
	}
	return text
}
