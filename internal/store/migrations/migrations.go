package migrations

import "embed"

// Postgres and SQLite hold each dialect's files in a folder of its name.
var (
	//go:embed postgres/*.sql
	Postgres embed.FS
	//go:embed sqlite/*.sql
	SQLite embed.FS
)
