package api_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login/hostile"
)

// startHostile serves the provider that logins go to. Users are still the
// simulator's.
func (w *world) startHostile() {
	server := httptest.NewUnstartedServer(nil)
	w.hostile = hostile.At(w.t, "http://"+server.Listener.Addr().String(), w.flows.now)
	w.hostile.RedirectURI = w.url + "/callback"
	server.Config.Handler = w.secrets.overhear(w.hostile)
	server.Start()
	w.t.Cleanup(server.Close)
}

// hostileWorld is a world whose logins go to the hostile provider, which signs
// ada@example.com in, and a browser.
func hostileWorld(t *testing.T, o options) (*world, *browser) {
	t.Helper()
	o.hostile = true
	w := newWorld(t, o)
	b := w.browser()
	b.join("ada@example.com")
	w.signsIn("ada@example.com", nil)
	return w, b
}

// join signs an address up, without a passkey.
func (b *browser) join(email string) {
	b.t.Helper()
	a := b.post("/signup", `{"email":"`+email+`"}`).is(http.StatusAccepted)
	b.w.secrets.keep(email, a.json("signup_id"))
	b.w.provision()
}

// subjectOf is what the hostile provider calls a user.
func subjectOf(email string) string { return "subject of " + email }

// signsIn has the hostile provider sign this user in from now on. The claims,
// which may be nil, go over those of its ID token; a nil value takes one away.
func (w *world) signsIn(email string, claims hostile.Object) {
	w.t.Helper()
	info := hostile.Object{"sub": subjectOf(email)}
	for _, user := range w.sim.Users() {
		if user.Email == email {
			info["external_id"], info["id"] = user.ExternalID, user.InternalID
		}
	}
	w.hostile.Change(func(b *hostile.Behaviour) {
		b.UserInfo = func(of hostile.Object) { maps.Copy(of, info) }
		b.Claims = func(of hostile.Object) {
			of["sub"] = info["sub"]
			maps.Copy(of, claims)
			maps.DeleteFunc(of, func(_ string, value any) bool { return value == nil })
		}
	})
}

// announces has the hostile provider announce something, and the relying party
// read it.
func (w *world) announces(metadata hostile.Object) {
	w.t.Helper()
	w.hostile.Change(func(b *hostile.Behaviour) {
		b.Metadata = func(of hostile.Object) { maps.Copy(of, metadata) }
	})
	if _, err := w.config.Login.Discover(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets time go by, for logins and sessions alike.
func (w *world) pass(d time.Duration) {
	w.clock.advance(d)
	w.flows.advance(d)
}
