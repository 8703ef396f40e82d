package directory

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
)

// disposableList is the list that comes with the program. Its head says where
// it is from, of which day, and under which licence.
//
//go:embed disposable/domains.txt
var disposableList string

// DisposableDomains are domains that hand out throw-away mailboxes. A nil
// DisposableDomains holds none.
type DisposableDomains struct {
	// lines are canonical, sorted by their bytes and end in a newline each:
	// they are searched where they lie, which for the embedded list costs no
	// memory and no time at the start.
	lines string
}

// EmbeddedDisposableDomains returns the list that comes with the program.
func EmbeddedDisposableDomains() *DisposableDomains {
	lines := disposableList
	for strings.HasPrefix(lines, "#") {
		_, lines, _ = strings.Cut(lines, "\n")
	}
	return &DisposableDomains{lines: lines}
}

// ParseDisposableDomains reads a list of one's own: see ReadLines. Its error
// names the line that is no domain.
func ParseDisposableDomains(r io.Reader) (*DisposableDomains, error) {
	domains, err := ReadLines(r)
	if err != nil {
		return nil, fmt.Errorf("disposable domains: %w", err)
	}
	for i, domain := range domains {
		if domains[i], err = canonicalDomain(domain); err != nil {
			return nil, fmt.Errorf("disposable domains: %q is not a domain", domain)
		}
	}
	slices.Sort(domains)
	var lines strings.Builder
	for _, domain := range slices.Compact(domains) {
		lines.WriteString(domain + "\n")
	}
	return &DisposableDomains{lines: lines.String()}, nil
}

// ReadLines reads a list that is kept in a file: one entry a line, with empty
// lines and lines that begin with # left out. It serves patterns as well.
func ReadLines(r io.Reader) ([]string, error) {
	var lines []string
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		line := strings.TrimSpace(strings.TrimPrefix(scanner.Text(), "\ufeff"))
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

// Contains reports whether a canonical domain, or one that it is beneath, is
// on the list: who hands out mailboxes can make up any number of subdomains.
func (d *DisposableDomains) Contains(domain string) bool {
	if d == nil {
		return false
	}
	for {
		if d.has(domain) {
			return true
		}
		_, parent, deeper := strings.Cut(domain, ".")
		if !deeper {
			return false
		}
		domain = parent
	}
}

// Len returns how many domains are on the list.
func (d *DisposableDomains) Len() int {
	if d == nil {
		return 0
	}
	return strings.Count(d.lines, "\n")
}

// has looks for one line by halves. Both ends are always the start of a line.
func (d *DisposableDomains) has(domain string) bool {
	for low, high := 0, len(d.lines); low < high; {
		start := low + strings.LastIndexByte(d.lines[low:low+(high-low)/2], '\n') + 1
		line, _, _ := strings.Cut(d.lines[start:high], "\n")
		switch {
		case line == domain:
			return true
		case line < domain:
			low = start + len(line) + 1
		default:
			high = start
		}
	}
	return false
}
