package provision_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/store/storetest"
)

// life is one of a person's, from a sign-up to a tombstone.
type life struct {
	accepted

	was string // the internal_id that they had
}

// stored is what the directory has of a life.
type stored struct {
	status     directory.Status
	name       string
	internalID string
	sync       directory.Sync
	class      string
	leaves     time.Time
	activated  bool
}

// changing is a walk in which users change and leave.
type changing struct {
	*world

	lives [][]*life // of each person
	names int
}

// A user who is said to be synced is so from then on, whatever was sent before;
// nobody is deleted who has not left; nobody is there of whom a tombstone says
// that they are gone.
func TestNoWayThroughChangesLosesOneOrUndoesANewer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, storetest.Open(t, databaseURL), true)
		walks := 0
		rapid.Check(t, func(rt *rapid.T) {
			walks++
			if walks <= mostWalks(w.db.Dialect()) {
				walkChanges(t, rt, w)
			}
		})
	})
}

func walkChanges(t *testing.T, rt *rapid.T, w *world) {
	w.reset(t)
	c := &changing{world: w, lives: make([][]*life, 2)}
	rt.Repeat(map[string]func(*rapid.T){
		"sign up": func(rt *rapid.T) {
			who := rapid.IntRange(0, len(c.lives)-1).Draw(rt, "who")
			if l := c.last(who); l == nil || c.stored(t, l).status == directory.Deleted {
				c.lives[who] = append(c.lives[who], &life{accepted: c.acceptAs(t, fmt.Sprintf("anna%d@example.com", who))})
			}
		},
		"carry the sign-up": func(rt *rapid.T) { c.work(rt, false) },
		"carry a change":    func(rt *rapid.T) { c.work(rt, true) },
		"carry badly": func(rt *rapid.T) {
			c.arm(t, rt)
			c.work(rt, true)
		},
		"die": func(rt *rapid.T) {
			if rapid.Bool().Draw(rt, "and badly") {
				c.arm(t, rt)
			}
			c.mortal(&fate{left: rapid.IntRange(0, 6).Draw(rt, "point")})
			c.work(rt, rapid.Bool().Draw(rt, "of a change"))
			c.mortal(&fate{left: -1})
		},
		"edit": func(rt *rapid.T) {
			if l, s := c.someone(t, rt); l != nil && s.status != directory.Deleting && s.status != directory.Deleted {
				c.names++
				c.edit(t, l.accepted, fmt.Sprintf("Anna the %d.", c.names))
			}
		},
		"leave": func(rt *rapid.T) {
			if l, s := c.someone(t, rt); l != nil && s.status != directory.Deleting && s.status != directory.Deleted {
				c.leave(t, l.accepted, rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(rt, "grace"))
			}
		},
		"restore": func(rt *rapid.T) {
			if l, s := c.someone(t, rt); l != nil && s.status == directory.Deleting && c.clock.now().Before(s.leaves) {
				c.restore(t, l, s)
			}
		},
		"log in": func(rt *rapid.T) {
			if l, s := c.someone(t, rt); l != nil && s.status == directory.Provisioning {
				for _, user := range c.tenant.Users() {
					if user.ExternalID == string(l.externalID()) && user.Status != simulator.StatusDeleted {
						c.login(t, l.accepted, user.InternalID)
					}
				}
			}
		},
		"reconcile": func(rt *rapid.T) {
			if err := c.service.Reconcile(t.Context()); err != nil {
				rt.Fatal(err)
			}
		},
		"wait": func(rt *rapid.T) {
			c.clock.advance(rapid.SampledFrom([]time.Duration{
				time.Millisecond, time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 70 * time.Second,
			}).Draw(rt, "so long"))
		},
		"": func(rt *rapid.T) {
			c.clock.advance(time.Millisecond)
			c.check(t, rt)
		},
	})
	c.finish(t, rt)
}

// last is the person's present life, or nil.
func (c *changing) last(who int) *life {
	if lives := c.lives[who]; len(lives) > 0 {
		return lives[len(lives)-1]
	}
	return nil
}

// someone is a life that the directory has a user of, or nil.
func (c *changing) someone(t *testing.T, rt *rapid.T) (*life, stored) {
	l := c.last(rapid.IntRange(0, len(c.lives)-1).Draw(rt, "who"))
	if l == nil {
		return nil, stored{}
	}
	s := c.stored(t, l)
	if s.status == "" {
		return nil, s
	}
	return l, s
}

func (c *changing) stored(t *testing.T, l *life) stored {
	var s stored
	var internalID, class sql.NullString
	var leaves, activated sql.NullTime
	err := c.db.SQL().QueryRowContext(t.Context(), `
		SELECT status, display_name, internal_id, sync, sync_error_class, delete_after, activated_at FROM users WHERE id = $1`,
		string(l.userID)).Scan(&s.status, &s.name, &internalID, &s.sync, &class, &leaves, &activated)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	s.internalID, s.class, s.leaves, s.activated = internalID.String, class.String, leaves.Time, activated.Valid
	return s
}

func (c *changing) restore(t *testing.T, l *life, s stored) {
	user := directory.User{InternalID: directory.InternalID(s.internalID)}
	c.exec(t, `UPDATE users SET status = $1, delete_after = NULL WHERE id = $2`, string(user.Restored(s.activated)), string(l.userID))
	c.want(t, l.accepted)
}

