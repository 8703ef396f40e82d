package session_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

func idsOf(sessions []session.Session) []session.ID {
	ids := make([]session.ID, len(sessions))
	for i, s := range sessions {
		ids[i] = s.ID
	}
	return ids
}

func TestAUserSeesTheSessionsThatStillOpenTheOneUsedLastFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		anna := w.identity
		w.identity = w.invite(t, "bert@example.com")
		berts := w.open(t, session.Browser)
		w.identity = anna
		unused, used := w.open(t, session.Browser), w.open(t, session.Native)
		w.clock.advance(10 * time.Minute)
		late := w.open(t, session.Native)
		w.clock.advance(10 * time.Minute)
		w.recognised(t, used.Token) // which is not written yet
		at := w.clock.now().Truncate(time.Microsecond)
		listed, err := w.sessions.List(t.Context(), used.User.ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := []session.ID{used.Session.ID, late.Session.ID, unused.Session.ID}; !slices.Equal(idsOf(listed), want) {
			t.Fatalf("listed %v, not %v", idsOf(listed), want)
		}
		if !listed[0].LastSeenAt.Equal(at) || !listed[0].IdleExpiresAt.Equal(at.Add(idle)) {
			t.Errorf("last seen at %s, ends unused at %s", listed[0].LastSeenAt, listed[0].IdleExpiresAt)
		}
		// Another replica hears of the use when it is written.
		other := w.replica(w.sessions.Log)
		listed, err = other.List(t.Context(), used.User.ID)
		if err != nil || len(listed) != 3 || listed[0].ID != late.Session.ID {
			t.Errorf("the other replica lists %v, %v", idsOf(listed), err)
		}
		w.sessions.Flush(t.Context())
		if listed, err = other.List(t.Context(), used.User.ID); err != nil || listed[0].ID != used.Session.ID {
			t.Errorf("then it lists %v, %v", idsOf(listed), err)
		}
		// To look at a session is not to use it.
		w.clock.advance(idle - 20*time.Minute - time.Microsecond)
		if listed, err = w.sessions.List(t.Context(), used.User.ID); err != nil || len(listed) != 3 {
			t.Errorf("just before the idle end: %v, %v", idsOf(listed), err)
		}
		w.clock.advance(time.Microsecond)
		if listed, err = w.sessions.List(t.Context(), used.User.ID); err != nil || len(listed) != 2 {
			t.Errorf("at the idle end: %v, %v", idsOf(listed), err)
		}
		if listed, err = w.sessions.List(t.Context(), berts.User.ID); err != nil || len(listed) != 0 {
			t.Errorf("another user's: %v, %v", idsOf(listed), err)
		}
		if listed, err = w.sessions.List(t.Context(), directory.NewUserID()); err != nil || len(listed) != 0 {
			t.Errorf("nobody's: %v, %v", idsOf(listed), err)
		}
	})
}

func TestASessionPastItsAbsoluteEndIsNotListed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.sessions.Idle = 2 * absolute
		opened := w.open(t, session.Browser)
		w.clock.advance(absolute - time.Microsecond)
		for _, want := range []int{1, 0} {
			if listed, err := w.sessions.List(t.Context(), opened.User.ID); err != nil || len(listed) != want {
				t.Errorf("listed %v, %v; not %d", idsOf(listed), err, want)
			}
			w.clock.advance(time.Microsecond)
		}
	})
}

func TestASVS_8_2_2_NobodyEndsAnothersSessionNorLearnsOfIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		anna := w.open(t, session.Browser)
		w.identity = w.invite(t, "bert@example.com")
		bert, kept := w.open(t, session.Browser), w.open(t, session.Native)
		for name, id := range map[string]session.ID{
			"another's":       anna.Session.ID,
			"nobody's":        session.ID(directory.NewUserID()),
			"empty":           "",
			"no id":           "' OR 1=1 --",
			"in capitals":     session.ID("0198B3F0-0000-7000-8000-00000000000A"),
			"in braces":       "{" + bert.Session.ID + "}",
			"without dashes":  "0198b3f000007000800000000000000a",
			"with a NUL":      bert.Session.ID[:35] + "\x00",
			"a token instead": session.ID(bert.Token.Reveal()),
		} {
			if err := w.sessions.EndByID(t.Context(), bert.User.ID, id); err != session.ErrUnknown { //nolint:errorlint // alike, whichever it is
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.sessions.EndByID(t.Context(), bert.User.ID, bert.Session.ID); err != nil {
			t.Errorf("one's own: %v", err)
		}
		if err := w.sessions.EndByID(t.Context(), bert.User.ID, bert.Session.ID); !errors.Is(err, session.ErrUnknown) {
			t.Errorf("one's own, again: %v", err)
		}
		w.remain(t, "afterwards", map[int]session.Opened{0: anna, 1: kept}, bert)
	})
}

