package gate_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/gate"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

// BenchmarkACall is what a call to the provider costs beside the call itself:
// Admit and Done, by sixteen callers at once, on Postgres.
func BenchmarkACall(b *testing.B) {
	db := openPostgres(b)
	for _, perMinute := range []int{0, 100_000_000} {
		b.Run(fmt.Sprintf("%d a minute", perMinute), func(b *testing.B) {
			g := &gate.Gate{
				Store: store.New(db, nil), PerMinute: perMinute, Token: func() string { return "token" },
				Now: time.Now, Log: slog.New(slog.DiscardHandler),
			}
			b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					permit, err := g.Admit(b.Context(), gate.Signup)
					if err != nil {
						b.Error(err)
						return
					}
					permit.Done(b.Context(), nil)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// openPostgres opens a new database with the tables of this program, and none
// of the queue's.
func openPostgres(b *testing.B) *store.DB {
	b.Helper()
	cluster, err := pgcluster.Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			b.Error(err)
		}
	})
	whole, err := store.Open(b.Context(), cluster.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer whole.Close()
	name := "portico_bench_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if _, err := whole.SQL().ExecContext(b.Context(), "CREATE DATABASE "+name); err != nil {
		b.Fatal(err)
	}
	at, err := url.Parse(cluster.URL())
	if err != nil {
		b.Fatal(err)
	}
	at.Path = "/" + name
	db, err := store.Open(b.Context(), at.String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db
}
