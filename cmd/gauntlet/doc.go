// Command gauntlet runs sign-ups through everything that can go wrong and then
// holds all ledgers against each other.
//
//	go run ./cmd/gauntlet -minutes 3            load and chaos on three replicas
//	go run ./cmd/gauntlet -replicas 1           on one
//	go run ./cmd/gauntlet -outage 10m           the provider away for long, under load
//	go run ./cmd/gauntlet -storm                100 × 100 identical sign-ups at once
//	go run ./cmd/gauntlet -late 30s             creates that take effect half a minute later
//	go run ./cmd/gauntlet -bug no-quarantine    makes a known bug; succeeds if it is found
//	go run ./cmd/gauntlet -bug … -control       the same without it; succeeds if nothing is
//	go run ./cmd/gauntlet -seed 42              the plan of an earlier run
//
// # What it runs
//
// Real processes of `portico serve`, built with the tag gauntlet, on a Postgres
// of its own that each of them reaches by its own proxy; the simulator of
// Beyond Identity in this process, so that its ledger survives; clients behind
// a load balancer that hands a request on to another replica.
//
//	load.go       new people, the same one in several spellings at once, repeats,
//	              keys used again, long polls, resends
//	balancer.go   replays after broken connections, 502–504 and impatience
//	chaos.go      kill -9, crashes of Postgres, outages of the provider
//	fleet.go      restarts at once, with other failpoints each time
//	dbproxy.go    loses the answers of COMMITs and of other statements
//	provider.go   commits late, loses answers, refuses, fails
//	bugs.go       the fault that makes each seeded bug show
//	check/        the promises
//
// All that is decided by chance follows from the seed, one stream of numbers
// for each actor. When what happens is up to the machine: a plan can be
// repeated, a race cannot.
//
// # How to read the result
//
// A line every ten seconds, then BROKEN lines with what shows the violation,
// then a table. Exit code 0: every promise was kept (with -bug: the bug was
// found). 1: it was not. 2: the run itself failed. "points not passed" names
// failpoints that no process came by: the run says nothing about crashes there.
//
// It refuses to look into the product: what it knows comes from the API, the
// tables, the logs and the provider.
package main
