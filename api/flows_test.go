package api_test

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/keyring"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
	"github.com/portico-id/portico/internal/store/storetest"
)

// tokenRequests is how often the simulator was asked for tokens.
func (w *world) tokenRequests() (n int) {
	for _, r := range w.sim.Requests() {
		if r.Path == "/v2/oauth2/token" {
			n++
		}
	}
	return n
}

// startsAgain fails unless a new login works, whatever became of the last.
func (b *browser) startsAgain() {
	b.t.Helper()
	b.logIn().leadsTo(home)
	b.get("/me").is(http.StatusOK)
	if len(b.flows()) != 0 {
		b.t.Errorf("flows are left: %q", b.flows())
	}
}

func TestTabsAndTheBackButton(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	step(t, "three tabs log in, the last one first", func(t *testing.T) {
		b := b.in(t)
		var callbacks []string
		paths := []string{"/one", "/two", "/three"}
		for _, path := range paths {
			callbacks = append(callbacks, b.authorize("?return_to="+path))
		}
		for i := range slices.Backward(paths) {
			b.returns(callbacks[i]).leadsTo(appOrigin + paths[i])
			b.get("/me").is(http.StatusOK)
		}
		if len(b.flows()) != 0 {
			t.Errorf("flows are left: %q", b.flows())
		}
	})
	step(t, "a tab of whoever is signed in ends the session before, and the other tab goes on with the new one", func(t *testing.T) {
		b := b.in(t)
		old := header{"Cookie", "portico=" + b.session()}
		first, second := b.authorize("?return_to=/first"), b.authorize("?return_to=/second")
		b.returns(first).leadsTo(appOrigin + "/first")
		w.browser().in(t).get("/me", old).unauthorized("session_invalid")
		b.returns(second).leadsTo(appOrigin + "/second")
		b.get("/me").is(http.StatusOK)
	})
	step(t, "one tab fails, the other logs in", func(t *testing.T) {
		b := b.in(t)
		denied, granted := b.authorize("?return_to=/denied"), b.authorize("?return_to=/granted")
		b.returns(change(t, denied, "code", "", "error", "access_denied")).leadsTo(appOrigin + "/denied?error=access_denied")
		b.returns(granted).leadsTo(appOrigin + "/granted")
	})
	step(t, "S-09 going back to the provider and on again finds the flow over, and the session as it was", func(t *testing.T) {
		b := b.in(t)
		started := b.get("/login").header.Get("Location")
		b.returns(b.provider(http.MethodGet, started)).leadsTo(home)
		session := b.session()
		again := b.provider(http.MethodGet, started) // with another code and the same state
		b.returns(again).is(http.StatusBadRequest, "flow_missing")
		if b.session() != session {
			t.Error("the session is another one")
		}
		b.get("/me").is(http.StatusOK)
		b.startsAgain()
	})
	step(t, "ASVS-3.5.3 what a browser fetches beforehand begins nothing", func(t *testing.T) {
		b := b.in(t)
		for _, h := range []header{
			{"Sec-Purpose", "prefetch"},
			{"Sec-Purpose", "prefetch;prerender"},
			{"Sec-Purpose", "prefetch;anonymous-client-ip"},
			{"Purpose", "prefetch"},
			{"X-Moz", "prefetch"},
		} {
			a := b.get("/login", h, header{"Sec-Fetch-Mode", "navigate"}).is(http.StatusForbidden, "prefetch_refused")
			if a.header.Get("Location") != "" || len(a.header.Values("Set-Cookie")) != 0 {
				t.Errorf("%s: %s leads somewhere", h.name, h.value)
			}
		}
		b.startsAgain()
	})
}

func TestFlowsNeverPileUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	size := func() (n int) {
		for name, cookie := range b.cookies {
			n += len(name) + len(cookie.Value) + len("=; ")
		}
		return n
	}
	step(t, "over thirty logins begun and left", func(t *testing.T) {
		b := b.in(t)
		for i := range 30 {
			w.flows.advance(time.Second)
			if i%2 == 0 {
				b.get("/login").is(http.StatusSeeOther)
			} else {
				b.post("/login", `{"client":"browser"}`).is(http.StatusOK)
			}
			if len(b.flows()) > 8 || size() > 8<<10 {
				t.Fatalf("after %d there are %d flows, %d bytes", i+1, len(b.flows()), size())
			}
		}
		b.returns(b.authorize("")).leadsTo(home)
	})
	step(t, "over thirty logins that fail", func(t *testing.T) {
		b := b.in(t)
		clear(b.cookies)
		for range 30 {
			callback := b.authorize("")
			b.returns(change(t, callback, "code", "", "error", "server_error")).leadsTo(home + "?error=provider_error")
			if len(b.cookies) != 0 {
				t.Fatalf("cookies are left: %v", slices.Sorted(maps.Keys(b.cookies)))
			}
		}
	})
	step(t, "since a cookie lives as long as its flow", func(t *testing.T) {
		b := b.in(t)
		if age := b.get("/login").sets("portico-flow-").MaxAge; age < 595 || age > 600 {
			t.Errorf("it lives for %d seconds", age)
		}
		b.startsAgainWithout(t)
	})
}

// startsAgainWithout is startsAgain after a browser has dropped every cookie.
func (b *browser) startsAgainWithout(t *testing.T) {
	t.Helper()
	clear(b.cookies)
	b.startsAgain()
}

func TestACallbackThatComesAHundredTimes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		b := w.browser().in(t)
		b.signUp("ada@example.com")
		b.get("/login") // another flow, which must not suffer
		callback := b.authorize("")
		name := "portico-flow-" + handleOf(parameter(t, callback, "state"))
		asked := w.tokenRequests()
		step(t, "S-02 S-18 ASVS-15.4.2 opens one session with one token request", func(t *testing.T) {
			b := b.in(t)
			answers := make([]answer, 100)
			var all sync.WaitGroup
			for i := range answers {
				r := b.request(http.MethodGet, callback, "", header{"Cookie", name + "=" + b.cookies[name].Value})
				all.Go(func() { answers[i] = b.raw(r) })
			}
			all.Wait()
			landed := 0
			for _, a := range answers {
				if a.header.Get("Location") == home {
					landed++
					w.secrets.keep(a.sets("portico").Value)
				} else {
					a.leadsTo(home + "?error=flow_used")
				}
				cleared := a.sets(name)
				if cleared == nil || cleared.MaxAge >= 0 {
					t.Errorf("the flow's cookie is not cleared: %q", a.header.Values("Set-Cookie"))
				}
				if extra := len(a.header.Values("Set-Cookie")); extra > 2 || extra > 1 && a.header.Get("Location") != home {
					t.Errorf("%d cookies are set: %q", extra, a.header.Values("Set-Cookie"))
				}
			}
			if opened, asked := w.rows("sessions"), w.tokenRequests()-asked; landed != 1 || opened != 1 || asked != 1 {
				t.Errorf("%d landed, %d sessions were opened, the provider was asked %d times", landed, opened, asked)
			}
		})
		step(t, "and the next login goes its way", func(t *testing.T) { b.in(t).startsAgainWithout(t) })
	})
}

// ring is a key ring of new keys, and of others behind them.
func ring(t *testing.T, behind ...string) (keys *keyring.Ring, text string) {
	t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	text = strings.Join(append([]string{base64.StdEncoding.EncodeToString(raw)}, behind...), ",")
	keys, err := keyring.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys, text
}

func TestAFlowFromBeforeAKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	first, firstKey := ring(t)
	w.keys.Replace(first)
	b := w.browser()
	b.signUp("ada@example.com")
	b.logIn().leadsTo(home)
	step(t, "ASVS-13.3.4 ASVS-11.2.2 is finished while its key is in the ring, and nobody is logged out", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("?return_to=/before")
		rotated, _ := ring(t, firstKey)
		w.keys.Replace(rotated)
		b.get("/me").is(http.StatusOK)
		b.returns(callback).leadsTo(appOrigin + "/before")
	})
	step(t, "begins anew once its key has been withdrawn", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("")
		withdrawn, _ := ring(t)
		w.keys.Replace(withdrawn)
		b.get("/me").is(http.StatusOK)
		b.returns(callback).is(http.StatusBadRequest, "flow_invalid")
		if len(b.flows()) != 0 {
			t.Errorf("flows are left: %q", b.flows())
		}
		b.startsAgain()
	})
	step(t, "and those that nobody finishes make room at the next login", func(t *testing.T) {
		b := b.in(t)
		for range 3 {
			b.get("/login")
		}
		withdrawn, _ := ring(t)
		w.keys.Replace(withdrawn)
		b.get("/login")
		if len(b.flows()) != 1 {
			t.Errorf("flows are %q", b.flows())
		}
	})
}

func TestAnswersOfAnotherProvider(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	other := hostile.New(t, w.flows.now)
	// refused fails unless the answer is, without a request to either provider.
	refused := func(t *testing.T, callback string) {
		t.Helper()
		before := w.hostile.Count(hostile.PathToken)
		b := b.in(t)
		b.returns(callback).leadsTo(home + "?error=issuer_mismatch")
		if w.hostile.Count(hostile.PathToken) != before || other.Count(hostile.PathToken) != 0 {
			t.Error("the code was sent to a provider")
		}
		if len(b.cookies) != 0 {
			t.Errorf("cookies are left: %v", b.cookies)
		}
	}
	step(t, "S-03 S-04 ASVS-10.2.2 that names itself are taken to nobody", func(t *testing.T) {
		refused(t, change(t, b.in(t).authorize(""), "iss", other.Issuer))
	})
	step(t, "S-03 S-04 ASVS-10.2.2 with our provider's name written otherwise, neither", func(t *testing.T) {
		for _, issuer := range []string{w.hostile.Issuer + "/", strings.ToUpper(w.hostile.Issuer), w.hostile.Issuer + "?", " " + w.hostile.Issuer} {
			refused(t, change(t, b.in(t).authorize(""), "iss", issuer))
		}
	})
	step(t, "S-03 an error of another provider is not believed", func(t *testing.T) {
		refused(t, change(t, b.in(t).authorize(""), "iss", other.Issuer, "code", "", "error", "access_denied"))
	})
	step(t, "S-03 an empty name, neither", func(t *testing.T) {
		refused(t, change(t, b.in(t).authorize(""), "iss", "")+"&iss=")
	})
	step(t, "without a name are taken while the provider does not announce one", func(t *testing.T) {
		b := b.in(t)
		b.returns(change(t, b.authorize(""), "iss", "")).leadsTo(home)
		clear(b.cookies)
	})
	step(t, "S-03 ASVS-10.2.2 without a name are refused once it does", func(t *testing.T) {
		w.announces(hostile.Object{"authorization_response_iss_parameter_supported": true})
		refused(t, change(t, b.in(t).authorize(""), "iss", ""))
	})
	step(t, "and the next login works", func(t *testing.T) { b.in(t).startsAgain() })
}

func TestACodeOfAnotherFlow(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	step(t, "S-25 is refused by the provider, which knows the challenge", func(t *testing.T) {
		b := b.in(t)
		attacker := w.browser().in(t)
		stolen := parameter(t, attacker.authorize(""), "code")
		b.returns(change(t, b.authorize(""), "code", stolen)).leadsTo(home + "?error=code_refused")
	})
	step(t, "S-25 S-07 is refused by its nonce at a provider that forgets the challenge", func(t *testing.T) {
		b := b.in(t)
		w.signsIn("ada@example.com", hostile.Object{"nonce": "of-another-flow"})
		asked := w.hostile.Count(hostile.PathUserInfo)
		b.logIn().leadsTo(home + "?error=identity_rejected")
		if w.hostile.Count(hostile.PathUserInfo) != asked || w.rows("sessions") != 0 {
			t.Error("the token was used before the nonce was compared")
		}
		w.signsIn("ada@example.com", nil)
	})
	step(t, "and the next login works", func(t *testing.T) { b.in(t).startsAgain() })
}

func TestAProviderThatFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{login: func(c *login.Config) { c.HTTPTimeout = time.Second }})
	nobody := `{"sub":"` + subjectOf("ada@example.com") + `"}`
	gone := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, test := range map[string]struct {
		path, code string
		handler    http.HandlerFunc
	}{
		"the token endpoint hangs up":                {hostile.PathToken, "provider_unavailable", gone},
		"the token endpoint is overloaded":           {hostile.PathToken, "provider_unavailable", hostile.Reply(503, "text/html", "<h1>busy</h1>")},
		"the token endpoint limits us":               {hostile.PathToken, "provider_unavailable", hostile.Reply(429, "application/json", `{"error":"slow_down"}`)},
		"the token endpoint refuses us":              {hostile.PathToken, "provider_error", hostile.Reply(401, "application/json", `{"error":"invalid_client"}`)},
		"the token endpoint answers nonsense":        {hostile.PathToken, "provider_unavailable", hostile.Reply(200, "application/json", `[]`)},
		"UserInfo hangs up":                          {hostile.PathUserInfo, "provider_unavailable", gone},
		"UserInfo is of somebody else":               {hostile.PathUserInfo, "identity_rejected", hostile.Reply(200, "application/json", `{"sub":"somebody else"}`)},
		"UserInfo names nobody whom we have invited": {hostile.PathUserInfo, "not_registered", hostile.Reply(200, "application/json", nobody)},
	} {
		step(t, name, func(t *testing.T) {
			b := b.in(t)
			w.hostile.Change(func(b *hostile.Behaviour) { b.Handlers = map[string]http.HandlerFunc{test.path: test.handler} })
			b.logIn().leadsTo(home + "?error=" + test.code)
			if len(b.cookies) != 0 || w.rows("sessions") != 0 {
				t.Errorf("%d sessions, cookies %v", w.rows("sessions"), b.cookies)
			}
			w.hostile.Change(func(b *hostile.Behaviour) { b.Handlers = nil })
			b.startsAgain()
			b.post("/logout", "").is(http.StatusOK)
		})
	}
}

func TestAFlowFinishesOnAnotherReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{databaseURL: storetest.Postgres(t)})
	other := w.replica()
	b := w.browser()
	b.signUp("ada@example.com")
	step(t, "begun here and finished there, once in all", func(t *testing.T) {
		b := b.in(t)
		callback := b.authorize("")
		kept := *b.cookies[b.flows()[0]]
		there := b.at(other)
		there.returns(strings.Replace(callback, w.url, other.url, 1)).leadsTo(home)
		b.cookies[kept.Name] = &kept
		b.returns(callback).leadsTo(home + "?error=flow_used")
		b.get("/me").is(http.StatusOK)
		there.get("/me").is(http.StatusOK)
	})
}

func TestWhatHappensWhileTheUserIsAtTheProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signUp("ada@example.com")
	callback := b.authorize("")
	w.exec("UPDATE users SET status = 'suspended'")
	b.returns(callback).leadsTo(home + "?error=user_suspended")
	w.exec("UPDATE users SET status = 'active'")
	if _, err := w.sim.AddFault(simulator.Fault{
		Match: simulator.Match{Path: "/v2/oauth2/token"}, Effect: simulator.Effect{Drop: true}, Times: 1,
	}); err != nil {
		t.Fatal(err)
	}
	b.logIn().leadsTo(home + "?error=provider_unavailable")
	b.startsAgain()
}
