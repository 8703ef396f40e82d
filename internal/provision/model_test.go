package provision_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// person is an address, and what the model remembers of it.
type person struct {
	address    string
	signups    []accepted
	externalID directory.ExternalID // empty until one of the sign-ups has made the user
	internalID string               // once it was written
	enrolled   bool
}

// model is what is known of the walk so far, by which every state is judged.
type model struct {
	*world

	people  []*person
	wishes  map[*person]int // for a mail
	settled map[signup.ID]time.Time
}

func TestNoWayThroughProvisioningDoublesOrLosesAnybody(t *testing.T) {
	t.Parallel()
	for name, lookup := range map[string]bool{"with look-up": true, "without look-up": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, storetest.Open(t, databaseURL), lookup)
				walks := 0
				rapid.Check(t, func(rt *rapid.T) {
					walks++
					if walks <= mostWalks(w.db.Dialect()) {
						walk(t, rt, w, lookup)
					}
				})
			})
		})
	}
}

// mostWalks is how many walks there are. On Postgres each takes many times as
// long, and few of the ways differ.
func mostWalks(d store.Dialect) int {
	switch {
	case testing.Short():
		return 3
	case d != store.Postgres:
		return 1000
	default:
		return 20
	}
}

func walk(t *testing.T, rt *rapid.T, w *world, lookup bool) {
	w.reset(t)
	m := &model{world: w, wishes: make(map[*person]int), settled: make(map[signup.ID]time.Time)}
	for i := range 3 {
		m.people = append(m.people, &person{address: fmt.Sprintf("anna%d@example.com", i)})
	}
	rt.Repeat(map[string]func(*rapid.T){
		"sign up": func(rt *rapid.T) {
			p := m.someone(rt)
			p.signups = append(p.signups, m.acceptAs(t, p.address))
			m.wishes[p]++
		},
		"carry": func(rt *rapid.T) { m.carryOne(rt) },
		"carry, badly": func(rt *rapid.T) {
			m.arm(t, rt)
			m.carryOne(rt)
		},
		"die": func(rt *rapid.T) {
			if rapid.Bool().Draw(rt, "and badly") {
				m.arm(t, rt)
			}
			m.mortal(&fate{left: rapid.IntRange(0, 6).Draw(rt, "point")})
			m.carryOne(rt)
			m.mortal(&fate{left: -1})
		},
		"wish for another mail": func(rt *rapid.T) {
			if p := m.someone(rt); len(p.signups) > 0 {
				m.resend(t, rt, p)
			}
		},
		"enrol": func(rt *rapid.T) {
			p := m.someone(rt)
			if p.externalID != "" && len(m.tenant.Mailbox(p.address)) > 0 && !p.enrolled {
				m.tenant.enrol(t, p.address)
				p.enrolled = true
			}
		},
		"log in": func(rt *rapid.T) {
			p := m.someone(rt)
			for _, user := range m.tenant.Users() {
				if p.enrolled && user.ExternalID == string(p.externalID) {
					m.login(t, accepted{userID: directory.UserID(p.externalID)}, user.InternalID)
				}
			}
		},
		"reconcile": func(rt *rapid.T) {
			if err := m.service.Reconcile(t.Context()); err != nil {
				rt.Fatal(err)
			}
		},
		"wait": func(rt *rapid.T) {
			m.clock.advance(rapid.SampledFrom([]time.Duration{
				time.Millisecond, time.Second, 15 * time.Second, time.Minute, 70 * time.Second, 3 * time.Minute,
			}).Draw(rt, "so long"))
		},
		"": func(rt *rapid.T) {
			m.clock.advance(time.Millisecond)
			m.check(t, rt, lookup)
		},
	})
	m.finish(t, rt, lookup)
}

func (m *model) someone(rt *rapid.T) *person {
	return m.people[rapid.IntRange(0, len(m.people)-1).Draw(rt, "who")]
}

// reset forgets the last walk.
func (w *world) reset(t *testing.T) {
	t.Helper()
	for _, table := range []string{"signups", "sessions", "users", "river_job"} {
		w.exec(t, `DELETE FROM `+table)
	}
	w.clock.advance(24 * time.Hour) // past every closure of the gate
	w.tenant.Reset()
	w.tenant.mu.Lock()
	w.tenant.late, w.tenant.lateBy, w.tenant.calls = nil, make(map[string]time.Duration), nil
	w.tenant.mu.Unlock()
	w.modes(t, func(m *simulator.Modes) { m.Uniqueness = simulator.UniqueNone }) // nothing there catches a second create
	w.mortal(&fate{left: -1})
}

