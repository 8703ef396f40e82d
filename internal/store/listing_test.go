package store_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// defaultListed are enough to see that nothing is read from end to end.
const defaultListed = 20_000

var listedUsers = flag.Int("listing.users", defaultListed, "users among whom a page must cost about what it does among a thousand")

const (
	fewUsers = 1000
	// rareUsers are the oldest, so that whoever looks for them from the newest
	// on has to pass all the others.
	rareUsers = 60
)

// listing is a directory of so many users.
type listing struct {
	store *store.Store
	users int
}

// listingOf makes a directory of n users, made a second apart.
func listingOf(t *testing.T, n int) listing {
	t.Helper()
	db := storetest.Open(t, storetest.Postgres(t))
	for _, statement := range []string{
		fmt.Sprintf(`INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, sync, created_at, updated_at)
			SELECT CAST('01890a5d-ac96-774b-bcce-' || lpad(i::text, 12, '0') AS uuid), 'ext-' || i,
				CASE WHEN i > %[2]d AND i %% 10 <> 1 THEN 'int-' || i END, mail, mail, 'User ' || i,
				CASE WHEN i <= %[2]d THEN 'failed' WHEN i %% 10 = 0 THEN 'suspended' WHEN i %% 10 = 1 THEN 'provisioning' ELSE 'active' END,
				CASE WHEN i > %[2]d AND i %% 10 = 2 THEN 'pending' ELSE 'synced' END,
				TIMESTAMPTZ '2026-01-01' + i * INTERVAL '1 second', TIMESTAMPTZ '2026-02-01' + (i * 7919 %% %[1]d) * INTERVAL '1 second'
			FROM generate_series(CAST(1 AS bigint), %[1]d) AS i, LATERAL (
				SELECT 'user-' || i || '@' || CASE WHEN i <= %[2]d THEN 'rare' ELSE 'd' || i %% 5 END || '.example' AS mail) AS m`, n, rareUsers),
		`VACUUM ANALYZE users`,
	} {
		if _, err := db.SQL().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return listing{store.New(db, nil), n}
}

// id is that of the user with the number.
func (listing) id(i int) directory.UserID {
	return directory.UserID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i))
}

// at is when the user with the number was made.
func (listing) at(i int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
}

// changed is a time at which users have changed last.
func (l listing) changed(part float64) time.Time {
	return time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(part*float64(l.users)) * time.Second)
}

// behind is a place in the list with that part of the users before it.
func (l listing) behind(part float64) account.Cursor {
	i := l.users - int(part*float64(l.users))
	return account.Cursor{At: l.at(i), ID: l.id(i)}
}

// took is how long the query takes.
func (l listing) took(ctx context.Context, t *testing.T, q account.Query, want int) time.Duration {
	t.Helper()
	begun := time.Now()
	found, err := l.store.ListUsers(ctx, q)
	took := time.Since(begun)
	if err != nil || len(found) != want {
		t.Fatalf("%+v finds %d users, not %d: %v", q, len(found), want, err)
	}
	return took
}

