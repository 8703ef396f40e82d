package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/reconcile"
)

// The bounds of what is counted: beyond them it no longer matters how many
// there are, and a look costs the same however many there are.
const (
	mostCounted  = 100_000
	mostSessions = 1_000_000
)

// Backlog is what waits, for who watches. A time is zero where nothing does.
type Backlog struct {
	OldestSignup   time.Time // that is not settled
	OldestUser     time.Time // who is to be brought to the provider
	Users          map[directory.Status]int
	Quarantined    int
	Deliveries     int
	OldestDelivery time.Time // when the first of them was due
	Enabled        int       // webhooks
	Disabled       int
	Imports        map[string]int
}

// transient are the statuses that do not last. The others have nearly all the
// users, and counting them would cost accordingly.
func transient() []directory.Status {
	return []directory.Status{
		directory.Received, directory.Provisioning, directory.Failed, directory.Conflict, directory.Deleting,
	}
}

// Backlog returns what waits now. Each look goes through an index, and no
// further than the bounds above. It returns directory.ErrUnavailable.
func (s *Store) Backlog(ctx context.Context, now time.Time) (Backlog, error) {
	db := s.db.WithContext(ctx)
	b := Backlog{Users: make(map[directory.Status]int), Imports: make(map[string]int)}
	var err error
	look := func(do func() error) {
		if err == nil {
			err = do()
		}
	}
	look(func() error {
		return first(db.Raw(`SELECT created_at FROM signups WHERE settled_at IS NULL ORDER BY created_at LIMIT 1`), &b.OldestSignup)
	})
	look(func() error { return oldestUser(db, &b.OldestUser) })
	look(func() error { return countUsers(db, b.Users) })
	look(func() error {
		return db.Raw(`SELECT count(*) FROM (SELECT 1 FROM users WHERE status = ? AND provision_ambiguous_until > ? LIMIT ?) AS counted`,
			string(directory.Provisioning), storedTime(now), mostCounted).Scan(&b.Quarantined).Error
	})
	look(func() error {
		return db.Raw(`SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries WHERE status = 'pending' LIMIT ?) AS counted`,
			mostCounted).Scan(&b.Deliveries).Error
	})
	look(func() error {
		return first(db.Raw(`SELECT next_at FROM webhook_deliveries WHERE status = 'pending' ORDER BY next_at LIMIT 1`), &b.OldestDelivery)
	})
	look(func() error {
		return db.Raw(`SELECT count(*) FROM webhook_endpoints WHERE enabled = ?`, true).Scan(&b.Enabled).Error
	})
	look(func() error {
		return db.Raw(`SELECT count(*) FROM webhook_endpoints WHERE enabled = ?`, false).Scan(&b.Disabled).Error
	})
	look(func() error { return countImports(db, b.Imports) })
	return b, translate(err)
}

// first scans the one time that the query finds, if it finds one.
func first(query *gorm.DB, into *time.Time) error {
	var found []struct {
		CreatedAt time.Time
		NextAt    time.Time
	}
	err := query.Scan(&found).Error
	if err != nil || len(found) == 0 {
		return err
	}
	*into = found[0].CreatedAt.UTC()
	if into.IsZero() {
		*into = found[0].NextAt.UTC()
	}
	return nil
}

// oldestUser finds who waits for the provider for longest.
func oldestUser(db *gorm.DB, oldest *time.Time) error {
	for _, status := range []directory.Status{directory.Received, directory.Provisioning} {
		var at time.Time
		err := first(db.Raw(`SELECT created_at FROM users WHERE status = ? ORDER BY created_at, id LIMIT 1`, string(status)), &at)
		if err != nil {
			return err
		}
		if !at.IsZero() && (oldest.IsZero() || at.Before(*oldest)) {
			*oldest = at
		}
	}
	return nil
}

func countUsers(db *gorm.DB, into map[directory.Status]int) error {
	for _, status := range transient() {
		var n int
		err := db.Raw(`SELECT count(*) FROM (SELECT 1 FROM users WHERE status = ? LIMIT ?) AS counted`, string(status), mostCounted).Scan(&n).Error
		if err != nil {
			return err
		}
		into[status] = n
	}
	return nil
}

func countImports(db *gorm.DB, into map[string]int) error {
	var rows []struct {
		Status string
		N      int
	}
	err := db.Raw(`SELECT status, count(*) AS n FROM imports GROUP BY status`).Scan(&rows).Error
	for _, status := range []string{"staging", "validated", "committing", "committed", "discarded"} {
		into[status] = 0
	}
	for _, row := range rows {
		into[row.Status] = row.N
	}
	return err
}

// OpenSessions counts the sessions whose fixed end has not come, up to a
// million. It returns directory.ErrUnavailable.
func (s *Store) OpenSessions(ctx context.Context, now time.Time) (n int, err error) {
	err = s.db.WithContext(ctx).Raw(
		`SELECT count(*) FROM (SELECT 1 FROM sessions WHERE expires_at > ? LIMIT ?) AS counted`,
		storedTime(now), mostSessions).Scan(&n).Error
	return n, translate(err)
}

// LastComparison returns the latest run that has come to its end, or
// reconcile.ErrNothing.
func (s *Store) LastComparison(ctx context.Context) (reconcile.Run, error) {
	var row reconciliationRow
	err := s.db.WithContext(ctx).Where("state = ?", string(reconcile.Done)).Order("started_at DESC").Limit(1).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return reconcile.Run{}, reconcile.ErrNothing
	}
	if err != nil {
		return reconcile.Run{}, translate(err)
	}
	return row.run()
}

// Connections is the state of the pool.
type Connections struct {
	InUse, Idle, Max int
	Waits            int64 // for one
	Waited           time.Duration
}

// Connections returns the state of the pool. It asks nobody.
func (db *DB) Connections() Connections {
	if db.pool == nil {
		s := db.sql.Stats()
		return Connections{InUse: s.InUse, Idle: s.Idle, Max: s.MaxOpenConnections, Waits: s.WaitCount, Waited: s.WaitDuration}
	}
	s := db.pool.Stat()
	return Connections{
		InUse: int(s.AcquiredConns()), Idle: int(s.IdleConns()), Max: int(s.MaxConns()),
		Waits: s.EmptyAcquireCount(), Waited: s.EmptyAcquireWaitTime(),
	}
}
