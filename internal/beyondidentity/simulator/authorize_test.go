package simulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

func TestAWrongClientOrRedirectURIIsAPageAndNeverARedirect(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	base := rp.url + "/v2/authorize?response_type=code&scope=openid"
	for name, query := range map[string]string{
		"a redirect URI of somebody else":    "&client_id=client&redirect_uri=https://evil.example/callback",
		"a redirect URI with a slash more":   "&client_id=client&redirect_uri=" + url.QueryEscape(redirectURI+"/"),
		"a redirect URI with a query":        "&client_id=client&redirect_uri=" + url.QueryEscape(redirectURI+"?x=1"),
		"a redirect URI on another loopback": "&client_id=client&redirect_uri=" + url.QueryEscape("http://127.0.0.1:8080/callback"),
		"a redirect URI on another port":     "&client_id=client&redirect_uri=" + url.QueryEscape("http://localhost:9999/callback"),
		"a redirect URI escaped twice":       "&client_id=client&redirect_uri=" + url.QueryEscape(url.QueryEscape(redirectURI)),
		"two redirect URIs":                  "&client_id=client&redirect_uri=" + url.QueryEscape(redirectURI) + "&redirect_uri=https://evil.example",
		"no redirect URI":                    "&client_id=client",
		"an unknown client":                  "&client_id=other&redirect_uri=" + url.QueryEscape(redirectURI),
		"no client":                          "&redirect_uri=" + url.QueryEscape(redirectURI),
	} {
		got := rp.visit(rp.browser, base+query)
		if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || !strings.Contains(got.body, "<h1>") {
			t.Errorf("%s: status %d, location %q", name, got.status, got.header.Get("Location"))
		}
	}
	rp.AddRedirectURI("https://evil.example/callback")
	got := rp.visit(rp.browser, base+"&client_id=client&redirect_uri=https://evil.example/callback")
	if location(t, got).Host != "evil.example" {
		t.Fatal("an added redirect URI is not known")
	}
}

