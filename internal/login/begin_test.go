package login_test

import (
	"encoding/base64"
	"errors"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
)

func query(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestAuthorizationRequest(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	begun, err := w.rp.Begin(t.Context(), login.Begin{
		Client: login.Browser, ReturnTo: "/", LoginHint: "a+b@example.com&prompt=none", Prompt: "login",
	})
	if err != nil {
		t.Fatal(err)
	}
	sent := query(t, begun.AuthorizationURL)
	for _, c := range []struct{ test, name, want string }{
		{"BBA-02 BBA-22 S-14 the code flow and no other", "response_type", "code"},
		{"S-05 BBA-21 a challenge that is hashed", "code_challenge_method", "S256"},
		{"BBA-20 the configured redirect URI", "redirect_uri", redirectURI},
		{"S-12 ASVS-10.2.3 no scope that is not needed", "scope", "openid"},
		{"the client", "client_id", clientID},
		{"the state", "state", begun.State},
		{"ASVS-1.2.2 a hint that adds no parameter", "login_hint", "a+b@example.com&prompt=none"},
		{"the prompt", "prompt", "login"},
		{"what the endpoint has of its own", "tenant", "1"},
	} {
		t.Run(c.test, func(t *testing.T) {
			if got := sent[c.name]; len(got) != 1 || got[0] != c.want {
				t.Errorf("%s = %q, want %q", c.name, got, c.want)
			}
		})
	}
	t.Run("the secrets are 32 bytes each", func(t *testing.T) {
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if raw, err := base64.RawURLEncoding.DecodeString(sent.Get(name)); err != nil || len(raw) != 32 {
				t.Errorf("%s is not 32 bytes: %q", name, sent.Get(name))
			}
		}
	})
	t.Run("S-08 the return target is not in it", func(t *testing.T) {
		begun := w.begin(login.Browser)
		if strings.Contains(begun.AuthorizationURL, "home") {
			t.Errorf("the provider reads the return target: %s", begun.AuthorizationURL)
		}
	})
	if begun.FlowID != login.HandleOf(begun.State) || !begun.ExpiresAt.Equal(w.clock.now().Add(10*time.Minute)) {
		t.Errorf("begun = %+v", begun)
	}
}

func TestScopes(t *testing.T) {
	t.Run("S-12 ASVS-10.2.3 the configured scopes are asked for and no others", func(t *testing.T) {
		w := newWorld(t, func(c *login.Config) { c.Scopes = []string{"openid", "profile"} })
		w.provider.Metadata = func(m object) { m["scopes_supported"] = []string{"openid", "profile", "email", "offline_access"} }
		w.discover()
		if got := query(t, w.begin(login.Browser).AuthorizationURL)["scope"]; len(got) != 1 || got[0] != "openid profile" {
			t.Errorf("scope = %q", got)
		}
	})
}

// TestParametersGoWhereDiscoveryAllows has what was announced, what was wished
// for and what is sent; nil announces nothing.
func TestParametersGoWhereDiscoveryAllows(t *testing.T) {
	minute, none, odd := time.Minute, time.Duration(0), 90*time.Second+time.Millisecond
	for _, c := range []struct {
		name            string
		prompts, claims []string
		begin           login.Begin
		want            url.Values
	}{
		{name: "ASVS-7.6.2 no prompt is sent that was not asked for"},
		{name: "ASVS-7.6.2 nor one that the provider offers", prompts: []string{"none", "login"}},
		{name: "ASVS-7.6.2 none, asked for", begin: login.Begin{Prompt: "none"}, want: url.Values{"prompt": {"none"}}},
		{name: "none, asked for and announced", prompts: []string{"none"}, begin: login.Begin{Prompt: "none"}, want: url.Values{"prompt": {"none"}}},
		{name: "login, and nothing announced", begin: login.Begin{Prompt: "login"}, want: url.Values{"prompt": {"login"}}},
		{name: "login, announced", prompts: []string{"none", "login"}, begin: login.Begin{Prompt: "login"}, want: url.Values{"prompt": {"login"}}},
		{name: "login, not among what is announced", prompts: []string{"none"}, begin: login.Begin{Prompt: "login"}},
		{name: "consent, not among what is announced", prompts: []string{"none"}, begin: login.Begin{Prompt: "consent"}},
		{name: "select_account, and an empty announcement", prompts: []string{}, begin: login.Begin{Prompt: "select_account"}},
		{name: "a hint, which discovery has no word for", prompts: []string{}, claims: []string{}, begin: login.Begin{LoginHint: "a@b"}, want: url.Values{
			"login_hint": {"a@b"},
		}},
		{name: "max_age, and nothing announced", begin: login.Begin{MaxAge: &minute}, want: url.Values{"max_age": {"60"}}},
		{name: "max_age of nothing", begin: login.Begin{MaxAge: &none}, want: url.Values{"max_age": {"0"}}},
		{name: "max_age in whole seconds", begin: login.Begin{MaxAge: &odd}, want: url.Values{"max_age": {"90"}}},
		{name: "max_age, auth_time announced", claims: []string{"sub", "auth_time"}, begin: login.Begin{MaxAge: &minute}, want: url.Values{"max_age": {"60"}}},
		{name: "max_age, auth_time not among what is announced", claims: []string{"sub"}, begin: login.Begin{MaxAge: &minute}},
		{name: "everything together", begin: login.Begin{MaxAge: &none, Prompt: "login", LoginHint: "a@b"}, want: url.Values{
			"max_age": {"0"}, "prompt": {"login"}, "login_hint": {"a@b"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.provider.Metadata = func(m object) {
				if c.prompts != nil {
					m["prompt_values_supported"] = c.prompts
				}
				if c.claims != nil {
					m["claims_supported"] = c.claims
				}
			}
			w.discover()
			c.begin.Client = login.Browser
			begun, err := w.rp.Begin(t.Context(), c.begin)
			if err != nil {
				t.Fatal(err)
			}
			sent := query(t, begun.AuthorizationURL)
			for _, name := range []string{"prompt", "login_hint", "max_age"} {
				if !slices.Equal(sent[name], c.want[name]) {
					t.Errorf("%s = %q, want %q", name, sent[name], c.want[name])
				}
			}
		})
	}
	t.Run("prompt=none is not left out where the provider does not know it", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Metadata = func(m object) { m["prompt_values_supported"] = []string{"login"} }
		w.discover()
		if _, err := w.rp.Begin(t.Context(), login.Begin{Client: login.Browser, Prompt: "none"}); !errors.Is(err, login.ErrBeginInvalid) {
			t.Errorf("Begin = %v, want ErrBeginInvalid", err)
		}
	})
}

