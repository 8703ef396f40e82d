package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/portico-id/portico/internal/failpoint"
)

// keepLines is how many of its last lines a process is remembered by.
const keepLines = 40

// panicked is how the Go runtime and the queue say it.
var panicked = regexp.MustCompile(`^panic:|^fatal error:|[Pp]anic recover|[Jj]ob (has )?panicked`)

// secrets are texts that no log and no table may hold, by what they are.
type secrets map[string]string

// found returns what a text gives away.
func (s secrets) found(text []byte) []string {
	var names []string
	for name, secret := range s {
		if bytes.Contains(text, []byte(secret)) {
			names = append(names, name)
		}
	}
	return names
}

// processLog reads what one process says, line by line, and keeps little.
type processLog struct {
	secrets secrets
	copy    io.Writer // gets everything, if it is not nil
	count   *counters

	mu     sync.Mutex
	rest   []byte
	last   []string
	leaks  []string
	panics []string
	killed string // the failpoint that ended the process
	ready  chan struct{}
	isUp   bool
}

func newProcessLog(s secrets, c *counters, copied io.Writer) *processLog {
	return &processLog{secrets: s, count: c, copy: copied, ready: make(chan struct{})}
}

// Write takes what the process has written.
func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.copy != nil {
		_, _ = l.copy.Write(p) // the run is worth more than its logs
	}
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.line(line)
		l.rest = append(l.rest[:0], rest...)
	}
}

func (l *processLog) line(line []byte) {
	if report, ok := bytes.CutPrefix(line, []byte(failpoint.ReportPrefix)); ok {
		l.report(string(report))
		return
	}
	for _, name := range l.secrets.found(line) {
		l.leaks = append(l.leaks, fmt.Sprintf("%s is in a log: %.300s", name, line))
	}
	if panicked.Match(line) && len(l.panics) < keepLines {
		l.panics = append(l.panics, fmt.Sprintf("%.2000s", line))
	}
	if !l.isUp && bytes.Contains(line, []byte(`"msg":"ready"`)) {
		l.isUp = true
		close(l.ready)
	}
	l.last = append(l.last, string(line))
	if len(l.last) > 2*keepLines {
		l.last = append(l.last[:0], l.last[keepLines:]...)
	}
}

func (l *processLog) report(text string) {
	point, what, _ := strings.Cut(text, " ")
	switch what {
	case failpoint.Passed:
		l.count.passed(point)
	case failpoint.Killed:
		l.killed = point
	default:
		l.last = append(l.last, failpoint.ReportPrefix+text)
	}
}

// end is what a process that has ended leaves behind.
type end struct {
	killed string
	panics []string
	leaks  []string
	last   []string

	byItself bool // nobody has killed it
}

func (l *processLog) end() end {
	l.mu.Lock()
	defer l.mu.Unlock()
	return end{killed: l.killed, panics: l.panics, leaks: l.leaks, last: l.last[max(0, len(l.last)-keepLines):]}
}
