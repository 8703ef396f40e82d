package login_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

// TestTwoProviders has two providers, one of which is evil, and one key ring for both
// (RFC 9700 §4.4).
func TestTwoProviders(t *testing.T) {
	begin := func(t *testing.T) (honest, evil *world) {
		t.Helper()
		honest, evil = newWorld(t, nil), newWorld(t, nil)
		honest.discover()
		evil.discover()
		return honest, evil
	}
	t.Run("S-03 ASVS-10.2.2 the evil one's answer to a flow of the honest one is refused by its iss", func(t *testing.T) {
		honest, evil := begin(t)
		answer := honest.answered(login.Browser)
		answer.Code, answer.Issuer, answer.HasIssuer = "evil-code", evil.provider.Issuer, true
		if _, err := honest.rp.Finish(t.Context(), answer); !errors.Is(err, login.ErrIssuerMismatch) {
			t.Errorf("Finish = %v, want ErrIssuerMismatch", err)
		}
		if honest.provider.Count(hostile.PathToken) != 0 || honest.flows.count() != 0 {
			t.Error("it went further")
		}
	})
	t.Run("S-03 an ID token of the evil one is refused although it names the honest one", func(t *testing.T) {
		honest, evil := begin(t)
		honest.provider.IDToken = func(signed string) any {
			raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[1])
			return hostile.Compact(t, []byte(`{"alg":"RS256","kid":"one"}`), raw, hostile.Signing{Algorithm: "RS256", Key: hostile.TestKeys().OtherRSA})
		}
		honest.wants(false)
		if evil.provider.Count(hostile.PathJWKS) != 0 {
			t.Error("the evil provider's keys were looked at")
		}
	})
}

func TestS05_ThePKCEChallengeIsS256AndTheVerifierStaysHere(t *testing.T) {
	for _, methods := range []any{[]string{"S256"}, []string{"plain"}, nil} {
		w := newWorld(t, nil)
		w.provider.Metadata = func(m object) { m["code_challenge_methods_supported"] = methods }
		w.discover()
		begun := w.begin(login.Browser)
		query := parsed(t, begun.AuthorizationURL).Query()
		if query.Get("code_challenge_method") != "S256" || len(query.Get("code_challenge")) != 43 {
			t.Errorf("announced %v: %v", methods, query)
		}
		answer := login.Answer{Sealed: begun.Sealed, Client: login.Browser, State: begun.State, Code: w.provider.Authorize(begun.AuthorizationURL)}
		if _, err := w.rp.Finish(t.Context(), answer); err != nil {
			t.Fatalf("announced %v: %v", methods, err)
		}
		verifier := w.provider.Requests(hostile.PathToken)[0].Form.Get("code_verifier")
		if len(verifier) != 43 || strings.Contains(begun.AuthorizationURL+begun.Sealed, verifier) {
			t.Errorf("the verifier %q has left before its time", verifier)
		}
	}
}

func TestASVS_10_2_1_StateAndPKCEAreBothNeeded(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	mine, theirs := w.answered(login.Browser), w.answered(login.Browser)
	t.Run("S-02 ASVS-10.1.2 somebody else's answer with somebody else's state", func(t *testing.T) {
		mixed := mine
		mixed.Code, mixed.State = theirs.Code, theirs.State
		if _, err := w.rp.Finish(t.Context(), mixed); !errors.Is(err, login.ErrStateMismatch) {
			t.Errorf("Finish = %v, want ErrStateMismatch", err)
		}
	})
	t.Run("S-25 ASVS-10.1.2 somebody else's code with my state", func(t *testing.T) {
		mixed := mine
		mixed.Code = theirs.Code
		if _, err := w.rp.Finish(t.Context(), mixed); !errors.Is(err, login.ErrCodeRefused) {
			t.Errorf("Finish = %v, want ErrCodeRefused", err)
		}
	})
	t.Run("ASVS-10.1.2 a native flow in a browser, and a browser's flow in an app", func(t *testing.T) {
		for from, to := range map[login.Client]login.Client{login.Native: login.Browser, login.Browser: login.Native} {
			planted := w.answered(from)
			planted.Client = to
			if _, err := w.rp.Finish(t.Context(), planted); !errors.Is(err, login.ErrFlowInvalid) {
				t.Errorf("%s as %s: %v, want ErrFlowInvalid", from, to, err)
			}
		}
	})
	if asked := w.provider.Count(hostile.PathUserInfo); asked != 0 {
		t.Errorf("UserInfo was asked %d times", asked)
	}
}

