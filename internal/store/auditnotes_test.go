package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

// lines are the audit's events but those of a user's way to being invited,
// oldest first: their actor, action, outcome, reason, kind of target and
// whether they are about a user.
func lines(t *testing.T, s *store.Store) (told []string) {
	t.Helper()
	for _, e := range slices.Backward(page(t, s, audit.Query{Limit: audit.MaxPage})) {
		if e.To != "" {
			continue
		}
		told = append(told, strings.Join([]string{
			strings.TrimSuffix(e.Origin.Actor, string(e.UserID)), e.Action, string(e.Outcome), e.Reason, e.Target.Kind, strconv.FormatBool(e.UserID != ""),
		}, " "))
	}
	return told
}

func TestASVS_16_3_1_EachBeginAndEachEndOfASessionIsWrittenDown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		open := func(replaces ...session.Hash) session.Opening {
			t.Helper()
			o := opening()
			o.Replaces, o.MaxPerUser = replaces, 2
			o.Session.Address, o.Session.AMR, o.Session.ACR = "192.0.2.1", []string{"hwk"}, "strong"
			if _, err := s.OpenSession(t.Context(), identityOf(anna), o); err != nil {
				t.Fatal(err)
			}
			return o
		}
		first := open()
		second := open(first.Hash)
		third, fourth := open(), open()
		if err := s.EndSession(t.Context(), third.Hash); err != nil {
			t.Fatal(err)
		}
		if err := s.EndSessionByID(t.Context(), anna, fourth.Session.ID); err != nil {
			t.Fatal(err)
		}
		open()
		if n, err := s.EndSessionsOf(t.Context(), anna, ""); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		open()
		logout := session.ProviderLogout{Issuer: identityOf(anna).Issuer, Subject: string(anna), TokenID: "jti", ExpiresAt: moment.Add(time.Hour)}
		if n, err := s.EndSessionsOfProvider(t.Context(), logout); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		want := []string{
			"user: login.succeeded success  session true",
			"user: login.succeeded success  session true", "portico session.ended success replaced session true",
			"user: login.succeeded success  session true",
			"user: login.succeeded success  session true", "portico session.ended success too_many session true",
			"portico session.ended success logged_out session true",
			"portico session.ended success revoked session true",
			"user: login.succeeded success  session true", "portico session.ended success revoked session true",
			"user: login.succeeded success  session true", "portico session.ended success provider_logout session true",
			"portico logout_token.accepted success   true",
		}
		// Those of the sessions' own time come first.
		slices.Sort(want)
		got := lines(t, s)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the audit says\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for _, e := range page(t, s, audit.Query{Limit: 100, ActionPrefix: audit.LoginSucceeded}) {
			if e.Target.ID != e.Origin.SessionID || e.Origin.Address != "192.0.2.1" || e.After["acr"] != "strong" || fmt.Sprint(e.After["amr"]) != "[hwk]" {
				t.Errorf("of a login it says %+v", e)
			}
		}
		for _, e := range page(t, s, audit.Query{Limit: 100, ActionPrefix: audit.SessionEnded}) {
			if e.Reason == audit.TooMany && e.Target.ID != string(second.Session.ID) || e.Reason == audit.Replaced && e.Target.ID != string(first.Session.ID) {
				t.Errorf("%s has ended for %s", e.Target.ID, e.Reason)
			}
		}
	})
}

func TestWhoMayNotSignInIsNamedInTheRefusalAndLeavesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		if _, err := s.SuspendUser(t.Context(), anna, account.AnyVersion, moment); err != nil {
			t.Fatal(err)
		}
		before := lines(t, s)
		_, err := s.OpenSession(t.Context(), identityOf(anna), opening())
		if !errors.Is(err, directory.ErrSuspended) || audit.UserOf(err) != anna || audit.IsNoted(err) {
			t.Errorf("refused with %v about %q", err, audit.UserOf(err))
		}
		bert := invite(t, s, "bert@example.com")
		stolen := identityOf(bert)
		stolen.InternalID = identityOf(anna).InternalID
		_, err = s.OpenSession(t.Context(), stolen, opening())
		if !errors.Is(err, directory.ErrIdentityMismatch) || audit.UserOf(err) != bert {
			t.Errorf("refused with %v about %q", err, audit.UserOf(err))
		}
		if _, err := s.OpenSession(t.Context(), identityOf(directory.NewUserID()), opening()); audit.UserOf(err) != "" {
			t.Errorf("somebody unknown is %q", audit.UserOf(err))
		}
		if after := lines(t, s); !slices.Equal(after, before) {
			t.Errorf("the audit says %q after what has not happened", after)
		}
		if n := count(t, db, `SELECT count(*) FROM sessions`); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestASuspensionEndsSessionsWithALineForEach(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		for range 2 {
			if _, err := s.OpenSession(t.Context(), identityOf(anna), opening()); err != nil {
				t.Fatal(err)
			}
		}
		ctx := audit.With(t.Context(), audit.Origin{Actor: audit.Admin("ops"), Address: "192.0.2.9", RequestID: "request"})
		if _, err := s.SuspendUser(ctx, anna, account.AnyVersion, moment); err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range page(t, s, audit.Query{Limit: 100, Actor: audit.Admin("ops")}) {
			told = append(told, strings.TrimSpace(strings.Join([]string{e.Action, e.Reason, e.Origin.Address, e.Origin.RequestID}, " ")))
		}
		slices.Sort(told)
		want := []string{"session.ended revoked 192.0.2.9 request", "session.ended revoked 192.0.2.9 request", "user.suspended  192.0.2.9 request"}
		if !slices.Equal(told, want) {
			t.Errorf("the audit says %q", told)
		}
	})
}

