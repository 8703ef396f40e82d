package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
	"github.com/portico-id/portico/internal/store/storetest/pgcluster"
)

var (
	gatherRounds      = flag.Int("gather.rounds", 20_000, "recognitions by a crowd, none of which may be answered with another's session")
	gatherRevocations = flag.Int("gather.revocations", 30, "revocations, each of which the next look-up on every replica must see")
)

// person is one of a crowd.
type person struct {
	user    directory.UserID
	session session.ID
	token   session.Token
}

// crowd gives n users of their own a session each, half of them a native one.
func (w *world) crowd(t *testing.T, n int) []person {
	t.Helper()
	tx, err := w.db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	people := make([]person, n)
	now := w.clock.now().Truncate(time.Microsecond)
	for i := range people {
		raw := sha256.Sum256([]byte(strconv.Itoa(i)))
		client, text := session.Browser, base64.RawURLEncoding.EncodeToString(raw[:])
		if i%2 == 1 {
			client, text = session.Native, "pts_"+text
		}
		token, err := session.ParseToken(client, text)
		if err != nil {
			t.Fatal(err)
		}
		hash := token.Hash()
		p := person{directory.NewUserID(), session.ID(directory.NewUserID()), token}
		people[i] = p
		_, err = tx.ExecContext(t.Context(), `
			INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, created_at, updated_at)
			VALUES ($1, $2, $2, $3, $3, $2, 'active', $4, $4)`,
			string(p.user), "ext-"+string(p.user), string(p.user)+"@example.com", now)
		if err == nil {
			_, err = tx.ExecContext(t.Context(), `
				INSERT INTO sessions (id, token_hash, user_id, client, created_at, last_seen_at, expires_at, user_agent)
				VALUES ($1, $2, $3, $4, $5, $5, $6, $7)`,
				string(p.session), hash[:], string(p.user), string(client), now, now.Add(absolute), "ua-"+string(p.user))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return people
}

// foreign says what of an answer is not the person's.
func (p person) foreign(user directory.User, found session.Session) error {
	id := string(p.user)
	if user.ID != p.user || user.ExternalID != directory.ExternalID("ext-"+id) || user.InternalID != directory.InternalID("ext-"+id) ||
		user.Email.Canonical() != id+"@example.com" || user.DisplayName != "ext-"+id ||
		found.ID != p.session || found.UserID != p.user || found.Client != p.token.Client() || found.UserAgent != "ua-"+id {
		return fmt.Errorf("user %s with session %s got %+v of %+v", p.user, p.session, found, user)
	}
	return nil
}

// tally counts how recognitions have ended.
type tally struct {
	answered, canceled, unavailable, unknown atomic.Int64
}

// recogniseAny recognises one of the people, and leaves early now and then.
func (c *tally) recogniseAny(ctx context.Context, t *testing.T, service *session.Service, people []person, dice func(n int) int) {
	leaves := dice(5) == 0
	if leaves {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer time.AfterFunc(time.Duration(dice(3000))*time.Microsecond, cancel).Stop()
		defer cancel()
	}
	p := people[dice(len(people))]
	known := dice(20) != 0
	if !known {
		p.token = session.NewToken(p.token.Client())
	}
	user, found, err := service.Recognise(ctx, p.token)
	switch {
	case err == nil && known:
		c.answered.Add(1)
		if err := p.foreign(user, found); err != nil {
			t.Error(err)
		}
	case leaves && errors.Is(err, context.Canceled):
		c.canceled.Add(1)
	case errors.Is(err, directory.ErrUnavailable):
		c.unavailable.Add(1)
	case !known && errors.Is(err, session.ErrUnknown):
		c.unknown.Add(1)
	default:
		t.Errorf("a session that is known: %v, is answered with %v", known, err)
	}
	if err != nil && (user != (directory.User{}) || found.ID != "") {
		t.Errorf("an error comes with %+v of %+v", found, user)
	}
}

// throng recognises people from 64 places at once, until each place has done
// so many rounds or ctx ends.
func (c *tally) throng(ctx context.Context, t *testing.T, service *session.Service, people []person, rounds int) {
	const places = 64
	var running sync.WaitGroup
	for place := range places {
		running.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(place), uint64(rounds))).IntN //nolint:forbidigo // chance, no secret
			for i := 0; i < rounds/places && ctx.Err() == nil; i++ {
				c.recogniseAny(t.Context(), t, service, people, dice) //nolint:contextcheck // ctx ends the throng, and no look-up of it
			}
		})
	}
	running.Wait()
}

