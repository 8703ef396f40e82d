package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

func TestADriftIsMadeBehindEveryonesBack(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	id := tn.create("u-1", "ada@example.com")
	tn.create("u-2", "bob@example.com")
	drift := func(body string, want int) {
		t.Helper()
		expectStatus(t, tn.sim("PATCH", "/sim/users/"+id, body), want)
	}
	drift(`{"status":"SUSPENDED","display_name":"","email":"not an address","external_id":"u-2","user_name":"x"}`, http.StatusNoContent)
	expectJSON(t, tn.api("GET", "/v2/users/"+id, "").body, `{"id":"`+id+`","external_id":"u-2","email_address":"not an address",
		"username":"x","display_name":"","state":"SUSPENDED","create_time":"2026-01-02T03:04:05.000Z",
		"update_time":"2026-01-02T03:04:05.000Z","tenant_id":"simulator","source":"api","has_active_passkey":false}`)
	if got := len(tn.Requests()); got != 3 {
		t.Errorf("%d calls: a drift is none", got)
	}
	expectJSON(t, tn.sim("GET", "/sim/ledger?after=4", "").body, `{"entries":[{"seq":5,"time":"2026-01-02T03:04:05Z","kind":"patched",
		"external_id":"u-2","internal_id":"`+id+`","email":"not an address","status":"SUSPENDED","cause":"control","commit":"at once"}],
		"counts":{"created":2,"mailed":2,"patched":1},"creates":{}}`)

	drift(`{"status":"DELETED"}`, http.StatusNoContent)
	expectStatus(t, tn.api("GET", "/v2/users/"+id, ""), http.StatusNotFound)
	drift(`{"status":"ACTIVE"}`, http.StatusNoContent)
	expectStatus(t, tn.api("GET", "/v2/users/"+id, ""), http.StatusOK)
	if got := kinds(tn.Ledger().Entries[4:]); got != "patched deleted patched" {
		t.Errorf("the ledger says %s", got)
	}
}

