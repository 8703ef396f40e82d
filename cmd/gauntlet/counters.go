package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// counters are the run in figures.
type counters struct {
	killsAtRandom atomic.Int64
	restarts      atomic.Int64
	exits         atomic.Int64 // of processes that nobody has killed
	crashes       atomic.Int64 // of Postgres
	lostCommits   atomic.Int64 // COMMITs whose answer was cut off
	lostAnswers   atomic.Int64 // other statements
	cuts          atomic.Int64 // outages of the provider

	requests atomic.Int64 // sign-ups that left a client
	accepted atomic.Int64 // 202
	replays  atomic.Int64 // by the load balancer
	replayed atomic.Int64 // answers that say so
	polls    atomic.Int64
	resends  atomic.Int64 // accepted

	mu       sync.Mutex
	points   map[string]int // kills by point
	seen     map[string]int // processes that have passed a point
	statuses map[int]int    // final answers to sign-ups
}

func newCounters() *counters {
	return &counters{points: make(map[string]int), seen: make(map[string]int), statuses: make(map[int]int)}
}

func (c *counters) killedAt(point string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.points[point]++
}

func (c *counters) passed(point string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[point]++
}

func (c *counters) answered(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses[status]++
}

// kills is all of them, and how many were at points.
func (c *counters) kills() (all, atPoints int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.points {
		atPoints += int64(n)
	}
	return atPoints + c.killsAtRandom.Load(), atPoints
}

// byPoint lists the kills by point, most first.
func (c *counters) byPoint() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return listed(c.points)
}

// byStatus lists the answers to sign-ups; 0 is none at all.
func (c *counters) byStatus() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return listed(c.statuses)
}

// unseen lists the points that no process has passed.
func (c *counters) unseen(points []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(points), func(p string) bool { return c.seen[p] > 0 })
}

func listed[K cmp.Ordered](counts map[K]int) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%v %d", k, counts[k]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
