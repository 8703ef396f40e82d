package login_test

import (
	"net/url"
	"testing"
)

func TestLogoutURL(t *testing.T) {
	for name, c := range map[string]struct {
		announced any
		want      string
	}{
		"none announced":       {nil, ""},
		"announced":            {"https://op.example/logout?ui=1", "https://op.example/logout?client_id=CLIENT&ui=1"},
		"a script in a link":   {"javascript:alert(1)", ""},
		"a path":               {"/logout", ""},
		"with credentials":     {"https://user:password@op.example/logout", ""},
		"something else":       {"", ""},
		"plain, as the issuer": {"http://op.example/logout", "http://op.example/logout?client_id=CLIENT"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.provider.metadata = func(m object) {
				if c.announced != nil {
					m["end_session_endpoint"] = c.announced
				}
			}
			if got := w.rp.LogoutURL(); got != "" {
				t.Errorf("before discovery it is %q", got)
			}
			if _, err := w.rp.Discover(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := w.rp.LogoutURL()
			if u, err := url.Parse(got); err != nil || got != "" && u.Query().Get("client_id") == "" {
				t.Fatalf("it is %q, %v", got, err)
			}
			if u, _ := url.Parse(got); got != "" {
				query := u.Query()
				query.Set("client_id", "CLIENT")
				u.RawQuery = query.Encode()
				got = u.String()
			}
			if got != c.want {
				t.Errorf("it is %q, not %q", got, c.want)
			}
		})
	}
}
