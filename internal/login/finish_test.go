package login_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

func TestLogin(t *testing.T) {
	for _, client := range []login.Client{login.Browser, login.Native} {
		t.Run("oidcc-client-test a "+string(client)+" flow from end to end", func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			finished, err := w.rp.Finish(t.Context(), w.answered(client))
			if err != nil {
				t.Fatalf("Finish: %v", err)
			}
			identity := finished.Identity
			if identity.Issuer != w.provider.Issuer || identity.Subject != "user-1" ||
				identity.ExternalID != "ext-1" || identity.InternalID != "int-1" ||
				identity.SessionID != "session-1" || identity.ACR != "phr" || len(identity.AMR) != 2 ||
				!identity.AuthTime.Equal(w.clock.now().Add(-time.Second)) {
				t.Errorf("identity = %+v", identity)
			}
			if finished.Client != client || finished.ReturnTo != "/home?tab=1" || string(finished.ReplacesSession) != "old session" {
				t.Errorf("finished = %+v", finished)
			}
			for path, want := range map[string]int{"/token": 1, "/userinfo": 1, "/jwks": 1} {
				if got := w.provider.Count(path); got != want {
					t.Errorf("%s was asked %d times, want %d", path, got, want)
				}
			}
		})
	}
}

// TestFinishChecksInOrder starts with an answer in which everything is wrong
// and mends one thing after the other: each error must come before the next.
func TestFinishChecksInOrder(t *testing.T) {
	errUnreadable, readable := errors.New("no such file"), true
	w := newWorld(t, func(c *login.Config) {
		c.ClientSecret = func() (login.Secret, error) {
			if !readable {
				return "", errUnreadable
			}
			return clientSecret, nil
		}
	})
	readable = false
	w.discover()
	begun := w.begin(login.Browser)
	other := w.begin(login.Browser)
	w.provider.Claims = func(c object) { c["nonce"] = "another" }
	w.provider.UserInfo = func(u object) { u["sub"] = "somebody else" }
	w.flows.err = errors.New("database is down")
	w.clock.advance(10 * time.Minute)

	answer := login.Answer{
		Client: login.Browser, State: other.State, Issuer: "https://evil.example", HasIssuer: true,
		Error: "access_denied", Code: strings.Repeat("x", 5000),
	}
	var provider *login.ProviderError
	steps := []struct {
		name             string
		mend             func()
		want             error
		marks, redeemed  int
		wantsProviderErr bool
	}{
		{name: "no flow", mend: func() {}, want: login.ErrFlowMissing},
		{name: "a flow that does not open", mend: func() { answer.Sealed = begun.Sealed + "x" }, want: login.ErrFlowInvalid},
		{name: "a flow for the other kind of client", mend: func() { answer.Sealed, answer.Client = begun.Sealed, login.Native }, want: login.ErrFlowInvalid},
		{name: "an expired flow", mend: func() { answer.Client = login.Browser }, want: login.ErrFlowExpired},
		{name: "S-02 a foreign state", mend: func() { w.clock.advance(-time.Millisecond) }, want: login.ErrStateMismatch},
		{name: "S-03 a foreign issuer", mend: func() { answer.State = begun.State }, want: login.ErrIssuerMismatch},
		{name: "S-26 code and error", mend: func() { answer.Issuer = w.provider.Issuer }, want: login.ErrAnswerInvalid},
		{name: "the provider's error", mend: func() { answer.Code = "" }, wantsProviderErr: true},
		{name: "no code", mend: func() { answer.Error = "" }, want: login.ErrAnswerInvalid},
		{name: "a code that is too long", mend: func() { answer.Code = strings.Repeat("x", 4097) }, want: login.ErrAnswerInvalid},
		{name: "a code with a line break", mend: func() { answer.Code = "a\nb" }, want: login.ErrAnswerInvalid},
		{name: "a secret that cannot be read", mend: func() { answer.Code = "wrong" }, want: errUnreadable},
		{name: "a store that is down", mend: func() { readable = true }, want: w.flows.err, marks: 1},
		{name: "a code the provider refuses", mend: func() { w.flows.err = nil }, want: login.ErrCodeRefused, marks: 2, redeemed: 1},
		{name: "S-09 a used flow", mend: func() { answer.Code = w.provider.Authorize(begun.AuthorizationURL) }, want: login.ErrFlowUsed, marks: 3, redeemed: 1},
		{name: "S-07 a nonce that is another flow's", mend: func() {
			answer = w.answered(login.Browser)
		}, want: login.ErrIdentityRejected, marks: 4, redeemed: 2},
		{name: "an authentication that is too old", mend: func() {
			answer = w.answeredWithin(0)
			w.provider.Claims = func(c object) { c["auth_time"] = w.clock.now().Add(-2 * time.Minute).Unix() }
		}, want: login.ErrAuthTooOld, marks: 5, redeemed: 3},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			step.mend()
			_, err := w.rp.Finish(t.Context(), answer)
			if step.wantsProviderErr {
				if !errors.As(err, &provider) || provider.Class != "access_denied" {
					t.Errorf("Finish = %v, want the provider's error", err)
				}
			} else if !errors.Is(err, step.want) {
				t.Errorf("Finish = %v, want %v", err, step.want)
			}
			if marks, redeemed := w.flows.count(), w.provider.Count(hostile.PathToken); marks != step.marks || redeemed != step.redeemed {
				t.Errorf("%d marks and %d token requests, want %d and %d", marks, redeemed, step.marks, step.redeemed)
			}
			if asked := w.provider.Count(hostile.PathUserInfo); asked != 0 {
				t.Error("the access token was used")
			}
		})
	}
	w.provider.Claims = nil
	if _, err := w.logIn(); !errors.Is(err, login.ErrIdentityRejected) {
		t.Errorf("UserInfo of another subject: %v, want ErrIdentityRejected", err)
	}
	w.provider.UserInfo = nil
	if _, err := w.logIn(); err != nil {
		t.Errorf("everything mended: %v", err)
	}
}

