package simulator_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// workforceUser is v2's documented user, before its first sign-in.
const workforceUser = `{"id":"*","create_time":"2026-01-02T03:04:05.000Z","update_time":"2026-01-02T03:04:05.000Z","tenant_id":"*",
	"external_id":"u-1","email_address":"ada@example.com","username":"u-1","display_name":"Ada Lovelace",
	"state":"ACTIVE","source":"*","has_active_passkey":false}`

func (tn *tenant) list(filter string, size int) answer {
	tn.t.Helper()
	q := url.Values{"filter": {filter}}
	if size > 0 {
		q.Set("page_size", strconv.Itoa(size))
	}
	return tn.api("GET", "/v2/users?"+q.Encode(), "")
}

func TestLookUpByExternalID(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	id := tn.create("u-1", "ada@example.com")
	tn.create("u-2", "bob@example.com")

	got := tn.list(`external_id eq "u-1"`, 1)
	expectStatus(t, got, http.StatusOK)
	expectJSON(t, got.body, `{"users":[`+workforceUser+`],"total_size":1}`)
	if !strings.Contains(got.body, id) {
		t.Fatal("the id is not the internal id")
	}
	expectJSON(t, tn.list(`external_id eq "u-1"`, 0).body, `{"users":[],"total_size":1}`)
	expectJSON(t, tn.list(`external_id eq "u-3"`, 1).body, `{"users":[],"total_size":0}`)
	expectJSON(t, tn.api("GET", "/v2/users/"+id, "").body, workforceUser)
}

func TestFilters(t *testing.T) {
	t.Parallel()
	tn := start(t)
	tn.create("u-1", "ada@example.com")
	tn.create("u-2", "bob@example.com")
	tn.create("u-3", "eve@example.org")
	tn.enrol(tn.browser, "bob@example.com")
	for filter, want := range map[string]int{
		``:                                   3,
		`email_address eq "bob@example.com"`: 1,
		`email_address ew "example.com"`:     2,
		`username sw "u-"`:                   3,
		`display_name co "Love"`:             3,
		`external_id ne "u-1"`:               2,
		`has_active_passkey eq true`:         1,
		`has_active_passkey ne true`:         2,
		`state eq "ACTIVE"`:                  3,
	} {
		var page struct {
			Users []struct{} `json:"users"`
			Total int        `json:"total_size"`
		}
		got := tn.list(filter, 10)
		expectStatus(t, got, http.StatusOK)
		decode(t, got.body, &page)
		if page.Total != want || len(page.Users) != want {
			t.Errorf("%s: %d of %d, want %d", filter, len(page.Users), page.Total, want)
		}
	}
	for _, filter := range []string{
		`external_id`, `external_id eq u-1`, `external_id eq "u-1" or id eq "x"`,
		`password eq "x"`, `id gt "x"`, `has_active_passkey eq 1`,
	} {
		expectStatus(t, tn.list(filter, 1), http.StatusBadRequest)
	}
	for _, query := range []string{"page_size=x", "page_size=-1", "skip=x", "order_by=username"} {
		expectStatus(t, tn.api("GET", "/v2/users?"+query, ""), http.StatusBadRequest)
	}
}

func TestPagesAreInOrderOfCreation(t *testing.T) {
	t.Parallel()
	tn := start(t)
	for i := range 3 {
		tn.create("u-"+strconv.Itoa(i), "user"+strconv.Itoa(i)+"@example.com")
	}
	var page struct {
		Users []struct {
			ExternalID string `json:"external_id"`
		} `json:"users"`
		Total int `json:"total_size"`
	}
	decode(t, tn.api("GET", "/v2/users?page_size=2&skip=1", "").body, &page)
	if page.Total != 3 || len(page.Users) != 2 || page.Users[0].ExternalID != "u-1" || page.Users[1].ExternalID != "u-2" {
		t.Fatalf("%+v", page)
	}
}

