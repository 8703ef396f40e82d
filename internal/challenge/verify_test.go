package challenge

import (
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestATokenIsGoodOnceAndOnOurPages(t *testing.T) {
	t.Parallel()
	v := &vendor{t: t, tokens: map[string]string{
		"ours": "app.example.com", "shouted": "App.EXAMPLE.com", "theirs": "evil.example", "beneath": "x.app.example.com",
		"above": "example.com", "lookalike": "app.example.com.evil.example", "dotted": "app.example.com.", "kelvin": "boo\u212a.example",
	}}
	verifier := newVerifier(t, serve(t, v), func(c *Config) { c.Hostnames = []string{" APP.example.com", "", "book.example"} })
	for _, c := range []struct {
		name  string
		token string
		want  error
	}{
		{"a good one", "ours", nil},
		{"the same again", "ours", ErrRefused},
		{"one whose hostname is in capitals", "shouted", nil},
		{"one from another page", "theirs", ErrRefused},
		{"one from a host beneath ours", "beneath", ErrRefused},
		{"one from a host above ours", "above", ErrRefused},
		{"one from a host that begins as ours", "lookalike", ErrRefused},
		{"one from a host with a dot behind", "dotted", ErrRefused},
		{"one from a host that only Unicode folds into ours", "kelvin", ErrRefused},
		{"one that the service does not know", "unknown", ErrRefused},
	} {
		t.Log(c.name) // one after another: the second of two is refused
		wantKind(t, verifier.Verify(t.Context(), c.token, testClient), c.want)
	}
}

func TestWithoutHostnamesTheServiceDecides(t *testing.T) {
	t.Parallel()
	v := &vendor{t: t, tokens: map[string]string{"one": "anywhere.example"}}
	verifier := newVerifier(t, serve(t, v), func(c *Config) { c.Hostnames = []string{"", " "} })
	wantKind(t, verifier.Verify(t.Context(), "one", testClient), nil)
	wantKind(t, verifier.Verify(t.Context(), "one", testClient), ErrRefused)
}

func TestOfManyWhoUseATokenAtOnceOnePasses(t *testing.T) {
	t.Parallel()
	verifier := newVerifier(t, serve(t, &vendor{t: t, tokens: map[string]string{testToken: "app.example.com"}}))
	var passed atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			err := verifier.Verify(t.Context(), testToken, testClient)
			if err == nil {
				passed.Add(1)
			} else if !errors.Is(err, ErrRefused) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d passed", passed.Load())
	}
}

func TestWhatCannotBeATokenIsRefusedWithoutAsking(t *testing.T) {
	t.Parallel()
	v := &vendor{t: t}
	verifier := newVerifier(t, serve(t, v))
	for name, token := range map[string]string{
		"nothing": "", "a space": " ", "a line break": "a\r\nb", "a NUL": "a\x00", "letters beyond ASCII": "tökén",
		"bytes that are no text": "\xff", "too much": strings.Repeat("a", maxToken+1),
	} {
		wantKind(t, verifier.Verify(t.Context(), token, testClient), ErrRefused)
		if len(v.forms) != 0 {
			t.Fatalf("%s was sent", name)
		}
	}
	wantKind(t, verifier.Verify(t.Context(), strings.Repeat("a", maxToken), testClient), ErrRefused)
	if len(v.forms) != 1 {
		t.Error("the longest token was not sent")
	}
}

func TestTheServiceIsToldWhatItsInterfaceNames(t *testing.T) {
	t.Parallel()
	const awkward = "a+b/c=&secret=other&response=%20;#?"
	for name, c := range map[string]struct {
		client string
		want   []string
	}{
		"IPv4":           {"203.0.113.7", []string{"203.0.113.7"}},
		"IPv6":           {"2001:db8::7", []string{"2001:db8::7"}},
		"IPv4 in IPv6":   {"::ffff:203.0.113.7", []string{"203.0.113.7"}},
		"IPv6 in a zone": {"fe80::1%eth0", []string{"fe80::1"}},
		"no address":     {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &vendor{t: t, tokens: map[string]string{awkward: "app.example.com"}}
			client := netip.Addr{}
			if c.client != "" {
				client = netip.MustParseAddr(c.client)
			}
			wantKind(t, newVerifier(t, serve(t, v)).Verify(t.Context(), awkward, client), nil)
			want := map[string][]string{"secret": {testSecret}, "response": {awkward}}
			if c.want != nil {
				want["remoteip"] = c.want
			}
			if len(v.forms) != 1 || !reflect.DeepEqual(v.forms[0], want) {
				t.Errorf("it was told %v, not %v", v.forms, want)
			}
		})
	}
}

