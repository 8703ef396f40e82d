package main

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"
)

// dice decide for one actor. They are no secret.
type dice struct{ *rand.Rand } //nolint:forbidigo // a plan that can be repeated

func newDice(seed, stream uint64) dice {
	return dice{rand.New(rand.NewPCG(seed, stream))} //nolint:gosec,forbidigo // a plan that can be repeated, not a secret
}

// random is the plan of one actor. Each has its own, so that what one does
// leaves the others' plans alone.
func (o options) random(actor string) dice {
	h := fnv.New64a()
	_, _ = io.WriteString(h, actor) // a hash takes everything
	return newDice(o.seed, h.Sum64())
}

// around is a time between half of d and one and a half.
func around(r dice, d time.Duration) time.Duration {
	return d/2 + time.Duration(r.Int64N(int64(d)+1))
}

// oneOf picks one of several; there is at least one.
func oneOf[T any](r dice, among []T) T { return among[r.IntN(len(among))] }
