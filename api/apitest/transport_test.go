package apitest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-id/portico/api/apitest"
)

// an is an answer as a server might give it.
type an struct {
	status int
	header map[string]string
	body   string
}

// usual are the headers that every answer has.
func usual() map[string]string {
	return map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin", "X-Request-Id": "0123456789abcdef",
		"Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
	}
}

func with(pairs ...string) map[string]string {
	h := usual()
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(h, pairs[i])
		}
	}
	return h
}

const problemJSON = "application/problem+json"

func problem(status int, code, title, path string) string {
	return fmt.Sprintf(`{"type":"urn:portico:problem:%s","title":%q,"status":%d,"detail":"What to do.","instance":%q,"code":%q,"request_id":"0123456789abcdef"}`,
		code, title, status, path, code)
}

func notSignedIn(pairs ...string) an {
	return an{
		401, with(append([]string{"Content-Type", problemJSON, "Www-Authenticate", "Bearer"}, pairs...)...),
		problem(401, "not_authenticated", "Nobody is signed in", "/me"),
	}
}

const receipt = `{"signup_id":"3vYkq0V1m8wN5hJdZr2cTg","status":"received",` +
	`"status_url":"http://localhost:8080/signup/3vYkq0V1m8wN5hJdZr2cTg","resend_after":"2026-01-02T15:05:05Z"}`

func accepted(pairs ...string) an {
	return an{202, with(append([]string{
		"Content-Type", "application/json; charset=utf-8", "Location", "http://localhost:8080/signup/x", "Retry-After", "1",
	}, pairs...)...), receipt}
}

func (a an) saying(body string) an {
	a.body = body
	return a
}

// recorder is a testing.TB that only remembers its failures.
type recorder struct {
	testing.TB

	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (*recorder) Helper() {}

// check sends a request to a server that answers so, and returns what the
// transport complains of.
func check(t *testing.T, method, path string, answer an) []string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range answer.header {
			for line := range strings.SplitSeq(value, "\n") {
				w.Header().Add(name, line)
			}
		}
		if answer.header["Content-Type"] == "" {
			w.Header()["Content-Type"] = nil
		}
		w.WriteHeader(answer.status)
		_, _ = io.WriteString(w, answer.body)
	}))
	defer server.Close()
	noted := &recorder{TB: t}
	client := apitest.Client(noted, server.URL, server.Client().Transport)
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || method != http.MethodHead && string(body) != answer.body {
		t.Errorf("the caller reads %q, %v", body, err)
	}
	return noted.failures
}

func TestAnswersThatTheContractAllows(t *testing.T) {
	t.Parallel()
	const cookie = "portico=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
	tests := []struct {
		name, method, path string
		answer             an
	}{
		{"a success", "POST", "/signup", accepted()},
		{"a problem", "GET", "/me", notSignedIn()},
		{"a redirect with a cookie", "GET", "/callback", an{303, with("Location", "https://app.example/", "Set-Cookie", cookie), ""}},
		{"a page", "GET", "/docs", an{200, with("Content-Type", "text/html; charset=utf-8"), "<!doctype html>"}},
		{"a path that is not there", "GET", "/nothing", an{404, with("Content-Type", problemJSON), problem(404, "not_found", "There is nothing here", "/nothing")}},
		{"a method that is not taken", "PUT", "/me", an{
			405, with("Content-Type", problemJSON, "Allow", "OPTIONS, DELETE, GET, PATCH"),
			problem(405, "method_not_allowed", "The route does not take this method", "/me"),
		}},
		{"HEAD", "HEAD", "/me", an{405, with("Allow", "OPTIONS, DELETE, GET, PATCH"), ""}},
		{"a preflight", "OPTIONS", "/me", an{204, usual(), ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if found := check(t, test.method, test.path, test.answer); len(found) > 0 {
				t.Errorf("it is complained of: %q", found)
			}
		})
	}
}

