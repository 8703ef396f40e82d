package api_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/internal/login"
)

// answer is a response that has been read.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// json returns a field of the body, or "".
func (a answer) json(path ...string) string {
	var value any
	if json.Unmarshal([]byte(a.body), &value) != nil {
		return ""
	}
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	text, _ := value.(string)
	return text
}

// is fails unless the answer has the status, and the problem's code where one
// is given.
func (a answer) is(status int, code ...string) answer {
	a.t.Helper()
	if a.status != status || len(code) > 0 && a.json("code") != code[0] {
		a.t.Errorf("answered %d %s %s, not %d %q", a.status, a.header.Get("Location"), a.body, status, code)
	}
	return a
}

// field fails unless the problem is about this field.
func (a answer) field(pointer, code string) answer {
	a.t.Helper()
	var problem struct {
		Errors []struct{ Pointer, Code string }
	}
	_ = json.Unmarshal([]byte(a.body), &problem)
	if len(problem.Errors) != 1 || problem.Errors[0].Pointer != pointer || problem.Errors[0].Code != code {
		a.t.Errorf("the errors are %+v, not %s at %q", problem.Errors, code, pointer)
	}
	return a
}

// leadsTo fails unless the answer redirects to the target.
func (a answer) leadsTo(target string) answer {
	a.t.Helper()
	if got := a.header.Get("Location"); a.status != http.StatusSeeOther || got != target {
		a.t.Errorf("answered %d to %q, not 303 to %q", a.status, got, target)
	}
	return a
}

// sets returns the cookie that the answer sets or drops, or nil. The name may
// be a prefix.
func (a answer) sets(name string) *http.Cookie {
	for _, line := range a.header.Values("Set-Cookie") {
		if cookie, err := http.ParseSetCookie(line); err == nil && strings.HasPrefix(cookie.Name, name) {
			return cookie
		}
	}
	return nil
}

// header is one header of a request. An empty value removes it.
type header struct{ name, value string }

// step is a subtest that shares a world, and often a browser, with those before
// and after it. They run in their order.
func step(t *testing.T, name string, do func(t *testing.T)) {
	t.Helper()
	t.Run(name, do)
}

// browser keeps cookies as a browser does, as far as these tests can tell.
type browser struct {
	t        *testing.T
	w        *world
	client   *http.Client
	prefix   string                  // of our cookies' names
	cookies  map[string]*http.Cookie // of the API
	passkeys map[string]string       // of the simulator
}

func (w *world) browser() *browser {
	w.t.Helper()
	prefix := ""
	if strings.HasPrefix(w.url, "https:") {
		prefix = "__Host-Http-"
	}
	return &browser{
		t: w.t, w: w, prefix: prefix,
		client:   apitest.Client(w.t, w.url, w.server.Client().Transport),
		cookies:  map[string]*http.Cookie{},
		passkeys: map[string]string{},
	}
}

// in is the same browser, for a subtest.
func (b *browser) in(t *testing.T) *browser {
	copied := *b
	copied.t = t
	return &copied
}

// send sends a request to the API with the cookies that the browser has. The
// Strict ones stay at home when another site has caused it.
func (b *browser) send(r *http.Request, crossSite bool) answer {
	b.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		if cookie := b.cookies[name]; !crossSite || cookie.SameSite != http.SameSiteStrictMode {
			r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		}
	}
	a := b.raw(r)
	for _, line := range a.header.Values("Set-Cookie") {
		cookie, err := http.ParseSetCookie(line)
		switch {
		case err != nil:
			b.t.Error(err)
		case cookie.MaxAge < 0:
			delete(b.cookies, cookie.Name)
		default:
			b.cookies[cookie.Name] = cookie
			b.w.secrets.keep(cookie.Value)
		}
	}
	return a
}

// raw sends a request as it is.
func (b *browser) raw(r *http.Request) answer {
	b.t.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.w.secrets.answered(response, body)
	return answer{b.t, response.StatusCode, response.Header, string(body)}
}

// request makes a request to the API, with X-CSRF as our apps send it.
func (b *browser) request(method, path, body string, headers ...header) *http.Request {
	b.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	target := path
	if strings.HasPrefix(path, "/") {
		target = b.w.url + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, content)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("X-Csrf", "1")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		r.Header.Del(h.name)
		if h.value != "" {
			r.Header.Set(h.name, h.value)
		}
	}
	return r
}

func (b *browser) get(path string, headers ...header) answer {
	b.t.Helper()
	return b.send(b.request(http.MethodGet, path, "", headers...), false)
}

func (b *browser) post(path, body string, headers ...header) answer {
	b.t.Helper()
	return b.send(b.request(http.MethodPost, path, body, headers...), false)
}

// returns follows the provider's redirect back, which another site causes.
func (b *browser) returns(callback string) answer {
	b.t.Helper()
	return b.send(b.request(http.MethodGet, callback, "", header{"X-CSRF", ""}), true)
}

// session returns the value of the session cookie.
func (b *browser) session() string {
	if cookie := b.cookies[b.prefix+"portico"]; cookie != nil {
		return cookie.Value
	}
	return ""
}

// flows returns the names of the flow cookies, sorted.
func (b *browser) flows() []string {
	var names []string
	for name := range b.cookies {
		if strings.HasPrefix(name, b.prefix+"portico-flow-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// provider sends a request to the simulator and returns where it leads.
func (b *browser) provider(method, target string) string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range b.passkeys {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	for _, cookie := range response.Cookies() {
		b.passkeys[cookie.Name] = cookie.Value
	}
	return response.Header.Get("Location")
}

// enrol registers a passkey by the newest mail to the address.
func (b *browser) enrol(email string) {
	b.t.Helper()
	mails := b.w.sim.Mailbox(email)
	if len(mails) == 0 {
		b.t.Fatal("there is no mail to the address")
	}
	if next := b.provider(http.MethodPost, mails[0].Link); next != b.w.url+"/login" {
		b.t.Fatalf("enrolment leads to %q", next)
	}
}

// signUp signs an address up and enrols a passkey for it in this browser.
func (b *browser) signUp(email string) {
	b.t.Helper()
	a := b.post("/signup", `{"email":"`+email+`","display_name":"Ada"}`).is(http.StatusAccepted)
	b.w.secrets.keep(email, a.json("signup_id"))
	b.w.provision()
	b.enrol(email)
}

// authorize starts a login and returns the provider's redirect back.
func (b *browser) authorize(query string) (callback string) {
	b.t.Helper()
	started := b.get("/login" + query).is(http.StatusSeeOther)
	return b.provider(http.MethodGet, started.header.Get("Location"))
}

// logIn logs in and returns the callback's answer.
func (b *browser) logIn() answer {
	b.t.Helper()
	return b.returns(b.authorize(""))
}

// change replaces query parameters of a URL. An empty value removes one.
func change(t *testing.T, target string, pairs ...string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		query.Del(pairs[i])
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// parameter returns a query parameter of a URL.
func parameter(t *testing.T, target, name string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// handleOf returns the name of a flow, as its cookie's name ends.
func handleOf(state string) string { return login.HandleOf(state) }