func TestCreateV2(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	body := `{"user":{"external_id":"u-1","email_address":"ada@example.com","username":"u-1","display_name":"Ada Lovelace","state":"DELETED","id":7}}`
	got := tn.api("POST", "/v2/users", body)
	expectStatus(t, got, http.StatusOK)
	expectJSON(t, got.body, workforceUser)
	if len(tn.Mailbox("ada@example.com")) != 1 {
		t.Fatal("no enrolment mail")
	}
	again := tn.api("POST", "/v2/users", body)
	expectStatus(t, again, http.StatusConflict)
	expectJSON(t, again.body, `{"code":"conflict","message":"user already exists"}`)

	missing := tn.api("POST", "/v2/users", `{"user":{"external_id":"u-2","email_address":"bob@example.com","username":"u-2"}}`)
	expectStatus(t, missing, http.StatusBadRequest)
	expectJSON(t, missing.body, `{"code":"bad_request","message":"invalid parameters","details":[
		{"type":"FieldViolations","field_violations":[{"field":"user.display_name","description":"missing"}]}]}`)
	expectStatus(t, tn.api("POST", "/v2/users", `{}`), http.StatusBadRequest)
	expectStatus(t, tn.api("POST", "/v2/users", `{"user":{"nickname":"x"}}`), http.StatusBadRequest)
}

func TestChangeAndDelete(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	id := tn.create("u-1", "ada@example.com")
	tn.create("u-2", "bob@example.com")

	got := tn.api("PATCH", "/v2/users/"+id, `{"user":{"display_name":"Countess","state":"SUSPENDED"}}`)
	expectStatus(t, got, http.StatusOK)
	expectJSON(t, got.body, strings.Replace(workforceUser, "Ada Lovelace", "Countess", 1))

	taken := tn.api("PATCH", "/v2/users/"+id, `{"user":{"external_id":"u-2"}}`)
	expectStatus(t, taken, http.StatusConflict)
	expectJSON(t, taken.body, `{"code":"conflict","message":"user external id already taken"}`)
	expectStatus(t, tn.api("PATCH", "/v2/users/"+id, `{"user":{"email_address":"none"}}`), http.StatusBadRequest)
	expectStatus(t, tn.api("PATCH", "/v2/users/"+id, `{"user":{"external_id":"u-9"}}`), http.StatusOK)
	expectJSON(t, tn.list(`external_id eq "u-1"`, 1).body, `{"users":[],"total_size":0}`)

	deleted := tn.api("DELETE", "/v2/users/"+id, "")
	expectStatus(t, deleted, http.StatusOK)
	if deleted.body != "" {
		t.Fatalf("body %q", deleted.body)
	}
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		gone := tn.api(method, "/v2/users/"+id, map[string]string{"PATCH": `{"user":{}}`}[method])
		expectStatus(t, gone, http.StatusNotFound)
		expectJSON(t, gone.body, `{"code":"not_found","message":"user not found","details":[
			{"type":"ResourceInfo","resource_type":"User","id":"`+id+`","description":"user not found"}]}`)
	}
	expectJSON(t, tn.list(`external_id eq "u-9"`, 1).body, `{"users":[],"total_size":0}`)
	tn.create("u-9", "ada@example.com") // a deleted user's values are free
}

func TestWithoutLookupAllOfV2IsForbidden(t *testing.T) {
	t.Parallel()
	tn := start(t, func(c *simulator.Config) { c.Modes.Uniqueness = simulator.UniqueExternalID })
	id := tn.create("u-1", "ada@example.com")
	for _, path := range []string{"/v2/users?page_size=1", "/v2/users/" + id} {
		got := tn.api("GET", path, "")
		expectStatus(t, got, http.StatusForbidden)
		expectJSON(t, got.body, `{"code":"forbidden","message":"forbidden"}`)
	}
}

