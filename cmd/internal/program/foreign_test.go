//go:build foreign

package program

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/clientkey"
	"github.com/portico-id/portico/internal/store/storetest"
)

// A provider that shares no line with Portico, to show what both of us being
// wrong in the same way would hide: oidc-provider, which is certified. It
// needs Node and npm's registry, so it is behind a build tag.

//go:embed foreign/server.mjs foreign/package.json foreign/package-lock.json
var foreignFiles embed.FS

// foreignApp is where a native app takes the system's browser back.
const foreignApp = "com.example.app:/signed-in"

// installLimit bounds npm, which may have to fetch everything.
const installLimit = 3 * time.Minute

// installForeign returns where the provider is. What is installed is what the
// lock file has the hashes of, and none of it runs before the provider does.
func installForeign(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	files, err := fs.Sub(foreignFiles, "foreign")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(folder, files); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), installLimit)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = folder
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return folder
}

// foreign is a running provider.
type foreign struct {
	w      *world
	issuer string
	in     io.WriteCloser
	events chan foreignEvent
}

// foreignEvent is a line of the provider's.
type foreignEvent struct {
	Event          string   `json:"event"`
	Error          string   `json:"error"`
	Detail         string   `json:"detail"`
	Client         string   `json:"client"`
	Authentication string   `json:"authentication"`
	Prompt         string   `json:"prompt"`
	Reasons        []string `json:"reasons"`
}

// startForeign runs the provider that is in folder, for a client with this key,
// and points the world's settings at it.
func (w *world) startForeign(folder string, key *clientkey.Key) *foreign {
	w.t.Helper()
	p := &foreign{w: w, issuer: "http://" + freeAddress(w.t), events: make(chan foreignEvent, 1000)}
	node := exec.CommandContext(w.t.Context(), "node", filepath.Join(folder, "server.mjs"))
	node.Stderr = &lines{t: w.t}
	out, err := node.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if p.in, err = node.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		w.t.Fatal(err)
	}
	read := make(chan struct{})
	go p.read(out, read)
	w.t.Cleanup(func() {
		_ = p.in.Close() // it ends with its input
		<-read
		if err := node.Wait(); err != nil && w.t.Context().Err() == nil {
			w.t.Errorf("the provider ended with %v", err)
		}
	})
	p.tell(map[string]any{
		"issuer": p.issuer, "client_secret": w.settings["PORTICO_OIDC_CLIENT_SECRET"],
		"client_keys":              json.RawMessage(key.Public()),
		"redirect_uri":             w.public + "/callback",
		"post_logout_redirect_uri": w.public + "/logout/callback",
		"backchannel_logout_uri":   w.public + "/backchannel-logout",
	})
	p.await("ready")
	w.settings["PORTICO_OIDC_ISSUER"] = p.issuer
	w.settings["PORTICO_OIDC_POST_LOGOUT_REDIRECT"] = "true"
	w.settings["PORTICO_NATIVE_REDIRECT_URIS"] = foreignApp
	return p
}

// lines shows what a process complains of.
type lines struct{ t *testing.T }

func (l *lines) Write(text []byte) (int, error) {
	l.t.Logf("provider: %s", text)
	return len(text), nil
}

func (p *foreign) read(out io.Reader, done chan<- struct{}) {
	defer close(done)
	defer close(p.events)
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		var event foreignEvent
		if err := json.Unmarshal(scanner.Bytes(), &event); err != nil {
			p.w.t.Logf("provider: %s", scanner.Text()) // the library's advice
			continue
		}
		p.events <- event
	}
}

func (p *foreign) tell(message any) {
	p.w.t.Helper()
	line, err := json.Marshal(message)
	if err == nil {
		_, err = p.in.Write(append(line, '\n'))
	}
	if err != nil {
		p.w.t.Fatal(err)
	}
}

