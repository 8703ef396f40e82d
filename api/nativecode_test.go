package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestACodeWorksOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		b := w.browser().in(t)
		b.signUp("ada@example.com")
		app := w.browser().in(t)
		refused := func(t *testing.T, code, verifier string) {
			t.Helper()
			app.in(t).post("/sessions", trade(code, verifier)).is(http.StatusBadRequest, "login_code_invalid")
		}
		step(t, "ASVS-15.4.2 sixteen at once: one gets a session", func(t *testing.T) {
			for range 5 {
				l := newSystemLogin()
				code := b.in(t).codeFor(l)
				before := w.rows("sessions")
				answers := make([]answer, 16)
				var all sync.WaitGroup
				for i := range answers {
					r := app.in(t).request(http.MethodPost, "/sessions", trade(code, l.verifier))
					all.Go(func() { answers[i] = app.in(t).raw(r) })
				}
				all.Wait()
				won := 0
				for _, a := range answers {
					if a.status == http.StatusCreated {
						won++
						w.secrets.keep(a.json("session_token"))
					} else {
						a.is(http.StatusBadRequest, "login_code_invalid")
					}
				}
				if opened := w.rows("sessions") - before; won != 1 || opened != 1 {
					t.Errorf("%d got a session, %d were opened", won, opened)
				}
			}
		})
		step(t, "S-25 a wrong verifier spends it", func(t *testing.T) {
			l := newSystemLogin()
			code := b.in(t).codeFor(l)
			refused(t, code, verifier())
			refused(t, code, l.verifier)
		})
		step(t, "S-25 so does what cannot be a verifier", func(t *testing.T) {
			l := newSystemLogin()
			code := b.in(t).codeFor(l)
			refused(t, code, l.verifier[:42]+"/")
			refused(t, code, l.verifier)
		})
		step(t, "S-25 so does the challenge itself, which others have seen", func(t *testing.T) {
			l := newSystemLogin()
			code := b.in(t).codeFor(l)
			refused(t, code, challengeOf(l.verifier))
			refused(t, code, l.verifier)
		})
		step(t, "S-25 two apps that swap codes get nothing", func(t *testing.T) {
			one, other := newSystemLogin(), newSystemLogin()
			codeOfOne, codeOfOther := b.in(t).codeFor(one), b.in(t).codeFor(other)
			refused(t, codeOfOne, other.verifier)
			refused(t, codeOfOther, one.verifier)
		})
		step(t, "it lives for a minute", func(t *testing.T) {
			l := newSystemLogin()
			code := b.in(t).codeFor(l)
			w.clock.advance(time.Minute - time.Second)
			token := app.in(t).redeem(code, l.verifier)
			late := newSystemLogin()
			code = b.in(t).codeFor(late)
			w.clock.advance(time.Minute)
			refused(t, code, late.verifier)
			app.in(t).get("/me", bearer(token)).is(http.StatusOK)
		})
		step(t, "ASVS-7.4.2 not for somebody who was suspended meanwhile, nor when they are back", func(t *testing.T) {
			l := newSystemLogin()
			code := b.in(t).codeFor(l)
			w.exec("UPDATE users SET status = 'suspended'")
			refused(t, code, l.verifier)
			again := newSystemLogin()
			w.exec("UPDATE users SET status = 'active'")
			code = b.in(t).codeFor(again)
			w.exec("UPDATE users SET status = 'deleting'")
			w.exec("UPDATE users SET status = 'active'")
			refused(t, code, again.verifier)
		})
		step(t, "it is not a token, and a token is no code", func(t *testing.T) {
			l := newSystemLogin()
			code := b.in(t).codeFor(l)
			app := app.in(t)
			app.get("/me", bearer(code)).unauthorized("session_invalid")
			app.get("/me", bearer("pts_"+strings.TrimPrefix(code, "ptc_"))).unauthorized("session_invalid")
			token := app.redeem(code, l.verifier)
			refused(t, token, l.verifier)
			refused(t, "ptc_"+strings.TrimPrefix(token, "pts_"), l.verifier)
		})
		step(t, "what is no code", func(t *testing.T) {
			right := verifier()
			for _, code := range []string{"ptc_", "ptc_" + strings.Repeat("A", 43), "ptc_" + strings.Repeat("A", 42) + "B", strings.Repeat("A", 43), "'OR 1=1--", "é"} {
				refused(t, code, right)
			}
			app := app.in(t)
			app.post("/sessions", trade("", right)).is(http.StatusUnprocessableEntity, "invalid_fields")
			app.post("/sessions", trade("x", right[:42])).is(http.StatusUnprocessableEntity, "invalid_fields").field("/code_verifier", "invalid_value")
			app.post("/sessions", trade("x", strings.Repeat("a", 129))).is(http.StatusUnprocessableEntity, "invalid_fields").field("/code_verifier", "too_long")
			app.post("/sessions", trade(strings.Repeat("x", 129), right)).is(http.StatusUnprocessableEntity, "invalid_fields").field("/code", "too_long")
			app.post("/sessions", `{"code":"x"}`).is(http.StatusUnprocessableEntity, "invalid_fields").field("/code_verifier", "required")
		})
		step(t, "ASVS-3.5.1 not from another site's page", func(t *testing.T) {
			l := newSystemLogin()
			code := b.in(t).codeFor(l)
			app := app.in(t)
			app.post("/sessions", trade(code, l.verifier), header{"Origin", "https://evil.example"}).is(http.StatusForbidden, "cross_origin")
			app.redeem(code, l.verifier)
		})
	})
}

