package beyondidentity

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// shown returns every way in which a value commonly ends up in a log.
func shown(v any) map[string]string {
	texts := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts[verb] = fmt.Sprintf(verb, v)
	}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Error("x", "value", v)
	slog.New(slog.NewTextHandler(&b, nil)).Error("x", "value", v)
	texts["slog"] = b.String()
	if encoded, err := json.Marshal(v); err == nil {
		texts["json"] = string(encoded)
	}
	return texts
}

// checkSecret fails for each way of showing v that shows the token.
func checkSecret(t *testing.T, name string, v any) {
	t.Helper()
	hexed := fmt.Sprintf("%x", testToken)
	for how, text := range shown(v) {
		for _, secret := range []string{testToken, url.QueryEscape(testToken), hexed} {
			if strings.Contains(text, secret) {
				t.Errorf("%s as %s shows the token: %s", name, how, text)
			}
		}
	}
}

func TestNothingThatHoldsTheTokenShowsIt(t *testing.T) {
	t.Parallel()
	token := NewToken(testToken)
	config := Config{BaseURL: "https://api.example.com", Token: StaticToken(token)}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		Public  Token
		private Token
		client  *Client
		config  Config
	}
	for name, v := range map[string]any{
		"the token": token, "a pointer to it": &token, "a list of it": []Token{token}, "a map of it": map[string]Token{"x": token},
		"the config": config, "a pointer to the config": &config,
		"the client": c, "the client's value": *c,
		"a struct around them": holder{token, token, c, config},
		"the exchange":         errors.Unwrap((&exchange{hidden: []string{testToken}}).fail(Ambiguous, errors.New("got "+testToken))),
	} {
		checkSecret(t, name, v)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
		if got := fmt.Sprintf(verb, token); got != redacted {
			t.Errorf("a token is printed by %s as %q", verb, got)
		}
	}
}

// TestAServerThatSendsTheTokenBackDoesNotGetItLogged has the server echo the
// Authorization header, whole or in disguise, wherever an answer has text.
func TestAServerThatSendsTheTokenBackDoesNotGetItLogged(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
	quoted, err := json.Marshal(testToken)
	if err != nil {
		t.Fatal(err)
	}
	split := testToken[:8] + `\u200b` + testToken[8:]
	tests := map[string]string{
		"in the message":         head + "\r\n" + `{"message":` + string(quoted) + `}`,
		"split by an invisible":  head + "\r\n" + `{"message":"` + split + `"}`,
		"escaped as in a URL":    head + "\r\n" + `{"message":"?token=` + url.QueryEscape(testToken) + `"}`,
		"across the cut":         head + "\r\n" + `{"message":"` + strings.Repeat("x", maxText-5) + testToken + `"}`,
		"in error":               head + "\r\n" + `{"error":` + string(quoted) + `}`,
		"in the code":            head + "\r\n" + `{"code":` + string(quoted) + `}`,
		"in the request id":      head + "X-Request-Id: " + testToken + "\r\n\r\n{}",
		"in the status text":     "HTTP/1.1 400 " + testToken + "\r\n\r\n",
		"in a bad status line":   "HTTP/1.1 " + testToken + "\r\n\r\n",
		"instead of HTTP":        testToken + "\r\n\r\n",
		"in a header without :":  "HTTP/1.1 200 OK\r\nBearer " + testToken + "\r\n\r\n",
		"in a redirect":          "HTTP/1.1 302 Found\r\nLocation: https://example.com/?t=" + testToken + "\r\n\r\n",
		"in a broken redirect":   "HTTP/1.1 302 Found\r\nLocation: ://" + testToken + "\r\n\r\n",
		"in a bad length":        "HTTP/1.1 200 OK\r\nContent-Length: " + testToken + "\r\n\r\n",
		"in a transfer encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + testToken + "\r\n\r\n",
		"in a content type":      "HTTP/1.1 200 OK\r\nContent-Type: " + testToken + "\r\n\r\n{}",
		"in another user":        okHead + "\r\n" + `{"external_id":` + string(quoted) + `,"internal_id":"a"}`,
		"in broken JSON":         okHead + "\r\n" + `{"external_id":` + string(quoted) + string(quoted),
	}
	for name, text := range tests {
		for _, call := range remoteCalls {
			t.Run(name+", "+call.op, func(t *testing.T) {
				t.Parallel()
				s := serveRaw(t, saying(text))
				_, err := call.do(t.Context(), newClient(t, s.url, generous), theirs)
				e := mustError(t, err)
				for name, v := range map[string]any{"the error": err, "its value": *e, "one around it": fmt.Errorf("job: %w", err), "its cause": e.Err} {
					checkSecret(t, name, v)
					for how, shown := range shown(v) {
						if strings.Contains(shown, testToken[:8]) {
							t.Errorf("%s as %s shows half the token: %s", name, how, shown)
						}
					}
				}
				if _, ok := errors.AsType[*url.Error](err); ok || strings.Contains(err.Error(), string(ours)) {
					t.Errorf("%v holds the address called", err)
				}
			})
		}
	}
}

