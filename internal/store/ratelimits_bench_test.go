package store_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// BenchmarkTakeTokens takes from the four buckets of a sign-up on Postgres, of
// which each of the callers has two and all share two: with the table as it
// is, and with its writes logged. The difference is the disk's, so that it
// shows on a server that syncs.
func BenchmarkTakeTokens(b *testing.B) {
	for _, table := range []string{"UNLOGGED", "LOGGED"} {
		b.Run(table, func(b *testing.B) {
			db := benchmarked(b)
			if _, err := db.SQL().ExecContext(b.Context(), `ALTER TABLE rate_limits SET `+table); err != nil {
				b.Fatal(err)
			}
			s := store.New(db, nil)
			var callers atomic.Int64
			b.SetParallelism(8) // times the cores: 16 on two
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				me := strconv.FormatInt(callers.Add(1), 10)
				buckets := []ratelimit.Bucket{
					bucket("address:"+me, 1_000_000), bucket("client:"+me, 1_000_000), bucket("domain", 1_000_000), bucket("global", 1_000_000),
				}
				for pb.Next() {
					outcome, err := s.TakeTokens(b.Context(), time.Now(), buckets)
					if err != nil || !outcome.Taken {
						b.Errorf("got %+v, %v", outcome, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// benchmarked is a migrated database that goes with the benchmark.
func benchmarked(b *testing.B) *store.DB {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), time.Minute)
	b.Cleanup(cancel)
	cluster, err := pgcluster.Acquire(ctx)
	if err != nil {
		b.Fatal(err)
	}
	operator, err := store.Open(ctx, cluster.URL())
	if err != nil {
		b.Fatal(err)
	}
	name := "portico_bench_" + strings.ToLower(rand.Text())
	if _, err := operator.SQL().ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		b.Fatal(err)
	}
	at, err := url.Parse(cluster.URL())
	if err != nil {
		b.Fatal(err)
	}
	at.Path = "/" + name
	db, err := store.Open(ctx, at.String())
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Migrate(ctx, queue.Migrate(true)); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx := context.WithoutCancel(b.Context())
		_, dropped := operator.SQL().ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		for _, err := range []error{dropped, db.Close(), operator.Close(), cluster.Close()} {
			if err != nil {
				b.Error(err)
			}
		}
	})
	return db
}