func TestASVS_7_4_3_AUserEndsAllOtherSessions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		anna := w.open(t, session.Browser)
		annasCode := w.grant(t)
		w.identity = w.invite(t, "bert@example.com")
		kept, browser, native := w.open(t, session.Browser), w.open(t, session.Browser), w.open(t, session.Native)
		code := w.grant(t)
		if n, err := w.sessions.EndOthers(t.Context(), kept.User.ID, "no id"); n != 0 || !errors.Is(err, session.ErrUnknown) {
			t.Errorf("but one that is none: %d, %v", n, err)
		}
		if n, err := w.sessions.EndOthers(t.Context(), kept.User.ID, kept.Session.ID); n != 2 || err != nil {
			t.Errorf("the others: %d, %v", n, err)
		}
		w.remain(t, "the others", map[int]session.Opened{0: anna, 1: kept}, browser, native)
		if _, err := w.sessions.Redeem(t.Context(), code, verifier, "", ""); !errors.Is(err, session.ErrCode) {
			t.Errorf("a code from before: %v", err)
		}
		if n, err := w.sessions.EndOthers(t.Context(), kept.User.ID, kept.Session.ID); n != 0 || err != nil {
			t.Errorf("again: %d, %v", n, err)
		}
		if n, err := w.sessions.EndOthers(t.Context(), kept.User.ID, ""); n != 1 || err != nil {
			t.Errorf("all: %d, %v", n, err)
		}
		w.remain(t, "all", map[int]session.Opened{0: anna}, kept)
		if n, err := w.sessions.EndOthers(t.Context(), directory.NewUserID(), ""); n != 0 || err != nil {
			t.Errorf("nobody's: %d, %v", n, err)
		}
		if _, err := w.sessions.Redeem(t.Context(), annasCode, verifier, "", ""); err != nil {
			t.Errorf("another's code: %v", err)
		}
	})
}

// Anna is signed in twice in the provider's session s1, once in s2, and once in
// one that was not named; with a code for each. Bert is signed in in s3 and, as
// a provider may have it, in s1 as well.
func TestBCL04_ALogoutEndsWhatItNames(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		session, subject string // A and B are the users', X is nobody's
		issuer           string
		ended            []string
		want             error
	}{
		"sub alone is all of theirs":             {subject: "A", ended: []string{"A s1", "A s1 again", "A s2", "A"}},
		"sid alone is that session, of whomever": {session: "s1", ended: []string{"A s1", "A s1 again", "B s1"}},
		"sid alone is that one and no other":     {session: "s3", ended: []string{"B s3"}},
		"both are that session of theirs":        {session: "s1", subject: "A", ended: []string{"A s1", "A s1 again"}},
		"BCL-11 both, but not of theirs":         {session: "s3", subject: "A"},
		"BCL-11 a sub whom nobody is":            {subject: "X"},
		"BCL-11 a sid that nobody has":           {session: "s9"},
		"BCL-11 a sid in other letters":          {session: "S1"},
		"BCL-11 a sub of another issuer":         {subject: "A", issuer: "https://other.example"},
		"BCL-11 a sid of another issuer":         {session: "s1", issuer: "https://other.example"},
		"BCL-11 a pattern is no name":            {session: "s%"},
		"neither is refused":                     {want: session.ErrLogoutUnclear},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, databaseURL)
				subjects := map[string]string{"X": "nobody", "A": w.identity.Subject}
				opened, codes := w.signInAll(t, []string{"A s1", "A s1 again", "A s2", "A"})
				w.identity = w.invite(t, "bert@example.com")
				subjects["B"] = w.identity.Subject
				berts, bertsCodes := w.signInAll(t, []string{"B s3", "B s1"})
				logout := w.logout("jti-1")
				logout.Subject, logout.Session = subjects[test.subject], test.session
				if test.issuer != "" {
					logout.Issuer = test.issuer
				}
				ended, err := w.sessions.EndOfProvider(t.Context(), logout)
				if ended != len(test.ended) || !errors.Is(err, test.want) {
					t.Errorf("%d ended, %v; not %d", ended, err, len(test.ended))
				}
				for _, all := range []map[string]session.Opened{opened, berts} {
					w.checkEnded(t, all, test.ended)
				}
				for _, all := range []map[string]session.Code{codes, bertsCodes} {
					w.checkSpent(t, all, test.ended)
				}
			})
		})
	}
}

