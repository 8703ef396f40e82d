package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/challenge"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/invitation"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store/storetest"
)

func email(address string) string { return `{"email":"` + address + `"}` }

func TestAddressesThatAPolicyRefuses(t *testing.T) {
	t.Parallel()
	policy, err := directory.ParsePolicy(directory.PolicySettings{
		Allow: []string{"friend@mailinator.com"}, Block: []string{"blocked.example", "*.blocked.example"},
		Disposable: directory.EmbeddedDisposableDomains(), Plus: directory.PlusRefuse,
	})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL, policy: policy})
		b := w.browser()
		for address, code := range map[string]string{
			"ada@blocked.example": "email_not_admitted", "ADA@Blocked.EXAMPLE": "email_not_admitted",
			"ada@sub.blocked.example": "email_not_admitted", "ada@mailinator.com": "email_disposable",
			"ada+tag@example.com": "email_tagged", "ada.lovelace": "invalid_email", "ada@b@example.com": "invalid_email",
		} {
			step(t, address, func(t *testing.T) {
				a := b.in(t).post("/signup", email(address), key("k"), header{"Prefer", "wait=10"})
				a.is(http.StatusUnprocessableEntity, "invalid_fields").field("/email", code)
				a.absent("Preference-Applied", "Location", "Idempotency-Replayed")
				if strings.Contains(a.body, address) {
					t.Errorf("the answer repeats the address: %s", a.body)
				}
			})
		}
		w.leavesNothing()
		b.post("/signup", email("friend@mailinator.com"), key("k")).accepted() // and the key is not spent
	})
}

func TestASignUpThatIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	receipt := b.post("/signup", ada, key("k"))
	w.signups.Mode = signup.Closed
	for _, address := range []string{"ada@example.com", "new@example.com"} {
		b.post("/signup", email(address)).is(http.StatusForbidden, "signup_closed")
	}
	b.post("/signup", email("no address")).is(http.StatusUnprocessableEntity, "invalid_fields")
	if again := b.post("/signup", ada, key("k")); again.body != receipt.body {
		t.Errorf("what was accepted is answered with %s", again.body)
	}
	b.get(receipt.accepted()).is(http.StatusOK)
	if n := w.rows("signups"); n != 1 {
		t.Errorf("%d sign-ups", n)
	}
}

func TestASignUpByInvitation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL, mode: signup.InviteOnly})
		w.clock.stop()
		invitations := &invitation.Service{Store: w.store, Now: w.clock.now}
		create := func(terms invitation.Terms) (invitation.ID, string) {
			created, err := invitations.Create(t.Context(), terms)
			if err != nil {
				t.Fatal(err)
			}
			w.secrets.keep(created.Code.Reveal())
			return created.Invitation.ID, created.Code.Reveal()
		}
		b := w.browser()
		with := func(address, code string) string { return `{"email":"` + address + `","invite_code":"` + code + `"}` }
		_, once := create(invitation.Terms{Uses: 1, Life: time.Hour})
		_, bound := create(invitation.Terms{Uses: 5, Life: time.Hour, Email: "Bound@example.com"})
		revokedID, revoked := create(invitation.Terms{Uses: 5, Life: time.Hour})
		_, brief := create(invitation.Terms{Uses: 5, Life: time.Second})
		if err := invitations.Revoke(t.Context(), revokedID); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(time.Second)

		b.post("/signup", ada).is(http.StatusForbidden, "invitation_required")
		b.post("/signup", with("ada@example.com", "")).is(http.StatusForbidden, "invitation_required")
		for name, code := range map[string]string{
			"nonsense": "x", "unknown": "00000-00000-00000-00000-00000-0", "revoked": revoked, "expired": brief,
			"another's": bound, "SQL": "' OR 1=1 --", "letters beyond ASCII": "ÄÖÜ",
		} {
			step(t, name+" lets nobody in", func(t *testing.T) {
				b.in(t).post("/signup", with("ada@example.com", code), key("k")).is(http.StatusForbidden, "invitation_invalid")
			})
		}
		b.post("/signup", with("ada@example.com", strings.Repeat("x", 65))).is(http.StatusUnprocessableEntity, "invalid_fields").
			field("/invite_code", "too_long")
		w.leavesNothing()

		first := b.post("/signup", with("ada@example.com", strings.ToLower(strings.ReplaceAll(once, "-", " "))), key("k"))
		first.accepted()
		w.secrets.keep(first.json("signup_id"))
		b.post("/signup", with("bob@example.com", once)).is(http.StatusForbidden, "invitation_invalid")
		b.post("/signup", with("bound@EXAMPLE.com", bound)).accepted()
		if n := w.rows("signups"); n != 2 || len(w.enqueued("signup")) != 2 {
			t.Errorf("%d sign-ups, %d jobs", n, len(w.enqueued("signup")))
		}
	})
}

