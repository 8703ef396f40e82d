package program

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/login/hostile"
	"github.com/portico-id/portico/internal/store/storetest"
)

// withProvider has logins go to a provider with a logout page and revocation,
// which the simulator's users know under their own names.
func (w *world) withProvider() *hostile.Provider {
	w.t.Helper()
	server := httptest.NewUnstartedServer(nil)
	p := hostile.At(w.t, "http://"+server.Listener.Addr().String(), time.Now)
	p.RedirectURI = w.public + "/callback"
	p.Metadata = func(of hostile.Object) {
		of["end_session_endpoint"] = p.Issuer + hostile.PathLogout
		of["revocation_endpoint"] = p.Issuer + hostile.PathRevoke
	}
	p.UserInfo = func(of hostile.Object) {
		for _, user := range w.sim.Users() {
			of["external_id"], of["id"] = user.ExternalID, user.InternalID
		}
	}
	p.Handlers[hostile.PathLogout] = func(rw http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		http.Redirect(rw, r, query.Get("post_logout_redirect_uri")+"?state="+url.QueryEscape(query.Get("state")), http.StatusSeeOther)
	}
	server.Config.Handler = p
	server.Start()
	w.t.Cleanup(server.Close)
	maps.Copy(w.settings, map[string]string{
		"PORTICO_OIDC_ISSUER":               p.Issuer,
		"PORTICO_OIDC_CLIENT_ID":            hostile.ClientID,
		"PORTICO_OIDC_CLIENT_SECRET":        hostile.ClientSecret,
		"PORTICO_OIDC_POST_LOGOUT_REDIRECT": "true",
	})
	return p
}

func TestStoryOfALogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t))
	provider := w.withProvider()
	w.settings["PORTICO_NATIVE_REDIRECT_URIS"] = "http://127.0.0.1/signed-in"
	other := w.replica()
	_, log := w.start()
	_, otherLog := other.start()
	replicas := []string{w.public, other.public}
	b := w.browser()
	const email = "ada@example.com"
	b.arrivesOnce(b.signUp(email), email)

	// By the user: out on every replica, and out at the provider by its page.
	b.follow(w.public + "/login")
	session := b.cookie("portico")
	var out struct {
		LogoutURL string `json:"logout_url"`
	}
	b.do(http.MethodPost, w.public+"/logout?return_to=/bye", "", "X-CSRF: 1", "Origin: "+frontend).want(t, http.StatusOK, &out)
	if b.cookie("portico") != "" || !strings.HasPrefix(out.LogoutURL, provider.Issuer+hostile.PathLogout+"?") {
		t.Errorf("the logout leaves %q and leads to %q", b.cookie("portico"), out.LogoutURL)
	}
	for _, replica := range replicas {
		w.browser().do(http.MethodGet, replica+"/me", "", "X-CSRF: 1", "Cookie: portico="+session).want(t, http.StatusUnauthorized, nil)
	}
	if end := b.follow(out.LogoutURL); end.String() != frontend+"/bye" {
		t.Errorf("the provider's page leads to %s", end)
	}
	// What the login has left at the provider was given back.
	await.True(t, "the access token is given back", func() bool { return provider.Count(hostile.PathRevoke) == 1 })

	// By the provider: a browser, an app and an app's code at once.
	b.follow(w.public + "/login")
	app := w.desktop()
	var in signedIn
	app.do(http.MethodPost, w.public+"/sessions", app.trade(app.logIn(b), app.verifier)).want(t, http.StatusCreated, &in)
	bearer := "Authorization: Bearer " + in.SessionToken
	code := app.logIn(b)
	for _, replica := range replicas {
		b.do(http.MethodGet, replica+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
		app.do(http.MethodGet, replica+"/me", "", bearer).want(t, http.StatusOK, nil)
	}
	token := provider.LogoutToken("user-1", "session-1", nil)
	tell := func(replica string) answer {
		return w.browser().do(http.MethodPost, replica+"/backchannel-logout", "logout_token="+token, "Content-Type: application/x-www-form-urlencoded")
	}
	tell(other.public).want(t, http.StatusOK, nil)
	for _, replica := range replicas {
		b.do(http.MethodGet, replica+"/me", "", "X-CSRF: 1").want(t, http.StatusUnauthorized, nil)
		app.do(http.MethodGet, replica+"/me", "", bearer).want(t, http.StatusUnauthorized, nil)
		app.do(http.MethodPost, replica+"/sessions", app.trade(code, app.verifier)).want(t, http.StatusBadRequest, nil)
	}

	// The token works once, on whichever replica, and a new login is a new one.
	b.follow(w.public + "/login")
	tell(w.public).want(t, http.StatusBadRequest, nil)
	b.do(http.MethodGet, other.public+"/me", "", "X-CSRF: 1").want(t, http.StatusOK, nil)
	noSecrets(t, log.String()+otherLog.String(), session, in.SessionToken, code, app.verifier, token, hostile.ClientSecret, email)
}
