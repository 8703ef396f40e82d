package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/internal/admintoken"
	"github.com/portico-id/portico/internal/ratelimit"
	"github.com/portico-id/portico/internal/store/storetest"
)

// operation is one of the operations listener's.
type operation struct {
	method, path string
	scope        admintoken.Scope
	body         string
}

// operations are all that the contract has there, with ids in their paths.
func operations(t *testing.T, user string) (all []operation) {
	t.Helper()
	contract, err := apitest.Shared()
	if err != nil {
		t.Fatal(err)
	}
	const id = "019b7f2f-0b11-7d0a-8a37-5f6e7d8c9b0a"
	fill := strings.NewReplacer("{user_id}", user, "{session_id}", id, "{webhook_id}", id, "{delivery_id}", id)
	for path, item := range contract.Doc.Paths.Map() {
		if len(item.Servers) == 0 {
			continue
		}
		for method, o := range item.Operations() {
			op := operation{method: method, path: fill.Replace(path), scope: admintoken.Scope((*o.Security)[0]["adminToken"][0])}
			if o.RequestBody != nil {
				op.body = `{}`
			}
			all = append(all, op)
		}
	}
	if len(all) < 14 {
		t.Fatalf("there are only %d operations", len(all))
	}
	return all
}

func TestNobodyAdministersWithoutATokenThatIsGoodForIt(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	every := admintoken.Scopes()
	holders := map[string][]admintoken.Scope{"root": every}
	for _, scope := range every {
		holders["not-"+strings.ReplaceAll(string(scope), ":", "-")] = slices.DeleteFunc(slices.Clone(every), func(s admintoken.Scope) bool { return s == scope })
	}
	revoked := w.admit(t, map[string][]admintoken.Scope{"root": every})["root"]
	tokens := w.admit(t, holders)
	root := w.with(t, tokens["root"])
	user := b.get("/me").is(http.StatusOK).json("id")
	bearerToken := nativeToken(t, w, b)
	before := root.get("/admin/users/" + user).is(http.StatusOK).body
	other, _, err := admintoken.New("root", every)
	if err != nil {
		t.Fatal(err)
	}
	const invalid = `Bearer realm="portico admin", error="invalid_token"`
	for _, op := range operations(t, user) {
		step(t, "ASVS-8.2.1 ASVS-8.3.1 "+op.method+" "+strings.ReplaceAll(op.path, user, "USER"), func(t *testing.T) {
			for name, headers := range map[string][]header{
				"no token":                     {{"Authorization", ""}},
				"another token":                {{"Authorization", ""}, {"Authorization", "Bearer " + other.Reveal()}},
				"a token that was revoked":     {{"Authorization", ""}, {"Authorization", "Bearer " + revoked}},
				"half a token":                 {{"Authorization", ""}, {"Authorization", "Bearer " + tokens["root"][:30]}},
				"a session's token":            {{"Authorization", ""}, {"Authorization", "Bearer " + bearerToken}},
				"a user's cookie":              {{"Authorization", ""}, {"Cookie", "portico=" + b.session()}, {"X-Csrf", "1"}},
				"the token in a cookie":        {{"Authorization", ""}, {"Cookie", "portico=" + tokens["root"]}, {"X-Csrf", "1"}},
				"the token by another scheme":  {{"Authorization", ""}, {"Authorization", "Basic " + tokens["root"]}},
				"the token without its scheme": {{"Authorization", ""}, {"Authorization", tokens["root"]}},
				"two tokens":                   {{"Authorization", "Bearer " + tokens["root"]}},
				"the name of a token":          {{"Authorization", ""}, {"Authorization", "Bearer root"}},
			} {
				refused := root.in(t).do(op.method, op.path, op.body, append(headers, header{"If-Match", `"1"`})...).is(http.StatusUnauthorized, "admin_token_invalid")
				if got := refused.header.Get("Www-Authenticate"); got != invalid {
					t.Errorf("%s: WWW-Authenticate is %q", name, got)
				}
			}
			lacking := *root.in(t)
			lacking.token = tokens["not-"+strings.ReplaceAll(string(op.scope), ":", "-")]
			missing := lacking.do(op.method, op.path, op.body, header{"If-Match", `"1"`}).is(http.StatusForbidden, "scope_missing")
			if !strings.Contains(missing.json("detail"), string(op.scope)) ||
				missing.header.Get("Www-Authenticate") != `Bearer realm="portico admin", error="insufficient_scope", scope="`+string(op.scope)+`"` {
				t.Errorf("it says %s, and %s", missing.body, missing.header.Get("Www-Authenticate"))
			}
			for _, page := range []header{
				{"Origin", "https://evil.example"},
				{"Origin", appOrigin},
				{"Origin", root.url},
				{"Origin", "null"},
				{"Sec-Fetch-Site", "cross-site"},
				{"Sec-Fetch-Site", "same-site"},
				{"Sec-Fetch-Site", "same-origin"},
			} {
				answered := root.in(t).do(op.method, op.path, op.body, page, header{"If-Match", `"1"`}).is(http.StatusForbidden, "cross_origin")
				for name := range answered.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("a page may read the answer: %s", name)
					}
				}
			}
			// On the public address it is not there, whatever is shown.
			r := b.in(t).request(op.method, op.path, op.body, bearer(tokens["root"]), header{"If-Match", `"1"`})
			b.in(t).raw(r).is(http.StatusNotFound, "not_found")
		})
	}
	if after := root.get("/admin/users/" + user).is(http.StatusOK).body; after != before {
		t.Errorf("they were %s and are %s", before, after)
	}
	step(t, "and cookies are not even looked at", func(t *testing.T) {
		a := root.in(t)
		a.get("/admin/users/"+user, header{"Cookie", "portico=" + b.session()}).is(http.StatusOK)
		if a.get("/admin/users/"+user).header.Values("Set-Cookie") != nil {
			t.Error("a cookie is set")
		}
	})
	step(t, "ASVS-16.2.1 who it was is in the log", func(t *testing.T) {
		for _, entry := range w.log.entries(t, "request") {
			if entry["admin"] == "root" && entry["route"] == "/admin/users/:user_id" {
				return
			}
		}
		t.Error("no line names the token")
	})
}