// signInAll opens a session, and grants a code, for each of the names: a user,
// and the provider's session.
func (w *world) signInAll(t *testing.T, names []string) (map[string]session.Opened, map[string]session.Code) {
	t.Helper()
	opened, codes := make(map[string]session.Opened), make(map[string]session.Code)
	for _, name := range names {
		login := w.login()
		if len(name) > 1 {
			login.ProviderSession = name[2:4]
		}
		var err error
		if opened[name], err = w.sessions.Open(t.Context(), session.Browser, login); err != nil {
			t.Fatal(err)
		}
		if codes[name], err = w.sessions.Grant(t.Context(), login, challenge(t)); err != nil {
			t.Fatal(err)
		}
	}
	return opened, codes
}

func (w *world) checkEnded(t *testing.T, all map[string]session.Opened, ended []string) {
	t.Helper()
	for name, o := range all {
		_, _, err := w.sessions.Recognise(t.Context(), o.Token)
		if slices.Contains(ended, name) != errors.Is(err, session.ErrUnknown) {
			t.Errorf("the session %s: %v", name, err)
		}
	}
}

func (w *world) checkSpent(t *testing.T, all map[string]session.Code, ended []string) {
	t.Helper()
	for name, code := range all {
		_, err := w.sessions.Redeem(t.Context(), code, verifier, "", "")
		if slices.Contains(ended, name) != errors.Is(err, session.ErrCode) {
			t.Errorf("the code of %s: %v", name, err)
		}
	}
}

func TestBCL07_ALogoutTokenIsObeyedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		first := w.open(t, session.Browser)
		logout := w.logout("jti-1")
		if ended, err := w.sessions.EndOfProvider(t.Context(), logout); ended != 1 || err != nil {
			t.Fatal(ended, err)
		}
		again := w.open(t, session.Browser)
		if ended, err := w.replica(w.sessions.Log).EndOfProvider(t.Context(), logout); ended != 0 || !errors.Is(err, session.ErrLogoutReplayed) {
			t.Errorf("again: %d, %v", ended, err)
		}
		w.remain(t, "a replay", map[int]session.Opened{1: again}, first)
		for name, other := range map[string]session.ProviderLogout{
			"another id":                  {Issuer: logout.Issuer, Subject: "nobody", TokenID: "jti-2"},
			"an id in other letters":      {Issuer: logout.Issuer, Subject: "nobody", TokenID: "JTI-1"},
			"the same id of another":      {Issuer: "https://other.example", Subject: "nobody", TokenID: "jti-1"},
			"the same letters, elsewhere": {Issuer: logout.Issuer + "j", Subject: "nobody", TokenID: "ti-1"},
		} {
			other.ExpiresAt = logout.ExpiresAt
			if ended, err := w.sessions.EndOfProvider(t.Context(), other); ended != 0 || err != nil {
				t.Errorf("%s: %d, %v", name, ended, err)
			}
		}
		for name, unclear := range map[string]session.ProviderLogout{
			"no id":     {Issuer: logout.Issuer, Subject: w.identity.Subject},
			"no issuer": {Subject: w.identity.Subject, TokenID: "jti-9"},
		} {
			if ended, err := w.sessions.EndOfProvider(t.Context(), unclear); ended != 0 || !errors.Is(err, session.ErrLogoutUnclear) {
				t.Errorf("%s: %d, %v", name, ended, err)
			}
		}
		w.recognised(t, again.Token)
	})
}

// A token whose logout was not carried out is not used up: the provider sends
// it again.
func TestALogoutThatFailedMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		w.exec(t, `ALTER TABLE native_codes RENAME TO hidden`)
		if ended, err := w.sessions.EndOfProvider(t.Context(), w.logout("jti-1")); err == nil {
			t.Fatalf("%d ended", ended)
		}
		w.recognised(t, opened.Token)
		w.exec(t, `ALTER TABLE hidden RENAME TO native_codes`)
		if ended, err := w.sessions.EndOfProvider(t.Context(), w.logout("jti-1")); ended != 1 || err != nil {
			t.Errorf("again: %d, %v", ended, err)
		}
	})
}
