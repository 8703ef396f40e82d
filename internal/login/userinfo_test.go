package login_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/login"
	"github.com/portico-id/portico/internal/login/hostile"
)

func TestUserInfo(t *testing.T) {
	edit := func(name string, value any) func(*world) {
		return func(w *world) {
			w.provider.UserInfo = func(u object) {
				if value == nil {
					delete(u, name)
					return
				}
				u[name] = value
			}
		}
	}
	replies := func(status int, kind, body string) func(*world) {
		return func(w *world) { w.provider.Handlers[hostile.PathUserInfo] = hostile.Reply(status, kind, body) }
	}
	const kind = "application/json"
	for _, c := range []struct {
		name   string
		change func(*world)
		want   error
	}{
		{"as it should be", func(*world) {}, nil},
		{"JSON with a charset", replies(200, "application/json; charset=utf-8", `{"sub":"user-1","external_id":"ext-1","id":"int-1"}`), nil},
		{"sub of somebody else", edit("sub", "user-2"), login.ErrIdentityRejected},
		{"sub missing", edit("sub", nil), login.ErrIdentityRejected},
		{"sub in another case", edit("sub", "User-1"), login.ErrIdentityRejected},
		{"sub a list", edit("sub", []string{"user-1"}), login.ErrIdentityRejected},
		{"sub twice", replies(200, kind, `{"sub":"user-2","sub":"user-1","external_id":"ext-1"}`), login.ErrIdentityRejected},
		{"SUB instead of sub", replies(200, kind, `{"SUB":"user-1","external_id":"ext-1"}`), login.ErrIdentityRejected},
		{"the external id missing", edit("external_id", nil), directory.ErrNotRegistered},
		{"the external id empty", edit("external_id", ""), directory.ErrNotRegistered},
		{"the external id null", replies(200, kind, `{"sub":"user-1","external_id":null}`), directory.ErrNotRegistered},
		{"the external id a number", edit("external_id", 17), login.ErrIdentityRejected},
		{"the external id a list", edit("external_id", []string{"ext-1"}), login.ErrIdentityRejected},
		{"the external id too long", edit("external_id", strings.Repeat("e", 256)), login.ErrIdentityRejected},
		{"the external id with a NUL", edit("external_id", "ext\x00-1"), login.ErrIdentityRejected},
		{"the external id twice", replies(200, kind, `{"sub":"user-1","external_id":"a","external_id":"b"}`), login.ErrIdentityRejected},
		{"the external id in invalid UTF-8", replies(200, kind, "{\"sub\":\"user-1\",\"external_id\":\"\xff\"}"), login.ErrIdentityRejected},
		{"the internal id missing", edit("id", nil), nil},
		{"the internal id null", replies(200, kind, `{"sub":"user-1","external_id":"ext-1","id":null}`), nil},
		{"the internal id empty", edit("id", ""), nil},
		{"the internal id a number", edit("id", 17), login.ErrIdentityRejected},
		{"a signed answer, which we never ask for", func(w *world) {
			signed := w.provider.Sign([]byte(`{"iss":"` + w.provider.Issuer + `","aud":"portico","sub":"user-1","external_id":"ext-1"}`))
			w.provider.Handlers[hostile.PathUserInfo] = hostile.Reply(200, "application/jwt", signed)
		}, login.ErrIdentityRejected},
		{"a page", replies(200, "text/html", `{"sub":"user-1","external_id":"ext-1"}`), login.ErrIdentityRejected},
		{"no content type", replies(200, "", `{"sub":"user-1","external_id":"ext-1"}`), login.ErrIdentityRejected},
		{"a list", replies(200, kind, `[]`), login.ErrIdentityRejected},
		{"null", replies(200, kind, `null`), login.ErrIdentityRejected},
		{"an empty body", replies(200, kind, ``), login.ErrIdentityRejected},
		{"more after it", replies(200, kind, `{"sub":"user-1","external_id":"ext-1"}{}`), login.ErrIdentityRejected},
		{"a body over 1 MiB", replies(200, kind, `{"sub":"user-1","external_id":"ext-1","x":"`+strings.Repeat("a", 1<<20)+`"}`), login.ErrIdentityRejected},
		{"401", replies(401, kind, `{}`), login.ErrIdentityRejected},
		{"403", replies(403, kind, `{}`), login.ErrIdentityRejected},
		{"404", replies(404, kind, `{}`), login.ErrProviderUnavailable},
		{"429", replies(429, kind, `{}`), login.ErrProviderUnavailable},
		{"500", replies(500, kind, `{}`), login.ErrProviderUnavailable},
		{"a redirect", func(w *world) {
			w.provider.Handlers[hostile.PathUserInfo] = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "/elsewhere", http.StatusFound)
			}
		}, login.ErrProviderUnavailable},
		{"a connection that breaks", func(w *world) {
			w.provider.Handlers[hostile.PathUserInfo] = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, login.ErrProviderUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.discover()
			c.change(w)
			if _, err := w.logIn(); !errors.Is(err, c.want) {
				t.Errorf("Finish = %v, want %v", err, c.want)
			}
			if w.provider.Count("/elsewhere") != 0 {
				t.Error("the access token followed a redirect")
			}
		})
	}
}

