package ratelimit_test

import (
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var client = netip.MustParseAddr("192.0.2.7")

// world is two replicas on one database.
type world struct {
	db    *store.DB
	mu    sync.Mutex
	clock time.Time
	one   *ratelimit.Limiter
	other *ratelimit.Limiter
}

func newWorld(t *testing.T, databaseURL, limits string) *world {
	t.Helper()
	parsed, err := ratelimit.ParseLimits(limits)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: storetest.Open(t, databaseURL), clock: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)}
	s := store.New(w.db, nil)
	w.one = &ratelimit.Limiter{Store: s, Limits: parsed, Now: w.now}
	w.other = &ratelimit.Limiter{Store: s, Limits: parsed, Now: w.now}
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// signup asks for one of anna's addresses.
func signup(t *testing.T, l *ratelimit.Limiter, from netip.Addr, tag string) ratelimit.Decision {
	t.Helper()
	d, err := l.Signup(t.Context(), from, "anna"+tag+"@example.com", "example.com")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAClientIsToldWhatIsLeftAndWhenThereIsMore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, "client=3/30s")
		for i, want := range []ratelimit.Decision{
			{Allowed: true, Quota: ratelimit.Quota{Limit: 3, Remaining: 2, Reset: 10 * time.Second}},
			{Allowed: true, Quota: ratelimit.Quota{Limit: 3, Remaining: 1, Reset: 10 * time.Second}},
			{Allowed: true, Quota: ratelimit.Quota{Limit: 3, Remaining: 0, Reset: 10 * time.Second}},
			{
				Refused: ratelimit.Client, RetryAfter: 10 * time.Second,
				Quota: ratelimit.Quota{Limit: 3, Remaining: 0, Reset: 10 * time.Second},
			},
		} {
			if got := signup(t, w.one, client, strconv.Itoa(i)); got != want {
				t.Errorf("%d: got %+v, not %+v", i, got, want)
			}
		}
		// Remembered or asked anew, it is the same.
		w.advance(9*time.Second + time.Millisecond)
		want := ratelimit.Decision{
			Refused: ratelimit.Client, RetryAfter: time.Second,
			Quota: ratelimit.Quota{Limit: 3, Remaining: 0, Reset: time.Second},
		}
		for name, l := range map[string]*ratelimit.Limiter{"the replica that refused": w.one, "the other": w.other} {
			if got := signup(t, l, client, "x"); got != want {
				t.Errorf("%s: got %+v, not %+v", name, got, want)
			}
		}
		w.advance(time.Second)
		if got := signup(t, w.one, client, "x"); !got.Allowed {
			t.Errorf("after the wait: %+v", got)
		}
	})
}

func TestEveryBucketRefusesInItsOwnName(t *testing.T) {
	t.Parallel()
	another := netip.MustParseAddr("2001:db8::1")
	for name, test := range map[string]struct {
		limits string
		first  func(t *testing.T, w *world)
		want   ratelimit.Decision
	}{
		"the client": {
			"client=1/1m", func(t *testing.T, w *world) { signup(t, w.other, client, "other") },
			ratelimit.Decision{
				Refused: ratelimit.Client, RetryAfter: time.Minute,
				Quota: ratelimit.Quota{Limit: 1, Remaining: 0, Reset: time.Minute},
			},
		},
		"the address": {
			"address=1/1m", func(t *testing.T, w *world) { signup(t, w.other, another, "") },
			ratelimit.Decision{
				Refused: ratelimit.Address, RetryAfter: time.Minute, Quota: ratelimit.Quota{Limit: 30, Remaining: 30},
			},
		},
		"the domain": {
			"domain=1/1m", func(t *testing.T, w *world) { signup(t, w.other, another, "other") },
			ratelimit.Decision{
				Refused: ratelimit.Domain, RetryAfter: time.Minute, Quota: ratelimit.Quota{Limit: 30, Remaining: 30},
			},
		},
		"all of them": {
			"global=1/1m", func(t *testing.T, w *world) {
				if _, err := w.other.Signup(t.Context(), another, "bert@example.net", "example.net"); err != nil {
					t.Fatal(err)
				}
			},
			ratelimit.Decision{
				Refused: ratelimit.Global, RetryAfter: time.Minute, Quota: ratelimit.Quota{Limit: 30, Remaining: 30},
			},
		},
		"the one with the longest wait": {
			"client=1/1m,global=1/2m", func(t *testing.T, w *world) { signup(t, w.other, client, "other") },
			ratelimit.Decision{
				Refused: ratelimit.Global, RetryAfter: 2 * time.Minute,
				Quota: ratelimit.Quota{Limit: 1, Remaining: 0, Reset: time.Minute},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t), test.limits)
			test.first(t, w)
			if got := signup(t, w.one, client, ""); got != test.want {
				t.Errorf("got %+v, not %+v", got, test.want)
			}
		})
	}
}

