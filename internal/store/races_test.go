package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

var rounds = flag.Int("rounds", 50, "how often 16 consumers race for each kind of secret that may be used once")

const consumers = 16

// race is one kind of secret.
type race struct {
	// begin makes a secret, and returns what each consumer does with it: nil
	// for whoever has got it.
	begin func(round int) func() error
	lost  error               // what the others get
	after func(won int) error // what is then true of the database
}

// errLost is what a consumer gets who is told so without an error.
var errLost = errors.New("not the first")

func TestASVS_15_4_2_OfManyWhoUseASecretAtOnceOneDoes(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, db *store.DB, s *store.Store) race{
		"a login's flow":                raceForFlow,
		"a native app's code":           raceForCode,
		"BCL-07 a provider's logout":    raceForLogout,
		"an invitation that is used up": raceForInvitation,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, s := newStore(t, storetest.Postgres(t))
			r := prepare(t, db, s)
			begun := time.Now()
			for round := range *rounds {
				consume := r.begin(round)
				if t.Failed() {
					return
				}
				r.run(t, round, consume)
			}
			if err := r.after(*rounds); err != nil {
				t.Error(err)
			}
			t.Logf("%d rounds of %d in %s", *rounds, consumers, time.Since(begun).Round(time.Second))
		})
	}
}

func (r race) run(t *testing.T, round int, consume func() error) {
	t.Helper()
	errs := make([]error, consumers)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			<-start
			errs[i] = consume()
		})
	}
	close(start)
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, r.lost) {
			t.Errorf("round %d: %v", round, err)
		}
	}
	if won != 1 {
		t.Errorf("round %d: %d of %d were the first", round, won, consumers)
	}
}

// holds says what a query counts, unless that is as many as it should be.
func holds(ctx context.Context, db *store.DB, query string, want int) error {
	var n int
	if err := db.SQL().QueryRowContext(ctx, query).Scan(&n); err != nil || n == want {
		return err
	}
	return errors.New(query + ": " + strconv.Itoa(n) + ", not " + strconv.Itoa(want))
}

func raceForFlow(t *testing.T, db *store.DB, s *store.Store) race {
	t.Helper()
	return race{
		begin: func(round int) func() error {
			flow := "flow" + strconv.Itoa(round)
			return func() error {
				first, err := s.UseFlow(t.Context(), flow, moment)
				if err == nil && !first {
					return errLost
				}
				return err
			}
		},
		lost:  errLost,
		after: func(won int) error { return holds(t.Context(), db, `SELECT count(*) FROM used_flows`, won) },
	}
}

// newSessions are the sessions of one user, and that user.
func newSessions(t *testing.T, s *store.Store) (*session.Service, session.Login) {
	t.Helper()
	return &session.Service{
		Store: s, Idle: time.Hour, Absolute: time.Hour, Now: func() time.Time { return moment }, Log: slog.New(slog.DiscardHandler),
	}, session.Login{Identity: identityOf(invite(t, s, "anna@example.com")), ProviderSession: "sid"}
}

func raceForCode(t *testing.T, db *store.DB, s *store.Store) race {
	t.Helper()
	sessions, login := newSessions(t, s)
	verifier := strings.Repeat("verifier-", 5)
	return race{
		begin: func(int) func() error {
			code, err := sessions.Grant(t.Context(), login, sha256.Sum256([]byte(verifier)))
			if err != nil {
				t.Error(err)
			}
			return func() error {
				_, err := sessions.Redeem(t.Context(), code, verifier, "", "")
				return err
			}
		},
		lost: session.ErrCode,
		after: func(won int) error {
			return errors.Join(
				holds(t.Context(), db, `SELECT count(*) FROM sessions WHERE client = 'native'`, won),
				holds(t.Context(), db, `SELECT count(*) FROM native_codes`, 0),
			)
		},
	}
}

