package api_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// How much is tried. A few are enough to see that the tests work; many show
// what happens once in a thousand times.
var (
	revocations = flag.Int("revocations", 20, "sessions to end on one replica and to look for on two others")
	meRequests  = flag.Int("me.requests", 1000, "requests for GET /me, some of which are cancelled")
	meUsers     = flag.Int("me.users", 40, "users who send them")
)

// replica is another server over the same database, keys and provider, with
// connections and look-ups of its own. What stands before both is the world's
// public address.
func (w *world) replica() *world {
	w.t.Helper()
	r := *w
	r.db = storetest.Open(w.t, w.databaseURL)
	r.store = store.New(r.db, w.jobs)
	// Not a copy of the other's: a service has state.
	r.sessions = &session.Service{
		Store: r.store, Idle: w.sessions.Idle, Absolute: w.sessions.Absolute, ProviderAge: w.sessions.ProviderAge,
		RecentLogin: w.sessions.RecentLogin, MaxPerUser: w.sessions.MaxPerUser, Now: w.sessions.Now, Log: w.sessions.Log,
	}
	config := w.rp
	config.Flows = r.store
	rp, err := login.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := rp.Discover(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	r.config.Sessions, r.config.Login = r.sessions, rp
	r.config.Accounts, r.config.Events = r.accountsHere(), r.store
	served, err := api.New(r.config)
	if err != nil {
		w.t.Fatal(err)
	}
	r.served = served
	r.server = httptest.NewServer(w.log.of(served))
	r.url = r.server.URL
	w.t.Cleanup(r.server.Close)
	return &r
}

// at is the browser, with its cookies, in front of another replica.
func (b *browser) at(r *world) *browser {
	moved := *b
	moved.w = r
	moved.client = apitest.Client(b.t, r.url, r.server.Client().Transport)
	return &moved
}

// populate stores users who have logged in before.
func (w *world) populate(n int) []directory.Identity {
	w.t.Helper()
	at := time.Now().UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
	identities := make([]directory.Identity, n)
	rows := make([]string, n)
	for i := range identities {
		id := fmt.Sprintf("%08x-0000-7000-8000-000000000000", i)
		identities[i] = directory.Identity{
			Issuer: "https://provider.example", Subject: "subject-" + id,
			ExternalID: directory.ExternalID(id), InternalID: directory.InternalID("internal-" + id),
		}
		email := fmt.Sprintf("user-%d@example.com", i)
		rows[i] = fmt.Sprintf("('%s', '%s', 'internal-%s', '%s', '%s', 'User %d', 'active', 'https://provider.example', 'subject-%s', '%s', '%s')",
			id, id, id, email, email, i, id, at, at)
	}
	w.exec(`INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, issuer, subject, created_at, updated_at)
		VALUES ` + strings.Join(rows, ", "))
	return identities
}

// opens begins a session of a native app, as a login would.
func (w *world) opens(t *testing.T, identity directory.Identity) (token string, id session.ID) {
	t.Helper()
	opened, err := w.sessions.Open(t.Context(), session.Native, session.Login{Identity: identity, Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	return opened.Token.Reveal(), opened.Session.ID
}

func TestARevocationIsSeenByTheNextRequestOnEveryReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{databaseURL: storetest.Postgres(t)})
	people := w.populate(8)
	second, third := w.replica(), w.replica()
	here := w.browser()
	replicas := []*browser{here.at(second), here.at(third)}

	// Others ask all the while, so that look-ups of the session that ends are
	// under way, and gathered with theirs, when it does.
	var current atomic.Pointer[string]
	current.Store(new(string))
	stop := make(chan struct{})
	var asking sync.WaitGroup
	client := crowd(t)
	for i := range 4 {
		other, _ := w.opens(t, people[i])
		asking.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				token := other
				if n%2 == 0 {
					token = *current.Load()
				}
				_ = askAnyhow(t.Context(), client, replicas[i%2].w, token)
			}
		})
	}
	defer asking.Wait()
	defer close(stop)

	ways := []struct {
		name string
		end  func(b *browser, token string, id session.ID, keeper string, of directory.Identity)
	}{
		{"POST /logout", func(b *browser, token string, _ session.ID, _ string, _ directory.Identity) {
			b.post("/logout", "", bearer(token)).is(http.StatusOK)
		}},
		{"DELETE /me/sessions/{id}", func(b *browser, _ string, id session.ID, keeper string, _ directory.Identity) {
			b.del("/me/sessions/"+string(id), bearer(keeper)).is(http.StatusNoContent)
		}},
		{"DELETE /me/sessions", func(b *browser, _ string, _ session.ID, keeper string, _ directory.Identity) {
			b.del("/me/sessions", bearer(keeper)).is(http.StatusNoContent)
		}},
		{"a suspension", func(_ *browser, _ string, _ session.ID, _ string, of directory.Identity) {
			w.exec("UPDATE users SET status = 'suspended' WHERE id = '" + string(of.ExternalID) + "'")
			w.exec("UPDATE users SET status = 'active' WHERE id = '" + string(of.ExternalID) + "'")
		}},
	}
	step(t, "ASVS-7.4.1 ASVS-7.4.2 ASVS-7.4.3 however it was ended", func(t *testing.T) {
		b := here.in(t)
		for i := range *revocations {
			of := people[4+i%4]
			token, id := w.opens(t, of)
			keeper, _ := w.opens(t, of)
			current.Store(&token)
			for _, r := range replicas {
				r.in(t).get("/me", bearer(token)).is(http.StatusOK)
			}
			way := ways[i%len(ways)]
			way.end(b, token, id, keeper, of)
			for _, r := range replicas {
				if a := r.in(t).get("/me", bearer(token)); a.status != http.StatusUnauthorized {
					t.Fatalf("after %s, in round %d, the next request is answered %d", way.name, i, a.status)
				}
			}
		}
	})
}

