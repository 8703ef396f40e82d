package store_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// bucket holds count tokens that come back in a minute.
func bucket(key string, count int) ratelimit.Bucket {
	return ratelimit.Bucket{Key: key, Limit: ratelimit.Limit{Count: count, Per: time.Minute}}
}

// take asks for a token and reports whether there was one.
func take(t *testing.T, s *store.Store, now time.Time, buckets ...ratelimit.Bucket) bool {
	t.Helper()
	outcome, err := s.TakeTokens(t.Context(), now, buckets)
	if err != nil {
		t.Fatal(err)
	}
	if len(outcome.EmptyAt) != len(buckets) {
		t.Fatalf("%d times for %d buckets", len(outcome.EmptyAt), len(buckets))
	}
	return outcome.Taken
}

func TestABucketGivesItsBurstAndThenWhatComesBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		b := bucket("b", 3) // a token in 20 s
		for _, step := range []struct {
			after time.Duration
			want  bool
		}{
			{0, true},
			{0, true},
			{0, true},
			{0, false},
			{20*time.Second - time.Microsecond, false}, // refusals do not push the end back
			{20 * time.Second, true},
			{20 * time.Second, false},
			{59 * time.Second, true},
			{60 * time.Second, true},
			{60 * time.Second, false},
			{time.Hour, true}, // no more than the burst is saved
			{time.Hour, true},
			{time.Hour, true},
			{time.Hour, false},
			{0, false}, // a clock that is behind
		} {
			if got := take(t, s, moment.Add(step.after), b); got != step.want {
				t.Errorf("after %s: %v", step.after, got)
			}
		}
	})
}

func TestTheOutcomeSaysWhenEachBucketWillHaveDrained(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		wide, narrow := bucket("a", 60), bucket("z", 1)
		unaligned := moment.Add(999 * time.Nanosecond).In(time.FixedZone("CET", 3600))
		for _, want := range []ratelimit.Outcome{
			{Taken: true, EmptyAt: []time.Time{moment.Add(time.Minute), moment.Add(time.Second)}},
			{Taken: false, EmptyAt: []time.Time{moment.Add(time.Minute), moment.Add(time.Second)}},
		} {
			got, err := s.TakeTokens(t.Context(), unaligned, []ratelimit.Bucket{narrow, wide})
			if err != nil || got.Taken != want.Taken || !slices.EqualFunc(got.EmptyAt, want.EmptyAt, time.Time.Equal) {
				t.Errorf("got %+v, %v; not %+v", got, err, want)
			}
		}
		if !take(t, s, moment) {
			t.Error("no bucket refuses")
		}
	})
}

func TestWhomOneBucketRefusesDrainsNoOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		client, global := bucket("client", 1), bucket("global", 3)
		if !take(t, s, moment, client, global) {
			t.Fatal("the first is refused")
		}
		for range 100 {
			if take(t, s, moment, client, global, bucket("new", 1)) {
				t.Fatal("the client has two tokens")
			}
		}
		if n := count(t, db, `SELECT count(*) FROM rate_limits`); n != 2 {
			t.Errorf("%d buckets", n)
		}
		for i, want := range []bool{true, true, false} {
			if got := take(t, s, moment, bucket("client"+strconv.Itoa(i), 1), global); got != want {
				t.Errorf("another client, %d: %v", i, got)
			}
		}
	})
}

func TestASVS_15_4_2_ASVS_15_4_3_ConcurrentCallsTakeNoMoreThanThereIs(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	db, one := newStore(t, databaseURL)
	_, other := newStore(t, databaseURL)
	replicas := []*store.Store{one, other}
	const limit = 50
	shared := bucket("shared", limit)
	// The rows are there and drained.
	if !take(t, one, moment.Add(-time.Hour), shared) {
		t.Fatal("the first is refused")
	}
	for i := range 4 {
		if !take(t, one, moment.Add(-time.Hour), bucket("client"+strconv.Itoa(i), 200)) {
			t.Fatal("the first is refused")
		}
	}
	var taken atomic.Int32
	together(200, func(i int) {
		// In the order in which they would deadlock, were they locked in it.
		buckets := []ratelimit.Bucket{
			shared, bucket("client"+strconv.Itoa(i%4), 200), bucket("client"+strconv.Itoa((i+1)%4), 200),
		}
		if i%3 == 0 {
			slices.Reverse(buckets)
		}
		outcome, err := replicas[i%2].TakeTokens(t.Context(), moment, buckets)
		if err != nil {
			t.Error(err)
		}
		if outcome.Taken {
			taken.Add(1)
		}
	})
	if taken.Load() != limit {
		t.Errorf("%d tokens of %d", taken.Load(), limit)
	}
	// Each of those took from two of the clients' buckets: 0.3 s a token.
	drain := `SELECT CAST(sum(extract(epoch FROM empty_at - CAST($1 AS timestamptz))) * 10 AS integer) FROM rate_limits WHERE bucket LIKE 'client%'`
	if n := count(t, db, drain, moment); n != 2*limit*3 {
		t.Errorf("the clients' buckets drain for %d ds", n)
	}
}