func TestAnswersThatTheContractDoesNotAllow(t *testing.T) {
	t.Parallel()
	cookie := func(line string) an { return accepted("Set-Cookie", line) }
	tests := []struct {
		name, method, path string
		answer             an
		says               string
	}{
		{"another status", "POST", "/signup", an{200, with("Content-Type", "application/json; charset=utf-8"), receipt}, "does not have this status"},
		{"a status of another route", "GET", "/me", an{409, with("Content-Type", problemJSON), "{}"}, "does not have this status"},
		{"another media type", "POST", "/signup", accepted("Content-Type", "text/plain"), "media type"},
		{"no charset", "POST", "/signup", accepted("Content-Type", "application/json"), "Content-Type"},
		{"a field too many", "POST", "/signup", accepted().saying(receipt[:len(receipt)-1] + `,"user_id":1}`), "does not fit its schema"},
		{"a field too few", "POST", "/signup", accepted().saying(`{"signup_id":"3vYkq0V1m8wN5hJdZr2cTg"}`), "does not fit its schema"},
		{"another type", "POST", "/signup", accepted().saying(strings.Replace(receipt, `"received"`, "1", 1)), "does not fit its schema"},
		{"a word that is not listed", "POST", "/signup", accepted().saying(strings.Replace(receipt, "received", "lost", 1)), "does not fit its schema"},
		{"a time that is none", "POST", "/signup", accepted().saying(strings.Replace(receipt, "2026-01-02T", "yesterday ", 1)), "no time of RFC 3339"},
		{"a time elsewhere", "POST", "/signup", accepted().saying(strings.Replace(receipt, "05Z", "05+01:00", 1)), "no time of RFC 3339"},
		{"a page without anything in it", "GET", "/docs", an{200, with("Content-Type", "text/html; charset=utf-8"), ""}, "the document is empty"},
		{"two objects", "POST", "/signup", accepted().saying(receipt + receipt), "not one JSON object"},
		{"no body", "POST", "/signup", accepted().saying(""), "not one JSON object"},
		{"a body with a redirect", "GET", "/login", an{303, with("Location", "/x", "Content-Type", "text/html"), "<a>"}, "there is a body"},
		{"no Location", "POST", "/signup", accepted("Location", ""), "the header Location is missing"},
		{"a Retry-After that is no number", "POST", "/signup", accepted("Retry-After", "soon"), "Retry-After is no integer"},
		{"no WWW-Authenticate", "GET", "/me", notSignedIn("Www-Authenticate", ""), "WWW-Authenticate is missing"},
		{"a code that is another operation's", "GET", "/me", notSignedIn().saying(problem(401, "flow_used", "x", "/me")), "is not among the contract's"},
		{"a code that nobody has", "GET", "/me", notSignedIn().saying(problem(401, "teapot", "x", "/me")), "does not fit its schema"},
		{"another title", "GET", "/me", notSignedIn().saying(problem(401, "not_authenticated", "Go away", "/me")), "title is"},
		{"another status in the document", "GET", "/me", notSignedIn().saying(problem(403, "not_authenticated", "x", "/me")), "the problem's status"},
		{"another request's id", "GET", "/me", notSignedIn("X-Request-Id", "fedcba9876543210"), "the problem's request_id"},
		{"another path", "GET", "/me", notSignedIn().saying(problem(401, "not_authenticated", "Nobody is signed in", "/x")), "the problem's instance"},
		{"an unknown path that answers", "GET", "/nothing", an{200, usual(), ""}, "no such operation"},
		{"an unknown method that answers", "PUT", "/me", an{200, usual(), ""}, "no such operation"},
		{"an Allow that lies", "PUT", "/me", an{
			405, with("Content-Type", problemJSON, "Allow", "GET, POST"),
			problem(405, "method_not_allowed", "x", "/me"),
		}, "Allow is"},
		{"a preflight with a body", "OPTIONS", "/me", an{200, with("Content-Type", "text/plain"), "x"}, "204"},
		{"what may be cached", "POST", "/signup", accepted("Cache-Control", "private"), "Cache-Control"},
		{"what may be sniffed", "POST", "/signup", accepted("X-Content-Type-Options", ""), "X-Content-Type-Options"},
		{"what sends a referrer", "POST", "/signup", accepted("Referrer-Policy", "origin"), "Referrer-Policy"},
		{"no request id", "POST", "/signup", accepted("X-Request-Id", ""), "X-Request-Id"},
		{"no policy", "POST", "/signup", accepted("Content-Security-Policy", ""), "Content-Security-Policy"},
		{"a Server header", "POST", "/signup", accepted("Server", "echo"), "Server"},
		{"an answer for every origin", "POST", "/signup", accepted("Access-Control-Allow-Origin", "*"), "every origin"},
		{"a cookie that scripts read", "POST", "/signup", cookie("portico=a; Path=/; Max-Age=9; SameSite=Strict"), "HttpOnly"},
		{"a cookie for a path", "POST", "/signup", cookie("portico=a; Path=/me; Max-Age=9; HttpOnly; SameSite=Strict"), "Path=/"},
		{"a cookie for a domain", "POST", "/signup", cookie("portico=a; Path=/; Domain=example.com; Max-Age=9; HttpOnly; SameSite=Strict"), "Domain"},
		{"a session that is Lax", "POST", "/signup", cookie("portico=a; Path=/; Max-Age=9; HttpOnly; SameSite=Lax"), "SameSite"},
		{"a flow that is Strict", "POST", "/signup", cookie("portico-flow-a=a; Path=/; Max-Age=9; HttpOnly; SameSite=Strict"), "SameSite"},
		{"a prefix without TLS", "POST", "/signup", cookie("__Host-Http-portico=a; Path=/; Max-Age=9; HttpOnly; SameSite=Strict"), "prefix"},
		{"another cookie", "POST", "/signup", cookie("tracking=a; Path=/; Max-Age=9; HttpOnly; SameSite=Lax"), "no cookie"},
		{"a cookie without an end", "POST", "/signup", cookie("portico=a; Path=/; HttpOnly; SameSite=Strict"), "Max-Age"},
		{"a cookie that is too long", "POST", "/signup", cookie("portico=" + strings.Repeat("a", 4096) + "; Path=/; Max-Age=9; HttpOnly; SameSite=Strict"), "longer"},
		{"a cookie twice", "POST", "/signup", cookie("portico=a; Path=/; Max-Age=9\nportico=b; Path=/; Max-Age=9"), "twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := check(t, test.method, test.path, test.answer)
			if !strings.Contains(strings.Join(found, "\n"), test.says) {
				t.Errorf("nothing says %q, but %q", test.says, found)
			}
		})
	}
}

func TestAnswersFromElsewherePass(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	response, err := apitest.Client(t, "http://127.0.0.1:1", server.Client().Transport).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("it answered %d", response.StatusCode)
	}
}
