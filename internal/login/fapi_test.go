package login_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

// trial is one login with something changed. Zero fields change nothing and
// want a login.
type trial struct {
	name   string
	op     func(*world)                // the provider, after discovery
	meta   func(object)                // its metadata
	answer func(*world, *login.Answer) // what comes back through the browser
	want   error
	spent  bool // the flow may have been used
}

// run logs in. What is refused goes no further: without spent not even to the
// token endpoint, otherwise not to UserInfo.
func (c trial) run(t *testing.T) {
	t.Run(c.name, func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Metadata = c.meta
		w.discover()
		if c.op != nil {
			c.op(w)
		}
		answer := w.answered(login.Browser)
		if c.answer != nil {
			c.answer(w, &answer)
		}
		_, err := w.rp.Finish(t.Context(), answer)
		if !errors.Is(err, c.want) {
			t.Errorf("Finish = %v, want %v", err, c.want)
		}
		if c.want == nil {
			return
		}
		if !c.spent && (w.flows.count() != 0 || w.provider.Count(hostile.PathToken) != 0) {
			t.Error("the flow was spent")
		}
		if w.provider.Count(hostile.PathUserInfo) != 0 {
			t.Error("the access token was used")
		}
	})
}

func token(name string, change func(*world)) trial {
	return trial{name: name, op: change, want: login.ErrIdentityRejected, spent: true}
}

// TestFAPI2ClientPlan has what the FAPI 2.0 plan for clients asks and any other
// client should do too.
func TestFAPI2ClientPlan(t *testing.T) {
	announce := func(m object) { m["authorization_response_iss_parameter_supported"] = true }
	tokenAnswer := func(change func(object)) func(*world) {
		return func(w *world) { w.provider.Answer = change }
	}
	for _, c := range []struct {
		id     string
		trials []trial
	}{
		{"FAPI2-01", []trial{{
			name: "a foreign iss in the answer: no further call", want: login.ErrIssuerMismatch,
			answer: func(_ *world, a *login.Answer) { a.Issuer, a.HasIssuer = "https://evil.example", true },
		}}},
		{"FAPI2-02", []trial{{name: "iss announced and missing", meta: announce, want: login.ErrIssuerMismatch}}},
		{"FAPI2-03", []trial{
			{name: "a foreign state", want: login.ErrStateMismatch, answer: func(w *world, a *login.Answer) { a.State = w.begin(login.Browser).State }},
			{name: "no state", want: login.ErrStateMismatch, answer: func(_ *world, a *login.Answer) { a.State = "" }},
		}},
		{"FAPI2-04", []trial{token("an audience beside us", set("aud", []string{clientID, "somebody else"}))}},
		{"FAPI2-05", []trial{{name: "an audience in a list of one", op: set("aud", []string{clientID})}}},
		{"FAPI2-06", []trial{token("no nonce", set("nonce", nil)), token("a foreign nonce", set("nonce", "another"))}},
		{"FAPI2-07", []trial{token("no exp", set("exp", nil)), token("exp six minutes ago", at("exp", -6*time.Minute))}},
		{"FAPI2-08", []trial{token("no iss", set("iss", nil))}},
		{"FAPI2-09", []trial{
			token("alg null", func(w *world) {
				w.forge(func(f *forgery) { f.header = `{"alg":null,"kid":"one"}` })
			}),
			token("PS256", func(w *world) { w.provider.Signing.Algorithm = "PS256" }),
		}},
		{"FAPI2-11", []trial{
			{name: "no expires_in", op: tokenAnswer(func(a object) { delete(a, "expires_in") })},
			{name: "expires_in a text", op: tokenAnswer(func(a object) { a["expires_in"] = "3600" })},
		}},
		{"FAPI2-12", []trial{
			{name: "token_type in small letters", op: tokenAnswer(func(a object) { a["token_type"] = "bearer" })},
			{name: "token_type in capitals", op: tokenAnswer(func(a object) { a["token_type"] = "BEARER" })},
			{name: "token_type mixed", op: tokenAnswer(func(a object) { a["token_type"] = "bEaReR" })},
		}},
	} {
		t.Run(c.id, func(t *testing.T) {
			for _, trial := range c.trials {
				trial.run(t)
			}
		})
	}
	t.Run("FAPI2-10", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Metadata = func(m object) { m["issuer"] = "https://evil.example" }
		if _, err := w.rp.Discover(t.Context()); !errors.Is(err, login.ErrIssuerMismatch) {
			t.Errorf("Discover = %v, want ErrIssuerMismatch", err)
		}
		if _, err := w.rp.Begin(t.Context(), login.Begin{Client: login.Browser}); err == nil {
			t.Error("users are sent there all the same")
		}
	})
}

