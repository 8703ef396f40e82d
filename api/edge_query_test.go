package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/portico-id/portico/api/apitest"
)

// asked is a query parameter of the contract.
type asked struct {
	method, path, name string
}

// parametersOf are all query parameters that there are.
func parametersOf(t *testing.T) (all []asked) {
	t.Helper()
	contract, err := apitest.Shared()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range contract.Doc.Paths.Map() {
		if strings.HasPrefix(path, "/admin") {
			continue // at another listener, which has a test of its own
		}
		for method, operation := range item.Operations() {
			for _, parameter := range operation.Parameters {
				if parameter.Value.In == openapi3.ParameterInQuery {
					all = append(all, asked{method, path, parameter.Value.Name})
				}
			}
		}
	}
	if len(all) < 17 {
		t.Fatalf("the contract has only %d query parameters: %v", len(all), all)
	}
	return all
}

// TestParametersThatComeTwice asks for each parameter of the contract in two
// ways at once: a proxy, or a log, might go by the one and we by the other.
func TestParametersThatComeTwice(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	receipt := b.post("/signup", email("bob@example.com")).json("signup_id")
	w.secrets.keep(receipt)
	good := map[string]string{
		"return_to": "/profile", "login_hint": "ada@example.com", "prompt": "login", "max_age": "300", "client": "native",
		"redirect_uri": nativeRedirect, "code_challenge": challengeOf(verifier()), "code_challenge_method": "S256", "state": "s",
		"code": "c", "iss": "https://issuer.example", "error": "access_denied", "error_description": "no", "wait": "0",
	}
	for _, p := range parametersOf(t) {
		value, known := good[p.name]
		if !known {
			t.Errorf("the parameter %s is new, and this test does not know a value for it", p.name)
		}
		path := strings.Replace(p.path, "{signup_id}", receipt, 1)
		name, value := p.name, url.QueryEscape(value)
		step(t, "ASVS-15.3.7 "+p.method+" "+p.path+" "+name, func(t *testing.T) {
			b := b.in(t)
			ask := func(query string) answer {
				return b.send(b.request(p.method, path+"?"+query, ""), false)
			}
			escaped := "%" + strings.ToUpper(hex(name[0])) + name[1:]
			w.unchanged(t, func() {
				for _, query := range []string{
					name + "=" + value + "&" + name + "=" + value,
					name + "=" + value + "&" + name + "=other",
					name + "=&" + name + "=" + value,
					name + "&" + name + "=" + value,
					name + "=" + value + "&x=y&" + name + "=",
					name + "=" + value + "&" + escaped + "=" + value,
					escaped + "=" + value + "&" + name + "=" + value,
				} {
					a := ask(query)
					if p.path == "/logout/callback" { // proves nothing, so that nothing is lost
						a.leadsTo(home)
						continue
					}
					a.is(http.StatusBadRequest, "invalid_query").field("?"+name, "repeated")
				}
				for _, query := range []string{name + "=" + value + ";" + name + "=other", name + "=%zz", name + "=" + value + "&%zz=1", "x;" + name + "=1"} {
					if a := ask(query); p.path == "/logout/callback" {
						a.leadsTo(home)
					} else {
						a.is(http.StatusBadRequest, "invalid_query")
					}
				}
			})
		})
	}
	step(t, "the session has not been logged out by any of them", func(t *testing.T) { b.in(t).get("/me").is(http.StatusOK) })
	step(t, "ASVS-15.3.7 ASVS-15.3.5 names that are only alike are other names", func(t *testing.T) {
		b := b.in(t)
		for _, alike := range []string{
			"Return_To", "RETURN_TO", "return_to[]", "return_to[0]", "return-to", "returnTo", "return_to%20", "%20return_to", "return_to%00",
			"ｒeturn_to", "amp%3Breturn_to",
		} {
			callback := b.authorize("?return_to=/a&" + alike + "=//evil.example&" + alike + "=b")
			b.returns(change(t, callback, "code", "", "error", "access_denied")).leadsTo(appOrigin + "/a?error=access_denied")
		}
	})
	step(t, "what is not in the contract counts for nothing", func(t *testing.T) {
		b := b.in(t)
		b.post("/login?return_to=//evil.example&return_to=2&client=x", `{"client":"native"}`).is(http.StatusOK)
		b.post("/signup?email=eve@example.com&email=x", ada).is(http.StatusAccepted)
		b.get("/me?id=1&id=2&user=eve&return_to=//evil.example&return_to=2").is(http.StatusOK)
	})
}

