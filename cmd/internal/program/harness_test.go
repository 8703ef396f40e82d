package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/store"
)

const (
	frontend  = "http://127.0.0.1:3000" // nobody listens there: redirects to it are where a story ends
	testToken = "canary-api-token-6f1d2c3b"
	testKey   = "xay0Hc+7vCJAhE/GOtBmFFWxse6/keuanmaBEq/M8xY="
)

// world is a tenant of the simulator and the settings of a Portico beside it.
type world struct {
	t        *testing.T
	sim      *simulator.Simulator
	simURL   string
	public   string
	opsURL   string
	settings map[string]string
}

// newWorld starts a simulator whose management API fails in every way that one
// can, a fifth of the time; start or spawn run Portico.
func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := newKindWorld(t, databaseURL)
	seed := rand.Uint64() //nolint:forbidigo // chance, no secret
	if err := w.sim.BeHostile(simulator.Hostility{Seed: seed, Level: 0.2, Lateness: 500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the provider was hostile with seed %d", seed)
		}
	})
	return w
}

// newKindWorld starts a simulator that does as it should, for what counts each
// call and mail, or the time.
func newKindWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := plannedWorld(t, databaseURL)
	w.startSimulator()
	return w
}

// plannedWorld has addresses for everything, and runs nothing yet.
func plannedWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := &world{
		t:      t,
		simURL: "http://" + freeAddress(t),
		public: "http://" + freeAddress(t),
		opsURL: "http://" + freeAddress(t),
	}
	w.settings = map[string]string{
		"PORTICO_PUBLIC_URL":               w.public,
		"PORTICO_LISTEN":                   strings.TrimPrefix(w.public, "http://"),
		"PORTICO_OPS_LISTEN":               strings.TrimPrefix(w.opsURL, "http://"),
		"PORTICO_DATABASE_URL":             databaseURL,
		"PORTICO_FRONTEND_ORIGINS":         frontend,
		"PORTICO_BEYOND_API_URL":           w.simURL,
		"PORTICO_BEYOND_API_TOKEN":         testToken,
		"PORTICO_BEYOND_QUARANTINE":        "1s",
		"PORTICO_OIDC_ISSUER":              w.simURL + "/v2",
		"PORTICO_OIDC_CLIENT_ID":           "portico",
		"PORTICO_OIDC_CLIENT_SECRET":       "canary-client-secret-9a8b",
		"PORTICO_KEYS":                     testKey,
		"PORTICO_ALLOW_INSECURE_LOCALHOST": "true",
		"PORTICO_SHUTDOWN_DELAY":           "0s", // nobody stands before it
	}
	return w
}

// startSimulator serves the simulator at its planned address.
func (w *world) startSimulator() {
	w.t.Helper()
	sim, err := simulator.New(simulator.Config{
		BaseURL:                 w.simURL,
		APIToken:                testToken,
		ClientID:                "portico",
		ClientSecret:            w.settings["PORTICO_OIDC_CLIENT_SECRET"],
		RedirectURIs:            []string{w.public + "/callback"},
		RegistrationRedirectURI: w.public + "/login",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", strings.TrimPrefix(w.simURL, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(sim)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	w.t.Cleanup(func() {
		sim.Close()
		server.CloseClientConnections()
		server.Close()
	})
	w.sim = sim
}

func (w *world) environ() []string {
	var environ []string
	for name, value := range w.settings {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// start runs serve in this process until the test ends or stop is called,
// which returns what Run returned.
func (w *world) start() (func() error, *watcher) {
	w.t.Helper()
	log := newWatcher(`"msg":"ready"`)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, []string{"serve"}, w.environ(), log, log) }()
	select {
	case <-log.seen:
	case err := <-ended:
		cancel()
		w.t.Fatalf("serve ended: %v\n%s", err, log)
	case <-time.After(await.Patience):
		cancel()
		w.t.Fatalf("serve is not ready\n%s", log)
	}
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	w.t.Cleanup(func() {
		if err := stop(); err != nil {
			w.t.Errorf("serve ended with %v", err)
		}
		if w.t.Failed() {
			w.t.Logf("the log:\n%s", log)
		}
	})
	return stop, log
}

// watcher keeps a log and closes seen when a line holds the text.
type watcher struct {
	text string
	seen chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

func newWatcher(text string) *watcher { return &watcher{text: text, seen: make(chan struct{})} }

// Write takes a line of the log.
func (l *watcher) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := strings.Contains(l.log.String(), l.text)
	n, err := l.log.Write(line)
	if !had && strings.Contains(l.log.String(), l.text) {
		close(l.seen)
	}
	return n, err
}

// String returns what was logged so far.
func (l *watcher) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.String()
}

// behind is the world's database, behind Portico's back.
func (w *world) behind() *store.DB {
	w.t.Helper()
	db, err := store.Open(w.t.Context(), w.settings["PORTICO_DATABASE_URL"])
	if err != nil {
		w.t.Fatal(err)
	}
	return db
}

