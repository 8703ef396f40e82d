package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/store/storetest"
)

// listed are the ids, or other fields, of the users in a list.
func (a answer) listed(field string) []string {
	a.t.Helper()
	var list struct {
		Users []map[string]any `json:"users"`
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		a.t.Fatal(err)
	}
	fields := make([]string, len(list.Users))
	for i, u := range list.Users {
		fields[i], _ = u[field].(string)
	}
	return fields
}

func TestAnAdministratorLooksAfterAUser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		root := w.administrator(t)
		var path, tag string
		step(t, "who invites them", func(t *testing.T) {
			a := root.in(t)
			made := a.do(http.MethodPost, "/admin/users",
				`{"email":"Ada@Example.com","display_name":"Ada","locale":"en-GB","external_id":"crm-4711"}`).is(http.StatusCreated)
			path, tag = made.header.Get("Location"), made.header.Get("ETag")
			if path != "/admin/users/"+made.json("id") || tag != `"1"` {
				t.Errorf("they are at %q, with the tag %q", path, tag)
			}
			for field, want := range map[string]string{
				"external_id": "crm-4711", "email": "Ada@Example.com", "display_name": "Ada", "status": "received",
				"sync": "pending", "origin": "admin", "locale": "en-GB", "internal_id": "", "delete_after": "",
			} {
				if got := made.json(field); got != want {
					t.Errorf("%s is %q", field, got)
				}
			}
			if read := a.get(path).is(http.StatusOK); read.body != made.body || read.header.Get("ETag") != tag {
				t.Errorf("read again they are %s", read.body)
			}
		})
		step(t, "whose address or external_id is taken", func(t *testing.T) {
			a := root.in(t)
			a.do(http.MethodPost, "/admin/users", `{"email":"ada@example.com"}`).is(http.StatusConflict, "email_taken")
			a.do(http.MethodPost, "/admin/users", `{"email":"b@example.com","external_id":"crm-4711"}`).is(http.StatusConflict, "external_id_taken")
			if n := w.rows("users"); n != 1 {
				t.Errorf("there are %d users", n)
			}
		})
		step(t, "whose data does not fit", func(t *testing.T) {
			a := root.in(t)
			for body, pointer := range map[string]string{
				`{"email":"no address"}`:                                                     "/email",
				`{"email":"c@example.com","display_name":" c"}`:                              "/display_name",
				`{"email":"c@example.com","locale":"no locale"}`:                             "/locale",
				`{"email":"c@example.com","external_id":"a\u0007b"}`:                         "/external_id",
				`{"email":"c@example.com","external_id":"` + strings.Repeat("x", 256) + `"}`: "/external_id",
				`{"display_name":"c"}`:                                                       "/email",
			} {
				answered := a.do(http.MethodPost, "/admin/users", body).is(http.StatusUnprocessableEntity, "invalid_fields")
				if !strings.Contains(answered.body, `"pointer":"`+pointer+`"`) {
					t.Errorf("%s: %s", body, answered.body)
				}
			}
			a.do(http.MethodPost, "/admin/users", `{"email":"c@example.com","status":"active"}`).is(http.StatusBadRequest, "malformed_body")
		})
		step(t, "who changes them", func(t *testing.T) {
			a := root.in(t)
			changed := a.do(http.MethodPatch, path, `{"display_name":"Ada King","email":"ada.king@example.com"}`, header{"If-Match", tag}).is(http.StatusOK)
			if changed.json("display_name") != "Ada King" || changed.json("email") != "ada.king@example.com" || changed.json("locale") != "en-GB" {
				t.Errorf("they are %s", changed.body)
			}
			if next := changed.header.Get("ETag"); next == tag || next == "" {
				t.Errorf("the tag is %q", next)
			}
			cleared := a.do(http.MethodPatch, path, `{"display_name":"","locale":""}`, header{"If-Match", changed.header.Get("ETag")}).is(http.StatusOK)
			if cleared.json("display_name") != "" || cleared.json("locale") != "" || cleared.json("email") != "ada.king@example.com" {
				t.Errorf("they are %s", cleared.body)
			}
			a.make(`{"email":"taken@example.com"}`)
			a.do(http.MethodPatch, path, `{"email":"TAKEN@example.com"}`, header{"If-Match", a.tag(path)}).is(http.StatusConflict, "email_taken")
			a.do(http.MethodPatch, path, `{"email":"none"}`, header{"If-Match", a.tag(path)}).is(http.StatusUnprocessableEntity).field("/email", "invalid_email")
		})
		step(t, "who suspends one who has not come so far", func(t *testing.T) {
			a := root.in(t)
			refused := a.do(http.MethodPost, path+"/suspend", "", header{"If-Match", a.tag(path)}).is(http.StatusConflict, "status_conflict")
			if refused.json("detail") != "The user is received, which does not allow this." {
				t.Errorf("it says %s", refused.json("detail"))
			}
		})
		step(t, "who suspends them twice, and restores them", func(t *testing.T) {
			a := root.in(t)
			w.exec("UPDATE users SET status = 'active', internal_id = 'there-1' WHERE external_id = 'crm-4711'")
			tag := a.tag(path)
			first := a.do(http.MethodPost, path+"/suspend", "", header{"If-Match", tag}).is(http.StatusOK)
			again := a.do(http.MethodPost, path+"/suspend", "", header{"If-Match", tag}).is(http.StatusOK)
			if first.json("status") != "suspended" || again.body != first.body || again.header.Get("ETag") != first.header.Get("ETag") {
				t.Errorf("first %s, then %s", first.body, again.body)
			}
			a.do(http.MethodPost, path+"/restore", "", header{"If-Match", tag}).is(http.StatusPreconditionFailed, "precondition_failed")
			restored := a.do(http.MethodPost, path+"/restore", "", header{"If-Match", first.header.Get("ETag")}).is(http.StatusOK)
			if restored.json("status") != "invited" {
				t.Errorf("they are %s", restored.body)
			}
			a.do(http.MethodPost, path+"/restore", "", header{"If-Match", restored.header.Get("ETag")}).is(http.StatusConflict, "status_conflict")
			// A version from before somebody else's change is not a lost answer.
			a.do(http.MethodPost, path+"/suspend", "", header{"If-Match", tag}).is(http.StatusPreconditionFailed, "precondition_failed")
		})
		step(t, "who has the mail sent again, and the provider asked again", func(t *testing.T) {
			a := root.in(t)
			if resent := a.do(http.MethodPost, path+"/resend", "").is(http.StatusAccepted); resent.json("status") != "invited" {
				t.Errorf("they are %s", resent.body)
			}
			a.do(http.MethodPost, path+"/retry", "").is(http.StatusConflict, "status_conflict")
			w.exec("UPDATE users SET status = 'failed', internal_id = NULL WHERE external_id = 'crm-4711'")
			if retried := a.do(http.MethodPost, path+"/retry", "").is(http.StatusAccepted); retried.json("status") != "provisioning" {
				t.Errorf("they are %s", retried.body)
			}
			a.do(http.MethodPost, path+"/resend", "").is(http.StatusConflict, "status_conflict")
		})
		step(t, "who deletes them, and thinks better of it", func(t *testing.T) {
			a := root.in(t)
			deleting := a.do(http.MethodDelete, path, "", header{"If-Match", a.tag(path)}).is(http.StatusAccepted)
			at, err := time.Parse(time.RFC3339, deleting.json("delete_after"))
			if err != nil || deleting.json("status") != "deleting" || time.Until(at) < deleteGrace-time.Hour || time.Until(at) > deleteGrace {
				t.Errorf("%v: they are %s", err, deleting.body)
			}
			a.do(http.MethodPatch, path, `{"display_name":"x"}`, header{"If-Match", deleting.header.Get("ETag")}).is(http.StatusConflict, "status_conflict")
			back := a.do(http.MethodPost, path+"/restore", "", header{"If-Match", deleting.header.Get("ETag")}).is(http.StatusOK)
			if back.json("delete_after") != "" || back.json("status") == "deleting" {
				t.Errorf("they are %s", back.body)
			}
		})
	})
}

func TestAnAdministratorResolvesAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	root := w.administrator(t)
	conflict := func(t *testing.T, email string) (path, tag string) {
		t.Helper()
		path, _ = root.in(t).make(`{"email":"` + email + `"}`)
		w.exec("UPDATE users SET status = 'conflict' WHERE id = '" + strings.TrimPrefix(path, "/admin/users/") + "'")
		return path, root.in(t).tag(path)
	}
	for action, status := range map[string]string{
		`{"action":"adopt","internal_id":"there-7"}`: "provisioning",
		`{"action":"retry"}`:                         "provisioning",
		`{"action":"delete"}`:                        "deleting",
	} {
		step(t, action, func(t *testing.T) {
			a := root.in(t)
			path, tag := conflict(t, strings.Map(func(r rune) rune {
				if r < 'a' || r > 'z' {
					return -1
				}
				return r
			}, action)+"@example.com")
			a.do(http.MethodPost, path+"/resolve", action, header{"If-Match", `"99"`}).is(http.StatusPreconditionFailed, "precondition_failed")
			a.do(http.MethodPost, path+"/resolve", action).is(http.StatusPreconditionRequired, "precondition_required")
			resolved := a.do(http.MethodPost, path+"/resolve", action, header{"If-Match", tag}).is(http.StatusOK)
			if resolved.json("status") != status {
				t.Errorf("they are %s", resolved.body)
			}
			a.do(http.MethodPost, path+"/resolve", action, header{"If-Match", resolved.header.Get("ETag")}).is(http.StatusConflict, "status_conflict")
		})
	}
	step(t, "in a way that there is not", func(t *testing.T) {
		a := root.in(t)
		path, tag := conflict(t, "odd@example.com")
		for body, pointer := range map[string]string{
			`{"action":"adopt"}`:                           "/internal_id",
			`{"action":"retry","internal_id":"there-7"}`:   "/internal_id",
			`{"action":"delete","internal_id":"there-7"}`:  "/internal_id",
			`{"action":"forget"}`:                          "/action",
			`{"action":"adopt","internal_id":"\u001bred"}`: "/internal_id",
		} {
			refused := a.do(http.MethodPost, path+"/resolve", body, header{"If-Match", tag}).is(http.StatusUnprocessableEntity, "invalid_fields")
			if !strings.Contains(refused.body, `"pointer":"`+pointer+`"`) {
				t.Errorf("%s: %s", body, refused.body)
			}
		}
		w.exec("UPDATE users SET internal_id = 'there-8', status = 'active' WHERE email = 'actionretry@example.com'")
		a.do(http.MethodPost, path+"/resolve", `{"action":"adopt","internal_id":"there-8"}`, header{"If-Match", tag}).is(http.StatusConflict, "internal_id_taken")
	})
}

