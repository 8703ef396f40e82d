package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/clientkey"
	"github.com/portico-id/portico/internal/store/storetest"
)

// fromFile has the setting come from a file, and returns the file.
func (w *world) fromFile(setting, text string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), strings.ToLower(setting))
	write(w.t, path, text)
	delete(w.settings, setting)
	w.settings[setting+fileSuffix] = path
	return path
}

// reload has the process read its files now, and waits until the log says what
// came of it.
func (p *process) reload(says string) {
	p.w.t.Helper()
	read := len(p.log.String())
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		p.w.t.Fatal(err)
	}
	p.w.eventually("the log says "+says, func() error {
		if news := p.log.String()[read:]; !strings.Contains(news, says) {
			return errors.New("it says " + news)
		}
		return nil
	})
}

// user signs somebody up and returns their browser, with a passkey.
func (w *world) user(email string) *browser {
	w.t.Helper()
	b := w.browser()
	b.arrivesOnce(b.signUp(email), email)
	b.enrol(email)
	return b
}

// pending begins a login and returns the callback that would finish it.
func (b *browser) pending() string {
	b.w.t.Helper()
	return b.authorized(b.do(http.MethodGet, b.w.public+"/login", "").header.Get("Location"))
}

// authorized returns where the provider sends the user to.
func (b *browser) authorized(authorizationURL string) string {
	b.w.t.Helper()
	callback := b.do(http.MethodGet, authorizationURL, "").header.Get("Location")
	if !strings.HasPrefix(callback, b.w.public+"/callback?") {
		b.w.t.Fatalf("the provider sends the user to %q", callback)
	}
	return callback
}

// signedIn fails the test unless /me knows the browser.
func (b *browser) signedIn() {
	b.w.t.Helper()
	b.do(http.MethodGet, b.w.public+"/me", "", "X-CSRF: 1").want(b.w.t, http.StatusOK, nil)
}

// arrives fails the test unless the callback signs the user in.
func (b *browser) arrives(callback string) {
	b.w.t.Helper()
	if end := b.follow(callback); end.Query().Has("error") {
		b.w.t.Fatalf("the login ends at %s", end)
	}
	b.signedIn()
}

func TestASVS_13_3_4_ASVS_11_2_2_KeysAreRotatedAndNobodyIsLoggedOut(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts a process")
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newKindWorld(t, databaseURL)
		one, two, three := newKey(t), newKey(t), newKey(t)
		path := w.fromFile("PORTICO_KEYS", one)
		p := w.spawn()
		b := w.user("ada@example.com")

		// Begun before the rotation, finished after it.
		begun := b.pending()
		write(t, path, two+","+one)
		p.reload(idsOf(t, two)[0])
		b.arrives(begun)

		// A key that is dropped takes the flows with it that it has sealed, and
		// nothing else: neither sessions nor what begins afterwards.
		lost := b.pending()
		write(t, path, three)
		p.reload(idsOf(t, three)[0])
		b.signedIn()
		var problem struct {
			Code string `json:"code"`
		}
		b.do(http.MethodGet, lost, "").want(t, http.StatusBadRequest, &problem)
		if problem.Code != "flow_invalid" {
			t.Errorf("the lost flow ends as %s", problem.Code)
		}
		b.signedIn()
		for _, cookie := range b.http.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(w.public, "http://"), Path: "/callback"}) {
			if cookie.Name != "portico" && strings.Contains(cookie.Name, "portico") {
				t.Errorf("the lost flow leaves the cookie %s", cookie.Name)
			}
		}
		b.arrives(b.pending())

		// What cannot be used is refused, and the logins go on.
		begun = b.pending()
		for _, bad := range []string{"", three[:11], testToken, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} {
			write(t, path, bad)
			p.reload(`"level":"ERROR","msg":"a secret was not replaced`)
		}
		b.arrives(begun)
		noSecrets(t, p.log.String(), one, two, three, three[:11])
	})
}

