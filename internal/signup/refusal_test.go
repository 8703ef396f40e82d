package signup_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

var client = netip.MustParseAddr("203.0.113.7")

// challengeFunc is a challenge that is whatever the function says.
type challengeFunc func(response string, client netip.Addr) error

// Verify calls the function.
func (f challengeFunc) Verify(_ context.Context, response string, client netip.Addr) error {
	return f(response, client)
}

func (w *world) limit(limits ratelimit.Limits) {
	w.Limits = &ratelimit.Limiter{Store: w.store, Limits: limits, Now: w.clock.now}
}

// tokens is how many buckets there are, and how full they are.
func (w *world) tokens() string {
	w.t.Helper()
	var buckets []string
	for _, row := range w.table("rate_limits") {
		buckets = append(buckets, row["bucket"]+" "+row["empty_at"])
	}
	slices.Sort(buckets)
	return fmt.Sprint(buckets)
}

func TestASVS_2_3_2_ALimitRefusesBeforeAnythingIsAskedOrStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.limit(ratelimit.Limits{Client: ratelimit.Limit{Count: 2, Per: time.Minute}})
		asked := 0
		w.Challenge = challengeFunc(func(string, netip.Addr) error { asked++; return nil })
		for i := range 2 {
			accepted, err := w.Accept(t.Context(), signup.Request{Email: fmt.Sprintf("anna%d@example.com", i), Client: client})
			if err != nil || !accepted.Limit.Allowed || accepted.Limit.Quota.Limit != 2 || accepted.Limit.Quota.Remaining != 1-i {
				t.Errorf("%+v, %v", accepted, err)
			}
		}
		before, rows := w.tokens(), w.rows()
		for range 3 {
			got, err := w.Accept(t.Context(), signup.Request{Email: "anna@example.com", Client: client, IdempotencyKey: "k"})
			limited, ok := errors.AsType[*signup.LimitedError](err)
			if !ok || limited.Decision.Refused != ratelimit.Client || limited.Decision.RetryAfter != 30*time.Second {
				t.Fatalf("%+v, %v", got, err)
			}
			if got.Receipt != "" || got.Limit != limited.Decision {
				t.Errorf("refused with %+v", got)
			}
		}
		if asked != 2 || w.tokens() != before || w.rows() != rows {
			t.Errorf("the challenge was asked %d times, buckets are %s, not %s, rows %+v, not %+v", asked, w.tokens(), before, w.rows(), rows)
		}
		// Nor is the key spent.
		w.clock.advance(30 * time.Second)
		if got, err := w.Accept(t.Context(), signup.Request{Email: "anna@example.com", Client: client, IdempotencyKey: "k"}); err != nil || got.Replayed {
			t.Errorf("later %+v, %v", got, err)
		}
	})
}

func TestAReplayTakesNoTokenAndSpendsNoChallenge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.limit(ratelimit.Limits{
			Client: ratelimit.Limit{Count: 1, Per: time.Minute}, Address: ratelimit.Limit{Count: 1, Per: time.Hour},
		})
		var spent []string
		w.Challenge = challengeFunc(func(response string, _ netip.Addr) error { spent = append(spent, response); return nil })
		request := signup.Request{Email: "anna@example.com", Client: client, IdempotencyKey: "k", Body: []byte("b"), Challenge: "first"}
		first, err := w.Accept(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		before := w.tokens()
		for _, response := range []string{"first", "second", ""} {
			request.Challenge = response
			got, err := w.Accept(t.Context(), request)
			if err != nil || !got.Replayed || got.Receipt != first.Receipt || got.Limit != (ratelimit.Decision{}) {
				t.Errorf("%q: %+v, %v", response, got, err)
			}
		}
		w.Mode = signup.Closed // what was accepted stays so
		if got, err := w.Accept(t.Context(), request); err != nil || got.Receipt != first.Receipt {
			t.Errorf("closed meanwhile: %+v, %v", got, err)
		}
		if w.tokens() != before || !slices.Equal(spent, []string{"first"}) {
			t.Errorf("buckets are %s, not %s, challenges %q", w.tokens(), before, spent)
		}
	})
}

