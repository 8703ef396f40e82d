package session_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestACodeAndAChallengeHaveOneSpelling(t *testing.T) {
	t.Parallel()
	plain := strings.Repeat("Az-_0", 8) + "AzE"
	if code, err := session.ParseCode("ptc_" + plain); err != nil || code.Reveal() != "ptc_"+plain {
		t.Fatalf("the code itself: %v", err)
	}
	if _, err := session.ParseChallenge(plain); err != nil {
		t.Fatalf("the challenge itself: %v", err)
	}
	for name, text := range map[string]string{
		"nothing":                   "",
		"truncated":                 plain[:42],
		"truncated to whole bytes":  plain[:40],
		"lengthened":                plain + "A",
		"padded":                    plain + "=",
		"padded in its length":      plain[:42] + "=",
		"trailing bits set":         plain[:42] + "F",
		"in the standard alphabet":  strings.NewReplacer("-", "+", "_", "/").Replace(plain),
		"in hexadecimal":            strings.Repeat("ab", 32),
		"a line break for a letter": plain[:20] + "\n" + plain[21:],
		"a line break more":         plain[:20] + "\r\n" + plain[20:],
		"a space before":            " " + plain,
		"a NUL":                     plain[:42] + "\x00",
		"letters beyond ASCII":      plain[:41] + "é",
		"a plain challenge":         strings.Repeat("a.~", 20),
		"a megabyte":                strings.Repeat("A", 1<<20),
	} {
		if _, err := session.ParseCode("ptc_" + text); !errors.Is(err, session.ErrCode) {
			t.Errorf("a code, %s: %v", name, err)
		}
		if _, err := session.ParseChallenge(text); !errors.Is(err, session.ErrChallenge) {
			t.Errorf("a challenge, %s: %v", name, err)
		}
	}
	for _, text := range []string{plain, "pts_" + plain, "PTC_" + plain, "ptc_ptc_" + plain, " ptc_" + plain, "ptc" + plain} {
		if _, err := session.ParseCode(text); !errors.Is(err, session.ErrCode) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	plain := strings.Repeat("Az-_0", 8) + "AzE"
	for _, text := range []string{"", plain, "ptc_" + plain, "ptc_" + plain[:42] + "F", "pts_" + plain} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if code, err := session.ParseCode(text); err == nil && code.Reveal() != text {
			t.Errorf("%q reads as %q", text, code.Reveal())
		}
		if challenge, err := session.ParseChallenge(text); err == nil && base64.RawURLEncoding.EncodeToString(challenge[:]) != text {
			t.Errorf("%q reads as %x", text, challenge)
		}
	})
}

func TestACodeNeverShows(t *testing.T) {
	t.Parallel()
	code := session.NewCode()
	secret := strings.TrimPrefix(code.Reveal(), "ptc_")
	raw, err := base64.RawURLEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&shown, format+format+format+"\n", code, &code, struct{ Code session.Code }{code})
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(handler).InfoContext(t.Context(), "code", slog.Any("code", code), slog.Any("pointer", &code))
	}
	encoded, err := json.Marshal(map[string]any{"code": code})
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(encoded)
	for name, canary := range map[string]string{
		"the text": secret, "its bytes": string(raw), "its bytes in hex": hex.EncodeToString(raw),
		"its bytes in capitals": fmt.Sprintf("%X", raw), "its bytes in decimal": strings.Trim(fmt.Sprintf("%d", raw), "[]"),
	} {
		if strings.Contains(shown.String(), canary) {
			t.Errorf("%s shows in\n%s", name, shown.String())
		}
	}
}

