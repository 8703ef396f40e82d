// Package migrations holds the schema's history, one folder a dialect:
// numbered SQL files, embedded, never changed once released. The two dialects
// carry the same numbers, tables, columns and constraint names; a test of the
// parent package holds them against each other.
package migrations

import "embed"

// Postgres and SQLite hold each dialect's files in a folder of its name.
var (
	//go:embed postgres/*.sql
	Postgres embed.FS
	//go:embed sqlite/*.sql
	SQLite embed.FS
)
