package beyondidentity

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/directory"
)

// sent is a request as it arrived.
type sent struct {
	method, uri, body string
	header            http.Header
}

func TestRequestsHaveTheDocumentedShape(t *testing.T) {
	t.Parallel()
	const id, mail = `01890a5d-ac96-774b-bcce-b302099a8057`, `anna@example.com`
	tests := []struct {
		name   string
		answer string
		call   func(context.Context, *Client) error
		want   sent
	}{
		{
			name: "create sends all five fields, with the external_id as the user_name", answer: flatAnswer,
			call: func(ctx context.Context, c *Client) error {
				_, err := c.CreateUser(ctx, NewUser{ExternalID: ours, Email: oursMail, DisplayName: "Anna <&> Ü"})
				return err
			},
			want: sent{method: "POST", uri: "/v1/manage/users", body: `{"external_id":"` + id + `","email":"` + mail + `","user_name":"` + id +
				`","display_name":"Anna <&> Ü","binding_token_delivery_method":"email"}`},
		},
		{
			name: "create sends the address where there is no display name", answer: flatAnswer,
			call: func(ctx context.Context, c *Client) error {
				_, err := c.CreateUser(ctx, NewUser{ExternalID: ours, Email: oursMail, DisplayName: " "})
				return err
			},
			want: sent{method: "POST", uri: "/v1/manage/users", body: `{"external_id":"` + id + `","email":"` + mail + `","user_name":"` + id +
				`","display_name":"` + mail + `","binding_token_delivery_method":"email"}`},
		},
		{
			name: "recover sends the external_id and the delivery method", answer: flatAnswer,
			call: func(ctx context.Context, c *Client) error { _, err := c.RecoverUser(ctx, ours); return err },
			want: sent{
				method: "POST", uri: "/v1/manage/recover-user",
				body: `{"external_id":"` + id + `","binding_token_delivery_method":"email"}`,
			},
		},
		{
			name: "find sends a filter and a page size, and no body", answer: listAnswer,
			call: func(ctx context.Context, c *Client) error { _, err := c.FindUser(ctx, ours); return err },
			want: sent{method: "GET", uri: "/v2/users?filter=external_id%20eq%20%22" + id + "%22&page_size=10"},
		},
		{
			name: "find encodes what means something in a query", answer: `{"users":[],"total_size":0}`,
			call: func(ctx context.Context, c *Client) error {
				_, err := c.FindUser(ctx, "a+b&page_size=0#ü c%22")
				if ClassOf(err) == NotFound {
					return nil
				}
				return err
			},
			want: sent{method: "GET", uri: "/v2/users?filter=external_id%20eq%20%22a%2Bb%26page_size%3D0%23%C3%BC%20c%2522%22&page_size=10"},
		},
		{
			name: "get names the user in the path", answer: userAnswer,
			call: func(ctx context.Context, c *Client) error { _, err := c.GetUser(ctx, theirs); return err },
			want: sent{method: "GET", uri: "/v2/users/a3b1"},
		},
		{
			name: "a path escapes what it may not hold as it is", answer: strings.ReplaceAll(userAnswer, "a3b1", "a:b@c,d+e"),
			call: func(ctx context.Context, c *Client) error { _, err := c.GetUser(ctx, "a:b@c,d+e"); return err },
			want: sent{method: "GET", uri: "/v2/users/a:b@c%2Cd+e"},
		},
		{
			name: "list always says how many users and from where", answer: `{"users":[],"total_size":0}`,
			call: func(ctx context.Context, c *Client) error {
				_, err := c.ListUsers(ctx, Page{Size: MaxPage})
				return err
			},
			want: sent{method: "GET", uri: "/v2/users?page_size=1000&skip=0"},
		},
		{
			name: "list skips", answer: `{"users":[],"total_size":0}`,
			call: func(ctx context.Context, c *Client) error {
				_, err := c.ListUsers(ctx, Page{Skip: 2000, Size: 1})
				return err
			},
			want: sent{method: "GET", uri: "/v2/users?page_size=1&skip=2000"},
		},
		{
			name: "update sends everything that changes", answer: userAnswer,
			call: func(ctx context.Context, c *Client) error {
				_, err := c.UpdateUser(ctx, theirs, annasChange())
				return err
			},
			want: sent{
				method: "PATCH", uri: "/v2/users/a3b1",
				body: `{"user":{"external_id":"` + id + `","email_address":"` + mail + `","display_name":"Anna"}}`,
			},
		},
		{
			name: "update sends nothing that stays", answer: userAnswer,
			call: func(ctx context.Context, c *Client) error {
				_, err := c.UpdateUser(ctx, theirs, UserChange{DisplayName: new("Anna")})
				return err
			},
			want: sent{method: "PATCH", uri: "/v2/users/a3b1", body: `{"user":{"display_name":"Anna"}}`},
		},
		{
			name: "delete sends no body",
			call: func(ctx context.Context, c *Client) error { return c.DeleteUser(ctx, theirs) },
			want: sent{method: "DELETE", uri: "/v2/users/a3b1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan sent, 1)
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got <- sent{r.Method, r.RequestURI, string(body), r.Header}
				answer(w, http.StatusOK, tt.answer)
			})
			if err := tt.call(t.Context(), newClient(t, s.URL, generous)); err != nil {
				t.Fatal(err)
			}
			g := <-got
			if g.method != tt.want.method || g.uri != tt.want.uri || g.body != tt.want.body {
				t.Errorf("got  %s %s\n%s\nwant %s %s\n%s", g.method, g.uri, g.body, tt.want.method, tt.want.uri, tt.want.body)
			}
			names := []string{"Accept", "Authorization", "User-Agent"}
			if tt.want.body != "" {
				names = []string{"Accept", "Authorization", "Content-Length", "Content-Type", "User-Agent"}
			}
			if have := slices.Sorted(maps.Keys(g.header)); !slices.Equal(have, names) {
				t.Errorf("sent the headers %v, want %v", have, names)
			}
			for name, want := range map[string]string{
				"Authorization": "Bearer " + testToken, "Accept": "application/json", "User-Agent": "portico",
			} {
				if have := g.header.Get(name); have != want {
					t.Errorf("%s: got %q, want %q", name, have, want)
				}
			}
			if have := g.header.Get("Content-Type"); tt.want.body != "" && have != "application/json" {
				t.Errorf("Content-Type: got %q", have)
			}
		})
	}
}