// TestWhatTheLibraryLeavesToItsCaller has what go-oidc accepts, or does not
// look at, or refuses too eagerly.
func TestWhatTheLibraryLeavesToItsCaller(t *testing.T) {
	logoutToken := func(typ string) func(*world) {
		return func(w *world) {
			w.provider.IDToken = func(string) any {
				return w.provider.LogoutToken("user-1", "session-1", func(header, _ object) { header["typ"] = typ })
			}
		}
	}
	for _, c := range []struct {
		id     string
		trials []trial
	}{
		{"GOIDC-01", []trial{token("no iat", set("iat", nil))}},
		{"GOIDC-02", []trial{token("no sub", set("sub", nil))}},
		{"GOIDC-03", []trial{token("a second audience without azp", set("aud", []string{clientID, "x"}))}},
		{"GOIDC-04", []trial{token("azp somebody else", set("azp", "x"))}},
		{"GOIDC-05", []trial{
			token("iat in an hour", at("iat", time.Hour)),
			token("iat in 61 seconds", at("iat", 61*time.Second)),
			{name: "iat in 60 seconds, within the leeway", op: at("iat", time.Minute)},
		}},
		{"GOIDC-06", []trial{
			token("iat a week ago", at("iat", -7*24*time.Hour)),
			token("iat twelve minutes ago", at("iat", -12*time.Minute)),
			{name: "iat ten minutes ago", op: at("iat", -10*time.Minute)},
		}},
		{"GOIDC-07", []trial{token("the type of a logout token", head("typ", "logout+jwt"))}},
		{"GOIDC-08", []trial{token("the type of an access token", head("typ", "at+jwt"))}},
		{"GOIDC-09", []trial{token("a logout token", logoutToken("logout+jwt")), token("a logout token without its type", logoutToken("JWT"))}},
		{"GOIDC-10", []trial{token("no exp", set("exp", nil))}},
		{"GOIDC-11", []trial{token("no aud", set("aud", nil))}},
		{"GOIDC-12", []trial{token("no iss", set("iss", nil))}},
		{"GOIDC-13 GOIDC-36", []trial{
			{name: "expired a second ago, within the leeway", op: at("exp", -time.Second)},
			{name: "expired 59 seconds ago, within the leeway", op: at("exp", -59*time.Second)},
			token("expired a minute ago", at("exp", -time.Minute)),
		}},
		{"GOIDC-14", []trial{token("crit that nobody understands", head("crit", []string{"exp"}))}},
		{"GOIDC-15", []trial{{name: "jku beside a good signature", op: head("jku", "https://evil.example/jwks")}}},
		{"GOIDC-30", []trial{token("a foreign nonce", set("nonce", "another"))}},
		{"GOIDC-31", []trial{token("a foreign at_hash", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"))}},
	} {
		t.Run(c.id, func(t *testing.T) {
			for _, trial := range c.trials {
				trial.run(t)
			}
		})
	}
	t.Run("GOIDC-32 the sub of UserInfo is not compared", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.provider.UserInfo = func(u object) { u["sub"] = "user-2" }
		if _, err := w.logIn(); !errors.Is(err, login.ErrIdentityRejected) {
			t.Errorf("Finish = %v, want ErrIdentityRejected", err)
		}
	})
	t.Run("GOIDC-33 keys are fetched for every unknown id", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.provider.Signing.ID = "unknown"
		for range 50 {
			_, _ = w.logIn()
		}
		if asked := w.provider.Count(hostile.PathJWKS); asked > 5 {
			t.Errorf("%d times", asked)
		}
	})
	t.Run("GOIDC-34 metadata is read once", func(t *testing.T) {
		w := newWorld(t, nil)
		w.discover()
		w.provider.Metadata = func(m object) { m["authorization_endpoint"] = "https://new.example/authorize" }
		w.discover()
		if sent := w.begin(login.Browser).AuthorizationURL; !strings.HasPrefix(sent, "https://new.example/authorize?") {
			t.Errorf("users are sent to %s", sent)
		}
	})
	t.Run("GOIDC-35 answers are read to their end", func(t *testing.T) {
		for _, path := range []string{hostile.PathMetadata, hostile.PathJWKS, hostile.PathUserInfo} {
			w := newWorld(t, nil)
			w.provider.Handlers[path] = hostile.Reply(http.StatusOK, "application/json", `{"x":"`+strings.Repeat("a", 1<<20)+`"}`)
			_, err := w.rp.Discover(t.Context())
			if err == nil {
				_, err = w.logIn()
			}
			if err == nil || !strings.Contains(err.Error(), "1 MiB") {
				t.Errorf("%s: %v, want a refusal for its size", path, err)
			}
		}
	})
}