func TestSecretsOfNativeAppsAreHashedAtRest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		b := w.browser().in(t)
		b.signUp("ada@example.com")
		l := newSystemLogin()
		code := b.codeFor(l)
		// stored is the one value of a column.
		stored := func(t *testing.T, column, table string) (value []byte) {
			t.Helper()
			if err := w.db.SQL().QueryRowContext(t.Context(), "SELECT "+column+" FROM "+table).Scan(&value); err != nil {
				t.Fatal(err)
			}
			return value
		}
		hashed := func(t *testing.T, secret string) []byte {
			t.Helper()
			raw, err := base64.RawURLEncoding.DecodeString(secret)
			if err != nil || len(raw) != 32 {
				t.Fatalf("%d bytes: %v", len(raw), err)
			}
			sum := sha256.Sum256(raw)
			return sum[:]
		}
		step(t, "ASVS-11.4.1 the code, and the challenge as it came", func(t *testing.T) {
			if got := stored(t, "code_hash", "native_codes"); !bytes.Equal(got, hashed(t, strings.TrimPrefix(code, "ptc_"))) {
				t.Errorf("it is stored as %x", got)
			}
			sum := sha256.Sum256([]byte(l.verifier))
			if got := stored(t, "challenge", "native_codes"); !bytes.Equal(got, sum[:]) {
				t.Errorf("the challenge is stored as %x", got)
			}
		})
		token := b.redeem(code, l.verifier)
		step(t, "ASVS-7.2.3 ASVS-11.4.1 the token, which begins with pts_", func(t *testing.T) {
			secret, ok := strings.CutPrefix(token, "pts_")
			if got := stored(t, "token_hash", "sessions"); !ok || !bytes.Equal(got, hashed(t, secret)) {
				t.Errorf("%.4s… is stored as %x", token, got)
			}
		})
		step(t, "and of a code that was redeemed nothing is left", func(t *testing.T) {
			if n := w.rows("native_codes"); n != 0 {
				t.Errorf("%d codes are left", n)
			}
		})
	})
}

func TestACodeCarriesWhatTheProviderSaid(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{sessions: func(s *session.Service) { s.ProviderAge = time.Hour }})
	at := w.flows.now().Add(-20 * time.Minute).UTC().Truncate(time.Second)
	w.signsIn("ada@example.com", map[string]any{"auth_time": at.Unix(), "acr": "phr", "amr": []string{"hwk"}})
	l := newSystemLogin()
	app := w.browser()
	token := app.redeem(b.codeFor(l), l.verifier)
	step(t, "ASVS-6.3.3 ASVS-7.6.1 into the app's session", func(t *testing.T) {
		var me struct{ Session shown }
		app.in(t).get("/me", bearer(token)).is(http.StatusOK).into(&me)
		s := me.Session
		if !s.AuthTime.Equal(at) || s.ACR != "phr" || fmt.Sprint(s.AMR) != "[hwk]" || !s.ExpiresAt.Equal(at.Add(time.Hour)) {
			t.Errorf("the session is %+v", s)
		}
		app.in(t).del("/me/sessions", bearer(token)).asksForALogin(recentLogin)
	})
}