func TestASVS_13_3_4_KeysAreRotatedOverAndOverUnderLogins(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts a process")
	}
	const rotations, users = 10, 3
	w := newKindWorld(t, storetest.Postgres(t))
	w.settings["PORTICO_RATE_LIMITS"] = "off"
	ring := []string{newKey(t)}
	path := w.fromFile("PORTICO_KEYS", ring[0])
	p := w.spawn()
	var browsers []*browser
	for i := range users {
		browsers = append(browsers, w.user(fmt.Sprintf("user-%d@example.com", i)))
	}
	done := make(chan struct{})
	logins := make([]int, users)
	var running sync.WaitGroup
	for i, b := range browsers {
		running.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := b.logsIn(i%2 == 0); err != nil {
					t.Errorf("after %d logins: %v", logins[i], err)
					return
				}
				logins[i]++
			}
		})
	}
	for range rotations {
		ring = append([]string{newKey(t)}, ring...)
		// As an editor writes it: in place, and in two parts.
		text := strings.Join(ring, ",")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{text[:len(text)/2], text[len(text)/2:]} {
			if _, err := file.WriteString(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		p.reload(`"ids":["` + idsOf(t, ring[0])[0] + `"`)
	}
	close(done)
	running.Wait()
	for i, n := range logins {
		if n == 0 {
			t.Errorf("user %d has never logged in", i)
		}
	}
	noSecrets(t, p.log.String(), ring...)
}

// logsIn goes through a whole login, as the browser that it is or with a
// native app beside it. It may run beside the test.
func (b *browser) logsIn(native bool) error {
	var begun struct {
		AuthorizationURL string `json:"authorization_url"`
		Flow             string `json:"flow"`
	}
	method, path, body := http.MethodGet, "/login", ""
	if native {
		method, body = http.MethodPost, `{"client":"native"}`
	}
	a, err := b.try(method, b.w.public+path, body)
	if err != nil {
		return err
	}
	begun.AuthorizationURL = a.header.Get("Location")
	if native {
		if err := json.Unmarshal([]byte(a.body), &begun); err != nil {
			return fmt.Errorf("begin answers %d: %s", a.status, a.body)
		}
	}
	if a, err = b.try(http.MethodGet, begun.AuthorizationURL, ""); err != nil {
		return err
	}
	callback, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return err
	}
	if !native {
		a, err = b.try(http.MethodGet, callback.String(), "")
		if err == nil && (a.status != http.StatusSeeOther || strings.Contains(a.header.Get("Location"), "error=")) {
			err = fmt.Errorf("callback answers %d to %s: %s", a.status, a.header.Get("Location"), a.body)
		}
		return err
	}
	query := callback.Query()
	answer, err := json.Marshal(map[string]string{
		"code": query.Get("code"), "state": query.Get("state"), "iss": query.Get("iss"), "flow": begun.Flow,
	})
	if err != nil {
		return err
	}
	a, err = b.w.browser().try(http.MethodPost, b.w.public+"/callback", string(answer))
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("callback answers %d: %s", a.status, a.body)
	}
	return err
}

func TestASVS_13_3_4_AChangedFileIsNoticedWithoutASignal(t *testing.T) {
	t.Parallel()
	w := newKindWorld(t, storetest.SQLite(t))
	one, two := newKey(t), newKey(t)
	path := w.fromFile("PORTICO_KEYS", one)
	_, log := w.start()
	b := w.user("ada@example.com")
	begun := b.pending()
	write(t, path, two+","+one)
	w.eventually("the log has the new key's id", func() error {
		if !strings.Contains(log.String(), `"msg":"a secret was replaced","setting":"PORTICO_KEYS","file":"`+path+`","ids":["`+idsOf(t, two)[0]+`"`) {
			return errors.New("it has not")
		}
		return nil
	})
	b.arrives(begun)
	noSecrets(t, log.String(), one, two)
}

func TestASVS_13_3_4_TheClientsSecretIsReplacedWithoutARestart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts a process")
	}
	w := newKindWorld(t, storetest.SQLite(t))
	good := w.settings["PORTICO_OIDC_CLIENT_SECRET"]
	const wrong = "canary-secret-that-has-expired"
	path := w.fromFile("PORTICO_OIDC_CLIENT_SECRET", wrong)
	p := w.spawn()
	b := w.user("ada@example.com")
	if end := b.follow(b.pending()); !end.Query().Has("error") {
		t.Fatalf("a wrong secret signs in: %s", end)
	}
	write(t, path, good+"\n")
	p.reload(`"msg":"a secret was replaced","setting":"PORTICO_OIDC_CLIENT_SECRET"`)
	b.arrives(b.pending())
	for _, bad := range []string{"", "changeme-at-once-please"} {
		write(t, path, bad)
		p.reload(`"level":"ERROR","msg":"a secret was not replaced`)
		b.arrives(b.pending())
	}
	noSecrets(t, p.log.String(), good, wrong, "changeme-at-once-please")
}

// assertions is a provider's token endpoint that knows clients by their keys.
// What it has verified goes on to the simulator, which knows a secret.
type assertions struct {
	t      *testing.T
	next   http.Handler
	secret string

	mu         sync.Mutex
	registered jose.JSONWebKeySet
	used       map[string]bool
	by         []string // the keys that have proved who the client is
}

// register makes the keys known, and all others unknown.
func (a *assertions) register(sets ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.registered = jose.JSONWebKeySet{}
	for _, text := range sets {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			a.t.Error(err)
		}
		a.registered.Keys = append(a.registered.Keys, set.Keys...)
	}
}

