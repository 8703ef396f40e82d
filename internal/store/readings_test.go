package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/reconcile"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAnEmptyDirectoryHasNoBacklog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		s := store.New(db, nil)
		b, err := s.Backlog(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !b.OldestSignup.IsZero() || !b.OldestUser.IsZero() || !b.OldestDelivery.IsZero() || b.Quarantined+b.Deliveries+b.Enabled+b.Disabled != 0 {
			t.Errorf("it has %+v", b)
		}
		if n, ok := b.Users[directory.Failed]; !ok || n != 0 {
			t.Errorf("of those who have failed it says %d, %v", n, ok)
		}
		if n, err := s.OpenSessions(t.Context(), time.Now()); n != 0 || err != nil {
			t.Errorf("%d sessions are open, %v", n, err)
		}
		if _, err := s.LastComparison(t.Context()); !errors.Is(err, reconcile.ErrNothing) {
			t.Errorf("there is a comparison: %v", err)
		}
		if c := db.Connections(); c.Max < 1 {
			t.Errorf("the pool is %+v", c)
		}
	})
}

func TestTheOldestThatWaitsIsFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db := storetest.Open(t, databaseURL)
		for _, row := range []string{
			`('00000000-0000-7000-8000-000000000001', 'a', 'a@example.com', 'a@example.com', '', 'failed', '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00')`,
			`('00000000-0000-7000-8000-000000000002', 'b', 'b@example.com', 'b@example.com', '', 'received', '2026-01-03 00:00:00+00:00', '2026-01-03 00:00:00+00:00')`,
			`('00000000-0000-7000-8000-000000000003', 'c', 'c@example.com', 'c@example.com', '', 'provisioning',
				'2026-01-02 00:00:00+00:00', '2026-01-02 00:00:00+00:00')`,
		} {
			_, err := db.SQL().ExecContext(t.Context(),
				`INSERT INTO users (id, external_id, email, email_canonical, display_name, status, created_at, updated_at) VALUES `+row)
			if err != nil {
				t.Fatal(err)
			}
		}
		b, err := store.New(db, nil).Backlog(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC); !b.OldestUser.Equal(want) {
			t.Errorf("the oldest is of %v", b.OldestUser)
		}
		if b.Users[directory.Failed] != 1 || b.Users[directory.Received] != 1 || b.Users[directory.Provisioning] != 1 {
			t.Errorf("there are %v", b.Users)
		}
	})
}
