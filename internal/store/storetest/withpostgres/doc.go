// Command withpostgres runs another command with a Postgres to test on.
//
//	withpostgres -- go test ./...
//
// It acquires a cluster as package pgcluster does, hands its address to the
// command in PORTICO_TEST_DATABASE_URL, passes SIGINT and SIGTERM on, and ends
// with the command's exit code after the cluster is gone. So all packages of a
// `go test ./...` share one server, instead of starting one each.
//
// It refuses to know what the command is and what it does to the server.
package main