// hex is a byte as a URL escapes it.
func hex(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// TestValuesOfParameters are for those parameters of GET /login that a native
// app sends.
func TestValuesOfParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	native := func(pairs ...string) string {
		query := url.Values{"client": {"native"}, "redirect_uri": {nativeRedirect}, "code_challenge": {challengeOf(verifier())}}
		for i := 0; i < len(pairs); i += 2 {
			query.Set(pairs[i], pairs[i+1])
			if pairs[i+1] == "" {
				query.Del(pairs[i])
			}
		}
		return "/login?" + query.Encode()
	}
	tests := []struct{ name, path, pointer string }{
		{"a client in capitals", native("client", "Native"), "?client"},
		{"a client that is none", native("client", "robot"), "?client"},
		{"a browser with a redirect of its own", native("client", "browser"), "?client"},
		{"nobody with a redirect of their own", native("client", ""), "?client"},
		{"a native app that does not say where it is", native("redirect_uri", ""), "?redirect_uri"},
		{"a redirect elsewhere", native("redirect_uri", "https://evil.example/"), "?redirect_uri"},
		{"a redirect that goes on", native("redirect_uri", nativeRedirect+"/more"), "?redirect_uri"},
		{"a redirect with a parameter", native("redirect_uri", nativeRedirect+"?x=1"), "?redirect_uri"},
		{"a redirect in capitals", native("redirect_uri", strings.ToUpper(nativeRedirect)), "?redirect_uri"},
		{"a redirect with a space", native("redirect_uri", nativeRedirect+" "), "?redirect_uri"},
		{"a redirect into a script", native("redirect_uri", "javascript:alert(1)"), "?redirect_uri"},
		{"a redirect of 64 KiB", native("redirect_uri", nativeRedirect+strings.Repeat("a", 8000)), "?redirect_uri"},
		{"no challenge", native("code_challenge", ""), "?code_challenge"},
		{"a short challenge", native("code_challenge", "abc"), "?code_challenge"},
		{"a padded challenge", native("code_challenge", challengeOf("x")+"="), "?code_challenge"},
		{"a challenge in the other alphabet", native("code_challenge", strings.Repeat("+", 43)), "?code_challenge"},
		{"a challenge by plain", native("code_challenge_method", "plain"), "?code_challenge_method"},
		{"a challenge by s256", native("code_challenge_method", "s256"), "?code_challenge_method"},
		{"a state of 257 bytes", native("state", strings.Repeat("s", 257)), "?state"},
		{"a state with a line break", native("state", "a\r\nb"), "?state"},
		{"a state beyond ASCII", native("state", "é"), "?state"},
		{"a state with NUL", native("state", "\x00"), "?state"},
		{"a return target besides", native("return_to", "/x"), "?return_to"},
		{"an age below nothing", native("max_age", "-1"), "?max_age"},
		{"an age with a sign", native("max_age", "+1"), "?max_age"},
		{"an age that is no number", native("max_age", "soon"), "?max_age"},
		{"an age in hexadecimal", native("max_age", "0x10"), "?max_age"},
		{"an age in other digits", native("max_age", "١"), "?max_age"},
		{"an age of more than a year", native("max_age", "31536001"), "?max_age"},
		{"an age beyond numbers", native("max_age", "99999999999999999999"), "?max_age"},
		{"an age with a fraction", native("max_age", "1.5"), "?max_age"},
		{"a prompt of two", native("prompt", "login consent"), "?prompt"},
	}
	for _, test := range tests {
		step(t, "ASVS-2.2.1 ASVS-2.2.2 "+test.name, func(t *testing.T) {
			a := b.in(t).get(test.path).is(http.StatusBadRequest, "invalid_query")
			if !strings.Contains(a.body, `"pointer":"`+test.pointer+`"`) || len(a.header.Values("Set-Cookie")) != 0 {
				t.Errorf("it is answered with %v %s", a.header, a.body)
			}
		})
	}
	step(t, "all of them as they should be", func(t *testing.T) {
		b.in(t).get(native("code_challenge_method", "S256", "state", strings.Repeat("~", 256), "max_age", "0", "prompt", "login")).is(http.StatusSeeOther)
		b.in(t).get(native()).is(http.StatusSeeOther)
	})
}
