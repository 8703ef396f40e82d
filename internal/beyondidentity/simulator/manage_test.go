package simulator_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// ciamUser is manage v1's documented answer.
const ciamUser = `{"internal_id":"*","external_id":"u-1","email":"ada@example.com","user_name":"u-1",
	"display_name":"Ada Lovelace","date_created":"2026-01-02T03:04:05Z","date_modified":"2026-01-02T03:04:05Z","status":"ACTIVE"}`

func fixed(c *simulator.Config) { c.Now = newClock().now }

func TestCreateAnswersInTheDocumentedShapeAndSendsTheMail(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	got := tn.api("POST", "/v1/manage/users", createBody("u-1", "ada@example.com"))
	expectStatus(t, got, http.StatusOK)
	expectJSON(t, got.body, ciamUser)

	users := tn.Users()
	if len(users) != 1 || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(users[0].InternalID) {
		t.Fatalf("users %+v", users)
	}
	expectJSON(t, tn.sim("GET", "/sim/users", "").body, `[{"external_id":"u-1","internal_id":"*","email":"ada@example.com",
		"user_name":"u-1","display_name":"Ada Lovelace","status":"ACTIVE","creates":1,"mails":1,"passkeys":0}]`)

	mailbox := tn.sim("GET", "/sim/mailbox?to=ADA@example.com", "")
	expectJSON(t, mailbox.body, `[{"id":"1","to":"ada@example.com","subject":"Register your passkey","text":"*","link":"*","sent_at":"2026-01-02T03:04:05Z"}]`)
	mail := tn.Mailbox("ada@example.com")[0]
	if !strings.HasPrefix(mail.Link, tn.url+"/enroll/") || !strings.Contains(mail.Text, mail.Link) {
		t.Fatalf("mail %+v", mail)
	}
	expectJSON(t, tn.sim("GET", "/sim/mailbox?to=other@example.com", "").body, `[]`)
}

func TestCreateAndRecoverAreWrappedWhereTheModeSaysSo(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed, func(c *simulator.Config) { c.Modes = simulator.DefaultModes(); c.Modes.Wrap = true })
	created := tn.api("POST", "/v1/manage/users", createBody("u-1", "ada@example.com"))
	expectJSON(t, created.body, `{"user":`+ciamUser+`}`)
	recovered := tn.api("POST", "/v1/manage/recover-user", `{"external_id":"u-1","binding_token_delivery_method":"email"}`)
	expectJSON(t, recovered.body, `{"user":`+ciamUser+`}`)
}

func TestManageRefuses(t *testing.T) {
	t.Parallel()
	tn := start(t)
	whole := createBody("u-1", "ada@example.com")
	for name, tc := range map[string]struct {
		path, body string
		status     int
	}{
		"a create without external_id":       {"users", strings.Replace(whole, `"external_id":"u-1",`, "", 1), 400},
		"a create without email":             {"users", strings.Replace(whole, `"email":"ada@example.com",`, "", 1), 400},
		"a create without user_name":         {"users", strings.Replace(whole, `"user_name":"u-1",`, "", 1), 400},
		"a create without display_name":      {"users", strings.Replace(whole, `"display_name":"Ada Lovelace",`, "", 1), 400},
		"a create without delivery method":   {"users", strings.Replace(whole, `,"binding_token_delivery_method":"email"`, "", 1), 400},
		"a delivery method other than email": {"users", strings.Replace(whole, `method":"email"`, `method":"return"`, 1), 400},
		"an address that is none":            {"users", createBody("u-1", "ada"), 400},
		"an address with a name":             {"users", createBody("u-1", "Ada <ada@example.com>"), 400},
		"a NUL in a field":                   {"users", createBody(`u\u0000`, "ada@example.com"), 400},
		"an empty field":                     {"users", createBody("", "ada@example.com"), 400},
		"a null field":                       {"users", strings.Replace(whole, `"display_name":"Ada Lovelace"`, `"display_name":null`, 1), 400},
		"a number for a field":               {"users", strings.Replace(whole, `"display_name":"Ada Lovelace"`, `"display_name":1`, 1), 400},
		"an unknown field":                   {"users", strings.Replace(whole, `{`, `{"realm":"x",`, 1), 400},
		"a doubled field":                    {"users", strings.Replace(whole, `{`, `{"email":"bob@example.com",`, 1), 400},
		"a differently-cased field":          {"users", strings.Replace(whole, `"email":"ada`, `"Email":"ada`, 1), 400},
		"trailing data":                      {"users", whole + `{}`, 400},
		"half a body":                        {"users", whole[:20], 400},
		"a body that is too large":           {"users", createBody("u-1", strings.Repeat("a", 70_000)), 413},
		"a recovery of nobody":               {"recover-user", `{"external_id":"u-2","binding_token_delivery_method":"email"}`, 404},
		"a recovery without external_id":     {"recover-user", `{"binding_token_delivery_method":"email"}`, 400},
		"a recovery by another method":       {"recover-user", `{"external_id":"u-1","binding_token_delivery_method":"sms"}`, 400},
		"an unknown method":                  {"groups", whole, 404},
	} {
		got := tn.api("POST", "/v1/manage/"+tc.path, tc.body)
		if got.status != tc.status {
			t.Errorf("%s: status %d, want %d", name, got.status, tc.status)
			continue
		}
		var e struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}
		decode(t, got.body, &e)
		if e.Message == "" {
			t.Errorf("%s: no message in %s", name, got.body)
		}
	}
	plain := request(t, "POST", tn.url+"/v1/manage/users", whole)
	plain.Header.Set("Authorization", "Bearer "+apiToken)
	plain.Header.Set("Content-Type", "text/plain")
	expectStatus(t, tn.do(plain), http.StatusBadRequest)

	if users := tn.Users(); len(users) != 0 {
		t.Fatalf("a refused call left %+v", users)
	}
	if mails := tn.Mailbox(""); len(mails) != 0 {
		t.Fatalf("a refused call sent %+v", mails)
	}
}