func TestASVS_15_4_3_ConcurrentCallsForNewBucketsOweWhatIsTooManyAndDoNotDeadlock(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		connections := int32(1)
		if db.Pool() != nil {
			connections = db.Pool().Config().MaxConns
		}
		for round := range 50 {
			now := moment.Add(time.Duration(round) * time.Hour)
			// The old bucket is after one of the new ones and before the other.
			a, old, z := bucket("a"+strconv.Itoa(round), 6), bucket("old", 60), bucket("z"+strconv.Itoa(round), 6)
			var taken atomic.Int32
			together(40, func(i int) {
				buckets := []ratelimit.Bucket{a, old, z}
				if i%2 == 0 {
					slices.Reverse(buckets)
				}
				outcome, err := s.TakeTokens(t.Context(), now, buckets)
				if err != nil {
					t.Error(err)
				}
				if outcome.Taken {
					taken.Add(1)
				}
			})
			// At most one call a connection sees no bucket yet.
			if n := taken.Load(); n < 6 || n > max(6, connections) {
				t.Errorf("%d tokens of 6 over %d connections", n, connections)
			}
			outcome, err := s.TakeTokens(t.Context(), now, []ratelimit.Bucket{a, z})
			end := now.Add(time.Duration(taken.Load()) * 10 * time.Second)
			if err != nil || outcome.Taken || !outcome.EmptyAt[0].Equal(end) || !outcome.EmptyAt[1].Equal(end) {
				t.Errorf("after %d tokens: %+v, %v", taken.Load(), outcome, err)
			}
		}
	})
}

// together calls do n times at once.
func together(n int, do func(i int)) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-begin
			do(i)
		})
	}
	close(begin)
	all.Wait()
}

// gauge is a bucket as one would first think of it: what is in it drips out.
type gauge struct {
	level, capacity, each time.Duration // a token fills it by each
	at                    time.Time
}

// drip lets out what drips until now.
func (g *gauge) drip(now time.Time) {
	g.level = max(0, g.level-now.Sub(g.at))
	g.at = now
}

func TestTokensAreTakenAsFromBucketsThatDrip(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		rapid.Check(t, func(r *rapid.T) {
			names := []string{"a", "b", "c"}
			buckets := make(map[string]ratelimit.Bucket)
			gauges := make(map[string]*gauge)
			run := rand.Text()
			for _, name := range names {
				// Tokens that are whole microseconds apart, so that the naive
				// way needs no rounding.
				limitCount := rapid.IntRange(1, 6).Draw(r, "count")
				each := time.Duration(rapid.IntRange(1, 4_000_000).Draw(r, "µs each")) * time.Microsecond
				limit := ratelimit.Limit{Count: limitCount, Per: time.Duration(limitCount) * each}
				buckets[name] = ratelimit.Bucket{Key: run + name, Limit: limit}
				gauges[name] = &gauge{capacity: limit.Per, each: each, at: moment}
			}
			now := moment
			for range rapid.IntRange(1, 30).Draw(r, "calls") {
				now = now.Add(time.Duration(rapid.IntRange(0, 3_000_000).Draw(r, "µs later")) * time.Microsecond)
				asked := rapid.Permutation(names).Draw(r, "order")[:rapid.IntRange(1, 3).Draw(r, "asked")]
				room := true
				var from []ratelimit.Bucket
				for _, name := range asked {
					from = append(from, buckets[name])
					gauges[name].drip(now)
					room = room && gauges[name].level+gauges[name].each <= gauges[name].capacity
				}
				if got := take(t, s, now, from...); got != room {
					r.Fatalf("taken: %v, with room: %v", got, room)
				}
				for _, name := range asked {
					if room {
						gauges[name].level += gauges[name].each
					}
				}
			}
		})
	})
}

