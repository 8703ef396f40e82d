package api_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login/hostile"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// tell sends a form to POST /backchannel-logout, as a provider does: without
// cookies and without X-CSRF.
func (w *world) tell(t *testing.T, form string, headers ...header) answer {
	t.Helper()
	provider := w.browser().in(t)
	headers = append([]header{{"X-CSRF", ""}, {"Content-Type", "application/x-www-form-urlencoded"}}, headers...)
	return provider.raw(provider.request(http.MethodPost, "/backchannel-logout", form, headers...))
}

func form(token string) string { return url.Values{"logout_token": {token}}.Encode() }

// obeyed fails unless the answer is what the specification wants of a logout
// that was carried out (Back-Channel Logout 1.0 §2.8).
func (a answer) obeyed() {
	a.t.Helper()
	a.is(http.StatusOK)
	if a.header.Get("Cache-Control") != "no-store" || a.body != "" || len(a.header.Values("Set-Cookie")) != 0 {
		a.t.Errorf("the answer has %v, the body %q", a.header, a.body)
	}
}

// disobeyed fails unless the answer is what the specification wants of a token
// that does not hold.
func (a answer) disobeyed() {
	a.t.Helper()
	a.is(http.StatusBadRequest, "logout_token_invalid")
	if a.header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("Cache-Control is %q", a.header.Get("Cache-Control"))
	}
}

// logoutToken is a token about Ada's session at the provider, changed.
func (w *world) logoutToken(change func(header, claims hostile.Object)) string {
	return w.hostile.LogoutToken(subjectOf("ada@example.com"), "session-1", change)
}

// signedBy is the token, signed anew under what its header is to say.
func signedBy(t *testing.T, token string, with hostile.Signing) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	head, err := json.Marshal(hostile.Object{"typ": "logout+jwt", "alg": with.Algorithm, "kid": with.ID})
	if err != nil {
		t.Fatal(err)
	}
	return hostile.Compact(t, head, payload, with)
}