func TestManagementNeedsTheToken(t *testing.T) {
	t.Parallel()
	tn := start(t)
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer other", "Basic " + apiToken, apiToken} {
		for _, call := range [][2]string{{"POST", "/v1/manage/users"}, {"POST", "/v1/manage/recover-user"}, {"GET", "/v2/users"}, {"DELETE", "/v2/users/x"}} {
			req := request(t, call[0], tn.url+call[1], createBody("u-1", "ada@example.com"))
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			got := tn.do(req)
			expectStatus(t, got, http.StatusUnauthorized)
			if got.header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(got.body, `"message":"unauthorized"`) {
				t.Fatalf("%v %v", got.header, got.body)
			}
		}
	}
	if len(tn.Users()) != 0 {
		t.Fatal("a user was created without a token")
	}
}

func TestUniquenessDecidesWhichDuplicateIsAConflict(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		mode                                simulator.Uniqueness
		sameID, sameEmail, both, everything int
	}{
		{simulator.UniqueNone, 200, 200, 200, 4},
		{simulator.UniqueEmail, 200, 409, 409, 2},
		{simulator.UniqueExternalID, 409, 200, 409, 2},
		{simulator.UniqueBoth, 409, 409, 409, 1},
	} {
		t.Run(string(tc.mode), func(t *testing.T) {
			t.Parallel()
			tn := start(t, func(c *simulator.Config) { c.Modes.Uniqueness = tc.mode })
			tn.create("u-1", "ada@example.com")
			expectStatus(t, tn.api("POST", "/v1/manage/users", createBody("u-1", "bob@example.com")), tc.sameID)
			expectStatus(t, tn.api("POST", "/v1/manage/users", createBody("u-2", "ADA@example.com")), tc.sameEmail)
			expectStatus(t, tn.api("POST", "/v1/manage/users", createBody("u-1", "ada@example.com")), tc.both)
			if users, mails := tn.Users(), tn.Mailbox(""); len(users) != tc.everything || len(mails) != tc.everything {
				t.Fatalf("%d users, %d mails, want %d of each", len(users), len(mails), tc.everything)
			}
		})
	}
}

func TestADoubledCreateIsCountedForTheExternalID(t *testing.T) {
	t.Parallel()
	tn := start(t, func(c *simulator.Config) { c.Modes.Uniqueness = simulator.UniqueNone })
	first := tn.create("u-1", "ada@example.com")
	if second := tn.create("u-1", "ada@example.com"); first == second {
		t.Fatal("the second create made no second user")
	}
	for _, u := range tn.Users() {
		if u.Creates != 2 || u.Mails != 1 {
			t.Fatalf("user %+v", u)
		}
	}
}

func TestRecoverSendsTheMailAgainAndNamesTheUser(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	tn.create("u-1", "ada@example.com")
	got := tn.api("POST", "/v1/manage/recover-user", `{"external_id":"u-1","binding_token_delivery_method":"email"}`)
	expectStatus(t, got, http.StatusOK)
	expectJSON(t, got.body, ciamUser)
	mails := tn.Mailbox("ada@example.com")
	if len(mails) != 2 || mails[0].ID != "2" || mails[0].Link == mails[1].Link {
		t.Fatalf("mails %+v", mails)
	}
	if u := tn.Users()[0]; u.Creates != 1 || u.Mails != 2 {
		t.Fatalf("user %+v", u)
	}
}

func TestTheRateLimitCountsManagementCallsPerMinute(t *testing.T) {
	t.Parallel()
	c := newClock()
	tn := start(t, func(cfg *simulator.Config) {
		cfg.Now, cfg.Modes = c.now, simulator.DefaultModes()
		cfg.Modes.RatePerMinute = 2
	})
	limits := func(a answer) [3]string {
		return [3]string{a.header.Get("RateLimit-Limit"), a.header.Get("RateLimit-Remaining"), a.header.Get("RateLimit-Reset")}
	}
	expectLimits := func(a answer, status int, want [3]string) {
		t.Helper()
		expectStatus(t, a, status)
		if limits(a) != want {
			t.Fatalf("limits %v, want %v", limits(a), want)
		}
	}
	expectLimits(tn.api("POST", "/v1/manage/users", createBody("u-1", "ada@example.com")), 200, [3]string{"2", "1", "60"})
	c.advance(20 * time.Second)
	expectLimits(tn.api("GET", "/v2/users", ""), 200, [3]string{"2", "0", "40"})
	expectLimits(tn.api("POST", "/v1/manage/users", createBody("u-2", "bob@example.com")), 429, [3]string{"2", "0", "40"})
	if len(tn.Users()) != 1 {
		t.Fatal("a call over the limit was carried out")
	}
	c.advance(40 * time.Second)
	expectLimits(tn.api("POST", "/v1/manage/users", createBody("u-2", "bob@example.com")), 200, [3]string{"2", "1", "60"})
}