func TestAnswers(t *testing.T) {
	announce := func(m object) { m["authorization_response_iss_parameter_supported"] = true }
	iss := func(change func(string) string) func(*world, *login.Answer) {
		return func(w *world, a *login.Answer) { a.Issuer, a.HasIssuer = change(w.provider.Issuer), true }
	}
	same := func(issuer string) string { return issuer }
	for _, c := range []struct {
		name     string
		metadata func(object)
		change   func(*world, *login.Answer)
		want     error
	}{
		{name: "iss as the provider writes it", change: iss(same)},
		{name: "iss announced and there", metadata: announce, change: iss(same)},
		{name: "iss announced and missing", metadata: announce, want: login.ErrIssuerMismatch},
		{name: "iss announced, and an error without it", metadata: announce, want: login.ErrIssuerMismatch, change: func(_ *world, a *login.Answer) {
			a.Code, a.Error = "", "access_denied"
		}},
		{name: "iss empty", want: login.ErrIssuerMismatch, change: iss(func(string) string { return "" })},
		{name: "iss with a slash more", want: login.ErrIssuerMismatch, change: iss(func(issuer string) string { return issuer + "/" })},
		{name: "iss in capitals", want: login.ErrIssuerMismatch, change: iss(strings.ToUpper)},
		{name: "state missing", want: login.ErrStateMismatch, change: func(_ *world, a *login.Answer) { a.State = "" }},
		{name: "state cut short", want: login.ErrStateMismatch, change: func(_ *world, a *login.Answer) { a.State = a.State[:42] }},
		{name: "state with padding", want: login.ErrStateMismatch, change: func(_ *world, a *login.Answer) { a.State += "=" }},
		{name: "a kind of client that is none", want: login.ErrFlowInvalid, change: func(_ *world, a *login.Answer) { a.Client = "" }},
		{name: "S-25 an injected code is refused", want: login.ErrCodeRefused, change: func(w *world, a *login.Answer) {
			a.Code = w.provider.Authorize(w.begin(login.Browser).AuthorizationURL)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.provider.Metadata = c.metadata
			w.discover()
			answer := w.answered(login.Browser)
			if c.change != nil {
				c.change(w, &answer)
			}
			_, err := w.rp.Finish(t.Context(), answer)
			if !errors.Is(err, c.want) {
				t.Errorf("Finish = %v, want %v", err, c.want)
			}
			if c.want != nil && !errors.Is(c.want, login.ErrCodeRefused) && (w.flows.count() != 0 || w.provider.Count(hostile.PathToken) != 0) {
				t.Error("the flow was spent")
			}
		})
	}
}