func TestWhichClaimsMakeAnIdentity(t *testing.T) {
	for _, c := range []struct {
		name     string
		config   func(*login.Config)
		change   func(*world)
		external directory.ExternalID
		internal directory.InternalID
		want     error
	}{
		{name: "as configured", external: "ext-1", internal: "int-1"},
		{
			name: "the subject as the external id, and nothing else", external: "user-1", internal: "int-1",
			config: func(c *login.Config) { c.ExternalIDClaim = "sub" },
		},
		{
			name: "no internal id is read", external: "ext-1",
			config: func(c *login.Config) { c.InternalIDClaim = "" },
		},
		{
			name: "the subject as the internal id", external: "ext-1", internal: "user-1",
			config: func(c *login.Config) { c.InternalIDClaim = "sub" },
		},
		{
			name: "a claim that differs in case", want: directory.ErrNotRegistered,
			config: func(c *login.Config) { c.ExternalIDClaim = "External_ID" },
		},
		{
			name: "without UserInfo endpoint, the ID token's claims", external: "from-token", internal: "int-2",
			change: func(w *world) {
				w.provider.Metadata = func(m object) { delete(m, "userinfo_endpoint") }
				w.provider.Claims = func(c object) { c["external_id"], c["id"] = "from-token", "int-2" }
			},
		},
		{
			name: "without UserInfo endpoint, and without the claim", want: directory.ErrNotRegistered,
			change: func(w *world) { w.provider.Metadata = func(m object) { delete(m, "userinfo_endpoint") } },
		},
		{
			name: "with UserInfo endpoint, the ID token's claim does not count", want: directory.ErrNotRegistered,
			change: func(w *world) {
				w.provider.Claims = func(c object) { c["external_id"] = "from-token" }
				w.provider.UserInfo = func(u object) { delete(u, "external_id") }
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.config)
			if c.change != nil {
				c.change(w)
			}
			w.discover()
			finished, err := w.logIn()
			if !errors.Is(err, c.want) {
				t.Fatalf("Finish = %v, want %v", err, c.want)
			}
			if got := finished.Identity; got.ExternalID != c.external || got.InternalID != c.internal {
				t.Errorf("external id %q, internal id %q, want %q and %q", got.ExternalID, got.InternalID, c.external, c.internal)
			}
		})
	}
}

func TestNothingOfTheProvidersTokensIsInTheResult(t *testing.T) {
	w := newWorld(t, nil)
	w.discover()
	var answered object
	w.provider.Answer = func(a object) {
		a["refresh_token"] = "refresh-me"
		answered = a
	}
	finished, err := w.logIn()
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(finished)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"access_token", "id_token", "refresh_token"} {
		if token, _ := answered[name].(string); token == "" || strings.Contains(string(shown), token) {
			t.Errorf("BBA-18 %s is in the result, or was not issued", name)
		}
	}
}