func TestNobodyIsFoundWhoIsNotThere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		root := w.administrator(t)
		for _, id := range []string{
			"019b7f2f-0b11-7d0a-8a37-5f6e7d8c9b0a", "x", "%00", "019B7F2F-0B11-7D0A-8A37-5F6E7D8C9B0A", "'", "null", strings.Repeat("a", 2000), "%2e%2e",
			"{019b7f2f-0b11-7d0a-8a37-5f6e7d8c9b0a}",
		} {
			path := "/admin/users/" + id
			for _, r := range []struct{ method, path, body string }{
				{"GET", path, ""},
				{"PATCH", path, `{}`},
				{"DELETE", path, ""},
				{"POST", path + "/suspend", ""},
				{"POST", path + "/restore", ""},
				{"POST", path + "/resend", ""},
				{"POST", path + "/retry", ""},
				{"POST", path + "/resolve", `{"action":"retry"}`},
				{"GET", path + "/sessions", ""},
				{"DELETE", path + "/sessions", ""},
				{"DELETE", path + "/sessions/x", ""},
			} {
				root.in(t).do(r.method, r.path, r.body, header{"If-Match", `"1"`}).is(http.StatusNotFound, "user_not_found")
				root.in(t).do(r.method, r.path, r.body, header{"If-Match", `"1", "2"`}).is(http.StatusNotFound, "user_not_found")
			}
		}
	})
}