func TestWithoutTokensThereIsNothingToAdminister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	server := w.ops(t)
	shape := func(method, path string) string {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.Status + " " + strings.Join(response.Header.Values("Allow"), ",") + strings.Join(response.Header.Values("Www-Authenticate"), ",")
	}
	want := shape(http.MethodGet, "/nothing")
	if want != "404 Not Found " {
		t.Errorf("a path that is not there is answered %q", want)
	}
	for _, op := range operations(t, "019b7f2f-0b11-7d0a-8a37-5f6e7d8c9b0a") {
		for _, method := range []string{op.method, http.MethodOptions, http.MethodPut, http.MethodHead} {
			if got := shape(method, op.path); got != want {
				t.Errorf("%s %s is answered %q", method, op.path, got)
			}
		}
	}
	w.admit(t, map[string][]admintoken.Scope{"root": admintoken.Scopes()})
	if got := shape(http.MethodGet, "/admin/users"); !strings.HasPrefix(got, "401") {
		t.Errorf("with a token in use it is answered %q", got)
	}
}

func TestTokensThatAreNoneAreLimitedAndLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{limits: ratelimit.Limits{Admin: ratelimit.Limit{Count: 3, Per: time.Minute}}})
	w.clock.stop()
	root := w.administrator(t)
	step(t, "ASVS-2.4.1 ASVS-6.3.1 after three", func(t *testing.T) {
		a := root.in(t)
		for range 3 {
			a.get("/admin/users", header{"Authorization", ""}).is(http.StatusUnauthorized, "admin_token_invalid")
		}
		a.get("/admin/users", header{"Authorization", ""}).tooMany(3)
		a.get("/admin/audit", header{"Authorization", ""}, header{"Authorization", "Bearer pta_guess"}).tooMany(3)
	})
	step(t, "ASVS-6.1.1 nobody can lock a good one out", func(t *testing.T) {
		root.in(t).get("/admin/users").is(http.StatusOK)
	})
	step(t, "and later they are told again", func(t *testing.T) {
		w.clock.advance(20 * time.Second)
		root.in(t).get("/admin/users", header{"Authorization", ""}).is(http.StatusUnauthorized, "admin_token_invalid")
	})
	step(t, "ASVS-16.3.1 each that was told has a line", func(t *testing.T) {
		lines := w.log.entries(t, "an administrator's token was refused")
		if len(lines) != 4 || lines[0]["client_ip"] != "127.0.0.1" || lines[0]["level"] != "WARN" || lines[0]["route"] != "/admin/users" {
			t.Errorf("the log has %v", lines)
		}
	})
}