func TestNoWindowHoldsMoreThanItsLimitWhateverTheClocks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		rapid.Check(t, func(r *rapid.T) {
			limit := ratelimit.Limit{
				Count: rapid.IntRange(1, 20).Draw(r, "count"),
				Per:   time.Second + time.Duration(rapid.IntRange(0, 30_000_000_000).Draw(r, "ns more")),
			}
			b := ratelimit.Bucket{Key: rand.Text(), Limit: limit}
			now := moment
			var taken []time.Time
			for range rapid.IntRange(1, 60).Draw(r, "calls") {
				now = now.Add(time.Duration(rapid.IntRange(0, 2_000_000_000).Draw(r, "ns later")))
				asked := now.Add(time.Duration(rapid.IntRange(-3_000, 3_000).Draw(r, "ms of skew")) * time.Millisecond)
				if take(t, s, asked, b) {
					taken = append(taken, asked)
				}
			}
			slices.SortFunc(taken, time.Time.Compare)
			for i, from := range taken {
				for j, to := range taken[i:] {
					window := to.Sub(from) + time.Microsecond // times are stored to the microsecond
					if most := float64(limit.Count) * (1 + float64(window)/float64(limit.Per)); float64(j+1) > most {
						r.Fatalf("%d in %s of %s", j+1, window, limit)
					}
				}
			}
		})
	})
}

func TestOnlyDrainedBucketsArePurged(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		full := bucket("full", 1)
		for i := range 5 {
			take(t, s, moment.Add(-time.Hour), bucket("drained"+strconv.Itoa(i), 60))
		}
		take(t, s, moment.Add(-time.Minute), full)
		for _, want := range []int{2, 2, 1, 0} {
			if n, err := s.PurgeRateLimits(t.Context(), moment, 2); n != want || err != nil {
				t.Errorf("purged %d, %v; not %d", n, err, want)
			}
		}
		if n := count(t, db, `SELECT count(*) FROM rate_limits`); n != 1 {
			t.Errorf("%d buckets are left", n)
		}
		if take(t, s, moment.Add(-time.Microsecond), full) {
			t.Error("a bucket was purged before it had drained")
		}
	})
}

func TestAPurgeWaitsForNobody(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	_, s := newStore(t, databaseURL)
	take(t, s, moment.Add(-time.Hour), bucket("held", 1))
	take(t, s, moment.Add(-time.Hour), bucket("free", 1))
	tx, err := storetest.Open(t, databaseURL).SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), `SELECT FROM rate_limits WHERE bucket = 'held' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	if n, err := s.PurgeRateLimits(t.Context(), moment, 10); n != 1 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
}

func TestBucketsThatArePurgedWhileTokensAreTakenCostNoError(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.Postgres(t)
	_, s := newStore(t, databaseURL)
	_, keeper := newStore(t, databaseURL)
	together(16, func(i int) {
		for range 20 {
			if i%4 == 0 {
				// Far later than it may be, so that there is much to purge.
				if _, err := keeper.PurgeRateLimits(t.Context(), moment.Add(time.Hour), 3); err != nil {
					t.Error(err)
				}
				continue
			}
			buckets := []ratelimit.Bucket{bucket("a", 1000), bucket("b"+strconv.Itoa(i%3), 1000), bucket("c", 1000)}
			if outcome, err := s.TakeTokens(t.Context(), moment, buckets); err != nil || !outcome.Taken {
				t.Errorf("got %+v, %v", outcome, err)
			}
		}
	})
}

func TestBucketsOfADatabaseThatIsGoneAreUnavailable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.TakeTokens(t.Context(), moment, []ratelimit.Bucket{bucket("b", 1)}); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("TakeTokens: %v", err)
		}
		if _, err := s.PurgeRateLimits(t.Context(), moment, 1); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("PurgeRateLimits: %v", err)
		}
	})
}