// crowd is a client for many requests at once, whose answers are not held
// against the contract: that would take longer than all the rest.
func crowd(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: await.Patience}
}

// askAnyhow asks who is signed in and returns the body, or "" where there was
// no answer.
func askAnyhow(ctx context.Context, client *http.Client, w *world, token string) string {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/me", http.NoBody)
	if err != nil {
		return ""
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(r)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode == http.StatusServiceUnavailable {
		return ""
	}
	return string(body)
}

func TestNobodyGetsAnothersAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		type one struct{ token, email, session string }
		var all []one
		for i, identity := range w.populate(*meUsers) {
			token, id := w.opens(t, identity)
			all = append(all, one{token, fmt.Sprintf("user-%d@example.com", i), string(id)})
		}
		var left, answered, cancelled atomic.Int64
		left.Store(int64(*meRequests))
		step(t, "ASVS-8.2.2 however many ask at once, and hang up", func(t *testing.T) {
			client := crowd(t)
			var workers sync.WaitGroup
			for range 32 {
				workers.Go(func() {
					for left.Add(-1) >= 0 {
						who := all[rand.IntN(len(all))] //nolint:forbidigo // chance, no secret
						ctx, cancel := context.WithCancel(t.Context())
						if rand.IntN(4) == 0 { //nolint:forbidigo // as above
							time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, cancel) //nolint:forbidigo // as above
						}
						body := askAnyhow(ctx, client, w, who.token)
						cancel()
						switch {
						case body == "":
							cancelled.Add(1)
						case strings.Count(body, `"`+who.email+`"`) != 1 || strings.Count(body, `"`+who.session+`"`) != 1 || strings.Count(body, "@") != 1:
							t.Errorf("%s, whose session is %s, gets %s", who.email, who.session, body)
						default:
							answered.Add(1)
						}
					}
				})
			}
			workers.Wait()
			if cancelled.Load() == 0 || answered.Load() < int64(*meRequests)/2 {
				t.Errorf("%d were answered and %d cancelled", answered.Load(), cancelled.Load())
			}
		})
		t.Logf("%d requests of %d users, %d of them cancelled", *meRequests, *meUsers, cancelled.Load())
	})
}