// freeAddress returns a loopback address that nobody listens on. Ports below
// the range that the system gives out for outgoing connections stay free until
// they are used.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", nextPort())
		listener, err := net.Listen("tcp", address)
		if err == nil {
			_ = listener.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// browser is a person's browser: it keeps cookies and follows no redirect by
// itself.
type browser struct {
	w    *world
	http *http.Client
}

func (w *world) browser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &http.Transport{}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &browser{w: w, http: &http.Client{
		Jar:           jar,
		Transport:     &apitest.Transport{T: w.t, BaseURL: w.public, Next: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       await.Patience,
	}}
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) try(method, target, body string, header ...string) (answer, error) {
	request, err := http.NewRequestWithContext(b.w.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := b.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

func (b *browser) do(method, target, body string, header ...string) answer {
	b.w.t.Helper()
	a, err := b.try(method, target, body, header...)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return a
}

// want fails the test unless the answer has the status, and decodes its body.
func (a answer) want(t *testing.T, status int, into any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, not %d: %s", a.status, status, a.body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(a.body), into); err != nil {
			t.Fatalf("%v in %s", err, a.body)
		}
	}
}

// follow follows redirects from a page until one leads to the app, and returns
// where it leads.
func (b *browser) follow(target string) *url.URL {
	b.w.t.Helper()
	for range 10 {
		a := b.do(http.MethodGet, target, "")
		if a.status != http.StatusSeeOther && a.status != http.StatusFound {
			b.w.t.Fatalf("%s answers %d: %s", target, a.status, a.body)
		}
		target = a.header.Get("Location")
		if strings.HasPrefix(target, frontend) {
			u, err := url.Parse(target)
			if err != nil {
				b.w.t.Fatal(err)
			}
			return u
		}
	}
	b.w.t.Fatal("redirects without end")
	return nil
}

// receipt is what a sign-up answers.
type receipt struct {
	SignupID  string `json:"signup_id"`
	Status    string `json:"status"`
	StatusURL string `json:"status_url"`
}

func (b *browser) signUp(email string) receipt {
	b.w.t.Helper()
	var r receipt
	a := b.do(http.MethodPost, b.w.public+"/signup", fmt.Sprintf(`{"email":%q}`, email))
	a.want(b.w.t, http.StatusAccepted, &r)
	if r.Status != "received" || a.header.Get("Location") != r.StatusURL || r.StatusURL != b.w.public+"/signup/"+r.SignupID {
		b.w.t.Fatalf("receipt %+v with Location %s", r, a.header.Get("Location"))
	}
	return r
}

// await asks how the sign-up stands until it is as wanted. Portico may be away
// meanwhile.
func (b *browser) await(r receipt, status string) {
	b.w.t.Helper()
	b.w.eventually("the sign-up is "+status, func() error {
		a, err := b.try(http.MethodGet, r.StatusURL, "")
		if err != nil {
			return err
		}
		var now receipt
		a.want(b.w.t, http.StatusOK, &now)
		if now.Status != status {
			return errors.New("it is " + now.Status)
		}
		return nil
	})
}

// eventually tries until nothing is wrong.
func (w *world) eventually(what string, try func() error) {
	w.t.Helper()
	await.Until(w.t, what, try)
}

// probe says whether the operations listener answers with the status.
func (b *browser) probe(path string, status int) error {
	a, err := b.try(http.MethodGet, b.w.opsURL+path, "")
	if err == nil && a.status != status {
		err = fmt.Errorf("%s answers %d", path, a.status)
	}
	return err
}

// awaitFault waits until the one fault has hit a request.
func (w *world) awaitFault() {
	w.t.Helper()
	w.eventually("a call reaches the provider", func() error {
		if faults := w.sim.Faults(); len(faults) != 1 || faults[0].Hits == 0 {
			return fmt.Errorf("the faults are %+v", faults)
		}
		return nil
	})
}

// enrol registers a passkey through the newest mailed link, and returns where
// the enrolment ends.
func (b *browser) enrol(email string) string {
	b.w.t.Helper()
	mails := b.w.sim.Mailbox(email)
	if len(mails) == 0 {
		b.w.t.Fatal("no mail")
	}
	a := b.do(http.MethodPost, mails[0].Link, "")
	a.want(b.w.t, http.StatusSeeOther, nil)
	return a.header.Get("Location")
}

// arrivesOnce waits until the sign-up's user is invited, and makes sure that
// the provider has them once, under the id that we have.
func (b *browser) arrivesOnce(r receipt, email string) {
	b.w.t.Helper()
	b.await(r, "invited")
	users := b.w.sim.Users()
	found := 0
	for _, u := range users {
		if u.Email != email {
			continue
		}
		found++
		if u.Creates != 1 || u.ExternalID == "" || u.InternalID == "" {
			b.w.t.Errorf("the provider has %+v", u)
		}
	}
	if found != 1 {
		b.w.t.Errorf("the provider has %d users with the address", found)
	}
}