func TestAPathInTheBaseURLIsKept(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"/proxy", "/proxy/"} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/proxy/v1/manage/users" {
				t.Errorf("called %s", r.URL.Path)
			}
			answer(w, http.StatusOK, flatAnswer)
		})
		if _, err := newClient(t, s.URL+suffix, generous).CreateUser(t.Context(), NewUser{ExternalID: ours, Email: oursMail}); err != nil {
			t.Error(err)
		}
	}
}

func TestInputThatCannotBeSentIsRejectedUnsent(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	c := newClient(t, s.URL, generous)
	create := func(u NewUser) func() error {
		return func() error { _, err := c.CreateUser(t.Context(), u); return err }
	}
	find := func(id directory.ExternalID) func() error {
		return func() error { _, err := c.FindUser(t.Context(), id); return err }
	}
	get := func(id directory.InternalID) func() error {
		return func() error { _, err := c.GetUser(t.Context(), id); return err }
	}
	list := func(skip, size int) func() error {
		return func() error { _, err := c.ListUsers(t.Context(), Page{Skip: skip, Size: size}); return err }
	}
	update := func(u UserChange) func() error {
		return func() error { _, err := c.UpdateUser(t.Context(), theirs, u); return err }
	}
	tests := map[string]func() error{
		"get without an internal_id":                       get(""),
		"get with a slash, which begins another segment":   get("a/b"),
		"get with a backslash, which some take for one":    get(`a\b`),
		"get with a dot segment":                           get(".."),
		"get with a percent sign, which may be decoded":    get("a%2fb"),
		"get with a question mark, which begins a query":   get("a?b"),
		"get with a number sign, which ends the path":      get("a#b"),
		"get with a semicolon, which begins a parameter":   get("a;b"),
		"get with a space":                                 get("a b"),
		"get with a control character":                     get("a\nb"),
		"get with a letter beyond ASCII":                   get("aü"),
		"get with an internal_id that never ends":          get(directory.InternalID(strings.Repeat("a", maxInternalID+1))),
		"update with an internal_id for another path":      func() error { _, err := c.UpdateUser(t.Context(), "../x", annasChange()); return err },
		"delete with an internal_id for another path":      func() error { return c.DeleteUser(t.Context(), "../x") },
		"delete without an internal_id, which is the list": func() error { return c.DeleteUser(t.Context(), "") },
		"list of a page without users":                     list(0, 0),
		"list of more users than a page holds":             list(0, MaxPage+1),
		"list from before the beginning":                   list(-1, 1),
		"update of nothing":                                update(UserChange{}),
		"update to no external_id":                         update(UserChange{ExternalID: new(directory.ExternalID(""))}),
		"update to no address":                             update(UserChange{Email: new("")}),
		"update to no display name":                        update(UserChange{DisplayName: new(" ")}),
		"update to an external_id that is not UTF-8":       update(UserChange{ExternalID: new(directory.ExternalID("\xff"))}),
		"update to a display name that is not UTF-8":       update(UserChange{DisplayName: new("\xff")}),
		"create without an external_id":                    create(NewUser{Email: oursMail}),
		"create without an address":                        create(NewUser{ExternalID: ours}),
		"create with a display name that is not UTF-8":     create(NewUser{ExternalID: ours, Email: oursMail, DisplayName: "\xff"}),
		"recover without an external_id":                   func() error { _, err := c.RecoverUser(t.Context(), ""); return err },
		"find without an external_id":                      find(""),
		"find with a quote, which would end the filter":    find(`x" or external_id pr or id eq "`),
		"find with a backslash, which would hide a quote":  find(`x\`),
		"find with a control character":                    find("x\x00"),
		"find with an external_id that is not UTF-8":       find("x\xff"),
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if e := mustError(t, call()); e.Class != Rejected || e.Status != 0 {
				t.Errorf("got %v", e)
			}
		})
	}
}
