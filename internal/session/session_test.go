package session_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
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
				AuthTime: at, Issuer: w.identity.Issuer,
			}
			if !reflect.DeepEqual(opened.Session, want) {
				t.Errorf("opened %+v, not %+v", opened.Session, want)
			}
			user, found, err := w.sessions.Recognise(t.Context(), opened.Token)
			// A look-up reads what signed-in users are told of themselves.
			told := opened.User
			told.Version, told.Origin, told.Locale, told.SyncClass, told.LastClass = 0, "", "", "", ""
			if err != nil || !reflect.DeepEqual(found, want) || user != told {
				t.Errorf("found %+v of %+v, %v; not %+v of %+v", found, user, err, want, told)
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
			opened, err := w.sessions.Open(t.Context(), session.Browser, session.Login{Identity: test.identity}, planted.Token.Hash())
			if !errors.Is(err, test.want) || !reflect.DeepEqual(opened, session.Opened{}) {
				t.Errorf("a login %s: %v, %v", name, opened, err)
			}
		}
		if n := count(t, w.db.SQL(), `SELECT count(*) FROM sessions`); n != 1 {
			t.Errorf("%d sessions", n)
		}
		w.recognised(t, planted.Token)
	})
}

func TestASVS_7_3_1_ASessionEndsWhenItIsNotUsed(t *testing.T) {
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

func TestASVS_7_3_2_UseExtendsASessionNeverBeyondItsAbsoluteEnd(t *testing.T) {
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

func TestASVS_7_2_4_ALoginEndsTheSessionsThatItReplaces(t *testing.T) {
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

func TestASVS_7_4_2_WhoeverIsNoLongerActiveHasNoSessionAndNoCodeAtOnce(t *testing.T) {
	t.Parallel()
	for _, status := range directory.Statuses() {
		if status == directory.Active {
			continue
		}
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, databaseURL)
				browser, native := w.open(t, session.Browser), w.open(t, session.Native)
				code := w.grant(t)
				anna := w.identity
				w.identity = w.invite(t, "bert@example.com")
				bert, bertsCode := w.open(t, session.Browser), w.grant(t)
				w.setStatus(t, anna, status)
				// Not even restoring the user brings them back.
				for _, now := range []directory.Status{status, directory.Active} {
					w.setStatus(t, anna, now)
					for _, opened := range []session.Opened{browser, native} {
						if _, _, err := w.sessions.Recognise(t.Context(), opened.Token); !errors.Is(err, session.ErrUnknown) {
							t.Errorf("%s: %v", now, err)
						}
					}
				}
				if _, err := w.sessions.Redeem(t.Context(), code, verifier, "", ""); !errors.Is(err, session.ErrCode) {
					t.Errorf("the code: %v", err)
				}
				w.recognised(t, bert.Token)
				if _, err := w.sessions.Redeem(t.Context(), bertsCode, verifier, "", ""); err != nil {
					t.Errorf("another's code: %v", err)
				}
			})
		})
	}
}

// The schema ends the sessions of whoever is no longer active. This is what
// holds if it did not.
func TestASessionThatOutlivedItsUsersStatusOpensNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		w.dropTrigger(t)
		for _, status := range directory.Statuses() {
			w.setStatus(t, w.identity, status)
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

func TestASVS_7_2_1_ASessionIsOnlyWhatTheDatabaseSays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened := w.open(t, session.Browser)
		w.recognised(t, opened.Token)
		for _, change := range []struct {
			statement string
			want      error
		}{
			{`UPDATE sessions SET client = 'native'`, session.ErrUnknown},
			{`UPDATE sessions SET client = 'browser'`, nil},
			{`UPDATE sessions SET expires_at = '2026-03-01 12:00:00+00:00'`, session.ErrExpired},
			{`UPDATE sessions SET expires_at = '2026-03-01 13:00:00+00:00'`, nil},
			{`DELETE FROM sessions`, session.ErrUnknown},
		} {
			w.exec(t, change.statement)
			if _, _, err := w.sessions.Recognise(t.Context(), opened.Token); !errors.Is(err, change.want) {
				t.Errorf("%s: %v", change.statement, err)
			}
		}
	})
}

