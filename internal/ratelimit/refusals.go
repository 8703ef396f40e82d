package ratelimit

import (
	"container/heap"
	"sync"
	"time"
)

// maxRefusals bounds what is remembered, to about two megabytes. A forgotten
// refusal costs a query and is remembered anew.
const maxRefusals = 10_000

// refusal is what the database said of a bucket that had no token. It holds
// until its end whatever else happens, since a bucket's time only moves
// forward.
type refusal struct {
	key     string
	until   time.Time
	emptyAt time.Time
	at      int // in the heap
}

// refusals remembers the latest refusal of each bucket. The zero value is
// empty. It is safe for concurrent use.
type refusals struct {
	mu    sync.Mutex
	byKey map[string]*refusal
	ends  soonestFirst
}

// find returns the refusal of the bucket that holds now.
func (r *refusals) find(key string, now time.Time) (refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.byKey[key]
	if !ok || !known.until.After(now) {
		return refusal{}, false
	}
	return *known, true
}

// add remembers a refusal. When there is no room, the one that ends soonest is
// forgotten: it would have spared the fewest queries.
func (r *refusals) add(added refusal, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = make(map[string]*refusal)
	}
	if known, ok := r.byKey[added.key]; ok {
		if added.until.After(known.until) {
			known.until, known.emptyAt = added.until, added.emptyAt
			heap.Fix(&r.ends, known.at)
		}
		return
	}
	for len(r.ends) > 0 && (len(r.ends) > maxRefusals || !r.ends[0].until.After(now)) {
		r.drop()
	}
	r.byKey[added.key] = &added
	heap.Push(&r.ends, &added)
	if len(r.ends) > maxRefusals {
		r.drop()
	}
}

// drop forgets the refusal that ends soonest.
func (r *refusals) drop() {
	if soonest, ok := heap.Pop(&r.ends).(*refusal); ok {
		delete(r.byKey, soonest.key)
	}
}

// soonestFirst is a heap by end.
type soonestFirst []*refusal

// Len is how many there are.
func (s soonestFirst) Len() int { return len(s) }

// Less reports whether i ends before j.
func (s soonestFirst) Less(i, j int) bool { return s[i].until.Before(s[j].until) }

// Swap swaps two.
func (s soonestFirst) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].at, s[j].at = i, j
}

// Push adds one at the end.
func (s *soonestFirst) Push(x any) {
	if added, ok := x.(*refusal); ok {
		added.at = len(*s)
		*s = append(*s, added)
	}
}

// Pop removes the one at the end.
func (s *soonestFirst) Pop() any {
	last := len(*s) - 1
	popped := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return popped
}