func TestAnAdministratorEndsSessions(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{})
	root := w.administrator(t)
	path := "/admin/users/" + b.get("/me").is(http.StatusOK).json("id")
	sessions := func(t *testing.T) []string {
		t.Helper()
		listed := root.in(t).get(path + "/sessions").is(http.StatusOK)
		if strings.Contains(listed.body, `"current":true`) {
			t.Errorf("one of them is said to be the administrator's: %s", listed.body)
		}
		ids := listed.ids()
		return ids
	}
	step(t, "ASVS-7.4.5 one of them", func(t *testing.T) {
		other := b.another().in(t)
		ids := sessions(t)
		if len(ids) != 2 {
			t.Fatalf("there are %d sessions", len(ids))
		}
		current := other.get("/me").is(http.StatusOK).json("session", "id")
		root.in(t).do(http.MethodDelete, path+"/sessions/"+current, "").is(http.StatusNoContent)
		other.get("/me").unauthorized("session_invalid")
		b.in(t).get("/me").is(http.StatusOK)
		root.in(t).do(http.MethodDelete, path+"/sessions/"+current, "").is(http.StatusNotFound, "session_not_found")
	})
	step(t, "ASVS-7.4.5 all of them", func(t *testing.T) {
		root.in(t).do(http.MethodDelete, path+"/sessions", "").is(http.StatusNoContent)
		b.in(t).get("/me").unauthorized("session_invalid")
		if left := sessions(t); len(left) != 0 {
			t.Errorf("%d are left", len(left))
		}
		root.in(t).do(http.MethodDelete, path+"/sessions", "").is(http.StatusNoContent)
	})
}

// ids are those of the sessions in a list.
func (a answer) ids() (ids []string) {
	a.t.Helper()
	for part := range strings.SplitSeq(a.body, `{"id":"`) {
		if id, _, ok := strings.Cut(part, `"`); ok && len(id) == 36 {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestASuspensionIsSeenByTheNextRequestOnEveryReplica(t *testing.T) {
	t.Parallel()
	w, b := signedInBrowser(t, options{databaseURL: storetest.Postgres(t)})
	replicas := []*world{w.replica(), w.replica()}
	root := w.administrator(t)
	native := nativeToken(t, w, b)
	path := "/admin/users/" + b.get("/me").is(http.StatusOK).json("id")
	step(t, "while they are active", func(t *testing.T) {
		for _, r := range replicas {
			b.in(t).at(r).get("/me").is(http.StatusOK)
		}
	})
	var suspended time.Time
	step(t, "ASVS-7.4.1 ASVS-7.4.2 their sessions open nothing any more", func(t *testing.T) {
		root.in(t).do(http.MethodPost, path+"/suspend", "", header{"If-Match", root.in(t).tag(path)}).is(http.StatusOK)
		suspended = time.Now()
		for _, r := range append(replicas, w) {
			b.in(t).at(r).get("/me").unauthorized("session_invalid")
			w.browser().in(t).at(r).get("/me", bearer(native)).unauthorized("session_invalid")
		}
		t.Logf("refused on all replicas %s after the answer", time.Since(suspended))
	})
	step(t, "and they cannot log in, anywhere", func(t *testing.T) {
		for range replicas {
			b.in(t).logIn().leadsTo(home + "?error=user_suspended")
		}
	})
	step(t, "until they are restored", func(t *testing.T) {
		root.in(t).do(http.MethodPost, path+"/restore", "", header{"If-Match", root.in(t).tag(path)}).is(http.StatusOK)
		b.in(t).get("/me").unauthorized("session_invalid")
		b.in(t).logIn().leadsTo(home)
		b.in(t).at(replicas[0]).get("/me").is(http.StatusOK)
	})
}

func TestTheAuditSaysWhoDidIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	root := w.administrator(t)
	path, _ := root.make(`{"email":"ada@example.com"}`)
	id := strings.TrimPrefix(path, "/admin/users/")
	w.exec("UPDATE users SET status = 'active', internal_id = 'there' WHERE id = '" + id + "'")
	root.do(http.MethodPost, path+"/suspend", "", header{"If-Match", root.tag(path)}).is(http.StatusOK)
	for query, want := range map[string]string{
		"user_id=" + id + "&action=user.suspended": `"action":"user.suspended","outcome":"success","user_id":"` + id + `","address":"127.0.0.1"`,
		"actor=admin:root&action=user":             `"actor":"admin:root","action":"user.suspended"`,
		"actor=admin:root&limit=1":                 `"from_status":"active","to_status":"suspended"`,
		"actor=admin:nobody":                       `{"events":[],"next_page_token":null}`,
		"before=1970-01-01T00:00:00Z":              `{"events":[],"next_page_token":null}`,
	} {
		step(t, "ASVS-16.3.1 "+strings.ReplaceAll(query, id, "USER"), func(t *testing.T) {
			if listed := root.in(t).get("/admin/audit?" + query).is(http.StatusOK); !strings.Contains(listed.body, want) {
				t.Errorf("it says %s", listed.body)
			}
		})
	}
	step(t, "page by page, to the end", func(t *testing.T) {
		seen, token := 0, ""
		for {
			page := root.in(t).get("/admin/audit?limit=1" + token).is(http.StatusOK)
			seen += strings.Count(page.body, `"action"`)
			next := page.json("next_page_token")
			if next == "" {
				break
			}
			token = "&page_token=" + next
		}
		if all := strings.Count(root.in(t).get("/admin/audit?limit=200").body, `"action"`); seen != all || all < 2 {
			t.Errorf("%d events page by page, and %d at once", seen, all)
		}
	})
}