func TestACodeInjectedAtAProviderWithoutPKCE(t *testing.T) {
	// Where the provider does not look at the verifier, the nonce is what stops
	// it (RFC 9700 §4.5.3.2).
	t.Run("S-07 S-25 ASVS-10.5.1 stops at the nonce, before any token is used", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		victim, attacker := w.answered(login.Browser), w.begin(login.Browser)
		nonce := parsed(t, attacker.AuthorizationURL).Query().Get("nonce")
		w.provider.Handlers[hostile.PathToken] = func(rw http.ResponseWriter, _ *http.Request) {
			claims, err := json.Marshal(w.provider.StandardClaims(nonce, "access"))
			if err != nil {
				t.Error(err)
			}
			hostile.Write(rw, http.StatusOK, object{"access_token": "access", "token_type": "Bearer", "id_token": w.provider.Sign(claims)})
		}
		if _, err := w.rp.Finish(t.Context(), victim); !errors.Is(err, login.ErrIdentityRejected) || !strings.Contains(err.Error(), "nonce") {
			t.Errorf("Finish = %v, want a refused nonce", err)
		}
		if w.provider.Count(hostile.PathUserInfo) != 0 {
			t.Error("the access token was used")
		}
	})
}

func TestSecretsOfAFlow(t *testing.T) {
	t.Run("ASVS-11.5.1 every one of their 256 bits is even odds", func(t *testing.T) {
		const flows, deviations = 2000, 134 // six standard deviations of 2000 coins
		w := newWorld(t, nil)
		w.discover()
		ones := map[string]*[256]int{"state": {}, "nonce": {}, "code_challenge": {}}
		for range flows {
			query := parsed(t, w.begin(login.Browser).AuthorizationURL).Query()
			for name, count := range ones {
				raw, err := base64.RawURLEncoding.DecodeString(query.Get(name))
				if err != nil || len(raw) != 32 {
					t.Fatalf("%s = %q", name, query.Get(name))
				}
				for bit := range count {
					count[bit] += int(raw[bit/8] >> (bit % 8) & 1)
				}
			}
		}
		for name, count := range ones {
			for bit, n := range count {
				if n < flows/2-deviations || n > flows/2+deviations {
					t.Errorf("bit %d of %s was set %d times of %d", bit, name, n, flows)
				}
			}
		}
	})
}

func TestARelaxedNonceStillMatchesWhenItIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		nonce any
		want  error
	}{
		"missing": {nonce: nil},
		"another": {nonce: "another", want: login.ErrIdentityRejected},
		"empty":   {nonce: "", want: login.ErrIdentityRejected},
	} {
		w := newWorld(t, func(cfg *login.Config) { cfg.RequireNonce = false })
		w.discover()
		set("nonce", c.nonce)(w)
		if _, err := w.logIn(); !errors.Is(err, c.want) {
			t.Errorf("%s: Finish = %v, want %v", name, err, c.want)
		}
	}
}

func TestS26_AnErrorIsBelievedFromItsProviderOnly(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*login.Answer)
		want   error
	}{
		"code and error together": {func(a *login.Answer) { a.Error = "access_denied" }, login.ErrAnswerInvalid},
		"an error with a foreign iss": {func(a *login.Answer) {
			a.Code, a.Error, a.Issuer, a.HasIssuer = "", "access_denied", "https://evil.example", true
		}, login.ErrIssuerMismatch},
		"an error with a foreign state": {func(a *login.Answer) { a.Code, a.Error, a.State = "", "access_denied", "guessed" }, login.ErrStateMismatch},
		"an error without a flow":       {func(a *login.Answer) { a.Code, a.Error, a.Sealed = "", "access_denied", "" }, login.ErrFlowMissing},
	} {
		w := newWorld(t, nil)
		w.discover()
		answer := w.answered(login.Browser)
		sound := answer
		c.change(&answer)
		if _, err := w.rp.Finish(t.Context(), answer); !errors.Is(err, c.want) {
			t.Errorf("%s: Finish = %v, want %v", name, err, c.want)
		}
		if _, err := w.rp.Finish(t.Context(), sound); err != nil {
			t.Errorf("%s: it has ended the flow of the real user: %v", name, err)
		}
	}
}