// siteverify plays the service that checks challenges, as
// https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
// describes it: each token is good once.
type siteverify struct {
	mu     sync.Mutex
	status int // of the answer, when something is wrong with the service
	good   map[string]bool
	asked  []string
}

const siteSecret = "canary-site-secret-11f0"

func (s *siteverify) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	token := r.PostFormValue("response")
	s.asked = append(s.asked, token+" from "+r.PostFormValue("remoteip"))
	passed := r.PostFormValue("secret") == siteSecret && s.good[token]
	delete(s.good, token)
	answer := map[string]any{"success": passed, "hostname": "app.example", "error-codes": []string{}}
	if !passed {
		answer["error-codes"] = []string{"timeout-or-duplicate"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *siteverify) goesDown(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *siteverify) solve(tokens ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, token := range tokens {
		s.good[token] = true
	}
}

func TestASignUpBehindAChallenge(t *testing.T) {
	t.Parallel()
	service := &siteverify{good: map[string]bool{}}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	verifier, err := challenge.New(challenge.Config{
		URL: server.URL, Secret: func() (string, error) { return siteSecret, nil }, Hostnames: []string{"app.example"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.CloseIdle)
	w := newWorld(t, options{challenge: verifier})
	w.secrets.keep(siteSecret)
	solved := func(address, token string) string {
		return `{"email":"` + address + `","challenge_response":"` + token + `"}`
	}
	b := w.browser()
	native := b.app()
	step(t, "nobody is exempt", func(t *testing.T) {
		b, native := b.in(t), native.in(t)
		b.post("/signup", ada).is(http.StatusForbidden, "challenge_failed")
		for _, headers := range [][]header{
			{{"X-CSRF", ""}, {"User-Agent", "Portico-iOS/1.0"}},
			{{"X-CSRF", ""}, {"Authorization", "Bearer pts_" + strings.Repeat("A", 43)}},
			{{"X-CSRF", ""}, {"X-Client", "native"}},
		} {
			native.post("/signup", ada, headers...).is(http.StatusForbidden, "challenge_failed")
			native.post("/signup", `{"email":"ada@example.com","client":"native"}`, headers...).is(http.StatusBadRequest, "malformed_body")
		}
	})
	step(t, "a response that proves nothing", func(t *testing.T) {
		b := b.in(t)
		for _, token := range []string{"made-up", "", " ", "ünicode", strings.Repeat("x", 4096)} {
			b.post("/signup", solved("ada@example.com", token)).is(http.StatusForbidden, "challenge_failed")
		}
		b.post("/signup", solved("ada@example.com", strings.Repeat("x", 4097))).is(http.StatusUnprocessableEntity, "invalid_fields").
			field("/challenge_response", "too_long")
	})
	step(t, "a service that is down lets nobody in", func(t *testing.T) {
		b := b.in(t)
		service.solve("kept")
		for _, status := range []int{500, 502, 503, 429, 404, 302} {
			service.goesDown(status)
			b.post("/signup", solved("ada@example.com", "kept"), key("k")).later("challenge_unavailable")
		}
		service.goesDown(0)
	})
	w.leavesNothing()
	step(t, "a response is good once", func(t *testing.T) {
		b := b.in(t)
		service.solve("t1", "t2")
		first := b.post("/signup", solved("ada@example.com", "t1"), key("k"))
		first.accepted()
		b.post("/signup", solved("bob@example.com", "t1")).is(http.StatusForbidden, "challenge_failed")
		// The same request again needs no new one, and spends none.
		for _, token := range []string{"t1", "t2", ""} {
			if a := b.post("/signup", solved("ada@example.com", token), key("k")); a.body != first.body {
				t.Errorf("with %q: %d %s", token, a.status, a.body)
			}
		}
		native.in(t).post("/signup", solved("bob@example.com", "t2"), header{"X-CSRF", ""}).accepted()
	})
	service.mu.Lock()
	defer service.mu.Unlock()
	for _, asked := range service.asked {
		if !strings.HasSuffix(asked, " from 127.0.0.1") {
			t.Errorf("the service was asked %q", asked)
		}
	}
}

func TestAServiceThatCannotBeReached(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	verifier, err := challenge.New(challenge.Config{
		URL: server.URL, Secret: func() (string, error) { return siteSecret, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.CloseIdle)
	w := newWorld(t, options{challenge: verifier})
	w.browser().post("/signup", `{"email":"ada@example.com","challenge_response":"x"}`).later("challenge_unavailable")
	w.leavesNothing()
}

// from are the addresses that requests say they come from.
func from(addresses ...string) header {
	return header{"X-Forwarded-For", strings.Join(addresses, ", ")}
}

func hourly(count int) ratelimit.Limit { return ratelimit.Limit{Count: count, Per: time.Hour} }

func TestBBA24_ASVS_2_3_2_ASVS_6_3_1_WhoAsksTooOften(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL, limits: ratelimit.Limits{Client: hourly(3)}})
		w.clock.stop()
		b := w.browser()
		for i := range 3 {
			a := b.post("/signup", email(fmt.Sprintf("ada%d@example.com", i)), key(strconv.Itoa(i)))
			a.accepted()
			if a.number("RateLimit-Limit") != 3 || a.number("RateLimit-Remaining") != 2-i || a.number("RateLimit-Reset") != 1200 {
				t.Errorf("%d: %v", i, a.header)
			}
		}
		// Nothing that an untrusted client says of itself helps (CWE-348).
		for i, spoofed := range []header{
			{"X-Request-Id", "none"},
			from("203.0.113.9"), from("203.0.113.10", "127.0.0.1"),
			{"X-Real-Ip", "203.0.113.9"},
			{"Forwarded", "for=203.0.113.9"},
			{"True-Client-Ip", "203.0.113.9"},
			{"Cf-Connecting-Ip", "203.0.113.9"},
			from("127.0.0.2"),
		} {
			a := b.post("/signup", email(fmt.Sprintf("eve%d@example.com", i)), spoofed, key("eve"))
			a.is(http.StatusTooManyRequests, "too_many_requests").absent("Location", "Idempotency-Replayed")
			if a.number("Retry-After") != 1200 || a.number("RateLimit-Limit") != 3 || a.number("RateLimit-Remaining") != 0 ||
				a.number("RateLimit-Reset") != 1200 {
				t.Errorf("%v: %v", spoofed, a.header)
			}
		}
		if n := w.rows("signups"); n != 3 {
			t.Errorf("%d sign-ups", n)
		}
		again := b.post("/signup", email("ada0@example.com"), key("0"))
		again.accepted()
		again.absent("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
		b.post("/signup", email("no address")).is(http.StatusUnprocessableEntity, "invalid_fields").absent("RateLimit-Limit")
		b.get(again.accepted()).is(http.StatusOK).absent("RateLimit-Limit")
		w.clock.advance(1200 * time.Second)
		b.post("/signup", email("eve@example.com"), key("eve")).accepted()
	})
}

func TestASVS_2_3_2_WishesForTheMailAreLimitedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{limits: ratelimit.Limits{Client: hourly(2)}})
	w.clock.stop()
	b := w.browser()
	status := b.post("/signup", ada).accepted()
	w.provision()
	w.clock.advance(time.Second)
	early := b.post(status+"/resend", "").is(http.StatusTooManyRequests, "too_many_requests")
	if early.number("RateLimit-Remaining") != 1 || early.number("Retry-After") > 60 {
		t.Errorf("too early: %v", early.header)
	}
	w.clock.advance(time.Minute)
	a := b.post(status+"/resend", "").is(http.StatusAccepted)
	if a.number("RateLimit-Limit") != 2 || a.number("RateLimit-Remaining") != 0 {
		t.Errorf("%v", a.header)
	}
	a = b.post(status+"/resend", "").is(http.StatusTooManyRequests, "too_many_requests")
	if a.number("RateLimit-Remaining") != 0 || a.number("Retry-After") < 1000 {
		t.Errorf("too often: %v", a.header)
	}
	// Guesses are counted as well.
	b.post("/signup/"+strings.Repeat("A", 22)+"/resend", "").is(http.StatusTooManyRequests, "too_many_requests")
}

