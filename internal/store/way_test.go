package store_test

import (
	"testing"

	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestTheWayToTheDatabaseIsSafeOrIsSaidNotToBe(t *testing.T) {
	t.Parallel()
	for databaseURL, want := range map[string]store.Way{
		"postgres:///portico?host=/run/postgresql":                               {Host: "/run/postgresql", Local: true},
		"postgres://portico@localhost/portico":                                   {Host: "localhost", Local: true},
		"postgres://portico@127.0.0.1:6543/portico?sslmode=disable":              {Host: "127.0.0.1", Local: true},
		"postgres://portico@[::1]/portico?sslmode=disable":                       {Host: "::1", Local: true},
		"postgres://portico@db.example/portico":                                  {Host: "db.example"}, // prefer
		"postgres://portico@db.example/portico?sslmode=disable":                  {Host: "db.example"},
		"postgres://portico@db.example/portico?sslmode=require":                  {Host: "db.example"},
		"postgres://portico@db.example/portico?sslmode=verify-ca":                {Host: "db.example"},
		"postgres://portico@db.example/portico?sslmode=verify-full":              {Host: "db.example", Proven: true},
		"postgres://portico@10.0.0.7/portico?sslmode=require":                    {Host: "10.0.0.7"},
		"postgres://portico@localhost.example/portico?sslmode=disable":           {Host: "localhost.example"},
		"postgres://portico@127.0.0.1,db.example/portico?sslmode=disable":        {Host: "db.example"},
		"postgres://portico@one.example,two.example/portico?sslmode=verify-full": {Host: "one.example", Proven: true},
		storetest.SQLite(t): {Local: true},
	} {
		db, err := store.Open(t.Context(), databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		if got := db.Way(); got != want {
			t.Errorf("%s: %+v, not %+v", databaseURL, got, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
