// Package pgcluster finds or makes a Postgres to test on.
//
// It owns the way from "this machine" to "a server that may be written to":
//
//	PORTICO_TEST_DATABASE_URL is set   that server, checked and left alone
//	Postgres is installed              a private, throw-away cluster from its binaries
//	Debian, root, apt-get              the same, after installing Debian's postgresql
//	otherwise                          an error of one line that says what to do
//
// A private cluster listens on a free loopback port with a random password,
// keeps its data in a temporary directory and ends with the process that
// acquired it, however that process ends. It never touches a cluster that was
// already there.
//
// It refuses to own databases, schemas and isolation between tests: those are
// its neighbour storetest's. Its other neighbour, withpostgres, shares one
// cluster among all the packages of a `go test ./...`.
package pgcluster