func TestClientsBehindATrustedProxy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{
			databaseURL: databaseURL, limits: ratelimit.Limits{Client: hourly(1)},
			proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		})
		w.clock.stop()
		b := w.browser()
		next := 0
		send := func(forwarded header) answer {
			next++
			return b.post("/signup", email(fmt.Sprintf("ada%d@example.com", next)), forwarded)
		}
		for _, test := range []struct {
			name  string
			first header
			same  []header
			other []header
		}{
			{
				"by the last address that the proxy saw", from("203.0.113.1"),
				[]header{from("203.0.113.1"), from("198.51.100.9", "203.0.113.1"), from("127.0.0.1", "203.0.113.1"), from("::ffff:203.0.113.1")},
				[]header{from("203.0.113.2"), from("203.0.113.1", "203.0.113.3")},
			},
			{
				"by the /64 of IPv6", from("2001:db8:1:2::1"),
				[]header{from("2001:db8:1:2::2"), from("2001:db8:1:2:ffff:ffff:ffff:ffff"), from("2001:DB8:1:2:0:0:0:1")},
				[]header{from("2001:db8:1:3::1"), from("2001:db8:2:2::1")},
			},
		} {
			step(t, test.name, func(t *testing.T) {
				b.t = t
				send(test.first).accepted()
				for _, forwarded := range test.same {
					send(forwarded).is(http.StatusTooManyRequests, "too_many_requests")
				}
				for _, forwarded := range test.other {
					send(forwarded).accepted()
				}
			})
		}
	})
}

func TestAddressesAndDomainsAreLimitedForEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{limits: ratelimit.Limits{Address: hourly(2), Domain: hourly(4), Global: hourly(6)}})
	w.clock.stop()
	b := w.browser()
	none := []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} // are the client's only
	for _, test := range []struct {
		address string
		allowed bool
	}{
		{"ada@example.com", true},
		{"ADA@example.com", true},
		{"ada@EXAMPLE.com", false}, // the address
		{"bob@example.com", true},
		{"eve@example.com", true},
		{"kim@example.com", false}, // the domain
		{"ada@other.example", true},
		{"bob@other.example", true},
		{"eve@other.example", false}, // all
	} {
		a := b.post("/signup", email(test.address))
		a.absent(none...)
		if test.allowed {
			a.accepted()
		} else if a.is(http.StatusTooManyRequests, "too_many_requests").number("Retry-After") < 1 {
			t.Errorf("%s: %v", test.address, a.header)
		}
	}
}
