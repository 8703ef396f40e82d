// Package failpoint names the places at which a crash is most instructive:
// before and after every write and every remote call of a sign-up's way.
//
//	Here(point)     a place; without the build tag the call is nothing at all
//	Seeded(bug)     whether a known bug is to be made; without the tag: false
//	Points, Bugs    every name that may be used
//	Spec            what a process is to do where, as text and back
//
// With the build tag gauntlet two variables of the environment say what
// happens:
//
//	PORTICO_TEST_FAILPOINTS    seed=7;create.before=kill@0.05;mail.after=delay:50ms@#3
//	PORTICO_TEST_SEEDED_BUG    no-quarantine
//
// A point acts with a probability (@0.05), at its nth passing in the process
// (@#3), or always. kill is SIGKILL to the process itself: no deferred call, no
// buffer, no goodbye. A name that is not known ends the process at its start,
// so that a mistyped plan is not a quiet one.
//
// On standard error such a process reports, in lines that begin with
// "failpoint: ", which points it has passed and which one has killed it.
//
// It refuses to own errors: a point can stop the program or hold it up, and
// never change what a call returns. Its neighbour cmd/gauntlet makes the plans.
package failpoint
