package simulator_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

func (tn *tenant) fault(body string) {
	tn.t.Helper()
	expectStatus(tn.t, tn.sim("POST", "/sim/faults", body), http.StatusCreated)
}

func TestAFaultyAnswerAndTheEffectBehindIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  string
		status int
		body   string
		users  int
	}{
		"a failure without commit does nothing":     {`{"status":503}`, 503, "", 0},
		"a failure after the effect":                {`{"status":503,"commit":"before"}`, 503, "", 1},
		"a failure after effect and delay":          {`{"status":504,"commit":"after","delay_ms":1}`, 504, "", 1},
		"a failure that never commits":              {`{"status":500,"commit":"never","body":{"code":"x"}}`, 500, `{"code":"x"}`, 0},
		"a success that never happened":             {`{"status":200,"commit":"never","body":{"ok":true}}`, 200, `{"ok":true}`, 0},
		"a success with a body that is no JSON":     {`{"status":200,"body":"<html>"}`, 200, `<html>`, 1},
		"a success without an id":                   {`{"body":{"external_id":"u-1"}}`, 200, `{"external_id":"u-1"}`, 1},
		"a success with an empty body":              {`{"status":200}`, 200, ``, 1},
		"a failure with the body of another vendor": {`{"status":429,"body":"slow down","headers":{"Retry-After":"7"}}`, 429, "slow down", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tn := start(t)
			tn.fault(`{"match":{"method":"POST","path":"/v1/manage/users"},"fault":` + tc.fault + `,"times":1}`)
			got := tn.api("POST", "/v1/manage/users", createBody("u-1", "ada@example.com"))
			if got.status != tc.status || got.body != tc.body {
				t.Errorf("status %d, body %q", got.status, got.body)
			}
			if strings.Contains(tc.fault, "Retry-After") && got.header.Get("Retry-After") != "7" {
				t.Errorf("headers %v", got.header)
			}
			if users := len(tn.Users()); users != tc.users {
				t.Errorf("%d users, want %d", users, tc.users)
			}
			expectStatus(t, tn.api("POST", "/v1/manage/users", createBody("u-2", "bob@example.com")), http.StatusOK)
		})
	}
}

