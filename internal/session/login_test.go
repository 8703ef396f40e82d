package session_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

// told is a login of which the provider says all that it can.
func (w *world) told() session.Login {
	return session.Login{
		Identity: w.identity, AuthTime: w.clock.now().Add(-90 * time.Second).Truncate(time.Second),
		ACR: "phr", AMR: []string{"hwk", `"quoted"`, "fünf"}, ProviderSession: "sid-1",
		UserAgent: "Mozilla/5.0 (X11)", Address: "203.0.113.7",
	}
}

func TestWhatTheProviderSaysOfALoginIsKeptAndFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		login, at := w.told(), w.clock.now().Truncate(time.Microsecond)
		for _, client := range []session.Client{session.Browser, session.Native} {
			opened, err := w.sessions.Open(t.Context(), client, login)
			if err != nil {
				t.Fatal(err)
			}
			want := session.Session{
				ID: opened.Session.ID, UserID: opened.User.ID, Client: client,
				CreatedAt: at, LastSeenAt: at, IdleExpiresAt: at.Add(idle), ExpiresAt: at.Add(absolute),
				AuthTime: login.AuthTime, ACR: login.ACR, AMR: login.AMR, Issuer: w.identity.Issuer,
				ProviderSession: "sid-1", UserAgent: login.UserAgent, Address: login.Address,
			}
			if found := w.recognised(t, opened.Token); !reflect.DeepEqual(found, want) || !reflect.DeepEqual(opened.Session, want) {
				t.Errorf("opened %+v\nfound  %+v\nnot    %+v", opened.Session, found, want)
			}
			listed, err := w.sessions.List(t.Context(), opened.User.ID)
			if err != nil || !slices.ContainsFunc(listed, func(s session.Session) bool { return reflect.DeepEqual(s, want) }) {
				t.Errorf("listed %+v, %v", listed, err)
			}
		}
	})
}

func TestWhereALoginComesFromIsCleanedBeforeItIsKept(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.SQLite(t)
	w := newWorld(t, databaseURL)
	for name, test := range map[string]struct{ userAgent, address, wantUserAgent, wantAddress string }{
		"nothing":                  {},
		"as it should be":          {"App/1.0 (iOS)", "2001:db8::1", "App/1.0 (iOS)", "2001:db8::1"},
		"control characters":       {"a\x00b\x1b[31mc\r\nd\x7f", "203.0.113.7\n", "ab[31mcd", ""},
		"a writing direction":      {"a\u202eb\u200bc\u2028d", "", "abcd", ""},
		"no text":                  {"a\xffb\xc3", "\xff", "ab", ""},
		"spaces around":            {"  App  1 ", " 203.0.113.7", "App  1", ""},
		"too long":                 {strings.Repeat("a", 1000), "", strings.Repeat("a", 256), ""},
		"cut within a character":   {strings.Repeat("a", 255) + "éé", "", strings.Repeat("a", 255), ""},
		"cut after a character":    {strings.Repeat("a", 254) + "éé", "", strings.Repeat("a", 254) + "é", ""},
		"an address in long form":  {"", "2001:DB8:0:0:0:0:0:1", "", "2001:db8::1"},
		"an address of a zone":     {"", "fe80::1%eth0", "", "fe80::1"},
		"a mapped address":         {"", "::ffff:203.0.113.7", "", "203.0.113.7"},
		"a name for an address":    {"", "evil.example", "", ""},
		"a port behind an address": {"", "203.0.113.7:80", "", ""},
	} {
		login := w.login()
		login.UserAgent, login.Address = test.userAgent, test.address
		opened, err := w.sessions.Open(t.Context(), session.Browser, login)
		if err != nil {
			t.Fatal(err)
		}
		found := w.recognised(t, opened.Token)
		if found.UserAgent != test.wantUserAgent || found.Address != test.wantAddress {
			t.Errorf("%s is kept as %q from %q", name, found.UserAgent, found.Address)
		}
	}
}

