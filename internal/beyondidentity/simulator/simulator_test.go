package simulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	apiToken     = "api-token"
	clientID     = "client"
	clientSecret = "secret/with+signs"
	redirectURI  = "http://localhost:8080/callback"
	loginURI     = "http://localhost:8080/login"
)

// tenant is a running simulator and a browser that follows no redirects.
type tenant struct {
	*simulator.Simulator

	t       *testing.T
	url     string
	browser *http.Client
}

func start(t *testing.T, change ...func(*simulator.Config)) *tenant {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	cfg := simulator.Config{
		BaseURL: base, APIToken: apiToken, ClientID: clientID, ClientSecret: clientSecret,
		RedirectURIs: []string{redirectURI}, RegistrationRedirectURI: loginURI,
	}
	for _, c := range change {
		c(&cfg)
	}
	sim, err := simulator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = sim
	server.Start()
	tn := &tenant{Simulator: sim, t: t, url: base}
	tn.browser = tn.newBrowser()
	t.Cleanup(func() { sim.Close(); server.Close() })
	return tn
}

func (tn *tenant) newBrowser() *http.Client {
	tn.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		tn.t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true} // a test wants the bytes as they came
	tn.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is a response whose body has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (tn *tenant) do(req *http.Request) answer {
	tn.t.Helper()
	resp, err := tn.browser.Do(req)
	if err != nil {
		tn.t.Fatal(err)
	}
	return read(tn.t, resp)
}

func read(t *testing.T, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func request(t *testing.T, method, target, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// api makes a management call with the API token.
func (tn *tenant) api(method, path, body string) answer {
	tn.t.Helper()
	req := request(tn.t, method, tn.url+path, body)
	req.Header.Set("Authorization", "Bearer "+apiToken)
	return tn.do(req)
}

// sim makes a call without a token: controls and pages.
func (tn *tenant) sim(method, path, body string) answer {
	tn.t.Helper()
	return tn.do(request(tn.t, method, tn.url+path, body))
}

func createBody(externalID, email string) string {
	return `{"external_id":"` + externalID + `","email":"` + email + `","user_name":"` + externalID +
		`","display_name":"Ada Lovelace","binding_token_delivery_method":"email"}`
}

// create signs a user up over manage v1 and returns the internal id.
func (tn *tenant) create(externalID, email string) string {
	tn.t.Helper()
	got := tn.api("POST", "/v1/manage/users", createBody(externalID, email))
	expectStatus(tn.t, got, http.StatusOK)
	var user struct {
		InternalID string `json:"internal_id"`
	}
	decode(tn.t, got.body, &user)
	return user.InternalID
}

// enrol registers a passkey in the given browser by the newest mail's link.
func (tn *tenant) enrol(browser *http.Client, email string) {
	tn.t.Helper()
	mails := tn.Mailbox(email)
	if len(mails) == 0 {
		tn.t.Fatalf("no mail to %s", email)
	}
	resp, err := browser.Do(request(tn.t, "POST", mails[0].Link, ""))
	if err != nil {
		tn.t.Fatal(err)
	}
	expectStatus(tn.t, read(tn.t, resp), http.StatusSeeOther)
}

func decode(t *testing.T, body string, dst any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), dst); err != nil {
		t.Fatalf("decode %q: %v", body, err)
	}
}

func expectStatus(t *testing.T, got answer, want int) {
	t.Helper()
	if got.status != want {
		t.Fatalf("status %d, want %d; body %s", got.status, want, got.body)
	}
}

// expectJSON compares a body with a literal, as JSON. The literal "*" stands
// for any non-empty string.
func expectJSON(t *testing.T, body, literal string) {
	t.Helper()
	var got, want any
	decode(t, body, &got)
	decode(t, literal, &want)
	if !sameJSON(got, want) {
		t.Fatalf("body %s\nwant %s", body, literal)
	}
}

func sameJSON(got, want any) bool {
	switch want := want.(type) {
	case string:
		s, ok := got.(string)
		return ok && (s == want || want == "*" && s != "")
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok || len(m) != len(want) {
			return false
		}
		for k, v := range want {
			if other, ok := m[k]; !ok || !sameJSON(other, v) {
				return false
			}
		}
		return true
	case []any:
		l, ok := got.([]any)
		if !ok || len(l) != len(want) {
			return false
		}
		for i := range want {
			if !sameJSON(l[i], want[i]) {
				return false
			}
		}
		return true
	}
	return got == want
}

func location(t *testing.T, a answer) *url.URL {
	t.Helper()
	expectStatus(t, a, http.StatusSeeOther)
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// clock is a time that only the test moves.
type clock struct{ time time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time          { return c.time }
func (c *clock) advance(d time.Duration) { c.time = c.time.Add(d) }

func TestNewRefusesAConfigurationThatLacksSomething(t *testing.T) {
	t.Parallel()
	whole := simulator.Config{
		BaseURL: "http://localhost:8081", APIToken: "t", ClientID: "c", ClientSecret: "s",
		RegistrationRedirectURI: loginURI,
	}
	if _, err := simulator.New(whole); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*simulator.Config){
		"no base URL":                func(c *simulator.Config) { c.BaseURL = "" },
		"a base URL with a slash":    func(c *simulator.Config) { c.BaseURL += "/" },
		"a base URL with a path":     func(c *simulator.Config) { c.BaseURL += "/v2" },
		"a base URL of another kind": func(c *simulator.Config) { c.BaseURL = "ftp://localhost" },
		"no API token":               func(c *simulator.Config) { c.APIToken = "" },
		"no client secret":           func(c *simulator.Config) { c.ClientSecret = "" },
		"no registration redirect":   func(c *simulator.Config) { c.RegistrationRedirectURI = "" },
		"an unknown uniqueness":      func(c *simulator.Config) { c.Modes.Uniqueness = "all" },
	} {
		cfg := whole
		spoil(&cfg)
		if _, err := simulator.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
