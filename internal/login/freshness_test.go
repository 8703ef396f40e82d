package login_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

// TestHowLatelyTheUserLoggedIn has when, in seconds before Finish, against what
// the flow wanted. A flow takes 100 seconds in it.
func TestHowLatelyTheUserLoggedIn(t *testing.T) {
	const took = 100 * time.Second
	never := time.Duration(-1)
	noAuthTime := func(m object) { m["claims_supported"] = []string{"sub"} }
	within := func(d time.Duration) *time.Duration { return &d }
	for _, c := range []struct {
		name     string
		metadata func(object)
		maxAge   *time.Duration
		prompt   string
		ago      time.Duration // never: auth_time is missing
		want     error
	}{
		{name: "nothing was wanted and nothing is said", ago: never},
		{name: "nothing was wanted, a year ago", ago: 365 * 24 * time.Hour},
		{name: "ASVS-6.8.4 within max_age", maxAge: within(5 * time.Minute), ago: 4 * time.Minute},
		{name: "as old as max_age and the leeway", maxAge: within(5 * time.Minute), ago: 6 * time.Minute},
		{name: "ASVS-6.8.4 older than max_age and the leeway", maxAge: within(5 * time.Minute), ago: 6*time.Minute + time.Second, want: login.ErrAuthTooOld},
		{name: "max_age of nothing, just now", maxAge: within(0), ago: 5 * time.Second},
		{name: "max_age of nothing, a while ago", maxAge: within(0), ago: 61 * time.Second, want: login.ErrAuthTooOld},
		{name: "ASVS-6.8.4 max_age was sent and nothing is said", maxAge: within(time.Hour), ago: never, want: login.ErrAuthTooOld},
		{name: "max_age was not sent and nothing is said", metadata: noAuthTime, maxAge: within(time.Hour), ago: never},
		{name: "max_age was not sent, and it is older", metadata: noAuthTime, maxAge: within(time.Hour), ago: 2 * time.Hour, want: login.ErrAuthTooOld},
		{name: "max_age was not sent, and it is not older", metadata: noAuthTime, maxAge: within(time.Hour), ago: time.Minute},
		{name: "ASVS-6.8.4 a login was wanted and took place", prompt: "login", ago: 10 * time.Second},
		{name: "a login was wanted, by a provider whose clock is behind", prompt: "login", ago: took + time.Minute},
		{name: "ASVS-6.8.4 a login was wanted and did not take place", prompt: "login", ago: took + time.Minute + time.Second, want: login.ErrAuthTooOld},
		{name: "a login was wanted and nothing is said", prompt: "login", ago: never},
		{
			name: "a login was wanted, not sent, and did not take place", prompt: "login", ago: time.Hour, want: login.ErrAuthTooOld,
			metadata: func(m object) { m["prompt_values_supported"] = []string{"none"} },
		},
		{name: "consent was wanted, and no login", prompt: "consent", ago: time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.provider.Metadata = c.metadata
			w.discover()
			w.provider.Claims = func(claims object) {
				claims["auth_time"] = w.clock.now().Add(-c.ago).Unix()
				if c.ago == never {
					delete(claims, "auth_time")
				}
			}
			begun, err := w.rp.Begin(t.Context(), login.Begin{Client: login.Browser, MaxAge: c.maxAge, Prompt: c.prompt})
			if err != nil {
				t.Fatal(err)
			}
			w.clock.advance(took)
			finished, err := w.rp.Finish(t.Context(), login.Answer{
				Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: w.provider.Authorize(begun.AuthorizationURL),
			})
			if !errors.Is(err, c.want) || errors.Is(err, login.ErrIdentityRejected) {
				t.Errorf("Finish = %v, want %v", err, c.want)
			}
			if err != nil && w.provider.Count(hostile.PathUserInfo) != 0 {
				t.Error("UserInfo was asked all the same")
			}
			if err == nil && finished.Identity.AuthTime.IsZero() != (c.ago == never) {
				t.Errorf("AuthTime = %v", finished.Identity.AuthTime)
			}
		})
	}
}

func TestWhatAFlowWantsIsNotTheUsersToTakeOut(t *testing.T) {
	for name, begin := range map[string]login.Begin{
		"ASVS-6.8.4 max_age": {Client: login.Browser, MaxAge: new(time.Duration)},
		"ASVS-6.8.4 prompt":  {Client: login.Browser, Prompt: "login"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			begun, err := w.rp.Begin(t.Context(), begin)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(begun.AuthorizationURL)
			if err != nil {
				t.Fatal(err)
			}
			tampered := u.Query()
			tampered.Del("max_age")
			tampered.Del("prompt")
			u.RawQuery = tampered.Encode()
			// The provider has been asked for nothing and says how it is.
			w.provider.Claims = func(c object) { c["auth_time"] = w.clock.now().Add(-time.Hour).Unix() }
			_, err = w.rp.Finish(t.Context(), login.Answer{
				Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: w.provider.Authorize(u.String()),
			})
			if !errors.Is(err, login.ErrAuthTooOld) {
				t.Errorf("Finish = %v, want ErrAuthTooOld", err)
			}
		})
	}
}