func TestASVS_7_6_1_ASessionEndsAndALoginIsRefusedWhenTheProofIsTooOld(t *testing.T) {
	t.Parallel()
	const age = 8 * time.Hour
	for name, test := range map[string]struct {
		age     time.Duration // of the proof
		unsaid  bool          // the provider does not say
		limit   time.Duration
		ends    time.Duration // after the login
		refused bool
	}{
		"no limit": {age: 1000 * time.Hour, ends: absolute},
		"no limit, proved in the future by a clock that is ahead": {age: -time.Minute, ends: absolute},
		"no limit, proved in a future that no clock explains":     {age: -time.Minute - time.Microsecond, refused: true},
		"proved just now":                         {limit: age, ends: age},
		"proved a while ago":                      {limit: age, age: time.Hour, ends: age - time.Hour},
		"proved at the last moment":               {limit: age, age: age - time.Microsecond, ends: time.Microsecond},
		"proved too long ago":                     {limit: age, age: age, refused: true},
		"proved in the future":                    {limit: age, age: -30 * time.Second, ends: age},
		"proved nobody knows when":                {limit: age, unsaid: true, ends: age},
		"the absolute end comes first":            {limit: 2 * absolute, age: time.Hour, ends: absolute},
		"the absolute end comes at the same time": {limit: absolute + time.Hour, age: time.Hour, ends: absolute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, databaseURL)
				w.sessions.ProviderAge, w.sessions.Idle = test.limit, 2*absolute
				at, login := w.clock.now().Truncate(time.Microsecond), w.login()
				if !test.unsaid {
					login.AuthTime = at.Add(-test.age)
				}
				opened, err := w.sessions.Open(t.Context(), session.Browser, login)
				if test.refused {
					_, codeErr := w.sessions.Grant(t.Context(), login, challenge(t))
					if !errors.Is(err, session.ErrLoginTooOld) || !errors.Is(codeErr, session.ErrLoginTooOld) {
						t.Errorf("not refused: %v, %v", err, codeErr)
					}
					if n := count(t, w.db.SQL(), `SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM native_codes)`); n != 0 {
						t.Errorf("%d rows", n)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if opened.Session.AuthTime.After(at) || !opened.Session.ExpiresAt.Equal(at.Add(test.ends)) {
					t.Errorf("proved at %s, ends after %s", opened.Session.AuthTime, opened.Session.ExpiresAt.Sub(at))
				}
				w.clock.advance(test.ends - time.Microsecond)
				w.recognised(t, opened.Token)
				w.clock.advance(time.Microsecond)
				if _, _, err := w.sessions.Recognise(t.Context(), opened.Token); !errors.Is(err, session.ErrExpired) {
					t.Errorf("at its end: %v", err)
				}
			})
		})
	}
}

func TestALoginIsRecentForAWhile(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.SQLite(t)
	w := newWorld(t, databaseURL)
	w.sessions.RecentLogin = 10 * time.Minute
	login := w.login()
	login.AuthTime = w.clock.now().Add(-4 * time.Minute).Truncate(time.Second)
	opened, err := w.sessions.Open(t.Context(), session.Browser, login)
	if err != nil {
		t.Fatal(err)
	}
	until := w.sessions.RecentUntil(opened.Session)
	if !until.Equal(login.AuthTime.Add(10 * time.Minute)) {
		t.Errorf("recent until %s", until)
	}
	w.clock.advance(until.Sub(w.clock.now()) - time.Microsecond)
	// Use does not make a login more recent.
	if !w.sessions.Recent(w.recognised(t, opened.Token)) {
		t.Error("not recent before its time is over")
	}
	w.clock.advance(time.Microsecond)
	if w.sessions.Recent(w.recognised(t, opened.Token)) {
		t.Error("recent when its time is over")
	}
	w.sessions.ProviderAge = 5 * time.Minute
	brief := w.open(t, session.Browser)
	if until := w.sessions.RecentUntil(brief.Session); !until.Equal(brief.Session.ExpiresAt) {
		t.Errorf("recent until %s, beyond its end at %s", until, brief.Session.ExpiresAt)
	}
	w.sessions.RecentLogin = 0
	if w.sessions.Recent(w.open(t, session.Browser).Session) {
		t.Error("recent although no login is")
	}
}