func TestTheSecretIsReadForEachCall(t *testing.T) {
	t.Parallel()
	v := &vendor{t: t, tokens: map[string]string{"one": "app.example.com"}}
	secret, failed := "canary-secret-of-yesterday", error(nil)
	verifier := newVerifier(t, serve(t, v), func(c *Config) { c.Secret = func() (string, error) { return secret, failed } })
	wantKind(t, verifier.Verify(t.Context(), "one", testClient), ErrMisconfigured)
	for name, c := range map[string]struct {
		secret string
		failed error
	}{
		"is empty":      {"", nil},
		"is blank":      {" \n", nil},
		"is too short":  {"secret", nil},
		"is too long":   {strings.Repeat("a", maxSecret+1), nil},
		"has gone away": {"", errors.New("open /run/secrets/challenge: no such file or directory")},
	} {
		secret, failed = c.secret, c.failed
		err := verifier.Verify(t.Context(), "one", testClient)
		wantKind(t, err, ErrMisconfigured)
		if c.failed != nil && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: it does not say so: %v", name, err)
		}
	}
	if len(v.forms) != 1 {
		t.Error("the service was asked without a secret")
	}
	secret, failed = testSecret+"\n", nil
	wantKind(t, verifier.Verify(t.Context(), "one", testClient), nil)
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	fine := Config{URL: "https://challenges.cloudflare.com/turnstile/v0/siteverify", Secret: func() (string, error) { return testSecret, nil }}
	for name, change := range map[string]func(*Config){
		"no URL":                      func(c *Config) { c.URL = "" },
		"a path":                      func(c *Config) { c.URL = "/siteverify" },
		"a host without a scheme":     func(c *Config) { c.URL = "api.hcaptcha.com/siteverify" },
		"another scheme":              func(c *Config) { c.URL = "ftp://api.hcaptcha.com/siteverify" },
		"no host":                     func(c *Config) { c.URL = "https:///siteverify" },
		"plain http to the internet":  func(c *Config) { c.URL = "http://api.hcaptcha.com/siteverify" },
		"plain http to the network":   func(c *Config) { c.URL = "http://192.168.0.1/siteverify" },
		"plain http to a name like":   func(c *Config) { c.URL = "http://localhost.example.com/siteverify" },
		"credentials in the URL":      func(c *Config) { c.URL = "https://canary-user:canary-password@api.hcaptcha.com/siteverify" },
		"the secret in the URL":       func(c *Config) { c.URL = "https://api.hcaptcha.com/siteverify?secret=canary-secret" },
		"a fragment":                  func(c *Config) { c.URL = "https://api.hcaptcha.com/siteverify#canary-x" },
		"what is no URL":              func(c *Config) { c.URL = "https://canary-\x00" },
		"no secret":                   func(c *Config) { c.Secret = nil },
		"a time below none":           func(c *Config) { c.Timeout = -1 },
		"an origin for a hostname":    func(c *Config) { c.Hostnames = []string{"https://app.example.com"} },
		"a port behind a hostname":    func(c *Config) { c.Hostnames = []string{"app.example.com:443"} },
		"a wildcard":                  func(c *Config) { c.Hostnames = []string{"*.example.com"} },
		"a hostname not in A-labels":  func(c *Config) { c.Hostnames = []string{"bücher.example"} },
		"a hostname of absurd length": func(c *Config) { c.Hostnames = []string{strings.Repeat("a.", 127) + "example"} },
	} {
		c := fine
		change(&c)
		if v, err := New(c); err == nil || v != nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error repeats it: %v", name, err)
		}
	}
	for _, address := range []string{
		fine.URL, "https://api.hcaptcha.com/siteverify", "https://www.google.com/recaptcha/api/siteverify",
		"http://localhost:8081/siteverify", "http://127.0.0.1/siteverify", "http://[::1]:80/siteverify",
	} {
		c := fine
		c.URL = address
		v, err := New(c)
		if err != nil {
			t.Errorf("%s: %v", address, err)
		} else if v.timeout != DefaultTimeout {
			t.Errorf("%s: it waits for %s", address, v.timeout)
		}
	}
}

func TestEveryConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	var from sync.Map
	v := &vendor{t: t}
	address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from.Store(r.RemoteAddr, true)
		v.ServeHTTP(w, r)
	}))
	verifier := newVerifier(t, address)
	for range 5 {
		wantKind(t, verifier.Verify(t.Context(), testToken, testClient), ErrRefused)
	}
	connections := 0
	from.Range(func(any, any) bool { connections++; return true })
	if connections != 1 {
		t.Errorf("%d connections for calls one after another", connections)
	}
}
