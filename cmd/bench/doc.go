// Command bench measures what Portico costs, against programs that do the same
// work by hand, on this machine and in one run:
//
//	go run ./cmd/bench -rounds 11 -seconds 1
//
// Numbers of requests a second say little beyond the machine and the hour.
// Ratios do: all contestants are measured in turns, round after round, so that
// whatever else the machine does hurts all of them alike, and the median counts.
//
//	GET /me       a fixed answer by Echo, Echo + pgx with one query a request, Portico
//	POST /signup  the same, with the writes in one statement; Portico with its limits and without
//	logins        GET /login and GET /callback by a provider that answers at once; Echo + x/oauth2 + go-oidc + pgx
//	refused       requests that get no further than a look at them
//	provisioning  sign-ups that wait, by a provider of no latency and of 50 ms, against creates at once ÷ latency
//	sizes         start to ready, memory when idle and under load, the binary
//
// Each contestant is a process of its own, and so is the load generator: none
// shares a scheduler or a heap with another. Portico is the program itself,
// with everything that it does for a request, its access log included, which is
// formatted and thrown away. The database is a private Postgres, or the one
// that PORTICO_TEST_DATABASE_URL names.
//
// On a machine that others use, a program of few busy processes gets less of it
// than one of many, and so do the ratios of who needs few: the less else runs,
// the truer they are.
//
//	contest.go             what a contest and a contestant are; the list of contests
//	me.go                  GET /me
//	fixed.go               …by an Echo handler that knows its answer
//	handwritten.go         …by Echo + pgx
//	signup.go              POST /signup, and what is refused
//	handwritten_signup.go  …by Echo + pgx
//	login.go               logins, and the provider that they go to
//	handwritten_login.go   …by Echo + x/oauth2 + go-oidc + pgx
//	provisioning.go        the workers, and the provider that they call
//	sizes.go               the program by itself
//	portico.go             Portico, for whatever is asked
//	run.go                 rounds
//	database.go            the database and its rows
//	process.go             contestants and the load generator as processes
//	load.go                the load generator
//	report.go              medians, ratios, a contest's table
//	summary.go             all that a run comes to, as a table of Markdown
//
// It refuses to explain: -profile writes profiles of each contestant.
package main