// Somebody who asks for a victim's address must not see when others did.
func TestAnAddressThatIsRefusedDoesNotTellSinceWhen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, "address=2/1h")
		for range 2 {
			signup(t, w.other, netip.MustParseAddr("2001:db8::1"), "")
		}
		want := ratelimit.Decision{
			Refused: ratelimit.Address, RetryAfter: 30 * time.Minute, Quota: ratelimit.Quota{Limit: 30, Remaining: 30},
		}
		for range 29 {
			w.advance(time.Minute)
			if got := signup(t, w.other, client, ""); got != want {
				t.Fatalf("got %+v, not %+v", got, want)
			}
			// Without the client's quota when it was not asked for.
			remembered := want
			remembered.Quota = ratelimit.Quota{}
			if got := signup(t, w.other, client, ""); got != remembered {
				t.Fatalf("got %+v, not %+v", got, remembered)
			}
			w.other = &ratelimit.Limiter{Store: w.one.Store, Limits: w.one.Limits, Now: w.now}
		}
		w.advance(time.Minute)
		if got := signup(t, w.one, client, ""); !got.Allowed {
			t.Errorf("after half an hour: %+v", got)
		}
	})
}

func TestAFloodOfOneClientLeavesTheOthersTheirTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, "client=2/1m,domain=4/1m,global=4/1m")
		for i := range 100 {
			// Other addresses of the flooder's own network change nothing.
			from := netip.MustParseAddr("2001:db8::" + strconv.Itoa(i+1))
			if got := signup(t, []*ratelimit.Limiter{w.one, w.other}[i%2], from, strconv.Itoa(i)); got.Allowed != (i < 2) {
				t.Fatalf("%d: %+v", i, got)
			}
		}
		for i := range 2 {
			if got := signup(t, w.one, client, "others"+strconv.Itoa(i)); !got.Allowed {
				t.Errorf("another client: %+v", got)
			}
		}
	})
}

func TestAResendHasTokensOfItsOwn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, "client=1/1m")
		for range 2 {
			signup(t, w.one, client, "")
		}
		for _, want := range []bool{true, false} {
			got, err := w.one.Resend(t.Context(), client)
			if err != nil || got.Allowed != want {
				t.Errorf("got %+v, %v", got, err)
			}
		}
	})
}

func TestARefusalIsRepeatedWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, "client=1/1m")
		signup(t, w.one, client, "")
		signup(t, w.one, client, "")
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		var refused atomic.Int32
		var flood sync.WaitGroup
		for range 100 {
			flood.Go(func() {
				if got, err := w.one.Signup(t.Context(), client, "anna@example.com", "example.com"); err == nil && got.Refused == ratelimit.Client {
					refused.Add(1)
				}
			})
		}
		flood.Wait()
		if refused.Load() != 100 {
			t.Errorf("%d of 100 were refused", refused.Load())
		}
		// At the end of the wait, to the microsecond of the database, it is asked.
		w.advance(time.Minute)
		if got, err := w.one.Signup(t.Context(), client, "anna@example.com", "example.com"); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("after the wait: %+v, %v", got, err)
		}
	})
}

func TestNobodyIsRefusedForLongerThanTheDatabaseWould(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, "client=7/1s,address=off")
		for range 200 {
			w.advance(37*time.Millisecond + 123*time.Nanosecond)
			asked, err := w.other.Store.TakeTokens(t.Context(), w.now(), []ratelimit.Bucket{
				{Key: "signup-client:192.0.2.7", Limit: w.one.Limits.Client},
			})
			if err != nil {
				t.Fatal(err)
			}
			// one remembers, and sees the bucket as it was left.
			left := asked.EmptyAt[0]
			want := !left.After(w.one.Limits.Client.Latest(w.now().Truncate(time.Microsecond)))
			if got := signup(t, w.one, client, ""); got.Allowed != want {
				t.Fatalf("allowed: %v, by the database: %v", got.Allowed, want)
			}
		}
	})
}

func TestWithoutLimitsNobodyIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), "off")
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := signup(t, w.one, client, ""); got != (ratelimit.Decision{Allowed: true}) {
		t.Errorf("sign-up: %+v", got)
	}
	if got, err := w.one.Resend(t.Context(), client); err != nil || got != (ratelimit.Decision{Allowed: true}) {
		t.Errorf("resend: %+v, %v", got, err)
	}
}

func TestADatabaseThatIsGoneIsSaidToBe(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL, "on")
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := w.one.Signup(t.Context(), client, "anna@example.com", "example.com")
		if !errors.Is(err, directory.ErrUnavailable) || got.Allowed {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
