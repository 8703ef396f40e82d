package beyondidentity

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// withCredentials returns a client that fetches its tokens from base.
func withCredentials(t *testing.T, base, id string, secret func() (string, error)) *Client {
	t.Helper()
	c, err := New(Config{BaseURL: base, Timeout: generous, MaxConns: 4, Credentials: &Credentials{ClientID: id, Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func itsSecret() (string, error) { return testSecret, nil }

func TestATokenIsFetchedAsDocumented(t *testing.T) {
	t.Parallel()
	got := make(chan sent, 2)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- sent{r.Method, r.RequestURI, string(body), r.Header}
		if r.URL.Path == tokenPath {
			answer(w, http.StatusOK, `{"access_token":"`+testToken+`","token_type":"bearer","expires_in":3600,"scope":"x"}`)
			return
		}
		answer(w, http.StatusOK, flatAnswer)
	})
	c := withCredentials(t, s.URL, "portico/1", itsSecret)
	if _, err := c.RecoverUser(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	fetched, call := <-got, <-got
	if fetched.method != "POST" || fetched.uri != tokenPath || fetched.body != "grant_type=client_credentials" {
		t.Errorf("fetched by %s %s, %q", fetched.method, fetched.uri, fetched.body)
	}
	if kind := fetched.header.Get("Content-Type"); kind != "application/x-www-form-urlencoded" {
		t.Errorf("Content-Type %q", kind)
	}
	pair := base64.StdEncoding.EncodeToString([]byte("portico%2F1:canary-5d2b%2Fsecret+%2B%25"))
	if as := fetched.header.Get("Authorization"); as != "Basic "+pair {
		t.Errorf("fetched as %q", as)
	}
	if as := call.header.Get("Authorization"); as != "Bearer "+testToken {
		t.Errorf("called as %q", as)
	}
}

// TestAFetchThatFailsIsJudgedForTheCall holds that a call without a token was
// not sent, whatever became of the fetch.
func TestAFetchThatFailsIsJudgedForTheCall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		want   Class
		wait   time.Duration
	}{
		{name: "the client is not known", status: 401, body: `{"error":"invalid_client"}`, want: Unauthorized},
		{name: "the client is not known, as a 400", status: 400, body: `{"error":"invalid_client"}`, want: Unauthorized},
		{name: "the client may not have this grant", status: 400, body: `{"error":"unauthorized_client"}`, want: Unauthorized},
		{name: "the client is not allowed", status: 403, body: `{}`, want: Unauthorized},
		{name: "there is no such address", status: 404, body: `{}`, want: Misconfigured},
		{name: "it is elsewhere", status: 307, body: `{}`, want: Misconfigured},
		{name: "it takes no POST", status: 405, body: `{}`, want: Misconfigured},
		{name: "too many", status: 429, body: `{}`, want: RateLimited, wait: 7 * time.Second},
		{name: "it is down", status: 503, body: `{}`, want: Unreachable, wait: 7 * time.Second},
		{name: "it failed", status: 500, body: `{}`, want: Unreachable},
		{name: "it gave up waiting", status: 408, body: `{}`, want: Unreachable},
		{name: "a conflict, of all things", status: 409, body: `{}`, want: Unreachable},
		{name: "no token", status: 200, body: `{}`, want: Unreachable},
		{name: "an empty token", status: 200, body: `{"access_token":"","token_type":"Bearer"}`, want: Unreachable},
		{name: "a token that no header can carry", status: 200, body: `{"access_token":"a\r\nb"}`, want: Unreachable},
		{name: "a token of another type", status: 200, body: `{"access_token":"a","token_type":"mac"}`, want: Unreachable},
		{name: "a token that has ended", status: 200, body: `{"access_token":"a","expires_in":0}`, want: Unreachable},
		{name: "two tokens", status: 200, body: `{"access_token":"a","access_token":"b"}`, want: Unreachable},
		{name: "no JSON", status: 200, body: `<html>`, want: Unreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != tokenPath {
					t.Errorf("%s was called without a token", r.URL.Path)
				}
				if tt.wait > 0 {
					w.Header().Set("Retry-After", "7")
				}
				w.Header().Set("Location", "/elsewhere")
				answer(w, tt.status, tt.body)
			})
			c := withCredentials(t, s.URL, "portico", itsSecret)
			for _, call := range remoteCalls {
				_, err := call.do(t.Context(), c, theirs)
				e := mustError(t, err)
				if e.Class != tt.want || e.Op != call.op || e.Status != 0 || e.RetryAfter != tt.wait {
					t.Errorf("%s: got %v, wait %s", call.op, err, e.RetryAfter)
				}
				if !strings.Contains(err.Error(), opToken) {
					t.Errorf("%v does not say that it was the token", err)
				}
			}
			if err := c.Authenticate(t.Context()); ClassOf(err) != tt.want {
				t.Errorf("authenticate: got %v", err)
			}
		})
	}
}