func TestAChangeNamesTheVersionThatItWasDecidedUpon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	root := w.administrator(t)
	path, _ := root.make(`{"email":"ada@example.com"}`)
	for _, test := range []struct {
		name    string
		headers []header
		status  int
		code    string
		says    string
	}{
		{"ASVS-15.4.2 none", nil, 428, "precondition_required", "Send the ETag"},
		{"ASVS-15.4.2 whatever there is", []header{{"If-Match", "*"}}, 428, "precondition_required", "If-Match: * would change whatever is there"},
		{"a weak one", []header{{"If-Match", `W/"1"`}}, 428, "precondition_required", "A weak tag does not tell versions apart"},
		{"a weak one among others", []header{{"If-Match", `"1", W/"2"`}}, 428, "precondition_required", "A weak tag"},
		{"one without quotes", []header{{"If-Match", "1"}}, 428, "precondition_required", "not a list of entity tags"},
		{"half a one", []header{{"If-Match", `"1`}}, 428, "precondition_required", "not a list of entity tags"},
		{"an empty one in a list", []header{{"If-Match", `"1",`}}, 428, "precondition_required", "not a list of entity tags"},
		{"another", []header{{"If-Match", `"99"`}}, 412, "precondition_failed", "Read the user again"},
		{"the one that would stand for any", []header{{"If-Match", `"0"`}}, 412, "precondition_failed", ""},
		{"less than none", []header{{"If-Match", `"-1"`}}, 412, "precondition_failed", ""},
		{"the right one in another spelling", []header{{"If-Match", `"01"`}}, 412, "precondition_failed", ""},
		{"somebody else's", []header{{"If-Match", `"abc"`}}, 412, "precondition_failed", ""},
		{"an empty tag", []header{{"If-Match", `""`}}, 412, "precondition_failed", ""},
		{"several others", []header{{"If-Match", `"98", "99"`}}, 412, "precondition_failed", ""},
		{"a number beyond all", []header{{"If-Match", `"9223372036854775808"`}}, 412, "precondition_failed", ""},
		{"several, of which one is right", []header{{"If-Match", `"98","abc" , CURRENT`}}, 200, "", ""},
		{"several headers", []header{{"If-Match", `"98"`}, {"If-Match", `CURRENT`}}, 200, "", ""},
	} {
		step(t, test.name, func(t *testing.T) {
			a := root.in(t)
			before := a.get(path).body
			for i := range test.headers {
				test.headers[i].value = strings.ReplaceAll(test.headers[i].value, "CURRENT", a.tag(path))
			}
			for method, target := range map[string]string{"PATCH": path, "DELETE": path, "POST": path + "/restore"} {
				if test.status == http.StatusOK && method != "PATCH" {
					continue
				}
				body := ""
				if method == "PATCH" {
					body = fmt.Sprintf(`{"display_name":"by %d"}`, len(test.name))
				}
				answered := a.do(method, target, body, test.headers...).is(test.status)
				if test.code != "" && answered.json("code") != test.code || !strings.Contains(answered.json("detail"), test.says) {
					t.Errorf("%s answered %s", method, answered.body)
				}
			}
			if after := a.get(path).body; (after == before) != (test.status != http.StatusOK) {
				t.Errorf("they were %s and are %s", before, after)
			}
		})
	}
}

func TestUsersAreFoundByEachFilter(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		w.clock.stop()
		root := w.administrator(t)
		for _, email := range []string{"a@one.example", "b@two.example", "c@two.example", "d@three.example"} {
			root.make(`{"email":"` + email + `","external_id":"x-` + email[:1] + `"}`)
			w.clock.advance(time.Hour)
		}
		w.exec("UPDATE users SET status = 'active', internal_id = 'i-b' WHERE external_id = 'x-b'")
		w.exec("UPDATE users SET status = 'active', internal_id = 'i-c', sync = 'failed', sync_error_class = 'rejected' WHERE external_id = 'x-c'")
		w.exec("UPDATE users SET status = 'conflict' WHERE external_id = 'x-d'")
		id := root.get("/admin/users?external_id=x-b").listed("id")[0]
		second := root.get("/admin/users?external_id=x-b").listed("created_at")[0]
		for _, test := range []struct{ query, want string }{
			{"", "x-d x-c x-b x-a"},
			{"status=active", "x-c x-b"},
			{"status=deleted", ""},
			{"sync=pending", "x-a"},
			{"sync=synced", "x-b"},
			{"sync=failed", "x-d x-c"},
			{"domain=TWO.example", "x-c x-b"},
			{"domain=wo.example", ""},
			{"created_after=" + second, "x-d x-c x-b"},
			{"created_before=" + second, "x-a"},
			{"created_after=" + second + "&created_before=2999-01-01T00:00:00%2B02:00", "x-d x-c x-b"},
			{"updated_after=" + second, "x-d x-c x-b"},
			{"updated_before=" + second, "x-a"},
			{"email=C%40TWO.example", "x-c"},
			{"email=none%40two.example", ""},
			{"external_id=x-a", "x-a"},
			{"external_id=X-A", ""},
			{"internal_id=i-b", "x-b"},
			{"id=" + id, "x-b"},
			{"status=active&sync=failed&domain=two.example", "x-c"},
			{"status=active&external_id=x-a", ""},
			{"external_id=%27+OR+%27%27%3D%27", ""},
			{"limit=2", "x-d x-c"},
			{"limit=200", "x-d x-c x-b x-a"},
		} {
			step(t, "ASVS-1.2.4 "+test.query, func(t *testing.T) {
				answered := root.in(t).get("/admin/users?" + test.query).is(http.StatusOK)
				if got := strings.Join(answered.listed("external_id"), " "); got != test.want {
					t.Errorf("found %q, not %q", got, test.want)
				}
				if more := answered.json("next_page_token") != ""; more != (test.query == "limit=2") {
					t.Errorf("there is more: %t", more)
				}
			})
		}
	})
}

func TestUsersAreReadPageByPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		w := newWorld(t, options{databaseURL: databaseURL})
		w.clock.stop() // many are made at the same time
		root := w.administrator(t)
		for i := range 23 {
			root.make(fmt.Sprintf(`{"email":"u%d@example.com"}`, i))
			if i%7 == 0 {
				w.clock.advance(time.Second)
			}
		}
		for _, filter := range []string{
			"", "&status=received", "&sync=pending", "&domain=example.com",
			"&updated_after=2000-01-01T00:00:00Z", "&created_before=2999-01-01T00:00:00Z",
		} {
			step(t, "with the filter "+filter, func(t *testing.T) {
				a := root.in(t)
				seen := make(map[string]bool)
				var times []string
				token, pages := "", 0
				for {
					page := a.get("/admin/users?limit=4" + filter + token).is(http.StatusOK)
					pages++
					for _, id := range page.listed("id") {
						if seen[id] {
							t.Errorf("%s is there twice", id)
						}
						seen[id] = true
					}
					times = append(times, page.listed("created_at")...)
					next := page.json("next_page_token")
					if next == "" {
						break
					}
					token = "&page_token=" + next
					if pages == 2 && filter == "" { // who comes meanwhile is on no later page
						w.clock.advance(time.Second)
						a.make(`{"email":"late@other.example"}`)
					}
				}
				if pages != 6 || len(seen) != 23+len(times)-len(seen) && len(seen) < 23 {
					t.Errorf("%d users on %d pages", len(seen), pages)
				}
				for i := 1; i < len(times); i++ {
					if times[i] > times[i-1] && len(times[i]) == len(times[i-1]) {
						t.Errorf("%s comes after %s", times[i], times[i-1])
					}
				}
				if filter == "" {
					w.exec("DELETE FROM users WHERE email = 'late@other.example'")
				}
			})
		}
	})
}

