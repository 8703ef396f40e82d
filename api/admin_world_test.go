package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/internal/account"
	"github.com/portico-id/portico/internal/admintoken"
)

// accountsHere is what changes users, over the replica's own connections.
func (w *world) accountsHere() *account.Service {
	all := w.accounts
	return &account.Service{
		Store: w.store, Policy: all.Policy, Grace: all.Grace, Limits: all.Limits, Mailer: all.Mailer, Now: all.Now, Log: all.Log,
	}
}

// admit makes tokens for the names, each with the scopes that follow it, and
// has them be all that are good.
func (w *world) admit(t *testing.T, holders map[string][]admintoken.Scope) (tokens map[string]string) {
	t.Helper()
	tokens = make(map[string]string)
	var entries []string
	for name, scopes := range holders {
		token, entry, err := admintoken.New(name, scopes)
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = token.Reveal()
		w.secrets.keep(token.Reveal())
		entries = append(entries, entry)
	}
	good, err := admintoken.Parse(strings.Join(entries, ";"))
	if err != nil {
		t.Fatal(err)
	}
	w.tokens.Store(good)
	return tokens
}

// admin is somebody with a token, in front of a replica's operations listener.
type admin struct {
	t      *testing.T
	url    string
	client *http.Client
	token  string
}

// ops starts the replica's operations listener.
func (w *world) ops(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(w.log.of(w.served.Ops(func(context.Context) error { return errors.New("nobody asks") })))
	t.Cleanup(server.Close)
	return server
}

// administrator is one who may do everything.
func (w *world) administrator(t *testing.T) *admin {
	t.Helper()
	tokens := w.admit(t, map[string][]admintoken.Scope{"root": admintoken.Scopes()})
	return w.with(t, tokens["root"])
}

// with is the holder of a token.
func (w *world) with(t *testing.T, token string) *admin {
	t.Helper()
	server := w.ops(t)
	return &admin{t: t, url: server.URL, client: apitest.OpsClient(t, server.URL, nil), token: token}
}

// in is the same administrator, for a subtest.
func (a *admin) in(t *testing.T) *admin {
	copied := *a
	copied.t = t
	return &copied
}

// do sends a request.
func (a *admin) do(method, path, body string, headers ...header) answer {
	a.t.Helper()
	var content io.Reader = http.NoBody
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, content)
	if err != nil {
		a.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	for _, h := range headers {
		switch h.value {
		case "":
			r.Header.Del(h.name)
		default:
			r.Header.Add(h.name, h.value)
		}
	}
	response, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return answer{t: a.t, status: response.StatusCode, header: response.Header, body: string(raw)}
}

func (a *admin) get(path string, headers ...header) answer {
	a.t.Helper()
	return a.do(http.MethodGet, path, "", headers...)
}

// make invites a user and returns where they are, and their tag.
func (a *admin) make(body string) (path, tag string) {
	a.t.Helper()
	made := a.do(http.MethodPost, "/admin/users", body).is(http.StatusCreated)
	return made.header.Get("Location"), made.header.Get("ETag")
}

// tag is the user's entity tag.
func (a *admin) tag(path string) string {
	a.t.Helper()
	return a.get(path).is(http.StatusOK).header.Get("ETag")
}