func TestNoAnswerEverReachesAnotherRequest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		people := w.crowd(t, 500)
		var count tally
		rounds := *gatherRounds
		if w.db.Dialect() == store.SQLite {
			rounds = min(rounds, 5000) // it has one connection, and is for trials
		}
		count.throng(t.Context(), t, w.sessions, people, rounds)
		t.Logf("%d answered, %d canceled, %d unknown, %d unavailable",
			count.answered.Load(), count.canceled.Load(), count.unknown.Load(), count.unavailable.Load())
		if count.unavailable.Load() != 0 || count.answered.Load() == 0 || count.canceled.Load() == 0 || count.unknown.Load() == 0 {
			t.Error("that is not what was to happen")
		}
	})
}

func TestADatabaseThatCrashesMidBatchMixesNothingUp(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts and crashes a Postgres of its own")
	}
	cluster, err := pgcluster.AcquirePrivate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	db := storetest.Open(t, cluster.URL())
	if err := db.Migrate(t.Context(), queue.Migrate(true)); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, cluster.URL())
	people := w.crowd(t, 500)
	var count tally
	for range 3 {
		ctx, stop := context.WithCancel(t.Context())
		var throng sync.WaitGroup
		throng.Go(func() { count.throng(ctx, t, w.sessions, people, 1<<40) })
		t.Cleanup(throng.Wait)
		progress := func(what string, n *atomic.Int64) {
			before := n.Load()
			await.True(t, what, func() bool { return n.Load() > before+1000 })
		}
		progress("the crowd is recognised", &count.answered)
		if err := cluster.Crash(); err != nil {
			t.Fatal(err)
		}
		progress("nobody can be recognised", &count.unavailable)
		if err := cluster.Restart(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		progress("the crowd is recognised again", &count.answered)
		stop()
		throng.Wait()
	}
	t.Logf("%d answered, %d canceled, %d unknown, %d unavailable",
		count.answered.Load(), count.canceled.Load(), count.unknown.Load(), count.unavailable.Load())
}

func TestARevocationIsSeenByTheVeryNextLookUp(t *testing.T) {
	t.Parallel()
	t.Run("ASVS-7.2.1 ASVS-7.4.1 on every replica, while many look up", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, func(t *testing.T, databaseURL string) {
			w := newWorld(t, databaseURL)
			rounds := *gatherRevocations
			people := w.crowd(t, 100+rounds)
			others := []*session.Service{w.replica(w.sessions.Log), w.replica(w.sessions.Log)}
			ctx, stop := context.WithCancel(t.Context())
			var throng sync.WaitGroup
			var count tally
			throng.Go(func() { count.throng(ctx, t, others[0], people[:100], 1<<40) })
			defer throng.Wait()
			defer stop()
			for _, p := range people[100:] {
				for _, replica := range others {
					if _, _, err := replica.Recognise(t.Context(), p.token); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.sessions.End(t.Context(), p.token); err != nil {
					t.Fatal(err)
				}
				for _, replica := range others {
					if _, _, err := replica.Recognise(t.Context(), p.token); !errors.Is(err, session.ErrUnknown) {
						t.Fatalf("a session that was revoked: %v", err)
					}
				}
			}
			t.Logf("%d revocations while %d were recognised", rounds, count.answered.Load())
		})
	})
	t.Run("ASVS-7.4.1 even if the same session is being looked up just then", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, func(t *testing.T, databaseURL string) {
			j := newJam(t, databaseURL, 1)
			revoked := make(chan struct{})
			j.store.instead = func(ctx context.Context, hashes []session.Hash) ([]session.Found, error) {
				found, err := j.world.store.FindSessions(ctx, hashes)
				if len(hashes) == 2 {
					j.store.came <- nil // it has been read
					<-revoked
				}
				return found, err
			}
			early := []<-chan outcome{j.ask(t.Context(), j.opened[0].Token), j.ask(t.Context(), j.opened[0].Token)}
			j.waiting(2)
			j.openDoor()
			for range 2 { // their query, and its answer
				<-j.store.came
			}
			if err := j.sessions.End(t.Context(), j.opened[0].Token); err != nil {
				t.Fatal(err)
			}
			j.clock.advance(2 * session.Slow) // nobody waits for that query any longer
			if _, _, err := j.sessions.Recognise(t.Context(), j.opened[0].Token); !errors.Is(err, session.ErrUnknown) {
				t.Errorf("revoked: %v", err)
			}
			close(revoked)
			for _, answer := range early { // they asked before
				own(t, <-answer, j.opened[0])
			}
		})
	})
}
