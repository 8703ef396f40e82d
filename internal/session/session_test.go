package session_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestALoginOpensASessionThatItsTokenIsRecognisedBy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		at := w.clock.now().Truncate(time.Microsecond)
		for _, client := range []session.Client{session.Browser, session.Native} {
			opened := w.open(t, client)
			want := session.Session{
				ID: opened.Session.ID, UserID: opened.User.ID, Client: client,
				CreatedAt: at, LastSeenAt: at, IdleExpiresAt: at.Add(idle), ExpiresAt: at.Add(absolute),
			}
			if opened.Session != want {
				t.Errorf("opened %+v, not %+v", opened.Session, want)
			}
			user, found, err := w.sessions.Recognise(t.Context(), opened.Token)
			if err != nil || found != want || user != opened.User {
				t.Errorf("found %+v of %+v, %v; not %+v of %+v", found, user, err, want, opened.User)
			}
			if user.Status != directory.Active || user.ExternalID != w.identity.ExternalID || user.InternalID != w.identity.InternalID {
				t.Errorf("the user is %+v", user)
			}
		}
	})
}

func TestALoginThatIsRefusedOpensNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		planted := w.open(t, session.Browser)
		stranger, foreign := w.identity, w.identity
		stranger.ExternalID = "nobody"
		foreign.InternalID = "int-of-another"
		for name, test := range map[string]struct {
			identity directory.Identity
			want     error
		}{
			"of a stranger":               {stranger, directory.ErrNotRegistered},
			"of another user's namesake":  {foreign, directory.ErrIdentityMismatch},
			"with nothing but an address": {directory.Identity{}, directory.ErrNotRegistered},
		} {
			opened, err := w.sessions.Open(t.Context(), session.Browser, test.identity, planted.Token.Hash())
			if !errors.Is(err, test.want) || opened != (session.Opened{}) {
				t.Errorf("a login %s: %v, %v", name, opened, err)
			}
		}
		if n := count(t, w.db.SQL(), `SELECT count(*) FROM sessions`); n != 1 {
			t.Errorf("%d sessions", n)
		}
		w.recognised(t, planted.Token)
	})
}

func TestASessionEndsWhenItIsNotUsed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		w.clock.advance(idle - time.Microsecond)
		used := w.recognised(t, opened.Token)
		if want := w.clock.now().Truncate(time.Microsecond).Add(idle); !used.IdleExpiresAt.Equal(want) {
			t.Errorf("ends unused at %s, not %s", used.IdleExpiresAt, want)
		}
		w.clock.advance(idle)
		if _, _, err := w.sessions.Recognise(t.Context(), opened.Token); !errors.Is(err, session.ErrExpired) {
			t.Errorf("at its idle end: %v", err)
		}
		w.clock.advance(-time.Microsecond)
		w.recognised(t, opened.Token)
	})
}

func TestUseExtendsASessionNeverBeyondItsAbsoluteEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Native)
		for range int((absolute - idle) / (idle / 2)) {
			w.clock.advance(idle / 2)
			w.recognised(t, opened.Token)
			w.sessions.Flush(t.Context())
		}
		w.clock.advance(idle - time.Microsecond)
		last := w.recognised(t, opened.Token)
		if !last.IdleExpiresAt.Equal(opened.Session.ExpiresAt) || !last.ExpiresAt.Equal(opened.Session.ExpiresAt) {
			t.Errorf("ends at %s and %s, not %s", last.IdleExpiresAt, last.ExpiresAt, opened.Session.ExpiresAt)
		}
		w.clock.advance(time.Microsecond)
		if _, _, err := w.sessions.Recognise(t.Context(), opened.Token); !errors.Is(err, session.ErrExpired) {
			t.Errorf("at its absolute end: %v", err)
		}
	})
}

func TestAnExpiredSessionIsNotRevivedByAsking(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		w.clock.advance(idle)
		for range 3 {
			if _, _, err := w.sessions.Recognise(t.Context(), opened.Token); !errors.Is(err, session.ErrExpired) {
				t.Errorf("got %v", err)
			}
			w.sessions.Flush(t.Context())
		}
		if at := w.storedLastSeen(t, opened.Token); !at.Equal(opened.Session.LastSeenAt) {
			t.Errorf("last seen at %s", at)
		}
	})
}