func TestACodeOpensTheSessionOfTheLoginThatItStandsFor(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		replaced := w.open(t, session.Browser)
		login := w.told()
		w.clock.advance(time.Minute)
		code, err := w.sessions.Grant(t.Context(), login, challenge(t), replaced.Token.Hash())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.sessions.Recognise(t.Context(), replaced.Token); !errors.Is(err, session.ErrUnknown) {
			t.Errorf("the replaced session: %v", err)
		}
		w.clock.advance(session.CodeTTL - time.Microsecond)
		// It may come to another replica than the one that gave it out.
		opened, err := w.replica(w.sessions.Log).Redeem(t.Context(), code, verifier, "App/1.0\n", "198.51.100.9")
		if err != nil {
			t.Fatal(err)
		}
		at := w.clock.now().Truncate(time.Microsecond)
		want := session.Session{
			ID: opened.Session.ID, UserID: opened.User.ID, Client: session.Native,
			CreatedAt: at, LastSeenAt: at, IdleExpiresAt: at.Add(idle), ExpiresAt: at.Add(absolute),
			AuthTime: login.AuthTime, ACR: login.ACR, AMR: login.AMR, Issuer: w.identity.Issuer,
			ProviderSession: login.ProviderSession, UserAgent: "App/1.0", Address: "198.51.100.9",
		}
		found := w.recognised(t, opened.Token)
		if !reflect.DeepEqual(found, want) || !reflect.DeepEqual(opened.Session, want) {
			t.Errorf("opened %+v\nfound  %+v\nnot    %+v", opened.Session, found, want)
		}
		if opened.Token.Client() != session.Native || opened.User.Status != directory.Active || opened.User.ExternalID != w.identity.ExternalID {
			t.Errorf("opened a %s's of %+v", opened.Token.Client(), opened.User)
		}
	})
}

func TestASVS_7_2_4_ACodeEndsTheSessionThatItsOwnReplaces(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		before := w.open(t, session.Native)
		if _, err := w.sessions.Redeem(t.Context(), w.grant(t), "wrong", "", "", before.Token.Hash()); !errors.Is(err, session.ErrCode) {
			t.Fatal(err)
		}
		w.recognised(t, before.Token)
		after, err := w.sessions.Redeem(t.Context(), w.grant(t), verifier, "", "", before.Token.Hash())
		if err != nil {
			t.Fatal(err)
		}
		w.remain(t, "redeemed", map[int]session.Opened{1: after}, before)
		if after.Session.ID == before.Session.ID {
			t.Error("the id is the same")
		}
	})
}

func TestACodeIsGrantedToWhoeverMaySignInAndToNobodyElse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		kept := w.open(t, session.Browser)
		stranger, foreign := w.identity, w.identity
		stranger.ExternalID, foreign.Subject = "nobody", "another"
		suspended := w.invite(t, "bert@example.com")
		w.setStatus(t, suspended, directory.Suspended)
		for name, test := range map[string]struct {
			identity directory.Identity
			want     error
		}{
			"a stranger":         {stranger, directory.ErrNotRegistered},
			"a namesake":         {foreign, directory.ErrIdentityMismatch},
			"who is suspended":   {suspended, directory.ErrSuspended},
			"an address, no one": {directory.Identity{}, directory.ErrNotRegistered},
		} {
			code, err := w.sessions.Grant(t.Context(), session.Login{Identity: test.identity}, challenge(t), kept.Token.Hash())
			if !errors.Is(err, test.want) || code != (session.Code{}) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.recognised(t, kept.Token)
		if n := count(t, w.db.SQL(), `SELECT count(*) FROM native_codes`); n != 0 {
			t.Errorf("%d codes", n)
		}
		// A first login activates and binds at once, before the app comes.
		w.identity = w.invite(t, "carl@example.com")
		w.grant(t)
		if n := count(t, w.db.SQL(), `SELECT count(*) FROM users WHERE status = 'active' AND subject = $1`, w.identity.Subject); n != 1 {
			t.Errorf("%d users have signed in", n)
		}
	})
}

// challengeFor is the challenge of any text, verifier or not.
func challengeFor(text string) session.Challenge { return sha256.Sum256([]byte(text)) }