func TestOtherRefusalsGoBackToTheClient(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	set := oauth2.SetAuthURLParam
	for name, tc := range map[string]struct {
		opts []oauth2.AuthCodeOption
		want string
	}{
		"an implicit flow":      {[]oauth2.AuthCodeOption{set("response_type", "id_token")}, "unsupported_response_type"},
		"no response type":      {[]oauth2.AuthCodeOption{set("response_type", "")}, "invalid_request"},
		"a fragment":            {[]oauth2.AuthCodeOption{set("response_mode", "fragment")}, "invalid_request"},
		"no openid":             {[]oauth2.AuthCodeOption{set("scope", "email")}, "invalid_scope"},
		"plain PKCE":            {[]oauth2.AuthCodeOption{set("code_challenge_method", "plain")}, "invalid_request"},
		"PKCE without a method": {[]oauth2.AuthCodeOption{set("code_challenge_method", "")}, "invalid_request"},
		"a short challenge":     {[]oauth2.AuthCodeOption{set("code_challenge", "abc")}, "invalid_request"},
		"a request object":      {[]oauth2.AuthCodeOption{set("request", "e30.e30.")}, "request_not_supported"},
		"prompt none and login": {[]oauth2.AuthCodeOption{set("prompt", "none login")}, "invalid_request"},
	} {
		if got := rp.params(rp.visit(rp.browser, rp.authURL(tc.opts...))); got.Get("error") != tc.want || got.Get("code") != "" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPKCEIsOptionalAndAVerifierNeedsAChallenge(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	code := func() string {
		got := rp.visit(rp.browser, rp.oauth.AuthCodeURL("the state"))
		return rp.params(got).Get("code")
	}
	if _, err := rp.oauth.Exchange(rp.ctx, code()); err != nil {
		t.Fatal(err)
	}
	if _, err := rp.oauth.Exchange(rp.ctx, code(), oauth2.VerifierOption(verifier)); err == nil {
		t.Fatal("a verifier without a challenge is accepted")
	}
}

func TestABrowserWithoutAPasskey(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	other := rp.newBrowser()
	page := rp.visit(other, rp.authURL())
	expectStatus(t, page, http.StatusOK)
	if !strings.Contains(page.body, "No passkey in this browser") {
		t.Fatalf("page %s", page.body)
	}
	silent := rp.params(rp.visit(other, rp.authURL(oauth2.SetAuthURLParam("prompt", "none"))))
	if silent.Get("error") != "login_required" {
		t.Fatalf("params %v", silent)
	}
	if got := rp.params(rp.visit(rp.browser, rp.authURL(oauth2.SetAuthURLParam("prompt", "none")))); got.Get("code") == "" {
		t.Fatalf("params %v", got)
	}
}

func TestASuspendedOrDeletedUserIsDenied(t *testing.T) {
	t.Parallel()
	for _, status := range []string{simulator.StatusSuspended, simulator.StatusDeleted} {
		rp := enrolled(t)
		id := rp.Users()[0].InternalID
		expectStatus(t, rp.sim("PATCH", "/sim/users/"+id, `{"status":"`+status+`"}`), http.StatusNoContent)
		if got := rp.params(rp.visit(rp.browser, rp.authURL())); got.Get("error") != "access_denied" {
			t.Errorf("%s: %v", status, got)
		}
		expectStatus(t, rp.sim("PATCH", "/sim/users/"+id, `{"status":"ACTIVE"}`), http.StatusNoContent)
		rp.code()
		expectStatus(t, rp.sim("PATCH", "/sim/users/"+id, `{"status":"GONE"}`), http.StatusBadRequest)
		expectStatus(t, rp.sim("PATCH", "/sim/users/x", `{"status":"ACTIVE"}`), http.StatusNotFound)
	}
}

func (rp *relyingParty) subject(code string) string {
	rp.t.Helper()
	return rp.verify(rp.exchange(code)).Subject
}

func TestSeveralUsersInOneBrowser(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	rp.create("u-2", "bob@example.com")
	rp.enrol(rp.browser, "bob@example.com")

	for hint, want := range map[string]string{"BOB@example.com": "u-2", "u:1": "u:1"} {
		if got := rp.subject(rp.code(oauth2.SetAuthURLParam("login_hint", hint))); got != want {
			t.Errorf("hint %s: subject %s", hint, got)
		}
	}
	if got := rp.params(rp.visit(rp.browser, rp.authURL(oauth2.SetAuthURLParam("prompt", "none")))); got.Get("error") != "account_selection_required" {
		t.Errorf("params %v", got)
	}

	chooser := rp.visit(rp.browser, rp.authURL())
	expectStatus(t, chooser, http.StatusOK)
	links := hrefs(chooser.body)
	if len(links) != 2 || !strings.Contains(chooser.body, "bob@example.com") {
		t.Fatalf("page %s", chooser.body)
	}
	stranger := rp.visit(rp.newBrowser(), rp.url+links[1])
	expectStatus(t, stranger, http.StatusBadRequest) // and the request is used up

	links = hrefs(rp.visit(rp.browser, rp.authURL()).body)
	chosen := rp.params(rp.visit(rp.browser, rp.url+links[1]))
	if got := rp.subject(chosen.Get("code")); got != "u-2" {
		t.Fatalf("subject %s", got)
	}
	expectStatus(t, rp.visit(rp.browser, rp.url+links[1]), http.StatusBadRequest)

	if err := rp.SetStatus(rp.Users()[1].InternalID, simulator.StatusSuspended); err != nil {
		t.Fatal(err)
	}
	if got := rp.subject(rp.code()); got != "u:1" {
		t.Fatalf("subject %s, though only one is active", got)
	}
	if got := rp.params(rp.visit(rp.browser, rp.authURL(oauth2.SetAuthURLParam("login_hint", "u-2")))); got.Get("error") != "access_denied" {
		t.Fatalf("params %v", got)
	}
}

// hrefs are the links of a page's list, unescaped.
func hrefs(page string) []string {
	var links []string
	for _, part := range strings.Split(page, `<a href="`)[1:] {
		link, _, _ := strings.Cut(part, `"`)
		links = append(links, strings.ReplaceAll(link, "&amp;", "&"))
	}
	return links
}