func TestALogoutIsSeenByTheNextRequestOnEveryReplica(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		other := w.replica(w.sessions.Log)
		opened, kept := w.open(t, session.Browser), w.open(t, session.Native)
		if _, _, err := other.Recognise(t.Context(), opened.Token); err != nil {
			t.Fatal(err)
		}
		if err := w.sessions.End(t.Context(), opened.Token); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, _, err := other.Recognise(t.Context(), opened.Token); !errors.Is(err, session.ErrUnknown) {
				t.Errorf("the other replica: %v", err)
			}
			if _, _, err := w.sessions.Recognise(t.Context(), opened.Token); !errors.Is(err, session.ErrUnknown) {
				t.Errorf("this one: %v", err)
			}
			// What the replicas remember of its use brings it back no more.
			other.Flush(t.Context())
			w.sessions.Flush(t.Context())
		}
		if err := w.sessions.End(t.Context(), opened.Token); !errors.Is(err, session.ErrUnknown) {
			t.Errorf("ended twice: %v", err)
		}
		w.recognised(t, kept.Token)
	})
}

func TestALoginEndsTheSessionsThatItReplaces(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		first, second, kept := w.open(t, session.Browser), w.open(t, session.Browser), w.open(t, session.Browser)
		unknown := session.NewToken(session.Browser)
		opened := w.open(t, session.Browser, first.Token.Hash(), second.Token.Hash(), unknown.Hash())
		for _, replaced := range []session.Opened{first, second} {
			if _, _, err := w.sessions.Recognise(t.Context(), replaced.Token); !errors.Is(err, session.ErrUnknown) {
				t.Errorf("a replaced session: %v", err)
			}
		}
		w.recognised(t, kept.Token)
		w.recognised(t, opened.Token)
	})
}

func TestATokenIsNotTakenInTheOtherKindsPlace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		native, browser := w.open(t, session.Native), w.open(t, session.Browser)
		// A token may be re-spelled by whoever has it.
		asCookie, err := session.ParseToken(session.Browser, native.Token.Reveal()[len("pts_"):])
		if err != nil {
			t.Fatal(err)
		}
		asBearer, err := session.ParseToken(session.Native, "pts_"+browser.Token.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]session.Token{"a bearer token as a cookie": asCookie, "a cookie as a bearer token": asBearer} {
			if _, _, err := w.sessions.Recognise(t.Context(), token); !errors.Is(err, session.ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestATokenThatWasNeverIssuedIsUnknown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		token := session.NewToken(session.Browser)
		if _, _, err := w.sessions.Recognise(t.Context(), token); !errors.Is(err, session.ErrUnknown) {
			t.Errorf("recognised: %v", err)
		}
		if err := w.sessions.End(t.Context(), token); !errors.Is(err, session.ErrUnknown) {
			t.Errorf("ended: %v", err)
		}
	})
}

func TestASessionOfAUserWhoIsNoLongerActiveOpensNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		for _, status := range directory.Statuses() {
			if _, err := w.db.SQL().ExecContext(t.Context(), `UPDATE users SET status = $1`, string(status)); err != nil {
				t.Fatal(err)
			}
			_, _, err := w.sessions.Recognise(t.Context(), opened.Token)
			if status == directory.Active {
				if err != nil {
					t.Errorf("%s: %v", status, err)
				}
			} else if !errors.Is(err, session.ErrUnknown) {
				t.Errorf("%s: %v", status, err)
			}
		}
	})
}

func TestADatabaseThatIsAwayIsNotAnUnknownSession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		_, _, err := w.sessions.Recognise(t.Context(), opened.Token)
		unavailable(t, "recognise", err)
		unavailable(t, "end", w.sessions.End(t.Context(), opened.Token))
		_, err = w.sessions.Open(t.Context(), session.Browser, w.identity)
		unavailable(t, "open", err)
	})
}

func unavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, session.ErrUnknown) || errors.Is(err, session.ErrExpired) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestAFirstLoginOnSeveralDevicesAtOnceOpensASessionOnEach(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		var devices sync.WaitGroup
		for range 8 {
			devices.Go(func() {
				opened, err := w.sessions.Open(t.Context(), session.Browser, w.identity)
				if err != nil {
					t.Error(err)
					return
				}
				if _, _, err := w.sessions.Recognise(t.Context(), opened.Token); err != nil {
					t.Error(err)
				}
			})
		}
		devices.Wait()
	})
}
