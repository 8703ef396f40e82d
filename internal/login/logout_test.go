package login_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/login"
)

func TestLogoutURL(t *testing.T) {
	for name, c := range map[string]struct {
		announced any
		want      string
	}{
		"none announced":       {nil, ""},
		"announced":            {"https://op.example/logout?ui=1", "https://op.example/logout?client_id=portico&ui=1"},
		"a script in a link":   {"javascript:alert(1)", ""},
		"a path":               {"/logout", ""},
		"with credentials":     {"https://user:password@op.example/logout", ""},
		"something else":       {"", ""},
		"plain, as the issuer": {"http://op.example/logout", "http://op.example/logout?client_id=portico"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.announceLogout(c.announced)
			if got := w.rp.LogoutURL("/"); got != "" {
				t.Errorf("before discovery it is %q", got)
			}
			w.discover()
			if got := w.rp.LogoutURL("/home"); got != c.want {
				t.Errorf("it is %q, not %q", got, c.want)
			}
		})
	}
}

func (w *world) announceLogout(endpoint any) {
	w.provider.Metadata = func(m object) {
		if endpoint != nil {
			m["end_session_endpoint"] = endpoint
		}
	}
}

// loggingOut returns a world whose provider sends users back after a logout.
func loggingOut(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, func(c *login.Config) { c.PostLogoutRedirectURI = "https://app.example/logged-out" })
	w.announceLogout("https://op.example/logout?ui=1")
	w.discover()
	return w
}

func TestLogoutSendsTheUserBack(t *testing.T) {
	w := loggingOut(t)
	sent := query(t, w.rp.LogoutURL("/goodbye?from=here"))
	state := sent.Get("state")
	sent.Del("state")
	want := url.Values{"ui": {"1"}, "client_id": {clientID}, "post_logout_redirect_uri": {"https://app.example/logged-out"}}
	if sent.Encode() != want.Encode() {
		t.Errorf("the provider is sent %v, want %v", sent, want)
	}
	if strings.Contains(state, "goodbye") {
		t.Error("the provider can read the return target")
	}
	if target, ok := w.rp.LogoutReturn(state); !ok || target != "/goodbye?from=here" {
		t.Errorf("LogoutReturn = %q, %v", target, ok)
	}
	if again := query(t, w.rp.LogoutURL("/goodbye?from=here")).Get("state"); again == state {
		t.Error("two logouts have one state")
	}
	w.clock.advance(time.Hour - time.Millisecond)
	if _, ok := w.rp.LogoutReturn(state); !ok {
		t.Error("it has expired too soon")
	}
	w.clock.advance(time.Millisecond)
	if target, ok := w.rp.LogoutReturn(state); ok || target != "" {
		t.Errorf("after an hour LogoutReturn = %q, %v", target, ok)
	}
}

func TestLogoutReturnBelievesItsOwnTextsOnly(t *testing.T) {
	w := loggingOut(t)
	state := query(t, w.rp.LogoutURL("/home")).Get("state")
	flow := w.begin(login.Browser)
	short := ring(t, "one").Seal("portico logout return", []byte("short"))
	changed := strings.Replace(state, state[20:21], map[bool]string{true: "B", false: "A"}[state[20] == 'A'], 1)
	for name, foreign := range map[string]string{
		"none":                         "",
		"a made-up one":                "xyz",
		"one that was changed":         changed,
		"one with something behind it": state + "A",
		"one of another key":           ring(t, "two").Seal("portico logout return", make([]byte, 16)),
		"a flow":                       flow.Sealed,
		"a flow's state":               flow.State,
		"one that is too short":        short,
		"a book":                       strings.Repeat("A", 1<<20),
	} {
		if target, ok := w.rp.LogoutReturn(foreign); ok || target != "" {
			t.Errorf("%s: LogoutReturn = %q, %v", name, target, ok)
		}
	}
	if _, err := w.rp.Peek(state, login.Browser); err == nil {
		t.Error("it opens as a flow")
	}
}

func TestAReturnTargetThatIsTooLongIsLeftOut(t *testing.T) {
	w := loggingOut(t)
	for size, want := range map[int]int{0: 0, 2048: 2048, 2049: 0, 1 << 20: 0} {
		address := w.rp.LogoutURL(strings.Repeat("/", size))
		if target, ok := w.rp.LogoutReturn(query(t, address).Get("state")); !ok || len(target) != want {
			t.Errorf("of %d bytes %d came back, %v", size, len(target), ok)
		}
	}
}
