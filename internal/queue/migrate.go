package queue

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// Migrate brings the queue's tables up to date. The caller holds the lock.
func Migrate(postgres bool) func(ctx context.Context, db *sql.DB) error {
	return func(ctx context.Context, db *sql.DB) error {
		migrator, err := rivermigrate.New(driver(postgres, db), nil)
		if err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		return nil
	}
}

// UpToDate reports whether the queue's tables are those that this program
// knows. It writes nothing.
func UpToDate(ctx context.Context, postgres bool, db *sql.DB) (bool, error) {
	migrator, err := rivermigrate.New(driver(postgres, db), nil)
	if err != nil {
		return false, fmt.Errorf("queue: %w", err)
	}
	result, err := migrator.Validate(ctx)
	if err != nil {
		return false, fmt.Errorf("queue: %w", err)
	}
	return result.OK, nil
}

func driver(postgres bool, db *sql.DB) riverdriver.Driver[*sql.Tx] {
	if postgres {
		return riverdatabasesql.New(db)
	}
	return riversqlite.New(db)
}