func TestADriftThatIsNone(t *testing.T) {
	t.Parallel()
	tn := start(t)
	id := tn.create("u-1", "ada@example.com")
	for body, want := range map[string]string{
		`{}`: "needs a status", `{"status":"GONE"}`: "status must be", `{"nickname":"x"}`: "nickname",
		`{"email":"` + strings.Repeat("x", 513) + `"}`: "at most 512 bytes", `[]`: "invalid request body",
	} {
		got := tn.sim("PATCH", "/sim/users/"+id, body)
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	expectStatus(t, tn.sim("PATCH", "/sim/users/nobody", `{"status":"ACTIVE"}`), http.StatusNotFound)
	if err := tn.Drift("nobody", simulator.Drift{Email: new("x")}); !errors.Is(err, simulator.ErrNoSuchUser) {
		t.Error(err)
	}
}

// TestPagesShowWhoIsThereInOrder holds the pages of the list, which come from an
// index of the living, against all users that there are.
func TestPagesShowWhoIsThereInOrder(t *testing.T) {
	t.Parallel()
	tn := start(t)
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec,forbidigo // the same each time
	statuses := []string{simulator.StatusActive, simulator.StatusSuspended, simulator.StatusDeleted}
	var ids []string
	for i := range 150 {
		if len(ids) < 10 || chance.IntN(3) == 0 {
			ids = append(ids, tn.create("u-"+strconv.Itoa(i), fmt.Sprintf("u%d@example.com", i)))
		}
		if err := tn.Drift(ids[chance.IntN(len(ids))], simulator.Drift{Status: new(statuses[chance.IntN(3)])}); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, u := range tn.Users() {
			if u.Status != simulator.StatusDeleted {
				want = append(want, u.InternalID)
			}
		}
		if got := tn.walk(7); !slices.Equal(got, want) {
			t.Fatalf("after %d changes: %v, want %v", i, got, want)
		}
	}
}

// walk pages through all users.
func (tn *tenant) walk(size int) (ids []string) {
	tn.t.Helper()
	for {
		var page struct {
			Users []struct {
				ID string `json:"id"`
			} `json:"users"`
			Total int `json:"total_size"`
		}
		decode(tn.t, tn.api("GET", fmt.Sprintf("/v2/users?page_size=%d&skip=%d", size, len(ids)), "").body, &page)
		for _, u := range page.Users {
			ids = append(ids, u.ID)
		}
		if len(page.Users) == 0 {
			if len(ids) != page.Total {
				tn.t.Errorf("%d users of %d", len(ids), page.Total)
			}
			return ids
		}
	}
}

// TestChangesMeetFaultsAsCreatesDo goes through every fate of a change's effect.
func TestChangesMeetFaultsAsCreatesDo(t *testing.T) {
	t.Parallel()
	fates := []struct {
		name, fault string
		answered    int // zero for no answer
		now, later  bool
	}{
		{"done, and an error", `{"status":500,"commit":"before"}`, 500, true, true},
		{"done, and no answer", `{"drop":true,"commit":"before"}`, 0, true, true},
		{"not done, and an error", `{"status":503}`, 503, false, false},
		{"not done, and no answer", `{"drop":true}`, 0, false, false},
		{"not done, and a success", `{"status":200,"commit":"never"}`, 200, false, false},
		{"done later, and an error", `{"status":504,"commit":"late","delay_ms":100}`, 504, false, true},
		{"done later, and no answer", `{"drop":true,"commit":"late","delay_ms":100}`, 0, false, true},
		{"done after a delay", `{"delay_ms":50,"commit":"after"}`, 200, true, true},
	}
	for _, fate := range fates {
		for _, method := range []string{"PATCH", "DELETE"} {
			t.Run(fate.name+", "+method, func(t *testing.T) {
				t.Parallel()
				tn := start(t)
				id := tn.create("u-1", "ada@example.com")
				tn.fault(`{"match":{"method":"` + method + `","path":"/v2/users/*"},"fault":` + fate.fault + `,"times":1}`)
				if got := tn.change(method, id); got != fate.answered {
					t.Errorf("answered %d, want %d", got, fate.answered)
				}
				if fate.later == fate.now && tn.changed(method) != fate.now {
					t.Errorf("done: %t", tn.changed(method))
				}
				if fate.later {
					await.True(t, "the effect", func() bool { return tn.changed(method) })
				}
			})
		}
	}
}

// change renames or deletes a user and gives the answer's status.
func (tn *tenant) change(method, id string) int {
	tn.t.Helper()
	body := map[string]string{"PATCH": `{"user":{"display_name":"Countess"}}`}[method]
	req := request(tn.t, method, tn.url+"/v2/users/"+id, body)
	req.Header.Set("Authorization", "Bearer "+apiToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := tn.browser.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// changed reports whether the ledger has the change, and says what it should.
func (tn *tenant) changed(method string) bool {
	tn.t.Helper()
	kind := map[string]simulator.Kind{"PATCH": simulator.KindPatched, "DELETE": simulator.KindDeleted}[method]
	for _, e := range tn.Ledger().Entries {
		if e.Kind == kind {
			if method == "PATCH" && e.DisplayName != "Countess" || method == "DELETE" && e.Status != simulator.StatusDeleted {
				tn.t.Errorf("the ledger says %+v", e)
			}
			return true
		}
	}
	return false
}

// TestALateChangeOverwritesANewerOne is the case that no answer shows.
func TestALateChangeOverwritesANewerOne(t *testing.T) {
	t.Parallel()
	tn := start(t)
	id := tn.create("u-1", "ada@example.com")
	tn.fault(`{"match":{"method":"PATCH","path":"/v2/users/*"},"fault":{"status":504,"commit":"late","delay_ms":100},"times":1}`)
	expectStatus(t, tn.api("PATCH", "/v2/users/"+id, `{"user":{"display_name":"Old"}}`), http.StatusGatewayTimeout)
	expectStatus(t, tn.api("PATCH", "/v2/users/"+id, `{"user":{"display_name":"New"}}`), http.StatusOK)
	await.True(t, "the old name", func() bool { return tn.Users()[0].DisplayName == "Old" })
	entries := tn.Ledger().Entries[2:]
	if kinds(entries) != "patched patched" || entries[0].DisplayName != "New" || entries[1].DisplayName != "Old" ||
		entries[1].Commit != simulator.Late || entries[1].Cause != "fault 1" {
		t.Errorf("the ledger says %+v", entries)
	}
}

func TestALateChangeNeedsNoTokenThatStillLives(t *testing.T) {
	t.Parallel()
	tn := start(t)
	id := tn.create("u-1", "ada@example.com")
	form := request(t, "POST", tn.url+"/v2/oauth2/token", "grant_type=client_credentials&client_id=client&client_secret=secret%2Fwith%2Bsigns")
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	decode(t, tn.do(form).body, &token)
	tn.fault(`{"match":{"method":"PATCH","path":"/v2/users/*"},"fault":{"status":504,"commit":"late","delay_ms":100}}`)
	for token, want := range map[string]string{token.AccessToken: "Let in", "forged": "Not let in"} {
		req := request(t, "PATCH", tn.url+"/v2/users/"+id, `{"user":{"display_name":"`+want+`"}}`)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		tn.do(req)
	}
	tn.RevokeTokens()
	await.True(t, "the late change", func() bool { return tn.Users()[0].DisplayName == "Let in" })
	tn.Close()
	if got := tn.Users()[0].DisplayName; got != "Let in" {
		t.Errorf("changed to %q", got)
	}
}

func TestWhatIsChangedInVainIsInTheLedger(t *testing.T) {
	t.Parallel()
	tn := start(t)
	for _, method := range []string{"PATCH", "DELETE"} {
		if got := tn.change(method, "nobody"); got != http.StatusNotFound {
			t.Errorf("%s: HTTP %d", method, got)
		}
	}
	entries := tn.Ledger().Entries
	if kinds(entries) != "refused refused" || entries[0].InternalID != "nobody" || entries[1].Reason != "no such user" {
		t.Errorf("the ledger says %+v", entries)
	}
}

// BenchmarkList shows what a page of 1,000 costs among 100,000 users, wherever
// it is, what the look-ups cost there, and what the controls do.
func BenchmarkList(b *testing.B) {
	sim, err := simulator.New(simulator.Config{
		BaseURL: "http://localhost:8081", APIToken: apiToken, ClientID: clientID, ClientSecret: clientSecret,
		RegistrationRedirectURI: loginURI, Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer sim.Close()
	for i := range 100_000 {
		id := "u-" + strconv.Itoa(i)
		if got := callAs(b.Context(), sim, "POST", "/v1/manage/users", createBody(id, id+"@example.com")); got.Code != http.StatusOK {
			b.Fatalf("HTTP %d", got.Code)
		}
	}
	id := sim.Users()[77_777].InternalID
	for name, path := range map[string]string{
		"the first page":        "/v2/users?page_size=1000",
		"the last page":         "/v2/users?page_size=1000&skip=99000",
		"by external_id":        "/v2/users?page_size=10&filter=external_id+eq+%22u-77777%22",
		"by id":                 "/v2/users?page_size=10&filter=id+eq+%22" + id + "%22",
		"by email_address":      "/v2/users?page_size=10&filter=email_address+eq+%22u-77777%40example.com%22",
		"by display_name":       "/v2/users?page_size=10&filter=display_name+eq+%22nobody%22",
		"all users, by control": "/sim/users",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				got := callAs(b.Context(), sim, "GET", path, "")
				if got.Code != http.StatusOK {
					b.Fatalf("HTTP %d", got.Code)
				}
				b.ReportMetric(float64(got.Body.Len()), "B/answer")
			}
		})
	}
}

// callAs makes a management call without a network.
func callAs(ctx context.Context, sim *simulator.Simulator, method, target, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+apiToken)
	rec := httptest.NewRecorder()
	sim.ServeHTTP(rec, req)
	return rec
}