func TestWhatRefusesASignup(t *testing.T) {
	t.Parallel()
	policy, err := directory.ParsePolicy(directory.PolicySettings{Block: []string{"blocked.example"}, Plus: directory.PlusRefuse})
	if err != nil {
		t.Fatal(err)
	}
	outage := errors.New("outage")
	tests := []struct {
		name    string
		change  func(w *world)
		request signup.Request
		want    error
		tokens  bool // are taken
	}{
		{"a blocked domain", nil, signup.Request{Email: "a@blocked.example"}, directory.ErrEmailBlocked, false},
		{"a tag", nil, signup.Request{Email: "a+b@example.com"}, directory.ErrPlusAddress, false},
		{"a closed sign-up", func(w *world) { w.Mode = signup.Closed }, signup.Request{}, signup.ErrClosed, true},
		{"no invitation", func(w *world) { w.Mode = signup.InviteOnly }, signup.Request{}, signup.ErrInvitationMissing, true},
		{"no code", func(w *world) { w.Mode = signup.InviteOnly }, signup.Request{InviteCode: "x"}, invitation.ErrInvalid, true},
		{
			"a code that was never given out",
			func(w *world) { w.Mode = signup.InviteOnly },
			signup.Request{InviteCode: "00000-00000-00000-00000-00000-0"},
			invitation.ErrInvalid, true,
		},
		{
			"a challenge that was not solved",
			func(w *world) {
				w.Challenge = challengeFunc(func(string, netip.Addr) error { return challenge.ErrRefused })
			},
			signup.Request{},
			challenge.ErrRefused, true,
		},
		{
			"a challenge that cannot be checked",
			func(w *world) { w.Challenge = challengeFunc(func(string, netip.Addr) error { return outage }) },
			signup.Request{},
			outage, true,
		},
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		for _, test := range tests {
			w := newWorld(t, databaseURL)
			w.Policy = policy
			w.limit(ratelimit.Limits{Client: ratelimit.Limit{Count: 100, Per: time.Minute}})
			if test.change != nil {
				test.change(w)
			}
			before := w.tokens()
			request := test.request
			if request.Email == "" {
				request.Email = "anna@example.com"
			}
			request.Client, request.IdempotencyKey = client, "k"
			got, err := w.Accept(t.Context(), request)
			if !errors.Is(err, test.want) || got.Receipt != "" {
				t.Errorf("%s: %+v, %v", test.name, got, err)
			}
			if (w.tokens() != before) != test.tokens {
				t.Errorf("%s: tokens were taken: %t", test.name, !test.tokens)
			}
			if n := w.rows(); n != (stored{}) {
				t.Errorf("%s: stored %+v", test.name, n)
			}
		}
	})
}

func TestTheChallengeIsAskedLastAndToldOfTheClient(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		var asked []string
		w.Challenge = challengeFunc(func(response string, from netip.Addr) error {
			asked = append(asked, response+" from "+from.String())
			return nil
		})
		request := signup.Request{Email: "anna@example.com", Challenge: "solved", Client: client}
		for _, mode := range []signup.Mode{signup.Closed, signup.InviteOnly} {
			w.Mode = mode
			if _, err := w.Accept(t.Context(), request); err == nil || len(asked) != 0 {
				t.Errorf("%s: %v, and the challenge was asked %q", mode, err, asked)
			}
		}
		w.Mode = signup.Open
		if _, err := w.Accept(t.Context(), request); err != nil || !slices.Equal(asked, []string{"solved from 203.0.113.7"}) {
			t.Errorf("%v, and the challenge was asked %q", err, asked)
		}
	})
}

func TestAnInvitationLetsInAsManyAsItSays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, databaseURL)
		w.Mode = signup.InviteOnly
		invitations := &invitation.Service{Store: w.store, Now: w.clock.now}
		created, err := invitations.Create(t.Context(), invitation.Terms{Uses: 3, Life: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		request := signup.Request{
			Email: "anna@example.com", InviteCode: created.Code.Reveal(), IdempotencyKey: "k", Body: []byte("anna"),
		}
		first, err := w.Accept(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // sent again it costs no further use
			if got, err := w.Accept(t.Context(), request); err != nil || got.Receipt != first.Receipt {
				t.Errorf("%+v, %v", got, err)
			}
		}
		request.IdempotencyKey = ""
		let := 0
		for _, a := range concurrently(20, func() (signup.Signup, error) { return w.Accept(t.Context(), request) }) {
			switch {
			case a.err == nil:
				let++
			case !errors.Is(a.err, invitation.ErrInvalid):
				t.Error(a.err)
			}
		}
		if n := w.rows(); let != 2 || n.signups != 3 || n.jobs != 3 {
			t.Errorf("%d more were let in, stored %+v", let, n)
		}
	})
}
