// Package storetest gives each test a database of its own, migrated and empty.
//
//	Each        runs a test over both dialects, in parallel
//	Postgres    a database cloned from a migrated template
//	SQLite      a file in the test's folder
//	Main        TestMain's body: stops the cluster and looks for goroutines
//
// The server is pgcluster's business: a given one, or a private one. A test
// never skips for want of a database; it fails.
package storetest
