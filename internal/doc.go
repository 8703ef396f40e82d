// Package internal has no code: it holds the source of the whole module against
// its own rules, and fails where they are broken.
//
//	boundaries_test.go       which package may import which, and who owns a library
//	source_test.go           what the go command says of the packages
//	source_text_test.go      where a text in the source can come from
//	source_sql_test.go       values reach the database as parameters
//	source_secrets_test.go   secrets are compared in constant time, or by hash
//	source_log_test.go       what is logged stands in the README
package internal