// await waits for an event. It fails the test at one that says what went wrong.
func (p *foreign) await(name string) foreignEvent {
	p.w.t.Helper()
	patience := time.After(await.Patience)
	for {
		select {
		case event, ok := <-p.events:
			switch {
			case !ok:
				p.w.t.Fatalf("the provider ended before %q", name)
			case event.Event == "failed":
				p.w.t.Fatalf("the provider says %s (%s) before %q", event.Error, event.Detail, name)
			case event.Event == name:
				return event
			}
		case <-patience:
			p.w.t.Fatalf("the provider never says %q", name)
		}
	}
}

// follow follows redirects at both sides until one leads to an app.
func (p *foreign) follow(b *browser, target string) *url.URL {
	p.w.t.Helper()
	base, err := url.Parse(p.issuer)
	if err != nil {
		p.w.t.Fatal(err)
	}
	for range 10 {
		a := b.do(http.MethodGet, target, "")
		if a.status != http.StatusSeeOther && a.status != http.StatusFound {
			p.w.t.Fatalf("%s answers %d: %s", target, a.status, a.body)
		}
		next, err := base.Parse(a.header.Get("Location")) // Portico's are absolute
		if err != nil {
			p.w.t.Fatal(err)
		}
		if target = next.String(); strings.HasPrefix(target, frontend) || strings.HasPrefix(target, foreignApp) {
			return next
		}
	}
	p.w.t.Fatalf("the redirects do not end, at %s", target)
	return nil
}

var logoutForm = regexp.MustCompile(`action="([^"]+)".*name="xsrf" value="([^"]+)"`)

// agree opens the provider's logout page, agrees, and returns where that leads.
func (p *foreign) agree(b *browser, page string) string {
	p.w.t.Helper()
	a := b.do(http.MethodGet, page, "")
	found := logoutForm.FindStringSubmatch(a.body)
	if a.status != http.StatusOK || found == nil {
		p.w.t.Fatalf("the logout page answers %d: %s", a.status, a.body)
	}
	form := url.Values{"xsrf": {found[2]}, "logout": {"yes"}}
	a = b.do(http.MethodPost, html.UnescapeString(found[1]), form.Encode(), "Content-Type: application/x-www-form-urlencoded")
	if a.status != http.StatusSeeOther && a.status != http.StatusFound {
		p.w.t.Fatalf("the logout answers %d: %s", a.status, a.body)
	}
	return a.header.Get("Location")
}

// TestStoryWithAForeignProvider signs somebody up, and has a provider that is
// not ours log them in and out, in each way that the client can prove itself.
func TestStoryWithAForeignProvider(t *testing.T) {
	t.Parallel()
	folder := installForeign(t)
	text, err := clientkey.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	key, err := clientkey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, client, method string
		settings             map[string]string
	}{
		{"client_secret_basic and RS256", "by-secret", "client_secret_basic", nil},
		{"S-15 BBA-26 ASVS-10.4.16 private_key_jwt and ES256", "by-key", "private_key_jwt", map[string]string{
			"PORTICO_OIDC_CLIENT_AUTH": "private_key_jwt", "PORTICO_OIDC_CLIENT_KEY": text, "PORTICO_OIDC_CLIENT_SECRET": "",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				w := newKindWorld(t, databaseURL)
				p := w.startForeign(folder, key)
				w.settings["PORTICO_OIDC_CLIENT_ID"] = c.client
				for name, value := range c.settings {
					if w.settings[name] = value; value == "" {
						delete(w.settings, name)
					}
				}
				_, log := w.start()
				tellForeignStory(t, w, p, c.method)
				noSecrets(t, log.String(), append(strings.Split(strings.TrimSpace(text), "\n")[1:2], "ada@example.com")...)
			})
		})
	}
}