// mortal gives the service a new life, which ends as fate says.
func (w *world) mortal(f *fate) {
	var immortal *beyondidentity.Client
	switch p := w.service.Provider.(type) {
	case *beyondidentity.Client:
		immortal = p
	case mortalProvider:
		immortal = p.Client
	}
	w.service.Provider, w.service.Store = mortalProvider{immortal, f}, mortalStore{w.store, f}
	if w.service.Lookup != nil {
		w.service.Lookup, w.service.Changer = mortalProvider{immortal, f}, mortalProvider{immortal, f}
	}
}

// arm lets the next call of a kind go badly.
func (m *model) arm(t *testing.T, rt *rapid.T) {
	m.tenant.ClearFaults()
	ops := map[string]simulator.Match{"create": onCreate, "find": onFind, "recover": onRecover}
	on := rapid.SampledFrom([]string{"create", "create", "create", "find", "recover"}).Draw(rt, "on")
	name := rapid.SampledFrom([]string{
		"late", "lost before", "lost after", "error before", "error after", "conflict before", "conflict after",
		"refused", "token", "limit", "elsewhere", "nonsense",
	}).Draw(rt, "goes")
	effects := map[string]simulator.Effect{
		"lost before":     {Drop: true},
		"lost after":      {Drop: true, Commit: simulator.CommitBefore},
		"error before":    {Status: 503},
		"error after":     {Status: 500, Commit: simulator.CommitBefore},
		"conflict before": {Status: 409},
		"conflict after":  {Status: 409, Commit: simulator.CommitBefore},
		"refused":         {Status: 422},
		"token":           {Status: 401},
		"limit":           {Status: 429, Headers: map[string]string{"Retry-After": "20"}},
		"elsewhere":       {Status: 405},
		"nonsense":        {Status: 200, Body: []byte(`{}`), Commit: simulator.CommitBefore},
	}
	if name == "late" {
		m.tenant.createLate(rapid.SampledFrom([]time.Duration{time.Second, 30 * time.Second, quarantine}).Draw(rt, "by"))
		return
	}
	if on == "recover" && name == "refused" && m.service.Lookup == nil {
		return // taken for "no such user": where nothing is unique, it must not be a lie
	}
	m.fault(t, simulator.Fault{Match: ops[on], Effect: effects[name], Times: 1})
}

// carryOne does a step of one of the sign-ups, as the queue does at some time.
func (m *model) carryOne(rt *rapid.T) {
	var all []accepted
	for _, p := range m.people {
		all = append(all, p.signups...)
	}
	if len(all) == 0 {
		return
	}
	a := all[rapid.IntRange(0, len(all)-1).Draw(rt, "sign-up")]
	if _, err := m.step(func(ctx context.Context) (time.Duration, error) { return m.service.Carry(ctx, a.id) }); err != nil {
		rt.Fatalf("carry: %v", err)
	}
}

// step does what a worker does, who may die of it.
func (*model) step(do func(ctx context.Context) (time.Duration, error)) (again time.Duration, err error) {
	defer func() {
		if cause := recover(); cause != nil && cause != (crash{}) {
			panic(cause)
		}
	}()
	return do(context.Background())
}

func (m *model) resend(t *testing.T, rt *rapid.T, p *person) {
	a := p.signups[rapid.IntRange(0, len(p.signups)-1).Draw(rt, "receipt")]
	now := m.clock.now()
	wished, err := m.store.WishResend(t.Context(), a.id, now, now.Add(mailPause))
	if err != nil {
		rt.Fatal(err)
	}
	if wished {
		m.wishes[p]++
	}
	for range rapid.IntRange(1, 2).Draw(rt, "times worked") {
		m.mortal(&fate{left: rapid.IntRange(-1, 4).Draw(rt, "point")})
		if _, err := m.step(func(ctx context.Context) (time.Duration, error) { return m.service.Resend(ctx, a.id) }); err != nil {
			rt.Fatalf("resend: %v", err)
		}
		m.mortal(&fate{left: -1})
	}
}

// check holds what must be true after every step.
func (m *model) check(t *testing.T, rt *rapid.T, lookup bool) {
	for _, user := range m.tenant.Users() {
		if user.Creates > 1 {
			rt.Fatalf("%s was created %d times", user.ExternalID, user.Creates)
		}
		if !slices.ContainsFunc(m.people, func(p *person) bool { return strings.EqualFold(p.address, user.Email) }) {
			rt.Fatalf("the provider has %+v", user)
		}
	}
	for _, p := range m.people {
		m.checkUser(t, rt, p, lookup)
		for _, a := range p.signups {
			m.checkSignup(t, rt, a)
		}
	}
	if n := m.count(t, `SELECT count(*) FROM users`); n > len(m.people) {
		rt.Fatalf("%d users of %d addresses", n, len(m.people))
	}
}