func TestACodeThatIsRefusedIsSpentAndEveryRefusalIsAlike(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("aB3-._~", 19)
	for name, test := range map[string]struct {
		granted string // the text that the code was granted for
		shown   string
		later   time.Duration
		age     time.Duration // the provider's limit
		between func(t *testing.T, w *world)
		opens   bool
	}{
		"the shortest verifier":        {granted: long[:43], shown: long[:43], opens: true},
		"the longest verifier":         {granted: long[:128], shown: long[:128], opens: true},
		"the last moment":              {granted: verifier, shown: verifier, later: session.CodeTTL - time.Microsecond, opens: true},
		"another verifier":             {granted: verifier, shown: long[:43]},
		"the challenge for a verifier": {granted: verifier, shown: challengeText},
		"no verifier":                  {granted: verifier, shown: ""},
		"no verifier for no challenge": {granted: "", shown: ""},
		"a verifier in capitals":       {granted: verifier, shown: strings.ToUpper(verifier)},
		"a verifier and a line break":  {granted: verifier, shown: verifier + "\n"},
		"a verifier that is too short": {granted: long[:42], shown: long[:42]},
		"a verifier that is too long":  {granted: long[:129], shown: long[:129]},
		"a verifier with a plus":       {granted: long[:42] + "+", shown: long[:42] + "+"},
		"a verifier with a space":      {granted: long[:43] + " ", shown: long[:43] + " "},
		"a verifier beyond ASCII":      {granted: long[:43] + "é", shown: long[:43] + "é"},
		"a verifier that is no text":   {granted: long[:43] + "\xff", shown: long[:43] + "\xff"},
		"too late":                     {granted: verifier, shown: verifier, later: session.CodeTTL},
		"the login has become too old": {granted: verifier, shown: verifier, age: 30 * time.Second, later: 30 * time.Second},
		"the login is not yet too old": {granted: verifier, shown: verifier, age: 30 * time.Second, later: 30*time.Second - time.Microsecond, opens: true},
		"a user who is suspended": {granted: verifier, shown: verifier, between: func(t *testing.T, w *world) {
			t.Helper()
			w.dropTrigger(t) // which would have ended the code already
			w.setStatus(t, w.identity, directory.Suspended)
		}},
		"a user whom an operator has invited anew": {granted: verifier, shown: verifier, between: func(t *testing.T, w *world) {
			t.Helper()
			w.dropTrigger(t)
			w.setStatus(t, w.identity, directory.Invited)
		}},
		"a user who is bound to somebody else": {granted: verifier, shown: verifier, between: func(t *testing.T, w *world) {
			t.Helper()
			w.exec(t, `UPDATE users SET subject = 'another'`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newWorld(t, databaseURL)
				w.sessions.ProviderAge = test.age
				code, err := w.sessions.Grant(t.Context(), w.login(), challengeFor(test.granted))
				if err != nil {
					t.Fatal(err)
				}
				if test.between != nil {
					test.between(t, w)
				}
				w.clock.advance(test.later)
				opened, err := w.sessions.Redeem(t.Context(), code, test.shown, "", "")
				if test.opens {
					if err != nil {
						t.Fatal(err)
					}
					w.recognised(t, opened.Token)
				} else if !isErrCode(err) || !reflect.DeepEqual(opened, session.Opened{}) {
					t.Errorf("opened %v, %v", opened, err)
				}
				if n := count(t, storetest.Open(t, databaseURL).SQL(), `SELECT count(*) FROM native_codes`); n != 0 {
					t.Error("the code is not spent")
				}
				w.clock.advance(-test.later)
				if _, err := w.sessions.Redeem(t.Context(), code, test.granted, "", ""); !isErrCode(err) {
					t.Errorf("again: %v", err)
				}
			})
		})
	}
}

func TestACodeThatWasNeverGivenOutOpensNothingAndSpendsNone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		code := w.grant(t)
		for range 3 {
			if _, err := w.sessions.Redeem(t.Context(), session.NewCode(), verifier, "", ""); !errors.Is(err, session.ErrCode) {
				t.Errorf("got %v", err)
			}
		}
		if _, err := w.sessions.Redeem(t.Context(), code, verifier, "", ""); err != nil {
			t.Errorf("the one that was: %v", err)
		}
	})
}

// A database that fails half way keeps the code: the app may try again.
func TestACodeIsNotSpentByASessionThatCouldNotBeStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		code := w.grant(t)
		w.exec(t, `ALTER TABLE sessions RENAME TO hidden`)
		if _, err := w.sessions.Redeem(t.Context(), code, verifier, "", ""); err == nil || errors.Is(err, session.ErrCode) {
			t.Fatalf("got %v", err)
		}
		w.exec(t, `ALTER TABLE hidden RENAME TO sessions`)
		if _, err := w.sessions.Redeem(t.Context(), code, verifier, "", ""); err != nil {
			t.Errorf("again: %v", err)
		}
	})
}

// isErrCode holds a refusal to what every other is told: the code, and nothing
// beside it.
func isErrCode(err error) bool {
	return errors.Is(err, session.ErrCode) && err.Error() == session.ErrCode.Error()
}
