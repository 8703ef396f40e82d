package simulator_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// story tells what n creates met: each status, and what the ledger says. It
// takes no time, whatever the delays are.
func story(t *testing.T, h simulator.Hostility, n int) (told []string, struck map[string]bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim, err := simulator.New(simulator.Config{
			BaseURL: "http://localhost:8081", APIToken: apiToken, ClientID: clientID, ClientSecret: clientSecret,
			RegistrationRedirectURI: loginURI,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		if err := sim.BeHostile(h); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			told = append(told, strconv.Itoa(postAs(t.Context(), sim, fmt.Sprintf("u-%d", i))))
		}
		<-time.After(h.Lateness + simulator.DefaultLateness)
		synctest.Wait()
		struck = map[string]bool{}
		for _, e := range sim.Ledger().Entries {
			if _, name, ok := strings.Cut(strings.TrimPrefix(e.Cause, "hostility "), " "); ok {
				struck[name] = true
			}
			told = append(told, fmt.Sprintf("%s %s %s %s", e.Kind, e.ExternalID, e.Cause, e.Commit))
		}
	})
	return told, struck
}

func postAs(ctx context.Context, sim *simulator.Simulator, externalID string) (status int) {
	defer func() {
		if recover() == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
			status = 0
		}
	}()
	req := httptest.NewRequestWithContext(ctx, "POST", "/v1/manage/users", strings.NewReader(createBody(externalID, "ada@example.com")))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+apiToken)
	rec := httptest.NewRecorder()
	sim.ServeHTTP(rec, req)
	return rec.Code
}

func TestHostilityIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	h := simulator.Hostility{Seed: 42, Level: 0.5, Lateness: time.Second}
	once, struck := story(t, h, 300)
	again, _ := story(t, h, 300)
	if !slices.Equal(once[:300], again[:300]) {
		t.Error("the same seed gave other answers")
	}
	slices.Sort(once)
	slices.Sort(again) // late effects of the same instant may change places
	if !slices.Equal(once, again) {
		t.Error("the same seed gave other effects")
	}
	h.Seed++
	if other, _ := story(t, h, 300); slices.Equal(once[:300], other[:300]) {
		t.Error("another seed gave the same answers")
	}
	for _, name := range []string{
		"error_before", "error_late", "drop_before", "drop_late",
		"cut", "drip", "body_before", "body_late", "slow_before", "slow_after",
	} {
		if !struck[name] {
			t.Errorf("%s struck nobody in 300 calls; %v did", name, slices.Collect(maps.Keys(struck)))
		}
	}
}

func TestHostilityIsAsFrequentAsItsLevel(t *testing.T) {
	t.Parallel()
	for level, bounds := range map[float64][2]int{0: {0, 0}, 0.3: {80, 160}, 1: {400, 400}} {
		synctest.Test(t, func(t *testing.T) {
			sim := bubble(t, simulator.Effect{DelayMS: 1})
			sim.ClearFaults()
			defer sim.Close()
			if err := sim.BeHostile(simulator.Hostility{Seed: 3, Level: level}); err != nil {
				t.Fatal(err)
			}
			for range 400 {
				post(t.Context(), sim)
			}
			struck, total := reported(t, sim)
			sum := 0
			for name, n := range struck {
				sum += n
				if name == "unauthorized" {
					t.Error("the token was refused, and nobody asked for that")
				}
			}
			if total != 400 || sum < bounds[0] || sum > bounds[1] {
				t.Errorf("level %v: %d of %d calls were struck", level, sum, total)
			}
		})
	}
}

func reported(t *testing.T, sim *simulator.Simulator) (struck map[string]int, calls int) {
	t.Helper()
	rec := httptest.NewRecorder()
	sim.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/sim/hostility", http.NoBody))
	var report struct {
		Calls  int
		Struck map[string]int
	}
	decode(t, rec.Body.String(), &report)
	return report.Struck, report.Calls
}