func TestAProxyThatSendsTheTokenBackDoesNotGetItLogged(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, func(_ *rawServer, conn *net.TCPConn, r *bufio.Reader) {
		_, _ = http.ReadRequest(r)
		_, _ = io.WriteString(conn, "HTTP/1.1 403 "+testToken+"\r\n\r\n")
	})
	c := newClient(t, "https://api.example.com", generous)
	c.transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: s.addr})
	_, err := c.RecoverUser(t.Context(), ours)
	checkSecret(t, "the error", err)
}

func TestATokenThatCannotBeUsedIsUnauthorizedAndUnsent(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	boom := errors.New("open /run/secrets/token: no such file")
	for name, source := range map[string]TokenSource{
		"no token":                   func() (Token, error) { return Token{}, nil },
		"an empty token":             StaticToken(NewToken("")),
		"a token with a line break":  StaticToken(NewToken(testToken + "\r\nX-Admin: 1")),
		"a token with a space":       StaticToken(NewToken(testToken + " ")),
		"a token beyond ASCII":       StaticToken(NewToken(testToken + "ü")),
		"a token that is not there":  func() (Token, error) { return Token{}, boom },
		"a token in quotation marks": StaticToken(NewToken(`"` + testToken + `"`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := New(Config{BaseURL: s.URL, Token: source})
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range remoteCalls {
				_, err := call.do(t.Context(), c, theirs)
				if e := mustError(t, err); e.Class != Unauthorized || e.Status != 0 {
					t.Errorf("got %v", err)
				}
				checkSecret(t, "the error", err)
			}
		})
	}
}

func TestATokenIsAskedForWithEachCall(t *testing.T) {
	t.Parallel()
	var got []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		answer(w, http.StatusOK, flatAnswer)
	})
	n := 0
	c, err := New(Config{BaseURL: s.URL, Token: func() (Token, error) { n++; return NewToken(fmt.Sprint("t", n)), nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	for range 2 {
		if _, err := c.RecoverUser(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(got, ",") != "Bearer t1,Bearer t2" {
		t.Errorf("sent %v", got)
	}
}

func TestWhatTheVendorSaysOfAUserIsHidden(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "for Ada.Lovelace@Example.com")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"code":"x ada.lovelace@example.com","message":"display_name Ada Lovelace of <ADA.LOVELACE@example.com> is too long"}`)
	}))
	t.Cleanup(server.Close)
	c, err := New(Config{BaseURL: server.URL, Token: StaticToken(NewToken(testToken))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	_, err = c.CreateUser(t.Context(), NewUser{ExternalID: "id-1", Email: "ada.lovelace@example.com", DisplayName: "Ada Lovelace"})
	if ClassOf(err) != Rejected {
		t.Fatal(err)
	}
	for how, text := range shown(err) {
		if lower := strings.ToLower(text); strings.Contains(lower, "ada") || strings.Contains(lower, "example.com") {
			t.Errorf("as %s it tells of the user: %s", how, text)
		}
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Message != "display_name [name] of <[address]> is too long" {
		t.Errorf("the message is %q", e.Message)
	}
}