func TestClientCredentialsOpenTheManagementAPIsAndNothingElse(t *testing.T) {
	t.Parallel()
	tn := start(t)
	form := func(id, secret string) *http.Request {
		req := request(t, "POST", tn.url+"/v2/oauth2/token", "grant_type=client_credentials")
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		return req
	}
	got := tn.do(form(clientID, clientSecret))
	expectStatus(t, got, http.StatusOK)
	var token struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	decode(t, got.body, &token)
	if token.TokenType != "Bearer" || token.ExpiresIn != 86400 {
		t.Fatalf("%+v", token)
	}
	with := func(method, path, body string) answer {
		req := request(t, method, tn.url+path, body)
		req.Header.Set("Authorization", "Bearer "+token.AccessToken)
		return tn.do(req)
	}
	expectStatus(t, with("GET", "/v2/users?page_size=1", ""), http.StatusOK)
	expectStatus(t, with("POST", "/v1/manage/users", createBody("u-1", "ada@example.com")), http.StatusOK)
	expectStatus(t, tn.sim("PUT", "/sim/modes", `{"v1_console_only":true}`), http.StatusOK)
	expectStatus(t, with("POST", "/v1/manage/users", createBody("u-2", "ada@example.com")), http.StatusUnauthorized)
	expectStatus(t, tn.api("POST", "/v1/manage/users", createBody("u-2", "ada@example.com")), http.StatusOK)
	expectStatus(t, with("GET", "/v2/userinfo", ""), http.StatusUnauthorized)
	expectStatus(t, tn.sim("POST", "/sim/tokens/revoke", ""), http.StatusNoContent)
	expectStatus(t, with("GET", "/v2/users?page_size=1", ""), http.StatusUnauthorized)
	expectStatus(t, tn.api("GET", "/v2/users?page_size=1", ""), http.StatusOK)
	refused := tn.do(form(clientID, "wrong"))
	expectStatus(t, refused, http.StatusUnauthorized)
	expectJSON(t, refused.body, `{"error":"invalid_client","error_description":"*"}`)
}

func TestATokenLivesAsLongAsTheModesSay(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix())
	tn := start(t, func(c *simulator.Config) { c.Now = func() time.Time { return time.Unix(now.Load(), 0) } })
	expectStatus(t, tn.sim("PUT", "/sim/modes", `{"token_seconds":7}`), http.StatusOK)
	expectStatus(t, tn.sim("PUT", "/sim/modes", `{"token_seconds":-1}`), http.StatusBadRequest)
	token := func() (text string, seconds int) {
		req := request(t, "POST", tn.url+"/v2/oauth2/token", "grant_type=client_credentials")
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
		var got struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int    `json:"expires_in"`
		}
		decode(t, tn.do(req).body, &got)
		return got.AccessToken, got.ExpiresIn
	}
	with := func(token string) int {
		req := request(t, "GET", tn.url+"/v2/users?page_size=1", "")
		req.Header.Set("Authorization", "Bearer "+token)
		return tn.do(req).status
	}
	text, seconds := token()
	if seconds != 7 || with(text) != http.StatusOK {
		t.Fatalf("%d seconds", seconds)
	}
	now.Add(7)
	if got := with(text); got != http.StatusUnauthorized {
		t.Errorf("HTTP %d after its end", got)
	}
}

func TestFiltersThatAnIndexAnswersAreExactAndInOrder(t *testing.T) {
	t.Parallel()
	tn := start(t, func(c *simulator.Config) { c.Modes.Uniqueness = simulator.UniqueNone; c.Modes.Lookup = true })
	first := tn.create("u-1", "ada@example.com")
	second := tn.create("u-1", "ADA@example.com")
	third := tn.create("u-1", "ada@example.com")
	expectStatus(t, tn.api("PATCH", "/v2/users/"+first, `{"user":{"display_name":"Last to change"}}`), http.StatusOK)
	for filter, want := range map[string][]string{
		`external_id eq "u-1"`:               {first, second, third},
		`email_address eq "ada@example.com"`: {first, third},
		`email_address eq "ADA@example.com"`: {second},
		`email_address eq "eve@example.com"`: nil,
		`id eq "` + second + `"`:             {second},
		`id eq "nobody"`:                     nil,
		`id ne "` + second + `"`:             {first, third},
		`email_address sw "ada"`:             {first, third},
		`display_name eq "Last to change"`:   {first},
	} {
		var page struct {
			Users []struct {
				ID string `json:"id"`
			} `json:"users"`
		}
		decode(t, tn.list(filter, 10).body, &page)
		var got []string
		for _, u := range page.Users {
			got = append(got, u.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", filter, got, want)
		}
	}
}