func TestUnauthorizedIsThereForWhoAsks(t *testing.T) {
	t.Parallel()
	told, _ := story(t, simulator.Hostility{Seed: 1, Level: 1, Unauthorized: true, Lateness: time.Millisecond}, 500)
	if !slices.Contains(told, "401") || !slices.Contains(told, "403") {
		t.Error("no call was refused")
	}
	told, _ = story(t, simulator.Hostility{Seed: 1, Level: 1, Lateness: time.Millisecond}, 500)
	if slices.Contains(told, "401") || slices.Contains(told, "403") {
		t.Error("a call was refused")
	}
}

func TestHostilityKeepsToItsPaths(t *testing.T) {
	t.Parallel()
	tn := start(t)
	const discovery = "/v2/.well-known/openid-configuration"
	hostile := func(h simulator.Hostility) {
		t.Helper()
		h.Level, h.Lateness = 1, time.Millisecond
		if err := tn.BeHostile(h); err != nil {
			t.Fatal(err)
		}
	}
	hostile(simulator.Hostility{})
	for _, path := range []string{discovery, "/mailbox", "/sim/users"} {
		expectStatus(t, tn.sim("GET", path, ""), http.StatusOK)
	}
	if _, calls := reported(t, tn.Simulator); calls != 0 {
		t.Errorf("%d calls counted", calls)
	}
	hostile(simulator.Hostility{OIDC: true})
	if resp, err := tn.browser.Do(request(t, "GET", tn.url+discovery, "")); err == nil {
		resp.Body.Close()
	}
	if _, calls := reported(t, tn.Simulator); calls < 1 {
		t.Errorf("%d calls counted", calls)
	}
	hostile(simulator.Hostility{Quiet: func(method, _ string) bool { return method == "GET" }})
	expectStatus(t, tn.api("GET", "/v2/users?page_size=1", ""), http.StatusOK)
	tn.fault(`{"match":{"path":"/v1/*"},"fault":{"status":418},"times":1}`)
	expectStatus(t, tn.api("POST", "/v1/manage/users", createBody("u-1", "ada@example.com")), http.StatusTeapot)
}

func TestHostilityOverHTTP(t *testing.T) {
	t.Parallel()
	tn := start(t)
	expectJSON(t, tn.sim("GET", "/sim/hostility", "").body,
		`{"on":false,"seed":0,"level":0,"max_late_ms":0,"unauthorized":false,"oidc":false,"calls":0,"struck":{}}`)
	const on = `{"on":true,"seed":18446744073709551615,"level":0.5,"max_late_ms":30000,"unauthorized":true,"oidc":true,"calls":0,"struck":{}}`
	got := tn.sim("POST", "/sim/hostility", `{"seed":18446744073709551615,"level":0.5,"max_late_ms":30000,"unauthorized":true,"oidc":true}`)
	expectStatus(t, got, http.StatusOK)
	expectJSON(t, got.body, on)
	for _, body := range []string{
		`{"level":1.5}`, `{"level":-0.1}`, `{"level":1,"max_late_ms":-1}`, `{"level":1,"max_late_ms":600001}`,
		`{"level":1,"max_late_ms":9223372036854775807}`, `{"seed":-1}`, `{"lvl":1}`, ``,
	} {
		expectStatus(t, tn.sim("POST", "/sim/hostility", body), http.StatusBadRequest)
	}
	expectJSON(t, tn.sim("GET", "/sim/hostility", "").body, on)
	expectStatus(t, tn.sim("DELETE", "/sim/hostility", ""), http.StatusNoContent)
	expectStatus(t, tn.api("GET", "/v2/users", ""), http.StatusOK)
	expectStatus(t, tn.sim("POST", "/sim/hostility", `{"level":1}`), http.StatusOK)
	tn.Reset()
	expectStatus(t, tn.api("GET", "/v2/users", ""), http.StatusOK)
}
