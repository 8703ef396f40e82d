// Package built makes the programs that tests start as processes of their own.
// Only tests import it.
//
//	built.go   a program that is built once for all tests of a package
//
// It refuses to start them: what they are told, and when they end, is each
// test's.
package built
