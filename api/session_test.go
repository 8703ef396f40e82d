package api_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/store/storetest"
)

// signedInBrowser returns a world with one user, and the browser that they are
// signed in with.
func signedInBrowser(t *testing.T, o options) (*world, *browser) {
	t.Helper()
	w := newWorld(t, o)
	b := w.browser()
	b.signUp("ada@example.com")
	b.logIn().leadsTo(appOrigin + "/home")
	return w, b
}

// unauthorized fails unless the answer is a plain 401 and no redirect.
func (a answer) unauthorized(code string) {
	a.t.Helper()
	a.is(http.StatusUnauthorized, code)
	if a.header.Get("Location") != "" || a.header.Get("Www-Authenticate") != `Bearer realm="portico"` {
		a.t.Errorf("Location %q, WWW-Authenticate %q", a.header.Get("Location"), a.header.Get("Www-Authenticate"))
	}
}

func TestSessionsThatOpenNothing(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	valid := b.session()
	bearer := nativeToken(t, w, b)
	stranger := w.browser()
	raw, err := base64.RawURLEncoding.DecodeString(valid)
	if err != nil {
		t.Fatal(err)
	}
	text := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	other := append([]byte{raw[0] ^ 1}, raw[1:]...)
	cookie := func(value string) header { return header{"Cookie", "portico=" + value} }
	authorization := func(value string) header { return header{"Authorization", value} }
	tests := []struct {
		name string
		with header
		code string
	}{
		{"none", header{"Accept", "text/html"}, "not_authenticated"},
		{"an empty cookie", cookie(""), "session_invalid"},
		{"a cookie that is too short", cookie(valid[:42]), "session_invalid"},
		{"a cookie that is too long", cookie(valid + "A"), "session_invalid"},
		{"a very long cookie", cookie(strings.Repeat("A", 4000)), "session_invalid"},
		{"a padded cookie", cookie(valid + "="), "session_invalid"},
		{"a cookie in the other alphabet", cookie(strings.Repeat("+", 43)), "session_invalid"},
		{"a cookie spelled with spare bits", cookie(spareBits(valid)), "session_invalid"},
		{"ASVS-7.2.3 a token that was never issued", cookie(text(other)), "session_invalid"},
		{"a cookie with SQL in it", cookie("'OR'1'='1"), "session_invalid"},
		{"the cookie's name with a prefix", header{"Cookie", "__Host-Http-portico=" + valid}, "not_authenticated"},
		{"the cookie's name in capitals", header{"Cookie", "Portico=" + valid}, "not_authenticated"},
		{"a bearer token as a cookie", cookie(bearer), "session_invalid"},
		{"a bearer token without its prefix as a cookie", cookie(strings.TrimPrefix(bearer, "pts_")), "session_invalid"},
		{"a cookie as a bearer token", authorization("Bearer " + valid), "session_invalid"},
		{"a cookie as a bearer token, with the prefix", authorization("Bearer pts_" + valid), "session_invalid"},
		{"a bearer token in capitals", authorization("Bearer " + strings.ToUpper(bearer)), "session_invalid"},
		{"a bearer token that was never issued", authorization("Bearer pts_" + text(other)), "session_invalid"},
		{"no token after Bearer", authorization("Bearer"), "session_invalid"},
		{"two spaces after Bearer", authorization("Bearer  " + bearer), "session_invalid"},
		{"two tokens after Bearer", authorization("Bearer " + bearer + " " + bearer), "session_invalid"},
		{"two schemes in one header", authorization("Bearer " + bearer + ", Basic eDp5"), "session_invalid"},
		{"Basic", authorization("Basic " + base64.StdEncoding.EncodeToString([]byte("ada:pw"))), "not_authenticated"},
		{"DPoP", authorization("DPoP " + bearer), "not_authenticated"},
		{"a token alone", authorization(bearer), "not_authenticated"},
	}
	for _, test := range tests {
		step(t, "ASVS-7.2.1 "+test.name, func(t *testing.T) {
			s := stranger.in(t)
			s.get("/me", test.with).unauthorized(test.code)
			s.post("/logout", "", test.with).unauthorized(test.code)
		})
	}
	step(t, "ASVS-14.2.1 a token in the query counts for nothing", func(t *testing.T) {
		stranger.in(t).get("/me?access_token=" + bearer + "&portico=" + valid).unauthorized("not_authenticated")
	})
	step(t, "the scheme's case does not matter", func(t *testing.T) {
		stranger.in(t).get("/me", authorization("bEARER "+bearer)).is(http.StatusOK)
	})
	step(t, "the real ones still open", func(t *testing.T) {
		b.in(t).get("/me").is(http.StatusOK)
	})
}

// spareBits returns another spelling of the same bytes: 43 characters of
// base64 hold two bits more than 32 bytes do.
func spareBits(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[last|1:][:1]
}