func raceForLogout(t *testing.T, db *store.DB, s *store.Store) race {
	t.Helper()
	sessions, login := newSessions(t, s)
	return race{
		begin: func(round int) func() error {
			if _, err := sessions.Open(t.Context(), session.Browser, login); err != nil {
				t.Error(err)
			}
			logout := session.ProviderLogout{
				Issuer: login.Identity.Issuer, Session: login.ProviderSession, TokenID: strconv.Itoa(round), ExpiresAt: moment.Add(time.Minute),
			}
			return func() error {
				ended, err := sessions.EndOfProvider(t.Context(), logout)
				if err == nil && ended != 1 || err != nil && ended != 0 {
					t.Errorf("round %d: %d ended, %v", round, ended, err)
				}
				return err
			}
		},
		lost: session.ErrLogoutReplayed,
		after: func(won int) error {
			return errors.Join(
				holds(t.Context(), db, `SELECT count(*) FROM used_logout_tokens`, won),
				holds(t.Context(), db, `SELECT count(*) FROM sessions`, 0),
			)
		},
	}
}

func raceForInvitation(t *testing.T, db *store.DB, s *store.Store) race {
	t.Helper()
	return race{
		begin: func(int) func() error {
			created := invited(t, s, invitation.Terms{Uses: 1, Life: time.Hour})
			return func() error {
				_, err := store.RedeemInvitation(t.Context(), s, created.Code.Hash(), "anna@example.com", moment, nil)
				return err
			}
		},
		lost: invitation.ErrInvalid,
		after: func(won int) error {
			return errors.Join(
				holds(t.Context(), db, `SELECT count(*) FROM invitations`, won),
				holds(t.Context(), db, `SELECT count(*) FROM invitations WHERE uses_left <> 0`, 0),
			)
		},
	}
}

// Whoever locks several sessions does so in one order, or waits for none: were
// it otherwise, Postgres would end one of the statements for a deadlock.
func TestThoseWhoUseAndEndTheSameSessionsNeverWaitForEachOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		sessions, anna := newSessions(t, s)
		bert := session.Login{Identity: identityOf(invite(t, s, "bert@example.com")), ProviderSession: "sid"}
		for round := range min(*rounds, 200) {
			seen := make(map[session.ID]time.Time)
			var hashes []session.Hash
			var user directory.UserID
			for range 6 {
				opened, err := sessions.Open(t.Context(), session.Browser, anna)
				if err != nil {
					t.Fatal(err)
				}
				user = opened.User.ID
				seen[opened.Session.ID] = moment.Add(time.Duration(round+1) * time.Second)
				hashes = append(hashes, opened.Token.Hash())
			}
			code, err := sessions.Grant(t.Context(), anna, session.Challenge{})
			if err != nil {
				t.Fatal(err)
			}
			token := session.ProviderLogout{Issuer: anna.Identity.Issuer, Session: "sid", TokenID: strconv.Itoa(round), ExpiresAt: moment}
			allAtOnce(t, map[string]func() error{
				"use":            func() error { _, err := s.TouchSessions(t.Context(), seen); return err },
				"use elsewhere":  func() error { _, err := s.TouchSessions(t.Context(), seen); return err },
				"end the others": func() error { _, err := sessions.EndOthers(t.Context(), user, ""); return err },
				"log out":        func() error { _, err := sessions.EndOfProvider(t.Context(), token); return err },
				"purge": func() error {
					_, err := s.PurgeExpired(t.Context(), moment.Add(48*time.Hour), time.Hour, 4)
					return err
				},
				"redeem": func() error {
					_, err := sessions.Redeem(t.Context(), code, "", "", "")
					return but(err, session.ErrCode)
				},
				"log in as another": func() error { _, err := sessions.Open(t.Context(), session.Browser, bert, hashes...); return err },
				"suspend": func() error {
					_, err := db.SQL().ExecContext(t.Context(), `UPDATE users SET status = 'suspended' WHERE id = $1`, string(user))
					return err
				},
			})
			if _, err := db.SQL().ExecContext(t.Context(), `UPDATE users SET status = 'active' WHERE id = $1`, string(user)); err != nil {
				t.Fatal(err)
			}
			if n := count(t, db, `SELECT count(*) FROM sessions WHERE user_id = $1`, string(user)); n != 0 || t.Failed() {
				t.Fatalf("round %d: %d sessions are left", round, n)
			}
		}
	})
}

// allAtOnce does everything at once.
func allAtOnce(t *testing.T, all map[string]func() error) {
	t.Helper()
	start := make(chan struct{})
	var doing sync.WaitGroup
	for name, do := range all {
		doing.Go(func() {
			<-start
			if err := do(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	close(start)
	doing.Wait()
}

// but is err, unless it is the one that is expected.
func but(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
