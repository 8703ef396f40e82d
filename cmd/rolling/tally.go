package main

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"
)

// keptFailures is how many failures are shown word for word.
const keptFailures = 10

// tally counts what came of requests.
type tally struct {
	mu       sync.Mutex
	asked    map[string]int
	failed   map[string]int
	slowest  map[string]time.Duration
	accepted int      // sign-ups
	examples []string // the first failures
}

func newTally() *tally {
	return &tally{asked: make(map[string]int), failed: make(map[string]int), slowest: make(map[string]time.Duration)}
}

// note counts one request that took so long, and failed unless failure is nil.
func (t *tally) note(job string, took time.Duration, failure error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked[job]++
	t.slowest[job] = max(t.slowest[job], took)
	if failure == nil {
		return
	}
	t.failed[job]++
	if len(t.examples) < keptFailures {
		t.examples = append(t.examples, job+": "+failure.Error())
	}
}

func (t *tally) signedUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accepted++
}

// failures is how many requests have failed.
func (t *tally) failures() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, failed := range t.failed {
		n += failed
	}
	return n
}

// write writes the table.
func (t *tally) write(out io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "request\tsent\tfailed\tslowest\t")
	asked, failed := 0, 0
	for _, j := range jobs {
		asked, failed = asked+t.asked[j.name], failed+t.failed[j.name]
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%s\t\n", j.name, t.asked[j.name], t.failed[j.name], t.slowest[j.name].Round(time.Millisecond))
	}
	_, _ = fmt.Fprintf(table, "all\t%d\t%d\t\t\n", asked, failed)
	if err := table.Flush(); err != nil {
		return err
	}
	for _, example := range t.examples {
		_, _ = fmt.Fprintln(out, "  "+example)
	}
	return nil
}