func TestRequestsThatSayTwiceWhoIsCalling(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	valid, bearer := b.session(), nativeToken(t, w, b)
	stranger := w.browser()
	tests := []struct {
		name   string
		change func(*http.Request)
	}{
		{"two cookies", func(r *http.Request) { r.Header.Set("Cookie", "portico="+valid+"; portico=planted") }},
		{"two cookies, the planted one first", func(r *http.Request) { r.Header.Set("Cookie", "portico=planted; portico="+valid) }},
		{"the same cookie twice", func(r *http.Request) { r.Header.Set("Cookie", "portico="+valid+"; portico="+valid) }},
		{"two Cookie headers", func(r *http.Request) { r.Header["Cookie"] = []string{"portico=" + valid, "portico=planted"} }},
		{"a cookie and a bearer token", func(r *http.Request) {
			r.Header.Set("Cookie", "portico="+valid)
			r.Header.Set("Authorization", "Bearer "+bearer)
		}},
		{"a cookie and a bearer token without X-CSRF", func(r *http.Request) {
			r.Header.Set("Cookie", "portico="+valid)
			r.Header.Set("Authorization", "Bearer "+bearer)
			r.Header.Del("X-Csrf")
		}},
		{"a cookie and Basic", func(r *http.Request) {
			r.Header.Set("Cookie", "portico="+valid)
			r.Header.Set("Authorization", "Basic eDp5")
		}},
		{"two Authorization headers", func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + bearer, "Bearer " + bearer}
		}},
	}
	for _, test := range tests {
		step(t, test.name, func(t *testing.T) {
			s := stranger.in(t)
			for _, r := range []*http.Request{s.request(http.MethodGet, "/me", ""), s.request(http.MethodPost, "/logout", "")} {
				test.change(r)
				s.send(r, false).is(http.StatusBadRequest, "credentials_conflict")
			}
		})
	}
	b.get("/me").is(http.StatusOK)
}

func TestRequestsThatAnotherSiteCauses(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	forbidden := []struct {
		name    string
		code    string
		headers []header
	}{
		{"BBA-11 no X-CSRF", "csrf_required", []header{{"X-CSRF", ""}}},
		{"BBA-11 another X-CSRF", "csrf_required", []header{{"X-CSRF", "2"}}},
		{"BBA-11 X-CSRF: true", "csrf_required", []header{{"X-CSRF", "true"}}},
		{"BBA-11 X-CSRF: 1, 1", "csrf_required", []header{{"X-CSRF", "1, 1"}}},
		{"BBA-10 ASVS-3.5.1 another origin", "cross_origin", []header{{"Origin", "https://evil.example"}}},
		{"BBA-10 an opaque origin", "cross_origin", []header{{"Origin", "null"}}},
		{"BBA-10 a sibling of the app's", "cross_origin", []header{{"Origin", "https://evil.app.example"}, {"Sec-Fetch-Site", "same-site"}}},
		{"BBA-10 our own host over another scheme", "cross_origin", []header{{"Origin", strings.Replace(w.url, "http:", "https:", 1)}}},
		{"BBA-10 our own host at another port", "cross_origin", []header{{"Origin", "http://127.0.0.1"}}},
		{"BBA-10 a foreign page that sends no Origin", "cross_origin", []header{{"Sec-Fetch-Site", "cross-site"}}},
		{"BBA-10 a foreign page with X-CSRF and Origin", "cross_origin", []header{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}}},
	}
	for _, test := range forbidden {
		step(t, test.name, func(t *testing.T) {
			b := b.in(t)
			b.get("/me", test.headers...).is(http.StatusForbidden, test.code)
			b.post("/logout", "", test.headers...).is(http.StatusForbidden, test.code)
		})
	}
	step(t, "BBA-11 X-CSRF twice", func(t *testing.T) {
		b := b.in(t)
		for _, r := range []*http.Request{b.request(http.MethodGet, "/me", ""), b.request(http.MethodPost, "/logout", "")} {
			r.Header["X-Csrf"] = []string{"1", "1"}
			b.send(r, false).is(http.StatusForbidden, "csrf_required")
		}
	})
	shapes := []struct {
		name    string
		method  string
		headers []header
	}{
		{"a form", http.MethodPost, []header{
			{"X-CSRF", ""},
			{"Content-Type", "application/x-www-form-urlencoded"},
			{"Origin", "https://evil.example"},
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Mode", "navigate"},
		}},
		{"a simple fetch", http.MethodPost, []header{{"X-CSRF", ""}, {"Content-Type", "text/plain"}, {"Origin", "https://evil.example"}}},
		{"a body-less fetch", http.MethodPost, []header{{"X-CSRF", ""}}},
		{"an image", http.MethodGet, []header{{"X-CSRF", ""}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Dest", "image"}}},
		{"a same-site sibling", http.MethodPost, []header{{"X-CSRF", ""}, {"Origin", "https://evil.app.example"}, {"Sec-Fetch-Site", "same-site"}}},
	}
	for _, shape := range shapes {
		step(t, "BBA-10 ASVS-3.5.1 the attack by "+shape.name, func(t *testing.T) {
			b := b.in(t)
			path := "/logout"
			if shape.method == http.MethodGet {
				path = "/me"
			}
			b.send(b.request(shape.method, path, "", shape.headers...), false).is(http.StatusForbidden)
		})
	}
	step(t, "the session has outlived all of it", func(t *testing.T) {
		b := b.in(t)
		b.get("/me").is(http.StatusOK)
		b.get("/me", header{"Origin", appOrigin}, header{"Sec-Fetch-Site", "cross-site"}).is(http.StatusOK)
		b.get("/me", header{"Origin", w.url}, header{"Sec-Fetch-Site", "same-origin"}).is(http.StatusOK)
		b.post("/logout", "", header{"Origin", appOrigin}, header{"Sec-Fetch-Site", "same-site"}).is(http.StatusOK)
	})
}

func TestUnauthenticatedChangesFromAnotherSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	for _, headers := range [][]header{
		{{"Origin", "https://evil.example"}},
		{{"Origin", "null"}},
		{{"Sec-Fetch-Site", "cross-site"}},
		{{"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.app.example"}},
	} {
		for path, body := range map[string]string{
			"/signup": `{"email":"ada@example.com"}`, "/login": `{"client":"browser"}`, "/callback": `{"code":"c","state":"s","flow":"f"}`,
		} {
			b.post(path, body, headers...).is(http.StatusForbidden, "cross_origin")
		}
	}
	w.leavesNothing()
	b.post("/signup", `{"email":"ada@example.com"}`, header{"Origin", appOrigin}, header{"Sec-Fetch-Site", "cross-site"}).is(http.StatusAccepted)
}