func TestS06_FlowSecretsAreNeverReused(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	seen := map[string]bool{}
	for range 10_000 {
		begun := w.begin(login.Browser)
		u, err := url.Parse(begun.AuthorizationURL)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{
			u.Query().Get("state"), u.Query().Get("nonce"), u.Query().Get("code_challenge"), begun.FlowID, begun.Sealed,
		} {
			if seen[value] {
				t.Fatalf("%q came twice", value)
			}
			seen[value] = true
		}
	}
}

func TestBeginRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	past, centuries := -time.Second, time.Duration(math.MaxInt64)
	app := func(change func(*login.App)) login.Begin {
		begin := login.Begin{Client: login.System, App: anApp()}
		change(&begin.App)
		return begin
	}
	for name, begin := range map[string]login.Begin{
		"no kind of client":                       {},
		"an unknown kind of client":               {Client: "robot"},
		"ASVS-4.2.5 a return target that is long": {Client: login.Browser, ReturnTo: strings.Repeat("/", 2049)},
		"ASVS-4.2.5 a hint that is long":          {Client: login.Browser, LoginHint: strings.Repeat("a", 321)},
		"a hint that is not text":                 {Client: login.Browser, LoginHint: "\xff"},
		"a prompt that nobody defined":            {Client: login.Browser, Prompt: "create"},
		"two prompts":                             {Client: login.Browser, Prompt: "login consent"},
		"a session handle that is a book":         {Client: login.Browser, ReplacesSession: make([]byte, 65)},
		"a greatest age before now":               {Client: login.Browser, MaxAge: &past},
		"a greatest age of centuries":             {Client: login.Browser, MaxAge: &centuries},
		"an app for a browser":                    {Client: login.Browser, App: anApp()},
		"an app in its own requests":              {Client: login.Native, App: anApp()},
		"a system flow without an app":            {Client: login.System},
		"a system flow to somewhere else":         {Client: login.System, App: anApp(), ReturnTo: "/"},
		"an app without a redirect":               app(func(a *login.App) { a.RedirectURI = "" }),
		"an app's redirect that is long":          app(func(a *login.App) { a.RedirectURI += strings.Repeat("r", 512) }),
		"an app's redirect in two lines":          app(func(a *login.App) { a.RedirectURI += "\r\nSet-Cookie: a=b" }),
		"an app without a challenge":              app(func(a *login.App) { a.CodeChallenge = "" }),
		"a challenge that is short":               app(func(a *login.App) { a.CodeChallenge = a.CodeChallenge[1:] }),
		"a challenge that is long":                app(func(a *login.App) { a.CodeChallenge += "A" }),
		"a challenge with padding":                app(func(a *login.App) { a.CodeChallenge += "=" }),
		"a challenge in another alphabet":         app(func(a *login.App) { a.CodeChallenge = "+" + a.CodeChallenge[1:] }),
		"a challenge with a line break":           app(func(a *login.App) { a.CodeChallenge = a.CodeChallenge[:42] + "\n" }),
		"a challenge with spare bits":             app(func(a *login.App) { a.CodeChallenge = strings.Repeat("A", 42) + "B" }),
		"an app's state that is long":             app(func(a *login.App) { a.State = strings.Repeat("s", 257) }),
		"an app's state that is not ASCII":        app(func(a *login.App) { a.State = "é" }),
		"an app's state that is not printed":      app(func(a *login.App) { a.State = "a\tb" }),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := w.rp.Begin(t.Context(), begin); !errors.Is(err, login.ErrBeginInvalid) {
				t.Errorf("Begin = %v, want ErrBeginInvalid", err)
			}
		})
	}
	for name, begin := range map[string]login.Begin{
		"the longest of everything for an app": app(func(a *login.App) {
			a.RedirectURI, a.State = strings.Repeat("r", 512), strings.Repeat("~", 256)
		}),
		"an app without a state": app(func(a *login.App) { a.State = "" }),
	} {
		t.Run(name+" is taken", func(t *testing.T) {
			if _, err := w.rp.Begin(t.Context(), begin); err != nil {
				t.Errorf("Begin = %v", err)
			}
		})
	}
}
