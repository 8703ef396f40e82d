// Package migrations holds the schema's history, one folder a dialect:
// numbered SQL files, embedded, never changed once released. The two dialects
// carry the same numbers, tables, columns and constraint names; a test of the
// parent package holds them against each other.
//
// It refuses to own the queue's tables (package queue) and to run anything
// (package store).
package migrations
