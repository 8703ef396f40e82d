package queue_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestIndexesAreRebuiltByWhoMay(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	role := "portico_test_" + strings.ToLower(rand.Text())
	admin := storetest.Open(t, databaseURL)
	for _, statement := range []string{`CREATE ROLE ` + role, `GRANT SELECT ON river_job TO ` + role} {
		if _, err := admin.SQL().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, statement := range []string{`DROP OWNED BY ` + role, `DROP ROLE ` + role} {
			if _, err := admin.SQL().ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
				t.Error(err)
			}
		}
	})
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SET ROLE `+role)
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)

	if schedule, err := queue.Reindexing(t.Context(), admin.Pool()); schedule != nil || err != nil {
		t.Errorf("for the owner: %v, %v", schedule, err)
	}
	schedule, err := queue.Reindexing(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	if now := time.Now(); schedule == nil || schedule.Next(now).Before(now.AddDate(100, 0, 0)) {
		t.Errorf("for another it is %v", schedule)
	}
}