func tellForeignStory(t *testing.T, w *world, p *foreign, method string) {
	t.Helper()
	b := w.browser()
	const email = "ada@example.com"
	b.arrivesOnce(b.signUp(email), email)
	there := w.sim.Users()[0]
	p.tell(map[string]string{"email": email, "external_id": there.ExternalID, "id": there.InternalID})
	p.await("account")
	login := w.public + "/login?return_to=/welcome&login_hint=" + url.QueryEscape(email)
	signedIn := func(want int) {
		t.Helper()
		var who me
		a := b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1")
		a.want(t, want, nil)
		if want == http.StatusOK {
			a.want(t, want, &who)
			who.check(t, w, email, "browser")
		}
	}

	// Nobody of that name is let in, and the app is told so.
	if end := p.follow(b, w.public+"/login?login_hint=eve@example.com"); end.Query().Get("error") == "" {
		t.Errorf("a stranger's login ends at %s", end)
	}
	signedIn(http.StatusUnauthorized)

	// A login by redirects, after which the token is given back.
	if end := p.follow(b, login); end.String() != frontend+"/welcome" {
		t.Fatalf("the login ends at %s", end)
	}
	if redeemed := p.await("redeemed"); redeemed.Authentication != method {
		t.Errorf("the client proves itself by %s", redeemed.Authentication)
	}
	p.await("revoked")
	signedIn(http.StatusOK)

	// The provider remembers the browser, unless it is asked not to.
	if end := p.follow(b, login+"&prompt=none"); end.String() != frontend+"/welcome" {
		t.Errorf("a login without a page ends at %s", end)
	}
	p.await("revoked")
	if end := p.follow(b, login+"&max_age=0"); end.String() != frontend+"/welcome" {
		t.Errorf("a login anew ends at %s", end)
	}
	if asked := p.await("interaction"); asked.Prompt != "login" {
		t.Errorf("the provider asks for %+v", asked)
	}
	p.await("revoked")
	signedIn(http.StatusOK)

	// A logout from here goes on at the provider, and comes back.
	var out struct {
		LogoutURL string `json:"logout_url"`
	}
	b.do(http.MethodPost, w.public+"/logout?return_to=/goodbye", "", "X-CSRF: 1", "Origin: "+frontend).want(t, http.StatusOK, &out)
	signedIn(http.StatusUnauthorized)
	back := p.agree(b, out.LogoutURL)
	if !strings.HasPrefix(back, w.public+"/logout/callback?state=") {
		t.Errorf("the provider's logout leads to %s", back)
	}
	p.await("logout") // its token is taken, though the session has ended already
	if end := p.follow(b, back); end.String() != frontend+"/goodbye" {
		t.Errorf("the logout ends at %s", end)
	}
	if end := p.follow(b, login+"&prompt=none"); !strings.Contains(end.RawQuery, "error=") {
		t.Errorf("after the logout a login without a page ends at %s", end)
	}

	// A logout there ends the session here.
	p.follow(b, login)
	p.await("revoked")
	signedIn(http.StatusOK)
	p.agree(b, p.issuer+"/session/end")
	p.await("logout")
	signedIn(http.StatusUnauthorized)

	tellForeignAppsStory(t, w, p, email)
}

// tellForeignAppsStory logs a native app in through the system's browser.
func tellForeignAppsStory(t *testing.T, w *world, p *foreign, email string) {
	t.Helper()
	system, app := w.browser(), w.browser()
	verifier := oauth2.GenerateVerifier()
	end := p.follow(system, w.public+"/login?"+url.Values{
		"client": {"native"}, "redirect_uri": {foreignApp}, "state": {"the app's own"}, "login_hint": {email},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)},
	}.Encode())
	p.await("revoked")
	if end.Query().Get("state") != "the app's own" || end.Query().Get("code") == "" {
		t.Fatalf("the login ends at %s", end)
	}
	body, err := json.Marshal(map[string]string{"code": end.Query().Get("code"), "code_verifier": verifier})
	if err != nil {
		t.Fatal(err)
	}
	var signedIn struct {
		SessionToken string `json:"session_token"`
	}
	app.do(http.MethodPost, w.public+"/sessions", string(body)).want(t, http.StatusCreated, &signedIn)
	bearer := "Authorization: Bearer " + signedIn.SessionToken
	var who me
	app.do(http.MethodGet, w.public+"/me", "", bearer).want(t, http.StatusOK, &who)
	who.check(t, w, email, "native")

	// The system's browser logs out at the provider, and the app with it.
	p.agree(system, p.issuer+"/session/end")
	p.await("logout")
	app.do(http.MethodGet, w.public+"/me", "", bearer).want(t, http.StatusUnauthorized, nil)
}