// arm lets the next call of a kind go badly.
func (c *changing) arm(t *testing.T, rt *rapid.T) {
	c.tenant.ClearFaults()
	op := rapid.SampledFrom([]string{"update", "update", "update", "delete", "get", "create"}).Draw(rt, "on")
	effects := map[string]simulator.Effect{
		"lost before":  {Drop: true},
		"lost after":   {Drop: true, Commit: simulator.CommitBefore},
		"error before": {Status: 503},
		"error after":  {Status: 500, Commit: simulator.CommitBefore},
		"token":        {Status: 401},
		"limit":        {Status: 429, Headers: map[string]string{"Retry-After": "20"}},
		"elsewhere":    {Status: 405},
		"nonsense":     {Status: 200, Body: []byte(`{}`), Commit: simulator.CommitBefore},
	}
	goes := rapid.SampledFrom([]string{
		"late", "late", "lost before", "lost after", "error before", "error after", "token", "limit", "elsewhere", "nonsense",
	}).Draw(rt, "goes")
	if goes == "late" {
		c.tenant.beLate(op, rapid.SampledFrom([]time.Duration{time.Second, 30 * time.Second, quarantine}).Draw(rt, "by"))
		return
	}
	on := map[string]simulator.Match{"update": onUpdate, "delete": onDelete, "get": onGet, "create": onCreate}[op]
	c.next(t, on, effects[goes])
}

// work does a step of a life's job, as the queue does at some time.
func (c *changing) work(rt *rapid.T, change bool) {
	l := c.last(rapid.IntRange(0, len(c.lives)-1).Draw(rt, "whose"))
	if l == nil {
		return
	}
	m := model{world: c.world}
	_, err := m.step(func(ctx context.Context) (time.Duration, error) {
		if again, err := c.service.Carry(ctx, l.id); !change {
			return again, err
		}
		return c.service.CarryChange(ctx, l.userID)
	})
	if err != nil {
		rt.Fatalf("carry: %v", err)
	}
}

// check holds what must be true after every step.
func (c *changing) check(t *testing.T, rt *rapid.T) {
	there := make(map[string]simulator.User)
	for _, user := range c.tenant.Users() {
		if _, twice := there[user.ExternalID]; twice {
			rt.Fatalf("%s is there twice", user.ExternalID)
		}
		there[user.ExternalID] = user
	}
	for _, lives := range c.lives {
		for _, l := range lives {
			s := c.stored(t, l)
			user, isThere := there[string(l.externalID())]
			alive := isThere && user.Status != simulator.StatusDeleted
			left := s.status == directory.Deleting && !c.clock.now().Before(s.leaves) || s.status == directory.Deleted
			switch {
			case l.was != "" && s.internalID != "" && l.was != s.internalID:
				rt.Fatalf("%s had the internal_id %s and has %s", l.userID, l.was, s.internalID)
			case isThere && !alive && !left:
				rt.Fatalf("%s is %s and was deleted there", l.userID, s.status)
			case s.status == directory.Deleted && alive:
				rt.Fatalf("%s is a tombstone and is still there", l.userID)
			case s.status == directory.Deleted && s.name != "":
				rt.Fatalf("%s is a tombstone called %s", l.userID, s.name)
			case alive && s.internalID != "" && s.sync == directory.SyncSynced && user.DisplayName != s.name:
				rt.Fatalf("%s is synced, called %q here and %q there, after %q", l.userID, s.name, user.DisplayName, c.tenant.trace())
			case s.sync == directory.SyncFailed:
				rt.Fatalf("%s has failed for %s, which nothing was to", l.userID, s.class)
			}
			l.was = max(l.was, s.internalID)
		}
	}
}

// finish lets the provider be well again: then all is carried.
func (c *changing) finish(t *testing.T, rt *rapid.T) {
	c.tenant.ClearFaults()
	for _, op := range []string{"create", "update", "get", "delete"} {
		c.tenant.beLate(op, 0)
	}
	for range 200 {
		var wait time.Duration
		for who := range c.lives {
			if l := c.last(who); l != nil {
				for _, carry := range []func() (time.Duration, error){
					func() (time.Duration, error) { return c.service.Carry(t.Context(), l.id) },
					func() (time.Duration, error) { return c.service.CarryUser(t.Context(), l.userID) },
					func() (time.Duration, error) { return c.service.CarryChange(t.Context(), l.userID) },
				} {
					again, err := carry()
					if err != nil {
						rt.Fatal(err)
					}
					wait = max(wait, again)
				}
			}
		}
		if wait == 0 {
			break
		}
		c.clock.advance(wait)
		c.check(t, rt)
	}
	c.clock.advance(2 * quarantine) // whatever was late has come
	c.check(t, rt)
	for who := range c.lives {
		if l := c.last(who); l != nil {
			if s := c.stored(t, l); s.sync != directory.SyncSynced || s.status == directory.Deleting || s.status == directory.Provisioning {
				rt.Fatalf("%s ends as %+v, after %q\n%s", l.userID, s, c.tenant.trace(), c.log)
			}
		}
	}
}