func TestAChangeIsWrittenDownWithWhatWasBefore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		name, email := "Änna\x00", directory.RestoreEmail("Anna@example.org", "anna@example.org")
		if db.Dialect() == store.Postgres {
			name = "Änna" // which would not take the other
		}
		if _, err := s.UpdateUser(t.Context(), anna, account.Edit{DisplayName: &name, Email: &email, At: moment}, account.AnyVersion); err != nil {
			t.Fatal(err)
		}
		changed := page(t, s, audit.Query{Limit: 100, ActionPrefix: "user.updated"})
		if len(changed) != 1 || fmt.Sprint(changed[0].Before) != "map[display_name:Anna email:anna@example.com]" ||
			fmt.Sprint(changed[0].After) != "map[display_name:"+strings.ReplaceAll(name, "\x00", "\ufffd")+" email:Anna@example.org]" {
			t.Errorf("the audit says %+v", changed)
		}
	})
}

func TestEachTurnOfANativeAppsCodeIsWrittenDown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		grant := func(n byte) session.Redemption {
			t.Helper()
			granted := session.Granted{
				Hash: session.CodeHash{n}, Challenge: session.Challenge{n}, Login: session.Login{Identity: identityOf(anna)},
				CreatedAt: moment, ExpiresAt: moment.Add(time.Minute),
			}
			if err := s.GrantCode(t.Context(), granted, nil); err != nil {
				t.Fatal(err)
			}
			native := opening()
			native.Session.Client = session.Native
			return session.Redemption{Hash: granted.Hash, Shown: &granted.Challenge, At: moment, Opening: native}
		}
		good, bad := grant(1), grant(2)
		bad.Shown = nil
		if _, _, err := s.RedeemCode(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.RedeemCode(t.Context(), bad); !errors.Is(err, session.ErrCode) || !audit.IsNoted(err) {
			t.Errorf("a wrong verifier: %v, noted %v", err, audit.IsNoted(err))
		}
		if _, _, err := s.RedeemCode(t.Context(), bad); !errors.Is(err, session.ErrCode) || audit.IsNoted(err) {
			t.Errorf("a code that is no more: %v, noted %v", err, audit.IsNoted(err))
		}
		got := lines(t, s)
		slices.Sort(got)
		if want := []string{
			"portico login.code_refused refused login_code_invalid  true",
			"user: login.code_granted success   true", "user: login.code_granted success   true",
			"user: login.code_redeemed success  session true",
		}; !slices.Equal(got, want) {
			t.Errorf("the audit says %q, not %q", got, want)
		}
	})
}

func TestEachTurnOfAnInvitationIsWrittenDown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		_, s := newStore(t, databaseURL)
		ctx := audit.With(t.Context(), audit.Origin{Actor: audit.Operator("root")})
		made := invitation.Invitation{
			ID: invitation.ID(uuid.Must(uuid.NewV7()).String()), Hash: invitation.Hash{1}, Email: "anna@example.com",
			Note: "for Anna", Uses: 1, UsesLeft: 1, CreatedAt: moment, ExpiresAt: moment.Add(time.Hour),
		}
		if err := s.CreateInvitation(ctx, made); err != nil {
			t.Fatal(err)
		}
		a := acceptance(t, "anna@example.com")
		a.Invitation = &made.Hash
		if err := s.AcceptSignup(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		for range 2 { // of which the second changes nothing
			if err := s.RevokeInvitation(ctx, made.ID, moment); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.RevokeInvitation(ctx, invitation.ID(uuid.Must(uuid.NewV7()).String()), moment); !errors.Is(err, invitation.ErrNotFound) {
			t.Errorf("one that there is not: %v", err)
		}
		want := []string{
			"operator:root invitation.created success  invitation false",
			"portico invitation.redeemed success  invitation false",
			"operator:root invitation.revoked success  invitation false",
		}
		if got := lines(t, s); !slices.Equal(got, want) {
			t.Errorf("the audit says %q, not %q", got, want)
		}
	})
}

func TestASVS_16_2_5_AnEventIsALineOfTheLogOnceItIsCommittedAndWithoutAddresses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := invite(t, s, "anna@example.com")
		var log bytes.Buffer
		s.Log = slog.New(slog.NewJSONHandler(&log, nil))
		ctx := audit.With(t.Context(), audit.Origin{Actor: audit.Admin("ops"), Address: "192.0.2.9", RequestID: "request-1"})
		email := directory.RestoreEmail("secret@example.org", "secret@example.org")
		if _, err := s.UpdateUser(ctx, anna, account.Edit{Email: &email, At: moment}, account.AnyVersion); err != nil {
			t.Fatal(err)
		}
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", log.Bytes(), err)
		}
		event := page(t, s, audit.Query{Limit: 1, Actor: audit.Admin("ops")})[0]
		for name, want := range map[string]string{
			"msg": "audit", "level": "INFO", "event_id": event.ID, "action": "user.updated", "actor": "admin:ops", "outcome": "success",
			"user_id": string(anna), "address": "192.0.2.9", "request_id": "request-1",
		} {
			if line[name] != want {
				t.Errorf("%s is %v, not %s", name, line[name], want)
			}
		}
		if strings.Contains(log.String(), "@") {
			t.Errorf("there is an address in %s", log.String())
		}
		log.Reset()
		// What is rolled back is not told.
		exec(t, db, `ALTER TABLE sessions RENAME TO elsewhere`)
		if _, err := s.SuspendUser(ctx, anna, account.AnyVersion, moment); err == nil || log.Len() > 0 {
			t.Errorf("%v, and the log says %s", err, log.String())
		}
	})
}
