package beyondidentity

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	token := StaticToken(NewToken(testToken))
	tests := map[string]Config{
		"no base URL":                     {Token: token},
		"a base URL without a scheme":     {BaseURL: "api.byndid.com", Token: token},
		"a base URL without a host":       {BaseURL: "https://", Token: token},
		"a base URL with a port only":     {BaseURL: "https://:443", Token: token},
		"a base URL of another scheme":    {BaseURL: "ftp://api.byndid.com", Token: token},
		"a base URL that is opaque":       {BaseURL: "https:api.byndid.com", Token: token},
		"a base URL with a password":      {BaseURL: "https://me:hunter2@api.byndid.com", Token: token},
		"a base URL with a query":         {BaseURL: "https://api.byndid.com?key=hunter2", Token: token},
		"a base URL with an empty query":  {BaseURL: "https://api.byndid.com?", Token: token},
		"a base URL with a fragment":      {BaseURL: "https://api.byndid.com#hunter2", Token: token},
		"a base URL that does not parse":  {BaseURL: "https://api.byndid.com:hunter2/", Token: token},
		"plain http to another machine":   {BaseURL: "http://api.byndid.com", Token: token},
		"plain http to a name like local": {BaseURL: "http://localhost.example.com", Token: token},
		"no token source":                 {BaseURL: "https://api.byndid.com"},
		"two ways to authenticate":        {BaseURL: "https://api.byndid.com", Token: token, Credentials: &Credentials{ClientID: "x", Secret: itsSecret}},
		"credentials without an id":       {BaseURL: "https://api.byndid.com", Credentials: &Credentials{Secret: itsSecret}},
		"credentials without a secret":    {BaseURL: "https://api.byndid.com", Credentials: &Credentials{ClientID: "x"}},
		"a timeout below zero":            {BaseURL: "https://api.byndid.com", Token: token, Timeout: -1},
		"connections below zero":          {BaseURL: "https://api.byndid.com", Token: token, MaxConns: -1},
		"a user agent with a line break":  {BaseURL: "https://api.byndid.com", Token: token, UserAgent: "a\r\nb"},
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := New(config)
			if err == nil || c != nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the address: %v", err)
			}
		})
	}
}

func TestConfigurationsThatAreAccepted(t *testing.T) {
	t.Parallel()
	token := StaticToken(NewToken(testToken))
	for name, config := range map[string]Config{
		"the vendor's host":          {BaseURL: "https://api.byndid.com", Token: token},
		"a host with a path":         {BaseURL: "https://gateway.example.com/byndid/", Token: token},
		"plain http to localhost":    {BaseURL: "http://localhost:8081", Token: token},
		"plain http to 127.0.0.1":    {BaseURL: "http://127.0.0.1:8081", Token: token},
		"plain http to ::1":          {BaseURL: "http://[::1]:8081", Token: token},
		"plain http where permitted": {BaseURL: "http://simulator:8081", Token: token, AllowPlainHTTP: true},
	} {
		if _, err := New(config); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := New(Config{BaseURL: "https://api.byndid.com", Token: StaticToken(NewToken(testToken))})
	if err != nil {
		t.Fatal(err)
	}
	if c.timeout != 10*time.Second || c.userAgent != "portico" {
		t.Errorf("timeout %s, user agent %q", c.timeout, c.userAgent)
	}
	if tr := c.transport; tr.MaxConnsPerHost != DefaultMaxConns || tr.MaxIdleConnsPerHost != DefaultMaxConns {
		t.Error("the transport is not sized for the workers")
	}
}

func TestALogLineSaysWhatFailed(t *testing.T) {
	t.Parallel()
	e := &Error{
		Op: opCreate, Class: RateLimited, Status: 429, RequestID: "r-1", RetryAfter: 30 * time.Second,
		Code: "rate", Message: "slow down",
	}
	if got, want := e.Error(), "beyondidentity: create user: rate_limited (HTTP 429, request r-1)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})).Warn("x", "err", e)
	want := `{"level":"WARN","msg":"x","err":{"op":"create user","class":"rate_limited","status":429,"retry_after":30000000000,` +
		`"request_id":"r-1","code":"rate","message":"slow down"}}` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}
