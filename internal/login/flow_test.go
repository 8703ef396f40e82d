package login_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

func TestTheLongestFlowFitsACookie(t *testing.T) {
	s := &switchable{issuer: "https://op.example/" + strings.Repeat("t", 255-len("https://op.example/"))}
	rp := s.relyingParty(t, nil)
	if _, err := rp.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	long, session := time.Duration(math.MaxInt32)*time.Second, bytes.Repeat([]byte{0xff}, 64)
	for _, begin := range []login.Begin{
		{Client: login.Browser, ReturnTo: "/" + strings.Repeat(`<`, 2047), ReplacesSession: session, MaxAge: &long, Prompt: "login"},
		{Client: login.System, ReplacesSession: session, MaxAge: &long, Prompt: "login", App: login.App{
			RedirectURI: "https://app.example/" + strings.Repeat("r", 512-len("https://app.example/")),
			// A challenge is 32 bytes, always.
			CodeChallenge: strings.Repeat("A", 43), State: strings.Repeat("~", 256),
		}},
	} {
		begun, err := rp.Begin(t.Context(), begin)
		if err != nil {
			t.Fatal(err)
		}
		// What a browser takes is name and value together, with a prefix and a
		// handle in the name.
		if cookie := "__Host-Http-portico_flow_" + begun.FlowID + "=" + begun.Sealed; len(cookie) > 3900 {
			t.Errorf("the longest %s flow has %d bytes as a cookie", begin.Client, len(cookie))
		}
		info, err := rp.Peek(begun.Sealed, begin.Client)
		if err != nil || info.ReturnTo != begin.ReturnTo || info.App != begin.App {
			t.Errorf("Peek = %+v, %v", info, err)
		}
	}
}

func TestPeek(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	begun := w.begin(login.Browser)
	w.clock.advance(time.Hour)
	info, err := w.rp.Peek(begun.Sealed, login.Browser)
	if err != nil || info.FlowID != begun.FlowID || info.ReturnTo != "/home?tab=1" ||
		!info.IssuedAt.Equal(w.clock.now().Add(-time.Hour)) || !info.ExpiresAt.Equal(begun.ExpiresAt) {
		t.Errorf("Peek of an expired flow = %+v, %v", info, err)
	}
	if target, ok := w.rp.ReturnTo(begun.Sealed, login.Browser); !ok || target != "/home?tab=1" {
		t.Errorf("ReturnTo = %q, %v", target, ok)
	}
	if _, err := w.rp.Peek("", login.Browser); !errors.Is(err, login.ErrFlowMissing) {
		t.Errorf("Peek of nothing = %v, want ErrFlowMissing", err)
	}
	if _, err := w.rp.Peek(begun.Sealed, login.Native); !errors.Is(err, login.ErrFlowInvalid) {
		t.Errorf("Peek as the other kind of client = %v, want ErrFlowInvalid", err)
	}
	if target, ok := w.rp.ReturnTo("garbage", login.Browser); ok || target != "" {
		t.Errorf("ReturnTo of garbage = %q, %v", target, ok)
	}
	if sealed := ring(t, "one").Seal("portico login flow: browser", []byte("not a flow")); true {
		if _, err := w.rp.Peek(sealed, login.Browser); !errors.Is(err, login.ErrFlowInvalid) {
			t.Errorf("Peek of another layout = %v, want ErrFlowInvalid", err)
		}
	}
}