func TestOneSessionTooManyEndsTheOneUsedLongestAgo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.sessions.MaxPerUser = 3
		anna := w.identity
		w.identity = w.invite(t, "bert@example.com")
		berts := w.open(t, session.Browser)
		w.identity = anna
		var opened []session.Opened
		for _, client := range []session.Client{session.Browser, session.Native, session.Browser} {
			opened = append(opened, w.open(t, client))
			w.clock.advance(time.Minute)
		}
		w.recognised(t, opened[0].Token)
		w.sessions.Flush(t.Context())
		w.clock.advance(time.Minute)
		fourth := w.open(t, session.Native)
		w.remain(t, "used longest ago", map[int]session.Opened{0: opened[0], 2: opened[2], 3: fourth}, opened[1])

		// A login that replaces one ends no other.
		w.clock.advance(time.Minute)
		fifth := w.open(t, session.Browser, fourth.Token.Hash())
		w.remain(t, "replaced", map[int]session.Opened{0: opened[0], 2: opened[2], 4: fifth}, fourth)

		// What has ended anyway goes before what has not.
		w.exec(t, `UPDATE sessions SET expires_at = created_at WHERE id = $1`, string(fifth.Session.ID))
		w.clock.advance(time.Minute)
		sixth := w.open(t, session.Browser)
		w.remain(t, "ended anyway", map[int]session.Opened{0: opened[0], 2: opened[2], 5: sixth}, fifth)

		// A lower limit is reached at the next login.
		w.sessions.MaxPerUser = 1
		w.clock.advance(time.Minute)
		last := w.open(t, session.Browser)
		w.remain(t, "all but the new one", map[int]session.Opened{6: last, 7: berts}, opened[0], opened[2], sixth)
	})
}

func TestACodeCountsOnceItIsASession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.sessions.MaxPerUser = 1
		first := w.open(t, session.Browser)
		code := w.grant(t)
		w.recognised(t, first.Token)
		redeemed, err := w.sessions.Redeem(t.Context(), code, verifier, "", "")
		if err != nil {
			t.Fatal(err)
		}
		w.remain(t, "redeemed", map[int]session.Opened{1: redeemed}, first)
	})
}

// remain fails the test unless these are the sessions that open, and those are
// not.
func (w *world) remain(t *testing.T, when string, open map[int]session.Opened, ended ...session.Opened) {
	t.Helper()
	for i, o := range open {
		if _, _, err := w.sessions.Recognise(t.Context(), o.Token); err != nil {
			t.Errorf("%s: session %d: %v", when, i, err)
		}
	}
	for _, o := range ended {
		if _, _, err := w.sessions.Recognise(t.Context(), o.Token); !errors.Is(err, session.ErrUnknown) {
			t.Errorf("%s: a session that should have ended: %v", when, err)
		}
	}
}

func TestLoginsAtTheSameTimeDoNotExceedTheLimit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.sessions.MaxPerUser = 5
		codes := make([]session.Code, 8)
		for i := range codes {
			codes[i] = w.grant(t)
		}
		var logins sync.WaitGroup
		for _, code := range codes {
			logins.Go(func() {
				if _, err := w.sessions.Open(t.Context(), session.Browser, w.login()); err != nil {
					t.Error(err)
				}
			})
			logins.Go(func() {
				if _, err := w.sessions.Redeem(t.Context(), code, verifier, "", ""); err != nil {
					t.Error(err)
				}
			})
		}
		logins.Wait()
		if n := count(t, w.db.SQL(), `SELECT count(*) FROM sessions`); n != 5 {
			t.Errorf("%d sessions", n)
		}
	})
}