func TestABearerTokenNeedsNoCSRFHeader(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	bearer := nativeToken(t, w, b)
	w.browser().get("/me", header{"X-CSRF", ""}, header{"Authorization", "Bearer " + bearer}).is(http.StatusOK)
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w, b := signedInBrowser(t, options{databaseURL: databaseURL})
		b = b.in(t)
		step(t, "ASVS-7.3.1 when they are not used", func(t *testing.T) {
			b := b.in(t)
			w.clock.advance(idle - time.Minute)
			b.get("/me").is(http.StatusOK)
			w.clock.advance(idle - time.Minute)
			b.get("/me").is(http.StatusOK)
			w.clock.advance(idle)
			b.get("/me").unauthorized("session_expired")
			b.post("/logout", "").unauthorized("session_expired")
		})
		step(t, "ASVS-7.3.2 when they are old, used or not", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(appOrigin + "/home")
			for used := time.Duration(0); used < absolute-idle; used += idle / 2 {
				w.clock.advance(idle / 2)
				b.get("/me").is(http.StatusOK)
			}
			w.clock.advance(idle)
			b.get("/me").unauthorized("session_expired")
		})
		step(t, "ASVS-7.4.1 when they are logged out", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(appOrigin + "/home")
			cookie := header{"Cookie", "portico=" + b.session()}
			other := w.browser().in(t)
			other.get("/me", cookie).is(http.StatusOK)
			out := b.post("/logout", "").is(http.StatusOK)
			if out.header.Get("Clear-Site-Data") != `"cache", "storage"` {
				t.Errorf("ASVS-14.3.1 Clear-Site-Data is %q", out.header.Get("Clear-Site-Data"))
			}
			if len(b.cookies) != 0 {
				t.Errorf("cookies are left: %v", b.cookies)
			}
			other.get("/me", cookie).unauthorized("session_invalid")
			other.post("/logout", "", cookie).unauthorized("session_invalid")
		})
		step(t, "ASVS-7.4.2 when their user is suspended", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(appOrigin + "/home")
			w.exec("UPDATE users SET status = 'suspended'")
			b.get("/me").unauthorized("session_invalid")
			w.exec("UPDATE users SET status = 'active'")
			b.get("/me").unauthorized("session_invalid")
		})
		step(t, "when their row is gone", func(t *testing.T) {
			b := b.in(t)
			b.logIn().leadsTo(appOrigin + "/home")
			w.exec("DELETE FROM sessions")
			b.get("/me").unauthorized("session_invalid")
		})
	})
}

func TestLogoutDropsFlowsToo(t *testing.T) {
	t.Parallel()
	_, b := signedInBrowser(t, options{})
	b.get("/login")
	b.get("/login")
	if len(b.flows()) != 2 {
		t.Fatalf("flows are %q", b.flows())
	}
	b.post("/logout", "").is(http.StatusOK)
	if len(b.cookies) != 0 {
		t.Errorf("cookies are left: %v", b.cookies)
	}
}

func TestOverHTTPSCookiesHaveThePrefix(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{secure: true})
	step(t, "BBA-03 BBA-08 ASVS-3.3.3 and work", func(t *testing.T) {
		b := b.in(t)
		cookie := b.cookies["__Host-Http-portico"]
		if cookie == nil || !cookie.Secure {
			t.Fatalf("cookies are %v", b.cookies)
		}
		b.get("/me").is(http.StatusOK)
		w.browser().in(t).get("/me", header{"Cookie", "portico=" + cookie.Value}).unauthorized("not_authenticated")
		b.post("/logout", "").is(http.StatusOK)
	})
}
