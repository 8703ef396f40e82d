package mutate

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	mutations = flag.Int("mutations", 20_000, "how many mutated inputs to try for each target")
	planted   = flag.Uint64("mutations.seed", 0, "seed of the mutations; 0 takes one from the clock")
)

// longest bounds an input, in bytes.
const longest = 4096

// Run calls check with as many mutations of the seeds as the flag says, on all
// cores. The texts are pieces that mean something to the target.
func Run(t *testing.T, seeds, texts []string, check func(t *testing.T, input []byte)) {
	t.Helper()
	seed := *planted
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	begun := time.Now()
	var left atomic.Int64
	left.Store(int64(*mutations))
	var all sync.WaitGroup
	for worker := range uint64(runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			m := mutator{rand: rand.New(rand.NewPCG(seed, worker)), seeds: seeds, texts: texts}
			for left.Add(-1) >= 0 && !t.Failed() {
				check(t, m.next())
			}
		})
	}
	all.Wait()
	took := time.Since(begun)
	t.Logf("%d executions in %s with -mutations.seed %d", *mutations, took.Round(time.Second), seed)
}

type mutator struct {
	rand         *rand.Rand
	seeds, texts []string
	last         []byte
}

// next is a seed, or the last input, with some changes.
func (m *mutator) next() []byte {
	input := m.last
	if len(input) == 0 || m.rand.IntN(8) == 0 {
		input = []byte(m.seeds[m.rand.IntN(len(m.seeds))])
	}
	input = slices.Clone(input)
	for range 1 + m.rand.IntN(4) {
		input = m.change(input)
	}
	if len(input) > longest {
		input = input[:m.rand.IntN(longest)]
	}
	m.last = input
	return input
}

// change makes one change.
func (m *mutator) change(input []byte) []byte {
	at := m.rand.IntN(len(input) + 1)
	until := min(len(input), at+1+m.rand.IntN(8))
	switch m.rand.IntN(7) {
	case 0: // remove
		return slices.Delete(input, min(at, until), until)
	case 1: // repeat
		return slices.Insert(input, at, input[min(at, until):until]...)
	case 2: // one byte
		if at < len(input) {
			input[at] = byte(m.rand.Uint32())
		}
		return input
	case 3: // one bit
		if at < len(input) {
			input[at] ^= 1 << m.rand.IntN(8)
		}
		return input
	case 4: // any character
		return slices.Insert(input, at, []byte(string(rune(m.rand.IntN(0x110000))))...)
	case 5: // a piece that means something
		return slices.Insert(input, at, []byte(m.texts[m.rand.IntN(len(m.texts))])...)
	default: // a piece of another seed
		other := m.seeds[m.rand.IntN(len(m.seeds))]
		from := m.rand.IntN(len(other) + 1)
		return slices.Insert(input, at, []byte(other[from:from+m.rand.IntN(len(other)-from+1)])...)
	}
}
