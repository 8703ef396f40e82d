package nativeapp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/nativeapp"
)

func TestALoginEndsOnlyWhereItIsConfiguredTo(t *testing.T) {
	t.Parallel()
	redirects, err := nativeapp.ParseRedirects([]string{
		"https://app.example/signed-in", "com.example.app:/signed-in", "com.example.other://done",
		"http://127.0.0.1/signed-in", "http://[::1]:1/v6", "http://localhost:7777/desk?from=portico",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		uri  string
		want bool
	}{
		"a claimed address":                   {"https://app.example/signed-in", true},
		"a private-use scheme":                {"com.example.app:/signed-in", true},
		"a private-use scheme with authority": {"com.example.other://done", true},
		"the loopback":                        {"http://127.0.0.1/signed-in", true},
		"the loopback on any port":            {"http://127.0.0.1:49152/signed-in", true},
		"the loopback of IPv6 on any port":    {"http://[::1]:49152/v6", true},
		"localhost on any port":               {"http://localhost:1234/desk?from=portico", true},

		"nothing":                                {"", false},
		"another path":                           {"https://app.example/other", false},
		"a path below":                           {"https://app.example/signed-in/more", false},
		"a path that climbs":                     {"https://app.example/x/../signed-in", false},
		"a slash more":                           {"https://app.example/signed-in/", false},
		"a query more":                           {"https://app.example/signed-in?x=1", false},
		"a fragment more":                        {"https://app.example/signed-in#x", false},
		"an empty fragment more":                 {"https://app.example/signed-in#", false},
		"another port":                           {"https://app.example:8443/signed-in", false},
		"the default port":                       {"https://app.example:443/signed-in", false},
		"another case":                           {"https://APP.example/signed-in", false},
		"another scheme's case":                  {"HTTPS://app.example/signed-in", false},
		"plain http":                             {"http://app.example/signed-in", false},
		"a host that begins so":                  {"https://app.example.evil.example/signed-in", false},
		"credentials":                            {"https://app.example@evil.example/signed-in", false},
		"an escape":                              {"https://app.example/signed%2Din", false},
		"a backslash":                            {"https://app.example\\signed-in", false},
		"a line break":                           {"https://app.example/signed-in\n", false},
		"another private-use path":               {"com.example.app:/other", false},
		"another private-use scheme":             {"com.example.apps:/signed-in", false},
		"slashes more in a private-use scheme":   {"com.example.app:///signed-in", false},
		"another path on the loopback":           {"http://127.0.0.1:49152/other", false},
		"another loopback address":               {"http://127.0.0.2:49152/signed-in", false},
		"a name for the loopback":                {"http://localhost:49152/signed-in", false},
		"credentials before the loopback":        {"http://x@127.0.0.1:49152/signed-in", false},
		"a host behind the loopback":             {"http://127.0.0.1.evil.example/signed-in", false},
		"the loopback written as a number":       {"http://2130706433/signed-in", false},
		"the loopback mapped into IPv6":          {"http://[::ffff:127.0.0.1]/signed-in", false},
		"the loopback over https":                {"https://127.0.0.1/signed-in", false},
		"a fragment on the loopback":             {"http://127.0.0.1:1/signed-in#", false},
		"a query on the loopback":                {"http://127.0.0.1:1/signed-in?x", false},
		"a bare question mark on the loopback":   {"http://127.0.0.1:1/signed-in?", false},
		"an empty port":                          {"http://127.0.0.1:/signed-in", true},
		"a script":                               {"javascript:alert(1)", false},
		"longer than any that can be configured": {"http://127.0.0.1/signed-in?" + strings.Repeat("x", 512), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := redirects.Allows(test.uri); got != test.want {
				t.Errorf("%q is allowed: %t", test.uri, got)
			}
		})
	}
	if (nativeapp.Redirects{}).Allows("https://app.example/signed-in") {
		t.Error("without any that are configured, one is allowed")
	}
}

func TestWhatNoAppCanOwnIsRefused(t *testing.T) {
	t.Parallel()
	for name, uri := range map[string]string{
		"nothing":                        "",
		"a path":                         "/signed-in",
		"no scheme":                      "app.example/signed-in",
		"no host":                        "https:///signed-in",
		"a fragment":                     "https://app.example/#x",
		"credentials":                    "https://a:b@app.example/",
		"plain http elsewhere":           "http://app.example/",
		"plain http to a private net":    "http://192.168.0.1/",
		"a scheme that anyone may take":  "myapp:/signed-in",
		"a script":                       "javascript:alert(1)",
		"data":                           "data:text/html,x",
		"a file":                         "file:///etc/passwd",
		"a private-use without path":     "com.example.app:signed-in",
		"a space":                        "https://app.example/a b",
		"a control character":            "https://app.example/\x00",
		"what is not ASCII":              "https://äpp.example/",
		"a wildcard that means no such":  "*",
		"too long":                       "https://app.example/" + strings.Repeat("x", nativeapp.MaxRedirectURI),
		"a port that is none":            "http://127.0.0.1:port/",
		"a scheme with its domain ahead": "1com.example.app:/x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := nativeapp.ParseRedirects([]string{uri}); !errors.Is(err, nativeapp.ErrRedirectURI) {
				t.Errorf("%q: %v", uri, err)
			}
		})
	}
}

func FuzzAllows(f *testing.F) {
	redirects, err := nativeapp.ParseRedirects([]string{"https://app.example/cb", "http://127.0.0.1/cb", "com.example.app:/cb"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("https://app.example/cb")
	f.Add("http://127.0.0.1:80/cb")
	f.Add("com.example.app:/cb")
	f.Fuzz(func(t *testing.T, uri string) {
		if !redirects.Allows(uri) || uri == "https://app.example/cb" || uri == "com.example.app:/cb" {
			return
		}
		port, ok := strings.CutPrefix(uri, "http://127.0.0.1")
		port, ends := strings.CutSuffix(port, "/cb")
		if !ok || !ends || strings.Trim(port, ":0123456789") != "" {
			t.Errorf("%q is allowed", uri)
		}
	})
}