// ServeHTTP lets everything through but token requests without an assertion.
func (a *assertions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/token") {
		a.next.ServeHTTP(w, r)
		return
	}
	if err := r.ParseForm(); err != nil {
		a.t.Error(err)
	}
	if err := a.verify(r); err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return
	}
	form := r.PostForm
	form.Del("client_assertion")
	form.Del("client_assertion_type")
	on := httptest.NewRequestWithContext(r.Context(), http.MethodPost, r.URL.String(), strings.NewReader(form.Encode()))
	on.Host = r.Host
	on.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	on.SetBasicAuth("portico", a.secret)
	a.next.ServeHTTP(w, on)
}

func (a *assertions) verify(r *http.Request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.PostForm.Has("client_secret") || r.Header.Get("Authorization") != "" ||
		r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		a.t.Errorf("the client authenticates otherwise: %v", r.PostForm)
	}
	signed, err := jose.ParseSignedCompact(r.PostForm.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	keys := a.registered.Key(signed.Signatures[0].Header.KeyID)
	if len(keys) != 1 {
		return errors.New("unknown key")
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		return err
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	if claims.Issuer != "portico" || !strings.HasSuffix(claims.Audience, r.URL.Path) || a.used[claims.ID] {
		a.t.Errorf("the claims are %s", payload)
	}
	a.used[claims.ID] = true
	a.by = append(a.by, keys[0].KeyID)
	return nil
}

// startKeyedSimulator serves the simulator at its planned address, to a client
// that has no secret.
func (w *world) startKeyedSimulator() *assertions {
	w.t.Helper()
	const secret = "canary-between-provider-and-itself"
	sim, err := simulator.New(simulator.Config{
		BaseURL: w.simURL, APIToken: testToken, ClientID: "portico", ClientSecret: secret,
		RedirectURIs: []string{w.public + "/callback"}, RegistrationRedirectURI: w.public + "/login",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", strings.TrimPrefix(w.simURL, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	provider := &assertions{t: w.t, next: sim, secret: secret, used: map[string]bool{}}
	server := httptest.NewUnstartedServer(provider)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	w.t.Cleanup(func() {
		sim.Close()
		server.CloseClientConnections()
		server.Close()
	})
	w.sim = sim
	return provider
}

func TestTheClientsKeyIsReplacedWithoutARestart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts a process")
	}
	t.Run("ASVS-13.3.4 ASVS-10.4.16 S-15 BBA-26 from its making to its rotation", func(t *testing.T) {
		t.Parallel()
		w := plannedWorld(t, storetest.SQLite(t))
		provider := w.startKeyedSimulator()
		delete(w.settings, "PORTICO_OIDC_CLIENT_SECRET")
		w.settings["PORTICO_OIDC_CLIENT_AUTH"] = "private_key_jwt"
		first, second := filepath.Join(t.TempDir(), "first.pem"), filepath.Join(t.TempDir(), "second.pem")
		for _, path := range []string{first, second} {
			if out, err := w.command("client-key", "new", "--out", path); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		public := func(path string) string {
			w.settings["PORTICO_OIDC_CLIENT_KEY_FILE"] = path
			out, err := w.command("client-key", "public")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return out
		}
		text := map[string]string{}
		for _, path := range []string{first, second} {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[path] = string(raw)
		}
		ids := func(path string) string {
			key, err := clientkey.Parse(text[path])
			if err != nil {
				t.Fatal(err)
			}
			return key.ID()
		}
		provider.register(public(first))
		path := w.fromFile("PORTICO_OIDC_CLIENT_KEY", text[first])
		p := w.spawn()
		b := w.user("ada@example.com")
		b.arrives(b.pending())

		// The provider learns of the new key, Portico changes over, the provider
		// forgets the old one.
		provider.register(public(first), public(second))
		b.arrives(b.pending())
		write(t, path, text[second])
		p.reload(`"ids":["` + ids(second) + `"]`)
		provider.register(public(second))
		b.arrives(b.pending())
		write(t, path, text[first][:60])
		p.reload(`"level":"ERROR","msg":"a secret was not replaced`)
		b.arrives(b.pending())
		want := []string{ids(first), ids(first), ids(second), ids(second)}
		if fmt.Sprint(provider.by) != fmt.Sprint(want) {
			t.Errorf("the client proved who it is by %v, not %v", provider.by, want)
		}
		provider.register()
		if end := b.follow(b.pending()); !end.Query().Has("error") {
			t.Errorf("a key that the provider does not know signs in: %s", end)
		}
		for _, pem := range text {
			for line := range strings.Lines(pem) {
				if line = strings.TrimSpace(line); len(line) > 30 && strings.Contains(p.log.String(), line) {
					t.Error("the log holds a key")
				}
			}
		}
	})
}