func TestADroppedConnection(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault string
		users int
	}{
		"before the effect": {`{"drop":true}`, 0},
		"after the effect":  {`{"drop":true,"commit":"before"}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tn := start(t)
			tn.fault(`{"match":{"path":"/v1/*"},"fault":` + tc.fault + `,"times":1}`)
			req := request(t, "POST", tn.url+"/v1/manage/users", createBody("u-1", "ada@example.com"))
			req.Header.Set("Authorization", "Bearer "+apiToken)
			if resp, err := tn.browser.Do(req); err == nil {
				resp.Body.Close()
				t.Fatalf("status %d", resp.StatusCode)
			}
			if users := len(tn.Users()); users != tc.users {
				t.Errorf("%d users, want %d", users, tc.users)
			}
			if calls := tn.Requests(); len(calls) != 1 || calls[0].Status != 0 {
				t.Errorf("requests %+v", calls)
			}
		})
	}
}

func TestFaultsMatchCountAndEnd(t *testing.T) {
	t.Parallel()
	tn := start(t)
	list := func() int { return tn.api("GET", "/v2/users?page_size=1", "").status }
	tn.fault(`{"match":{"method":"POST","path":"/v2/users"},"fault":{"status":500}}`)
	tn.fault(`{"match":{"method":"GET","path":"/v2/us*"},"fault":{"status":502},"times":2}`)
	tn.fault(`{"match":{"path":"*"},"fault":{"status":503},"times":1,"probability":1}`)
	for i, want := range []int{502, 502, 503, 200} {
		if got := list(); got != want {
			t.Fatalf("call %d: status %d, want %d", i, got, want)
		}
	}
	var faults []simulator.Fault
	decode(t, tn.sim("GET", "/sim/faults", "").body, &faults)
	if len(faults) != 3 || faults[0].Hits != 0 || faults[1].Hits != 2 || faults[2].Hits != 1 || faults[0].ID == faults[1].ID {
		t.Fatalf("faults %+v", faults)
	}
	expectStatus(t, tn.api("POST", "/v2/users", `{}`), http.StatusInternalServerError)
	expectStatus(t, tn.sim("DELETE", "/sim/faults", ""), http.StatusNoContent)
	expectStatus(t, tn.api("POST", "/v2/users", `{}`), http.StatusBadRequest)
	expectJSON(t, tn.sim("GET", "/sim/faults", "").body, `[]`)
}

func TestFaultsMeetTheProviderButNotTheControls(t *testing.T) {
	t.Parallel()
	rp := enrolled(t)
	rp.fault(`{"match":{"path":"*"},"fault":{"status":500}}`)
	for _, path := range []string{"/v2/.well-known/openid-configuration", "/v2/authorize", "/v2/userinfo", "/v2/nowhere"} {
		expectStatus(t, rp.sim("GET", path, ""), http.StatusInternalServerError)
	}
	for _, path := range []string{"/sim/users", "/sim/requests", "/mailbox", "/"} {
		expectStatus(t, rp.sim("GET", path, ""), http.StatusOK)
	}
}

func TestFaultsThatCannotActAreRefused(t *testing.T) {
	t.Parallel()
	tn := start(t)
	match := `"match":{"path":"/v1/*"}`
	for name, body := range map[string]string{
		"no JSON":                   `{`,
		"an unknown field":          `{` + match + `,"fault":{"status":500},"sometimes":1}`,
		"no path":                   `{"fault":{"status":500}}`,
		"a path of the controls":    `{"match":{"path":"/sim/users"},"fault":{"status":500}}`,
		"a star in the middle":      `{"match":{"path":"/v1/*/users"},"fault":{"status":500}}`,
		"a method in small letters": `{"match":{"path":"/v1/*","method":"post"},"fault":{"status":500}}`,
		"no effect":                 `{` + match + `,"fault":{}}`,
		"an unknown commit":         `{` + match + `,"fault":{"status":500,"commit":"maybe"}}`,
		"never without an answer":   `{` + match + `,"fault":{"delay_ms":5,"commit":"never"}}`,
		"late without an answer":    `{` + match + `,"fault":{"delay_ms":5,"commit":"late"}}`,
		"a status of 100":           `{` + match + `,"fault":{"status":100}}`,
		"a status of 600":           `{` + match + `,"fault":{"status":600}}`,
		"a negative delay":          `{` + match + `,"fault":{"delay_ms":-1}}`,
		"an endless delay":          `{` + match + `,"fault":{"delay_ms":100000000}}`,
		"a drop with a status":      `{` + match + `,"fault":{"drop":true,"status":500}}`,
		"a header with a newline":   `{` + match + `,"fault":{"status":500,"headers":{"A":"b\r\nc"}}}`,
		"negative times":            `{` + match + `,"fault":{"status":500},"times":-1}`,
		"a probability of 2":        `{` + match + `,"fault":{"status":500},"probability":2}`,
	} {
		got := tn.sim("POST", "/sim/faults", body)
		var e struct{ Error string }
		if got.status != http.StatusBadRequest || json.Unmarshal([]byte(got.body), &e) != nil || e.Error == "" {
			t.Errorf("%s: status %d, body %s", name, got.status, got.body)
		}
	}
	if faults := tn.Faults(); len(faults) != 0 {
		t.Fatalf("faults %+v", faults)
	}
}

// bubble makes a simulator without a network, for tests of time.
func bubble(t *testing.T, e simulator.Effect) *simulator.Simulator {
	t.Helper()
	sim, err := simulator.New(simulator.Config{
		BaseURL: "http://localhost:8081", APIToken: apiToken, ClientID: clientID, ClientSecret: clientSecret,
		RegistrationRedirectURI: loginURI,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "/v1/*"}, Effect: e}); err != nil {
		t.Fatal(err)
	}
	return sim
}

// post makes one create; a connection closed without an answer is status 0.
func post(ctx context.Context, sim *simulator.Simulator) (status int) {
	defer func() {
		if recover() == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
			status = 0
		}
	}()
	req := httptest.NewRequestWithContext(ctx, "POST", "/v1/manage/users", strings.NewReader(createBody("u-1", "ada@example.com")))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+apiToken)
	rec := httptest.NewRecorder()
	sim.ServeHTTP(rec, req)
	return rec.Code
}

const delay = 5000 // ms

func TestALateEffectComesAfterTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := bubble(t, simulator.Effect{Status: 504, DelayMS: delay, Commit: simulator.CommitLate})
		defer sim.Close()
		began := time.Now()
		if status := post(t.Context(), sim); status != 504 || time.Since(began) != 0 || len(sim.Users()) != 0 {
			t.Fatalf("status %d after %v, %d users", status, time.Since(began), len(sim.Users()))
		}
		<-time.After(delay*time.Millisecond - 1)
		synctest.Wait()
		if len(sim.Users()) != 0 {
			t.Fatal("the effect came early")
		}
		<-time.After(1)
		synctest.Wait()
		if users := sim.Users(); len(users) != 1 || users[0].Mails != 1 {
			t.Fatalf("users %+v", users)
		}
	})
}

func TestResetAndCloseCancelLateEffects(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*simulator.Simulator){
		"reset": (*simulator.Simulator).Reset,
		"close": (*simulator.Simulator).Close,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := bubble(t, simulator.Effect{Drop: true, DelayMS: delay, Commit: simulator.CommitLate})
				defer sim.Close()
				if status := post(t.Context(), sim); status != 0 {
					t.Fatalf("status %d", status)
				}
				end(sim)
				<-time.After(2 * delay * time.Millisecond)
				synctest.Wait()
				if users := sim.Users(); len(users) != 0 {
					t.Fatalf("users %+v", users)
				}
			})
		})
	}
}

func TestAnEffectAfterTheDelayComesEvenIfTheClientHasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := bubble(t, simulator.Effect{DelayMS: delay, Commit: simulator.CommitAfter})
		defer sim.Close()
		ctx, cancel := context.WithTimeout(t.Context(), delay*time.Millisecond/2)
		defer cancel()
		go post(ctx, sim)
		<-time.After(delay*time.Millisecond - 1)
		synctest.Wait()
		if ctx.Err() == nil || len(sim.Users()) != 0 {
			t.Fatalf("%v, %d users", ctx.Err(), len(sim.Users()))
		}
		<-time.After(1)
		synctest.Wait()
		if len(sim.Users()) != 1 {
			t.Fatal("the effect did not come")
		}
	})
}

func TestADelayKeepsTheTrueAnswerBackAndEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := bubble(t, simulator.Effect{DelayMS: delay})
		defer sim.Close()
		began := time.Now()
		if status := post(t.Context(), sim); status != 200 || time.Since(began) != delay*time.Millisecond {
			t.Fatalf("status %d after %v", status, time.Since(began))
		}
		sim.Reset()
		if _, err := sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "*"}, Effect: simulator.Effect{DelayMS: delay}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began = time.Now()
		if status := post(ctx, sim); status != 0 || time.Since(began) != time.Millisecond || len(sim.Users()) != 1 {
			t.Fatalf("status %d after %v, %d users", status, time.Since(began), len(sim.Users()))
		}
		if calls := sim.Requests(); len(calls) != 1 || calls[0].Status != 0 {
			t.Fatalf("requests %+v", calls)
		}
	})
}