func TestAQueryThatIsNoneIsRefusedWithItsPointer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	root := w.administrator(t)
	for i := range 3 {
		root.make(fmt.Sprintf(`{"email":"u%d@example.com"}`, i))
	}
	good := root.get("/admin/users?limit=1&status=received").is(http.StatusOK).json("next_page_token")
	audited := root.get("/admin/audit?limit=1").is(http.StatusOK).json("next_page_token")
	flow := w.keys.Seal("flow", []byte("flow"))
	short := w.keys.Seal("page", []byte("short"))
	if good == "" || audited == "" {
		t.Fatal("there are no pages to go on with")
	}
	flipped := []byte(good)
	flipped[len(flipped)/2] ^= 1
	for _, test := range []struct{ path, pointer, code string }{
		{"/admin/users?limit=0", "?limit", "invalid_value"},
		{"/admin/users?limit=201", "?limit", "invalid_value"},
		{"/admin/users?limit=-1", "?limit", "invalid_value"},
		{"/admin/users?limit=1e1", "?limit", "invalid_value"},
		{"/admin/users?limit=%2B1", "?limit", "invalid_value"},
		{"/admin/users?limit=99999999999999999999", "?limit", "invalid_value"},
		{"/admin/users?limit=1&limit=2", "?limit", "repeated"},
		{"/admin/users?limit=", "?limit", "invalid_value"},
		{"/admin/users?status=Active", "?status", "invalid_value"},
		{"/admin/users?status=", "?status", "invalid_value"},
		{"/admin/users?status=active&status=active", "?status", "repeated"},
		{"/admin/users?sync=maybe", "?sync", "invalid_value"},
		{"/admin/users?domain=two+words", "?domain", "invalid_value"},
		{"/admin/users?domain=a%40example.com", "?domain", "invalid_value"},
		{"/admin/users?email=nobody", "?email", "invalid_value"},
		{"/admin/users?email=%00", "?email", "invalid_utf8"},
		{"/admin/users?external_id=%ff", "?external_id", "invalid_utf8"},
		{"/admin/users?external_id=" + strings.Repeat("x", 256), "?external_id", "invalid_value"},
		{"/admin/users?internal_id=" + strings.Repeat("x", 256), "?internal_id", "invalid_value"},
		{"/admin/users?id=7", "?id", "invalid_value"},
		{"/admin/users?id=019B7F2F-0B11-7D0A-8A37-5F6E7D8C9B0A", "?id", "invalid_value"},
		{"/admin/users?created_after=yesterday", "?created_after", "invalid_value"},
		{"/admin/users?created_after=2026-03-01", "?created_after", "invalid_value"},
		{"/admin/users?created_before=0001-01-01T00:00:00Z", "?created_before", "invalid_value"},
		{"/admin/users?created_after=2026-03-02T00:00:00Z&created_before=2026-03-01T00:00:00Z", "?created_after", "invalid_value"},
		{"/admin/users?created_after=2026-03-01T00:00:00Z&created_before=2026-03-01T00:00:00Z", "?created_after", "invalid_value"},
		{"/admin/users?updated_after=2026-03-02T00:00:00Z&updated_before=2026-03-01T00:00:00Z", "?updated_after", "invalid_value"},
		{"/admin/users?updated_before=1", "?updated_before", "invalid_value"},
		{"/admin/users?Status=active", "?Status", "unknown_name"},
		{"/admin/users?offset=10", "?offset", "unknown_name"},
		{"/admin/users?created_after[]=2026-03-01T00:00:00Z", "?created_after[]", "unknown_name"},
		{"/admin/users?" + url.QueryEscape("\x1b[31m\xff") + "=1", "??[31m?", "unknown_name"},
		{"/admin/users?page_token=", "?page_token", "invalid_value"},
		{"/admin/users?page_token=forged", "?page_token", "invalid_value"},
		{"/admin/users?status=received&page_token=" + string(flipped), "?page_token", "invalid_value"},
		{"/admin/users?status=received&page_token=" + good[:len(good)-4], "?page_token", "invalid_value"},
		{"/admin/users?page_token=" + good, "?page_token", "invalid_value"},
		{"/admin/users?status=active&page_token=" + good, "?page_token", "invalid_value"},
		{"/admin/users?status=received&sync=pending&page_token=" + good, "?page_token", "invalid_value"},
		{"/admin/users?page_token=" + audited, "?page_token", "invalid_value"},
		{"/admin/audit?page_token=" + good, "?page_token", "invalid_value"},
		{"/admin/audit?status=received&page_token=" + good, "?status", "unknown_name"},
		{"/admin/users?page_token=" + flow, "?page_token", "invalid_value"},
		{"/admin/users?page_token=" + short, "?page_token", "invalid_value"},
		{"/admin/audit?limit=201", "?limit", "invalid_value"},
		{"/admin/audit?user_id=ada", "?user_id", "invalid_value"},
		{"/admin/audit?actor=%ff", "?actor", "invalid_utf8"},
		{"/admin/audit?action=User%20Suspended", "?action", "invalid_value"},
		{"/admin/audit?outcome=good", "?outcome", "invalid_value"},
		{"/admin/audit?after=2026-03-02T00:00:00Z&before=2026-03-01T00:00:00Z", "?after", "invalid_value"},
		{"/admin/audit?before=now", "?before", "invalid_value"},
	} {
		step(t, "ASVS-2.2.1 ASVS-15.3.7 "+strings.ToValidUTF8(test.path[:min(len(test.path), 90)], ""), func(t *testing.T) {
			root.in(t).get(test.path).is(http.StatusBadRequest, "invalid_query").field(test.pointer, test.code)
		})
	}
	step(t, "a query that cannot be read at all", func(t *testing.T) {
		root.in(t).get("/admin/users?a=%zz").is(http.StatusBadRequest, "invalid_query")
		root.in(t).get("/admin/users?a=1;b=2").is(http.StatusBadRequest, "invalid_query")
	})
	step(t, "and the token is good for its own list, whatever the limit", func(t *testing.T) {
		for _, limit := range []string{"1", "2", "200"} {
			if got := root.in(t).get("/admin/users?status=received&limit=" + limit + "&page_token=" + good).is(http.StatusOK).listed("id"); len(got) == 0 {
				t.Error("the page is empty")
			}
		}
	})
}