// unsigned is the token under the algorithm "none" (RFC 7519 §6).
func unsigned(token string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"logout+jwt","alg":"none"}`)) + "." + strings.Split(token, ".")[1] + "."
}

func set(name string, value any) func(_, claims hostile.Object) {
	return func(_, claims hostile.Object) {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
}

func TestLogoutTokensOfTheConformanceSuite(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	b.logIn().leadsTo(home)
	const plan = "oidcc-client-test-rp-backchannel-rpinitlogout"
	for _, test := range []struct{ name, token string }{
		{"-alg-none", unsigned(w.logoutToken(nil))},
		{"-wrong-alg", signedBy(t, w.logoutToken(nil), hostile.Signing{Algorithm: "HS256", Key: []byte(hostile.ClientSecret)})},
		{"-wrong-aud", w.logoutToken(set("aud", "somebody-else"))},
		{"-wrong-iss", w.logoutToken(set("iss", "https://evil.example"))},
		{"-no-event", w.logoutToken(set("events", nil))},
		{"-wrong-event", w.logoutToken(set("events", hostile.Object{"http://schemas.openid.net/event/other": hostile.Object{}}))},
		{"-with-nonce", w.logoutToken(set("nonce", "n"))},
	} {
		step(t, plan+test.name, func(t *testing.T) {
			w.tell(t, form(test.token)).disobeyed()
			b.in(t).get("/me").is(http.StatusOK)
		})
	}
	step(t, "BCL-10 neither answer is to be kept", func(t *testing.T) {
		for _, token := range []string{"nonsense", w.hostile.LogoutToken("nobody", "nothing", nil)} {
			if got := w.tell(t, form(token)).header.Values("Cache-Control"); !slices.Equal(got, []string{"no-store"}) {
				t.Errorf("Cache-Control is %q", got)
			}
		}
	})
	step(t, plan, func(t *testing.T) {
		w.tell(t, form(w.logoutToken(nil))).obeyed()
		b.in(t).get("/me").unauthorized("session_invalid")
	})
}

func TestLogoutTokensThatDoNotHold(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	b.logIn().leadsTo(home)
	keys := hostile.TestKeys()
	public, err := x509.MarshalPKIXPublicKey(keys.RSA.Public())
	if err != nil {
		t.Fatal(err)
	}
	good, eves := w.logoutToken(nil), w.hostile.LogoutToken("eve", "session-1", nil)
	parts := strings.Split(good, ".")
	at := func(d time.Duration) int64 { return w.flows.now().Add(d).Unix() }
	event := func(value any) string {
		return w.logoutToken(set("events", hostile.Object{logoutEvent: value}))
	}
	typed := func(typ any) string {
		return w.logoutToken(func(header, _ hostile.Object) {
			if header["typ"] = typ; typ == nil {
				delete(header, "typ")
			}
		})
	}
	idToken := func() string {
		claims, err := json.Marshal(w.hostile.StandardClaims("n", "access"))
		if err != nil {
			t.Fatal(err)
		}
		return w.hostile.Sign(claims)
	}
	tests := []struct{ name, token string }{
		{"BCL-02 signed with another key under the same name", signedBy(t, good, hostile.Signing{Algorithm: "RS256", Key: keys.OtherRSA, ID: "one"})},
		{"BCL-02 signed with a key that nobody knows", signedBy(t, good, hostile.Signing{Algorithm: "RS256", Key: keys.OtherRSA, ID: "two"})},
		{"BCL-02 ASVS-6.8.2 unsigned", unsigned(good)},
		{"BCL-02 unsigned, in other letters", strings.Replace(unsigned(good), "bm9uZ", "Tm9uZ", 1)},
		{"BCL-02 signed with the public key as if it were a secret", signedBy(t, good, hostile.Signing{Algorithm: "HS256", Key: public, ID: "one"})},
		{"BCL-02 signed with an algorithm that is not on the list", signedBy(t, good, hostile.Signing{Algorithm: "RS512", Key: keys.RSA, ID: "one"})},
		{"BCL-02 without its signature", good[:strings.LastIndexByte(good, '.')+1]},
		{"BCL-02 with a byte less", good[:len(good)-1]},
		{"BCL-02 with somebody else's claims", parts[0] + "." + strings.Split(eves, ".")[1] + "." + parts[2]},
		{"BCL-02 no token at all", "nonsense"},
		{"BCL-02 two dots", ".."},
		{"BCL-03 iss is missing", w.logoutToken(set("iss", nil))},
		{"BCL-03 iss has a slash more", w.logoutToken(set("iss", w.hostile.Issuer+"/"))},
		{"BCL-03 aud is missing", w.logoutToken(set("aud", nil))},
		{"BCL-03 aud is empty", w.logoutToken(set("aud", []string{}))},
		{"BCL-03 aud has somebody else in it, too", w.logoutToken(set("aud", []string{hostile.ClientID, "somebody-else"}))},
		{"BCL-03 iat is missing", w.logoutToken(set("iat", nil))},
		{"BCL-03 iat is in the future", w.logoutToken(set("iat", at(5*time.Minute)))},
		{"BCL-03 iat is old", w.logoutToken(set("iat", at(-12*time.Minute)))},
		{"BCL-03 exp is missing", w.logoutToken(set("exp", nil))},
		{"BCL-03 exp is over", w.logoutToken(set("exp", at(-2*time.Minute)))},
		{"BCL-03 ASVS-10.5.5 exp is far away", w.logoutToken(set("exp", at(48*time.Hour)))},
		{"BCL-03 exp is a text", w.logoutToken(set("exp", "tomorrow"))},
		{"BCL-04 neither sub nor sid", w.logoutToken(func(_, c hostile.Object) { delete(c, "sub"); delete(c, "sid") })},
		{"BCL-04 sub and sid are empty", w.logoutToken(func(_, c hostile.Object) { c["sub"], c["sid"] = "", "" })},
		{"BCL-04 sub is a number", w.logoutToken(set("sub", 1))},
		{"BCL-05 no event", w.logoutToken(set("events", nil))},
		{"BCL-05 another event", w.logoutToken(set("events", hostile.Object{logoutEvent + "/": hostile.Object{}}))},
		{"BCL-05 an event that is a number", event(1)},
		{"BCL-05 an event that is a text", event("{}")},
		{"BCL-05 an event that is a list", event([]int{})},
		{"BCL-05 an event that is null", event(json.RawMessage("null"))},
		{"BCL-05 events are a list", w.logoutToken(set("events", []string{logoutEvent}))},
		{"BCL-06 a nonce", w.logoutToken(set("nonce", "n"))},
		{"BCL-06 a nonce that is empty", w.logoutToken(set("nonce", ""))},
		{"BCL-06 a nonce that is null", w.logoutToken(set("nonce", json.RawMessage("null")))},
		{"BCL-07 no jti", w.logoutToken(set("jti", nil))},
		{"BCL-07 an empty jti", w.logoutToken(set("jti", ""))},
		{"BCL-08 ASVS-10.5.5 no typ", typed(nil)},
		{"BCL-08 the typ of other tokens", typed("JWT")},
		{"BCL-08 ASVS-9.2.2 an access token's typ", typed("at+jwt")},
		{"BCL-08 typ is a list", typed([]string{"logout+jwt"})},
		{"ASVS-9.2.2 ASVS-10.5.5 an ID token", idToken()},
		{"a header that is critical", w.logoutToken(func(h, _ hostile.Object) { h["crit"] = []string{"exp"} })},
		{"far too long", w.logoutToken(set("x", strings.Repeat("x", 9000)))},
	}
	for _, test := range tests {
		step(t, test.name, func(t *testing.T) {
			w.tell(t, form(test.token)).disobeyed()
			b.in(t).get("/me").is(http.StatusOK)
		})
	}
	step(t, "BCL-07 a token that was refused has not been used", func(t *testing.T) {
		if n := w.rows("used_logout_tokens"); n != 0 {
			t.Errorf("%d are marked", n)
		}
		w.tell(t, form(good)).obeyed()
		b.in(t).get("/me").unauthorized("session_invalid")
	})
	step(t, "ASVS-16.3.1 why is in the log, without the token", func(t *testing.T) {
		if n := len(w.log.entries(t, "request was refused")); n < len(tests) {
			t.Errorf("%d refusals are logged", n)
		}
		if strings.Contains(w.log.text(), parts[2]) {
			t.Error("the token is")
		}
	})
}

func TestHowALogoutTokenIsSent(t *testing.T) {
	t.Parallel()
	w, b := hostileWorld(t, options{})
	b.logIn().leadsTo(home)
	token := w.logoutToken(nil)
	escaped := url.QueryEscape(token)
	step(t, "BCL-01 not by GET", func(t *testing.T) {
		a := b.in(t).get("/backchannel-logout?logout_token="+escaped).is(http.StatusMethodNotAllowed, "method_not_allowed")
		if !strings.Contains(a.header.Get("Allow"), http.MethodPost) {
			t.Errorf("Allow is %q", a.header.Get("Allow"))
		}
	})
	for _, test := range []struct{ name, body, media string }{
		{"as JSON", `{"logout_token":"` + token + `"}`, "application/json"},
		{"as text", form(token), "text/plain"},
		{"without a media type", form(token), ""},
		{"as a form with files", "--x\r\nContent-Disposition: form-data; name=\"logout_token\"\r\n\r\n" + token + "\r\n--x--\r\n", "multipart/form-data; boundary=x"},
		{"by another name", "token=" + escaped, "application/x-www-form-urlencoded"},
		{"by a name in other letters", "Logout_Token=" + escaped, "application/x-www-form-urlencoded"},
		{"twice", form(token) + "&" + form(token), "application/x-www-form-urlencoded"},
		{"empty", "logout_token=", "application/x-www-form-urlencoded"},
		{"in a form that cannot be read", form(token) + "&%zz", "application/x-www-form-urlencoded"},
	} {
		step(t, "BCL-01 not "+test.name, func(t *testing.T) {
			w.tell(t, test.body, header{"Content-Type", test.media}).disobeyed()
		})
	}
	step(t, "BCL-01 not in the address", func(t *testing.T) {
		provider := w.browser().in(t)
		r := provider.request(http.MethodPost, "/backchannel-logout?logout_token="+escaped, "x=y", header{"Content-Type", "application/x-www-form-urlencoded"})
		provider.raw(r).disobeyed()
	})
	step(t, "BCL-01 not compressed", func(t *testing.T) {
		w.tell(t, form(token), header{"Content-Encoding", "gzip"}).disobeyed()
	})
	step(t, "BCL-13 not in a body without end", func(t *testing.T) {
		w.tell(t, form(token)+"&x="+strings.Repeat("x", 64<<10)).is(http.StatusRequestEntityTooLarge, "body_too_large")
	})
	step(t, "nothing of that ended anything", func(t *testing.T) { b.in(t).get("/me").is(http.StatusOK) })
	step(t, "BCL-01 BCL-13 with other fields, from anywhere, with whatever cookie", func(t *testing.T) {
		w.tell(t, "a=b&"+form(token)+"&logout_tokens=x",
			header{"Origin", "https://evil.example"}, header{"Sec-Fetch-Site", "cross-site"}, header{"Cookie", "portico=x; portico=y"},
			header{"Authorization", "Bearer x"}, header{"Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}).obeyed()
		b.in(t).get("/me").unauthorized("session_invalid")
	})
}
