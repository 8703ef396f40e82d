// Package mutate runs what a fuzz target checks on mutated seeds at full speed.
// Only tests import it.
//
// Go's own fuzzing finds its way by coverage, at some thousand executions a
// second; this goes blindly, a hundred times as fast. Each has its merits, and
// a target should be run by both:
//
//	go test ./pkg -fuzz Target         by coverage
//	go test ./pkg -mutations 3000000   blindly, with a seed that is printed
//
// It refuses to own what is checked.
package mutate