func TestWithoutAConnectionThereIsNoToken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	for name, base := range map[string]string{
		"nobody listens": "http://" + ln.Addr().String(),
		"the answer is lost": serveRaw(t, func(s *rawServer, _ *net.TCPConn, r *bufio.Reader) {
			s.read(r)
		}).url,
		"the answer breaks off": serveRaw(t, saying(okHead+"Content-Length: 100\r\n\r\n{")).url,
	} {
		_, err := withCredentials(t, base, "portico", itsSecret).CreateUser(t.Context(), NewUser{ExternalID: ours, Email: oursMail})
		if ClassOf(err) != Unreachable {
			t.Errorf("%s: got %v, want unreachable", name, err)
		}
	}
}

func TestASecretThatIsNotThereIsUnauthorizedAndUnsent(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	boom := errors.New("open /run/secrets/secret: no such file")
	for name, secret := range map[string]func() (string, error){
		"a file that is missing": func() (string, error) { return "", boom },
		"a file that is empty":   func() (string, error) { return "", nil },
	} {
		_, err := withCredentials(t, s.URL, "portico", secret).FindUser(t.Context(), ours)
		if ClassOf(err) != Unauthorized {
			t.Errorf("%s: got %v", name, err)
		}
		if want := name == "a file that is missing"; strings.Contains(err.Error(), "/run/secrets") != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSecretIsReadAtEachFetch(t *testing.T) {
	t.Parallel()
	var as []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != tokenPath {
			answer(w, http.StatusUnauthorized, `{}`)
			return
		}
		_, secret, _ := r.BasicAuth()
		as = append(as, secret)
		answer(w, http.StatusOK, `{"access_token":"t-`+secret+`","expires_in":60}`)
	})
	secrets := []string{"old", "new"}
	c := withCredentials(t, s.URL, "portico", func() (string, error) {
		now := secrets[0]
		secrets = secrets[1:]
		return now, nil
	})
	if _, err := c.FindUser(t.Context(), ours); ClassOf(err) != Unauthorized {
		t.Fatal(err)
	}
	if strings.Join(as, " ") != "old new" {
		t.Errorf("fetched with %q", as)
	}
}

// TestAServerThatSendsTheSecretBackDoesNotGetItLogged has the token's address
// echo what it was sent, in every form.
func TestAServerThatSendsTheSecretBackDoesNotGetItLogged(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		as := r.Header.Get("Authorization")
		w.Header().Set("X-Request-Id", as)
		_, escaped, _ := r.BasicAuth()
		plain, _ := url.QueryUnescape(escaped)
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		answer(w, http.StatusUnauthorized, `{"code":"`+quoted.Replace(escaped)+`","error":"`+quoted.Replace(as+" "+escaped+" "+plain)+`"}`)
	})
	c := withCredentials(t, s.URL, "portico", itsSecret)
	_, err := c.FindUser(t.Context(), ours)
	config := Config{BaseURL: s.URL, Credentials: &c.credentials}
	unused := withCredentials(t, s.URL, "portico", itsSecret) // printing walks into what a used one is still busy with
	for name, v := range map[string]any{
		"the error": err, "its cause": errors.Unwrap(err), "the client": unused, "its value": *unused, "the config": config, "a pointer to it": &config,
	} {
		for how, text := range shown(v) {
			pair := base64.StdEncoding.EncodeToString([]byte("portico:" + url.QueryEscape(testSecret)))
			for _, secret := range []string{testSecret, url.QueryEscape(testSecret), pair, "canary-5d2b"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s as %s shows the secret: %s", name, how, text)
				}
			}
		}
	}
}

func TestHowLongATokenLives(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		`{"access_token":"a"}`:                          unsaidLife,
		`{"access_token":"a","expires_in":null}`:        unsaidLife,
		`{"access_token":"a","expires_in":60}`:          time.Minute,
		`{"access_token":"a","expires_in":"60"}`:        time.Minute,
		`{"access_token":"a","expires_in":60.9}`:        time.Minute,
		`{"access_token":"a","expires_in":6e1}`:         time.Minute,
		`{"access_token":"a","expires_in":86400}`:       maxLife,
		`{"access_token":"a","expires_in":99999999999}`: maxLife,
		`{"access_token":"a","expires_in":1e999}`:       0,
		`{"access_token":"a","expires_in":0}`:           0,
		`{"access_token":"a","expires_in":0.5}`:         0,
		`{"access_token":"a","expires_in":-60}`:         0,
		`{"access_token":"a","expires_in":"soon"}`:      0,
		`{"access_token":"a","expires_in":"NaN"}`:       0,
	} {
		if _, got, err := decodeToken([]byte(text)); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","token_type":"Bearer","expires_in":60}`, `{"access_token":"a b"}`, `{"access_token":7}`, `[]`, ``, `null`,
		`{"expires_in":"1e400"}`, `{"access_token":"a","expires_in":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		token, life, err := decodeToken(body)
		if err != nil {
			return
		}
		if _, err := token.header(); err != nil || life < time.Second || life > maxLife {
			t.Errorf("believed a token of %s, %v", life, err)
		}
	})
}