func TestWhoSomebodyIs(t *testing.T) {
	t.Run("ASVS-10.3.3 ASVS-10.5.2 by issuer and subject, whatever else they are called", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		first, err := w.logIn()
		if err != nil {
			t.Fatal(err)
		}
		w.provider.UserInfo = func(u object) { u["email"], u["name"], u["preferred_username"] = "eve@example.com", "Eve", "eve" }
		second, err := w.logIn()
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%+v", first.Identity) != fmt.Sprintf("%+v", second.Identity) ||
			second.Identity.Issuer != w.provider.Issuer || second.Identity.Subject != "user-1" {
			t.Errorf("%+v, then %+v", first.Identity, second.Identity)
		}
		for _, personal := range []string{"example.com", "Ada", "Eve", "eve"} {
			if strings.Contains(fmt.Sprintf("%+v", second.Identity), personal) {
				t.Errorf("the identity holds %q", personal)
			}
		}
	})
	t.Run("ASVS-9.2.3 ASVS-10.5.4 a token for another client of the same provider is refused", func(t *testing.T) {
		for _, audience := range []any{"another", []string{"another"}, []string{clientID, "another"}, strings.ToUpper(clientID), clientID + " ", "", nil} {
			w := newWorld(t, nil)
			w.discover()
			set("aud", audience)(w)
			w.wants(false)
		}
	})
	t.Run("ASVS-9.2.1 a token outside its time is refused", func(t *testing.T) {
		for _, change := range []func(*world){at("exp", -60e9), at("nbf", 61e9), at("iat", 61e9)} {
			w := newWorld(t, nil)
			w.discover()
			change(w)
			w.wants(false)
		}
	})
}

func TestARefreshTokenIsIgnoredAndGoesNowhere(t *testing.T) {
	const secretToken = "refresh-token-that-nobody-asked-for"
	w := newWorld(t, nil)
	w.discover()
	w.provider.Answer = func(a object) {
		a["refresh_token"], a["expires_in"], a["scope"] = secretToken, 1, "openid offline_access"
	}
	for range 3 {
		finished, err := w.logIn()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprintf("%+v", finished), secretToken) {
			t.Error("it is in the result")
		}
		w.clock.advance(3600e9)
		w.discover()
	}
	paths := []string{hostile.PathMetadata, hostile.PathJWKS, hostile.PathToken, hostile.PathUserInfo, hostile.PathRevoke, hostile.PathLogout}
	for _, path := range paths {
		for _, request := range w.provider.Requests(path) {
			if strings.Contains(fmt.Sprint(request), secretToken) || request.Form.Get("grant_type") == "refresh_token" {
				t.Errorf("%s was asked with it", path)
			}
		}
	}
	if asked := w.provider.Count(hostile.PathToken); asked != 3 {
		t.Errorf("%d token requests for three logins", asked)
	}
	if strings.Contains(w.begin(login.Browser).AuthorizationURL, "offline_access") {
		t.Error("it was asked for")
	}
}

// TestClaimsElsewhereAreNotFetched: a claim source is an address that the
// provider, or whoever feeds it, makes us call (OpenID Connect Core §5.6.2).
func TestClaimsElsewhereAreNotFetched(t *testing.T) {
	sources := func(w *world) object {
		return object{"a": object{"endpoint": w.provider.Issuer + "/claims", "access_token": "x"}, "b": object{"JWT": "e30.e30."}}
	}
	for name, change := range map[string]func(*world){
		"in UserInfo": func(w *world) {
			w.provider.UserInfo = func(u object) {
				delete(u, "external_id")
				u["_claim_names"], u["_claim_sources"] = object{"external_id": "a", "email": "b"}, sources(w)
			}
		},
		"in the ID token": func(w *world) {
			w.provider.Claims = func(c object) { c["_claim_names"], c["_claim_sources"] = object{"external_id": "a"}, sources(w) }
			w.provider.UserInfo = func(u object) { delete(u, "external_id") }
		},
		"in the ID token, without UserInfo": func(w *world) {
			w.provider.Metadata = func(m object) { delete(m, "userinfo_endpoint") }
			w.provider.Claims = func(c object) { c["_claim_names"], c["_claim_sources"] = object{"external_id": "a"}, sources(w) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			change(w)
			w.provider.Handlers["/claims"] = hostile.Reply(http.StatusOK, "application/json", `{"external_id":"evil"}`)
			w.discover()
			if finished, err := w.logIn(); err == nil || finished.Identity.ExternalID != "" {
				t.Errorf("Finish = %+v, %v: the claim was believed", finished.Identity, err)
			}
			if w.provider.Count("/claims") != 0 {
				t.Error("the source was asked")
			}
		})
	}
}