func TestProviderErrorsAreSortedAndNotRepeated(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	for code, class := range map[string]string{
		"access_denied": "access_denied", "login_required": "login_required",
		"interaction_required": "interaction_required", "temporarily_unavailable": "temporarily_unavailable",
		"ACCESS_DENIED": "other", "<script>": "other", "made_up\r\nSet-Cookie: a": "other",
	} {
		answer := w.answered(login.Browser)
		answer.Code, answer.Error = "", code
		_, err := w.rp.Finish(t.Context(), answer)
		provider, ok := errors.AsType[*login.ProviderError](err)
		if !ok || provider.Class != class {
			t.Errorf("error=%q: %v, want class %s", code, err, class)
		}
		if class == "other" && strings.Contains(err.Error(), code) {
			t.Errorf("the provider's text is repeated: %v", err)
		}
	}
}

func TestS09_AFlowIsFinishedOnceAmongAHundred(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	answer := w.answered(login.Browser)
	start := make(chan struct{})
	results := make(chan error, 100)
	var group sync.WaitGroup
	for range cap(results) {
		group.Go(func() {
			<-start
			_, err := w.rp.Finish(t.Context(), answer)
			results <- err
		})
	}
	close(start)
	group.Wait()
	close(results)
	passed := 0
	for err := range results {
		switch {
		case err == nil:
			passed++
		case !errors.Is(err, login.ErrFlowUsed):
			t.Errorf("Finish = %v, want ErrFlowUsed", err)
		}
	}
	if passed != 1 || w.provider.Count(hostile.PathToken) != 1 {
		t.Errorf("%d passed with %d token requests, want one of each", passed, w.provider.Count(hostile.PathToken))
	}
}

func TestAUsedMarkLastsAsLongAsItsFlow(t *testing.T) {
	w := newWorld(t, func(c *login.Config) { c.FlowTTL = 3 * time.Minute })
	w.discover()
	begun := w.begin(login.Browser)
	_, _ = w.rp.Finish(t.Context(), login.Answer{Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: "x"})
	if got := w.flows.used[begun.FlowID]; !got.Equal(w.clock.now().Add(3 * time.Minute)) {
		t.Errorf("marks = %v, want %s until the flow expires", w.flows.used, begun.FlowID)
	}
}

func TestBBA09_S08_EveryByteOfAFlowIsSealed(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	answer := w.answered(login.Browser)
	raw, err := base64.RawURLEncoding.DecodeString(answer.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 0x20
		forged := answer
		forged.Sealed = base64.RawURLEncoding.EncodeToString(raw)
		if _, err := w.rp.Finish(t.Context(), forged); !errors.Is(err, login.ErrFlowInvalid) {
			t.Errorf("byte %d changed: %v, want ErrFlowInvalid", i, err)
		}
		if _, ok := w.rp.ReturnTo(forged.Sealed, login.Browser); ok {
			t.Errorf("byte %d changed: a forged return target is believed", i)
		}
		raw[i] ^= 0x20
	}
	if w.flows.count() != 0 || w.provider.Count(hostile.PathToken) != 0 {
		t.Error("a forged flow was spent")
	}
}

func TestAFlowOfAnotherProvider(t *testing.T) {
	t.Run("S-03 S-04 a flow of another provider is refused before its code is sent anywhere", func(t *testing.T) {
		honest, evil := newWorld(t, nil), newWorld(t, nil) // one key ring
		honest.discover()
		evil.discover()
		answer := honest.answered(login.Browser)
		if _, err := evil.rp.Finish(t.Context(), answer); !errors.Is(err, login.ErrIssuerMismatch) {
			t.Errorf("Finish = %v, want ErrIssuerMismatch", err)
		}
		if evil.provider.Count(hostile.PathToken) != 0 {
			t.Error("the honest provider's code was sent to the other one")
		}
	})
}

func TestBBA18ErrorsAndTokensStayInside(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	answer := w.answered(login.Browser)
	var access string
	w.provider.Answer = func(a object) { access, _ = a["access_token"].(string) }
	w.provider.Handlers[hostile.PathUserInfo] = func(rw http.ResponseWriter, r *http.Request) {
		http.Error(rw, "you sent "+r.Header.Get("Authorization"), http.StatusInternalServerError)
	}
	_, err := w.rp.Finish(t.Context(), answer)
	if err == nil || access == "" {
		t.Fatalf("Finish = %v", err)
	}
	for _, secret := range []string{access, answer.Code, answer.State, clientSecret} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

func TestFinishEndsWithItsContext(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	w.provider.Handlers[hostile.PathToken] = func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	}
	_, err := w.rp.Finish(ctx, w.answered(login.Browser))
	if !errors.Is(err, login.ErrProviderUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Finish = %v, want a cancelled ErrProviderUnavailable", err)
	}
}