func TestAPageCostsTheSameHoweverManyUsersThereAre(t *testing.T) { //nolint:tparallel // in turn: they are measured
	t.Parallel()
	few, many := listingOf(t, fewUsers), listingOf(t, *listedUsers)
	const limit = 51
	for _, test := range []struct {
		name  string
		query func(l listing) account.Query
		want  int
	}{
		{"all", func(listing) account.Query { return account.Query{} }, limit},
		{"all, in the middle", func(l listing) account.Query { return account.Query{After: l.behind(0.5)} }, limit},
		{"all, near the end", func(l listing) account.Query { return account.Query{After: l.behind(0.94)} }, limit},
		{"a status of most", func(listing) account.Query { return account.Query{Status: directory.Active} }, limit},
		{"a status of most, near the end", func(l listing) account.Query {
			return account.Query{Status: directory.Active, After: l.behind(0.85)}
		}, limit},
		{"a status of some", func(listing) account.Query { return account.Query{Status: directory.Suspended} }, limit},
		{"a status of the oldest", func(listing) account.Query { return account.Query{Status: directory.Failed} }, limit},
		{"a status of nobody", func(listing) account.Query { return account.Query{Status: directory.Conflict} }, 0},
		{"who is synced", func(listing) account.Query { return account.Query{Sync: directory.SyncSynced} }, limit},
		{"who is pending", func(listing) account.Query { return account.Query{Sync: directory.SyncPending} }, limit},
		{"who has failed", func(listing) account.Query { return account.Query{Sync: directory.SyncFailed} }, limit},
		{"a domain of many", func(listing) account.Query { return account.Query{Domain: "d3.example"} }, limit},
		{"a domain of the oldest", func(listing) account.Query { return account.Query{Domain: "rare.example"} }, limit},
		{"a domain of nobody", func(listing) account.Query { return account.Query{Domain: "none.example"} }, 0},
		{"made lately", func(l listing) account.Query { return account.Query{CreatedAfter: l.at(l.users / 2)} }, limit},
		{"made long ago", func(l listing) account.Query { return account.Query{CreatedBefore: l.at(100)} }, limit},
		{"changed lately", func(l listing) account.Query { return account.Query{UpdatedAfter: l.changed(0.9)} }, limit},
		{"changed long ago", func(l listing) account.Query { return account.Query{UpdatedBefore: l.changed(0.1)} }, limit},
		{"an address", func(listing) account.Query { return account.Query{Email: "user-777@d2.example"} }, 1},
		{"an external_id", func(listing) account.Query { return account.Query{ExternalID: "ext-777"} }, 1},
		{"an internal_id", func(listing) account.Query { return account.Query{InternalID: "int-777"} }, 1},
		{"an id", func(l listing) account.Query { return account.Query{ID: l.id(777)} }, 1},
	} {
		t.Run(test.name, func(t *testing.T) { // one after the other: they are measured
			ofFew, ofMany := slowest(t, few, many, func(l listing) account.Query {
				q := test.query(l)
				q.Limit = limit
				return q
			}, test.want)
			t.Logf("%d of 100 within %s among %d users, %s among %d", counted(), ofFew, few.users, ofMany, many.users)
			if ofMany > mostTimes*ofFew {
				t.Errorf("%s among %d users, and %s among %d", ofMany, many.users, ofFew, few.users)
			}
		})
	}
}

// counted is how many of 100 queries count: 99 where the flag asks for more, on a
// machine that does nothing else, and half of them beside other tests.
func counted() int {
	if *listedUsers > defaultListed {
		return 99
	}
	return 50
}

// mostTimes is how many times as long a page among many may take.
const mostTimes = 3

// slowest returns what so many of 100 queries do not exceed, in either directory.
// They take turns, and the best of up to ten rounds counts: what else the machine
// is doing is not to decide, and a query that reads from end to end is slow in
// each.
func slowest(t *testing.T, few, many listing, query func(listing) account.Query, want int) (ofFew, ofMany time.Duration) {
	t.Helper()
	const each, rounds = 100, 10
	ofFew, ofMany = 1, time.Hour
	for range rounds {
		var a, b []time.Duration
		for i := range each {
			if i%2 == 0 {
				a = append(a, few.took(t.Context(), t, query(few), want))
			}
			b = append(b, many.took(t.Context(), t, query(many), want))
			if i%2 == 1 {
				a = append(a, few.took(t.Context(), t, query(few), want))
			}
		}
		slices.Sort(a)
		slices.Sort(b)
		if x, y := a[counted()-1], b[counted()-1]; y.Seconds()/x.Seconds() < ofMany.Seconds()/ofFew.Seconds() {
			ofFew, ofMany = x, y
		}
		if ofMany <= mostTimes*ofFew {
			break
		}
	}
	return ofFew, ofMany
}