func TestAHandleIsSafeInACookieName(t *testing.T) {
	safe := regexp.MustCompile(`^[A-Za-z0-9_-]{16}$`)
	seen := map[string]bool{}
	for _, state := range []string{"", "a", "A", "a=b; Path=/", "\r\n", "\x00", strings.Repeat("s", 1<<16), "é"} {
		handle := login.HandleOf(state)
		if !safe.MatchString(handle) || seen[handle] || handle != login.HandleOf(state) {
			t.Errorf("HandleOf(%.20q) = %q", state, handle)
		}
		seen[handle] = true
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*login.Config){
		"no issuer":                        func(c *login.Config) { c.Issuer = "" },
		"an issuer without scheme":         func(c *login.Config) { c.Issuer = "op.example" },
		"an issuer of another scheme":      func(c *login.Config) { c.Issuer = "ftp://op.example" },
		"an issuer with a query":           func(c *login.Config) { c.Issuer = "https://op.example/?a=b" },
		"an issuer with a fragment":        func(c *login.Config) { c.Issuer = "https://op.example/#a" },
		"an issuer with credentials":       func(c *login.Config) { c.Issuer = "https://a:b@op.example" },
		"an issuer that is too long":       func(c *login.Config) { c.Issuer = "https://op.example/" + strings.Repeat("a", 255) },
		"no client id":                     func(c *login.Config) { c.ClientID = "" },
		"BBA-01 no source of a secret":     func(c *login.Config) { c.ClientSecret = nil },
		"BBA-01 an empty client secret":    func(c *login.Config) { c.ClientSecret = secret("") },
		"BBA-01 a secret that is not read": func(c *login.Config) { c.ClientSecret = unreadable },
		"BBA-01 no secret for post":        func(c *login.Config) { c.ClientAuth, c.ClientSecret = login.AuthPost, nil },
		"BBA-01 no source of a key":        func(c *login.Config) { c.ClientAuth = login.AuthPrivateKey },
		"BBA-01 no key": func(c *login.Config) {
			c.ClientAuth, c.ClientKey = login.AuthPrivateKey, func() (login.Asserter, error) { return nil, nil } //nolint:nilnil // a mistake
		},
		"BBA-01 a key that is not read": func(c *login.Config) {
			c.ClientAuth, c.ClientKey = login.AuthPrivateKey, func() (login.Asserter, error) { return nil, errors.New("no file") }
		},
		"BBA-01 client authentication unnamed": func(c *login.Config) { c.ClientAuth = "" },
		"BBA-01 client authentication none":    func(c *login.Config) { c.ClientAuth = "none" },
		"client authentication unknown":        func(c *login.Config) { c.ClientAuth = "auto" },
		"a post-logout redirect to a script":   func(c *login.Config) { c.PostLogoutRedirectURI = "javascript:alert(1)" },
		"a relative post-logout redirect":      func(c *login.Config) { c.PostLogoutRedirectURI = "/logged-out" },
		"logout tokens of a third strictness":  func(c *login.Config) { c.LogoutTokens = "off" },
		"no redirect URI":                      func(c *login.Config) { c.RedirectURI = "" },
		"a relative redirect URI":              func(c *login.Config) { c.RedirectURI = "/callback" },
		"no external id claim":                 func(c *login.Config) { c.ExternalIDClaim = "" },
		"a flow that lives backwards":          func(c *login.Config) { c.FlowTTL = -time.Second },
		"a timeout that is negative":           func(c *login.Config) { c.HTTPTimeout = -time.Second },
		"no keys":                              func(c *login.Config) { c.Keys = nil },
		"no flow store":                        func(c *login.Config) { c.Flows = nil },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := login.Config{
				Issuer: "https://op.example", ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthBasic,
				RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"), Flows: &flowStore{},
			}
			if _, err := login.New(cfg); err != nil {
				t.Fatalf("New = %v", err)
			}
			change(&cfg)
			if _, err := login.New(cfg); err == nil || strings.Contains(err.Error(), clientSecret) {
				t.Errorf("New = %v, want an error without the secret", err)
			}
		})
	}
}

func unreadable() (login.Secret, error) { return clientSecret, errors.New("no file") }