func TestASVS_7_2_2_EveryLoginHasATokenAndAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		tokens, ids := make(map[string]bool), make(map[session.ID]bool)
		for range 20 {
			for _, client := range []session.Client{session.Browser, session.Native} {
				opened := w.open(t, client)
				tokens[opened.Token.Reveal()], ids[opened.Session.ID] = true, true
			}
			redeemed, err := w.sessions.Redeem(t.Context(), w.grant(t), verifier, "", "")
			if err != nil {
				t.Fatal(err)
			}
			tokens[redeemed.Token.Reveal()], ids[redeemed.Session.ID] = true, true
		}
		if len(tokens) != 60 || len(ids) != 60 {
			t.Errorf("60 logins have %d tokens and %d ids", len(tokens), len(ids))
		}
	})
}

func TestASVS_11_4_1_OfSecretsOnlyTheirSHA256IsStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		for name, secret := range map[string]struct{ text, table, column string }{
			"a browser's token": {w.open(t, session.Browser).Token.Reveal(), "sessions", "token_hash"},
			"an app's token":    {strings.TrimPrefix(w.open(t, session.Native).Token.Reveal(), "pts_"), "sessions", "token_hash"},
			"an app's code":     {strings.TrimPrefix(w.grant(t).Reveal(), "ptc_"), "native_codes", "code_hash"},
		} {
			raw, err := base64.RawURLEncoding.DecodeString(secret.text)
			if err != nil || len(raw) != 32 {
				t.Fatalf("%s is of %d bytes, %v", name, len(raw), err)
			}
			hash := sha256.Sum256(raw)
			find := `SELECT count(*) FROM ` + secret.table + ` WHERE ` + secret.column + ` = $1`
			if n := count(t, w.db.SQL(), find, hash[:]); n != 1 {
				t.Errorf("%s: %d rows have its hash", name, n)
			}
			if n := count(t, w.db.SQL(), find, raw); n != 0 {
				t.Errorf("%s: %d rows have itself", name, n)
			}
		}
		if n := count(t, w.db.SQL(), `SELECT count(*) FROM native_codes WHERE challenge = $1`, []byte(verifier)); n != 0 {
			t.Errorf("%d rows have a verifier", n)
		}
	})
}

func TestADatabaseThatIsAwayIsNotAnUnknownSession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		opened, code := w.open(t, session.Browser), w.grant(t)
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		_, _, err := w.sessions.Recognise(t.Context(), opened.Token)
		unavailable(t, "recognise", err)
		unavailable(t, "end", w.sessions.End(t.Context(), opened.Token))
		_, err = w.sessions.Open(t.Context(), session.Browser, w.login())
		unavailable(t, "open", err)
		_, err = w.sessions.List(t.Context(), opened.User.ID)
		unavailable(t, "list", err)
		unavailable(t, "end by id", w.sessions.EndByID(t.Context(), opened.User.ID, opened.Session.ID))
		_, err = w.sessions.EndOthers(t.Context(), opened.User.ID, opened.Session.ID)
		unavailable(t, "end others", err)
		_, err = w.sessions.EndOfProvider(t.Context(), w.logout("jti"))
		unavailable(t, "end of provider", err)
		_, err = w.sessions.Grant(t.Context(), w.login(), challenge(t))
		unavailable(t, "grant", err)
		_, err = w.sessions.Redeem(t.Context(), code, verifier, "", "")
		unavailable(t, "redeem", err)
	})
}

func unavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("%s: %v", what, err)
	}
	for _, known := range []error{session.ErrUnknown, session.ErrExpired, session.ErrCode, session.ErrLogoutReplayed} {
		if errors.Is(err, known) {
			t.Errorf("%s claims to know: %v", what, err)
		}
	}
}

func TestAFirstLoginOnSeveralDevicesAtOnceOpensASessionOnEach(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		var devices sync.WaitGroup
		for range 8 {
			devices.Go(func() {
				opened, err := w.sessions.Open(t.Context(), session.Browser, w.login())
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