func (m *model) checkUser(t *testing.T, rt *rapid.T, p *person, lookup bool) {
	var externalID, status string
	var internalID sql.NullString
	err := m.db.SQL().QueryRowContext(t.Context(),
		`SELECT external_id, status, internal_id FROM users WHERE email_canonical = $1`, p.address).Scan(&externalID, &status, &internalID)
	switch {
	case errors.Is(err, sql.ErrNoRows) && p.externalID == "":
		return
	case err != nil:
		rt.Fatalf("%s: %v", p.address, err)
	case p.externalID != "" && string(p.externalID) != externalID:
		rt.Fatalf("%s was %s and is %s", p.address, p.externalID, externalID)
	case p.internalID != "" && p.internalID != internalID.String:
		rt.Fatalf("%s had the internal_id %s and has %q", p.address, p.internalID, internalID.String)
	}
	p.externalID, p.internalID = directory.ExternalID(externalID), internalID.String
	m.checkAudit(t, rt, externalID, directory.Status(status))
	for _, user := range m.tenant.Users() {
		if user.ExternalID != externalID {
			continue
		}
		if p.internalID != "" && p.internalID != user.InternalID {
			rt.Fatalf("%s is %s here and %s there", p.address, p.internalID, user.InternalID)
		}
		// Without a look-up, looking costs a mail.
		if lookup && user.Mails > m.wishes[p] {
			rt.Fatalf("%s got %d mails for %d wishes", p.address, user.Mails, m.wishes[p])
		}
	}
}

// checkAudit holds the lines of the audit to one unbroken chain of legal moves
// that ends where the user is.
func (m *model) checkAudit(t *testing.T, rt *rapid.T, userID string, status directory.Status) {
	rows, err := m.db.SQL().QueryContext(t.Context(), `
		SELECT coalesce(from_status, ''), coalesce(to_status, ''), action FROM audit_events
		WHERE user_id = $1 AND to_status IS NOT NULL ORDER BY id`, userID)
	if err != nil {
		rt.Fatal(err)
	}
	defer rows.Close()
	var at directory.Status
	for rows.Next() {
		var from, to directory.Status
		var action string
		if err := rows.Scan(&from, &to, &action); err != nil {
			rt.Fatal(err)
		}
		legal := from.CanBecome(to) || from == "" && to == directory.Received
		if from != at || !legal || action != "user."+string(to) {
			rt.Fatalf("%s: the audit has %s from %q to %q after %q", userID, action, from, to, at)
		}
		at = to
	}
	if err := rows.Err(); err != nil {
		rt.Fatal(err)
	}
	if at != status {
		rt.Fatalf("%s is %s and the audit ends at %q", userID, status, at)
	}
}

func (m *model) checkSignup(t *testing.T, rt *rapid.T, a accepted) {
	record, err := m.store.FindSignup(t.Context(), a.hash)
	if err != nil {
		rt.Fatal(err)
	}
	if before, ok := m.settled[a.id]; ok && !record.SettledAt.Equal(before) {
		rt.Fatalf("settled at %s, and then at %s", before, record.SettledAt)
	}
	if !record.SettledAt.IsZero() {
		m.settled[a.id] = record.SettledAt
		if record.UserStatus == directory.Received || record.UserStatus == directory.Provisioning || record.UserStatus == "" {
			rt.Fatalf("settled, and its user is %q", record.UserStatus)
		}
	}
}

// finish lets the provider be well again: then every sign-up is settled, and
// everybody who is invited is at the provider.
func (m *model) finish(t *testing.T, rt *rapid.T, lookup bool) {
	m.tenant.ClearFaults()
	m.tenant.createLate(0)
	m.settleAll(rt)
	m.check(t, rt, lookup)
	for _, p := range m.people {
		if p.internalID != "" && !slices.ContainsFunc(m.tenant.Users(), func(user simulator.User) bool {
			return user.InternalID == p.internalID && user.ExternalID == string(p.externalID)
		}) {
			rt.Fatalf("%s is nobody at the provider", p.address)
		}
	}
}

// settleAll carries all sign-ups, as the queue does, until nothing is left to
// do for any.
func (m *model) settleAll(rt *rapid.T) {
	for range 200 {
		var wait time.Duration
		for _, p := range m.people {
			for _, a := range p.signups {
				again, err := m.service.Carry(context.Background(), a.id)
				if err != nil {
					rt.Fatal(err)
				}
				wait = max(wait, again)
			}
		}
		if wait == 0 {
			return
		}
		m.clock.advance(wait)
	}
	rt.Fatalf("not all are settled, after %q", m.tenant.trace())
}
