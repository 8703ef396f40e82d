package login_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
)

func TestTheLongestFlowFitsACookie(t *testing.T) {
	s := &switchable{issuer: "https://op.example/" + strings.Repeat("t", 255-len("https://op.example/"))}
	rp := s.relyingParty(t, nil)
	if _, err := rp.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun, err := rp.Begin(t.Context(), login.Begin{
		Client: login.Browser, ReturnTo: "/" + strings.Repeat(`<`, 2047), ReplacesSession: bytes.Repeat([]byte{0xff}, 64),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(begun.Sealed) >= 3584 {
		t.Errorf("the sealed flow has %d bytes, want less than 3.5 KiB", len(begun.Sealed))
	}
	info, err := rp.Peek(begun.Sealed, login.Browser)
	if err != nil || len(info.ReturnTo) != 2048 {
		t.Errorf("Peek = %d bytes, %v", len(info.ReturnTo), err)
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
		"no issuer":                     func(c *login.Config) { c.Issuer = "" },
		"an issuer without scheme":      func(c *login.Config) { c.Issuer = "op.example" },
		"an issuer of another scheme":   func(c *login.Config) { c.Issuer = "ftp://op.example" },
		"an issuer with a query":        func(c *login.Config) { c.Issuer = "https://op.example/?a=b" },
		"an issuer with a fragment":     func(c *login.Config) { c.Issuer = "https://op.example/#a" },
		"an issuer with credentials":    func(c *login.Config) { c.Issuer = "https://a:b@op.example" },
		"an issuer that is too long":    func(c *login.Config) { c.Issuer = "https://op.example/" + strings.Repeat("a", 255) },
		"no client id":                  func(c *login.Config) { c.ClientID = "" },
		"BBA-01 no client secret":       func(c *login.Config) { c.ClientSecret = "" },
		"client authentication unnamed": func(c *login.Config) { c.ClientAuth = "" },
		"client authentication unknown": func(c *login.Config) { c.ClientAuth = "auto" },
		"no redirect URI":               func(c *login.Config) { c.RedirectURI = "" },
		"a relative redirect URI":       func(c *login.Config) { c.RedirectURI = "/callback" },
		"no external id claim":          func(c *login.Config) { c.ExternalIDClaim = "" },
		"a flow that lives backwards":   func(c *login.Config) { c.FlowTTL = -time.Second },
		"a timeout that is negative":    func(c *login.Config) { c.HTTPTimeout = -time.Second },
		"no keys":                       func(c *login.Config) { c.Keys = nil },
		"no flow store":                 func(c *login.Config) { c.Flows = nil },
	} {
		cfg := login.Config{
			Issuer: "https://op.example", ClientID: clientID, ClientSecret: clientSecret, ClientAuth: login.AuthBasic,
			RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"), Flows: &flowStore{},
		}
		if _, err := login.New(cfg); err != nil {
			t.Fatalf("New = %v", err)
		}
		change(&cfg)
		if _, err := login.New(cfg); err == nil || strings.Contains(err.Error(), clientSecret) {
			t.Errorf("%s: New = %v, want an error without the secret", name, err)
		}
	}
}

func TestAnHTTPSProviderMayNotAnnouncePlainEndpoints(t *testing.T) {
	s := &switchable{issuer: "https://op.example"}
	rp, err := login.New(login.Config{
		Issuer: s.issuer, ClientID: clientID, ClientSecret: clientSecret, ClientAuth: login.AuthPost,
		RedirectURI: redirectURI, ExternalIDClaim: "external_id", Keys: ring(t, "one"), Flows: &flowStore{},
		Transport: direct{reply(200, "application/json", `{"issuer":"https://op.example","authorization_endpoint":"https://op.example/a",
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
	secret := login.Secret(clientSecret)
	cfg := login.Config{ClientSecret: secret, Keys: ring(t, "one")}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "config", struct{ S login.Secret }{secret}, "rp", w.rp)
	var shown strings.Builder
	shown.WriteString(log.String())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		_, _ = fmt.Fprintf(&shown, strings.Repeat(verb, 3), secret, cfg, w.rp)
	}
	if strings.Contains(shown.String(), clientSecret) || strings.Contains(shown.String(), fmt.Sprintf("%x", clientSecret)) {
		t.Errorf("the secret is shown: %s", shown.String())
	}
}