func TestAnHTTPSProviderMayNotAnnouncePlainEndpoints(t *testing.T) {
	s := &switchable{issuer: "https://op.example"}
	rp, err := login.New(login.Config{
		Issuer: s.issuer, ClientID: clientID, ClientSecret: secret(clientSecret), ClientAuth: login.AuthPost,
		RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"), Flows: &flowStore{},
		Transport: direct{hostile.Reply(200, "application/json", `{"issuer":"https://op.example","authorization_endpoint":"https://op.example/a",
			"token_endpoint":"http://op.example/t","jwks_uri":"https://op.example/k"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rp.Discover(t.Context()); !errors.Is(err, login.ErrProviderUnavailable) {
		t.Errorf("Discover = %v, want ErrProviderUnavailable", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	w := newWorld(t, nil)
	hidden := login.Secret(clientSecret)
	cfg := login.Config{ClientSecret: secret(hidden), Keys: ring(t, "one")}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", hidden, "config", struct{ S login.Secret }{hidden}, "rp", w.rp)
	var shown strings.Builder
	shown.WriteString(log.String())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		_, _ = fmt.Fprintf(&shown, strings.Repeat(verb, 3), hidden, cfg, w.rp)
	}
	if strings.Contains(shown.String(), clientSecret) || strings.Contains(shown.String(), fmt.Sprintf("%x", clientSecret)) {
		t.Errorf("the secret is shown: %s", shown.String())
	}
}

// oldFlow is a flow as the first release sealed it, with the authorization
// request that it made.
func oldFlow(t *testing.T, w *world) (sealed, state, authorizationURL string) {
	t.Helper()
	raw := []byte{1}
	var secrets [3]string
	for i := range secrets {
		secret := bytes.Repeat([]byte{byte(i + 1)}, 32)
		raw = append(raw, secret...)
		secrets[i] = base64.RawURLEncoding.EncodeToString(secret)
	}
	raw = binary.BigEndian.AppendUint64(raw, uint64(w.clock.now().UnixMilli()))
	raw = binary.BigEndian.AppendUint64(raw, uint64(w.clock.now().Add(time.Minute).UnixMilli()))
	for _, field := range []string{w.provider.Issuer, "/home?tab=1", "old session"} {
		raw = append(binary.BigEndian.AppendUint16(raw, uint16(len(field))), field...)
	}
	challenge := sha256.Sum256([]byte(secrets[2]))
	query := url.Values{
		"state": {secrets[0]}, "nonce": {secrets[1]}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	return ring(t, "one").Seal("portico login flow: browser", raw), secrets[0], w.provider.Issuer + "/authorize?" + query.Encode()
}

func TestAFlowOfTheReleaseBeforeIsFinished(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	sealed, state, address := oldFlow(t, w)
	info, err := w.rp.Peek(sealed, login.Browser)
	if err != nil || info.ReturnTo != "/home?tab=1" || info.FlowID != login.HandleOf(state) {
		t.Errorf("Peek = %+v, %v", info, err)
	}
	finished, err := w.rp.Finish(t.Context(), login.Answer{
		Sealed: sealed, Client: login.Browser, State: state, Code: w.provider.Authorize(address),
	})
	if err != nil || finished.ReturnTo != "/home?tab=1" || string(finished.ReplacesSession) != "old session" || finished.App != (login.App{}) {
		t.Errorf("Finish = %+v, %v", finished, err)
	}
}

// anApp is one that a flow through the system browser may begin for.
func anApp() login.App {
	challenge := sha256.Sum256([]byte("the app's verifier"))
	return login.App{
		RedirectURI:   "com.example.app:/oauth2redirect",
		CodeChallenge: base64.RawURLEncoding.EncodeToString(challenge[:]),
		State:         "the app's own",
	}
}

func TestASystemBrowserFlow(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	begun, err := w.rp.Begin(t.Context(), login.Begin{Client: login.System, App: anApp()})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{anApp().RedirectURI, anApp().CodeChallenge, anApp().State} {
		if strings.Contains(begun.AuthorizationURL, url.QueryEscape(name)) {
			t.Errorf("the provider is told %s", name)
		}
	}
	info, err := w.rp.Peek(begun.Sealed, login.System)
	if err != nil || info.App != anApp() || info.ReturnTo != "" || info.FlowID != begun.FlowID {
		t.Errorf("Peek = %+v, %v", info, err)
	}
	answer := login.Answer{Sealed: begun.Sealed, State: begun.State, Code: w.provider.Authorize(begun.AuthorizationURL)}
	for _, other := range []login.Client{login.Browser, login.Native} {
		answer.Client = other
		if _, err := w.rp.Finish(t.Context(), answer); !errors.Is(err, login.ErrFlowInvalid) {
			t.Errorf("finished as a %s flow: %v", other, err)
		}
		if _, err := w.rp.Peek(w.begin(other).Sealed, login.System); !errors.Is(err, login.ErrFlowInvalid) {
			t.Errorf("a %s flow opens as a system one: %v", other, err)
		}
	}
	answer.Client = login.System
	finished, err := w.rp.Finish(t.Context(), answer)
	if err != nil || finished.App != anApp() || finished.Client != login.System || finished.Identity.ExternalID != "ext-1" {
		t.Errorf("Finish = %+v, %v", finished, err)
	}
	if _, err := w.rp.Finish(t.Context(), answer); !errors.Is(err, login.ErrFlowUsed) {
		t.Errorf("Finish again = %v, want ErrFlowUsed", err)
	}
}
