package simulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// book is a ledger file.
type book struct {
	mu    sync.Mutex
	lines []simulator.Entry
	err   error
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var e simulator.Entry
	if err := json.Unmarshal(p, &e); err != nil || p[len(p)-1] != '\n' {
		return 0, fmt.Errorf("not one line of JSON: %q", p)
	}
	b.lines = append(b.lines, e)
	return len(p), b.err
}

func (b *book) last() simulator.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[len(b.lines)-1]
}

func kinds(entries []simulator.Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, string(e.Kind))
	}
	return strings.Join(all, " ")
}

func TestTheLedgerSaysWhatHappened(t *testing.T) {
	t.Parallel()
	b := &book{}
	tn := start(t, fixed, func(c *simulator.Config) { c.LedgerFile = b })
	id := tn.create("u-1", "ada@example.com")
	tn.enrol(tn.browser, "ada@example.com")
	expectStatus(t, tn.api("POST", "/v1/manage/users", createBody("u-1", "bob@example.com")), http.StatusConflict)
	recovering := `{"external_id":"u-1","binding_token_delivery_method":"email"}`
	expectStatus(t, tn.api("POST", "/v1/manage/recover-user", recovering), http.StatusOK)
	expectStatus(t, tn.api("PATCH", "/v2/users/"+id, `{"user":{"display_name":"Ada King"}}`), http.StatusOK)
	tn.fault(`{"match":{"method":"DELETE","path":"*"},"fault":{"status":500,"commit":"before"}}`)
	expectStatus(t, tn.api("DELETE", "/v2/users/"+id, ""), http.StatusInternalServerError)
	expectStatus(t, tn.api("POST", "/v1/manage/recover-user", recovering), http.StatusNotFound)
	if err := tn.SetStatus(id, simulator.StatusActive); err != nil {
		t.Fatal(err)
	}

	const want = "created mailed enrolled refused recovered mailed patched deleted refused patched"
	ledger := tn.Ledger()
	if got := kinds(ledger.Entries); got != want || kinds(b.lines) != want {
		t.Fatalf("the ledger says %s, the file %s", got, kinds(b.lines))
	}
	for i, e := range ledger.Entries {
		cause := map[int]string{7: "fault 1", 9: "control"}[i]
		if e.Seq != int64(i+1) || e.ExternalID != "u-1" || e.Cause != cause || e.Commit != simulator.AtOnce || e != b.lines[i] {
			t.Errorf("entry %d: %+v, in the file %+v", i, e, b.lines[i])
		}
		if refused := e.Kind == simulator.KindRefused; refused != (e.InternalID == "") || refused != (e.Reason != "") {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if ledger.Creates["u-1"] != 1 || ledger.Counts[simulator.KindMailed] != 2 || ledger.Counts[simulator.KindRefused] != 2 {
		t.Errorf("creates %v, counts %v", ledger.Creates, ledger.Counts)
	}
	tn.Reset()
	if got := tn.Ledger(); len(got.Entries)+len(got.Counts)+len(got.Creates) != 0 || b.last().Kind != simulator.KindReset {
		t.Errorf("after the reset: %+v, the file ends with %+v", got, b.last())
	}
	tn.create("u-1", "ada@example.com")
	if got := tn.Ledger().Entries; got[0].Seq != 12 || got[0].Seq != b.lines[11].Seq {
		t.Errorf("it goes on with %+v", got[0])
	}
}

func TestTheLedgerIsReadInParts(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed)
	tn.create("u-1", "ada@example.com")
	tn.create("u-2", "bob@example.com")
	const mailed = `{"seq":4,"time":"2026-01-02T03:04:05Z","kind":"mailed","external_id":"u-2","internal_id":"*","email":"bob@example.com","commit":"at once"}`
	expectJSON(t, tn.sim("GET", "/sim/ledger?after=3", "").body, `{"entries":[`+mailed+`],"counts":{"created":2,"mailed":2},"creates":{}}`)
	expectJSON(t, tn.sim("GET", "/sim/ledger?after=3&external_id=u-2", "").body, `{"entries":[`+mailed+`],"counts":{"created":2,"mailed":2},"creates":{}}`)
	for query, want := range map[string]string{
		"": "created mailed created mailed", "?after=2": "created mailed", "?after=4": "", "?after=99": "",
		"?external_id=u-1": "created mailed", "?external_id=nobody": "",
	} {
		var got simulator.Ledger
		decode(t, tn.sim("GET", "/sim/ledger"+query, "").body, &got)
		if kinds(got.Entries) != want || got.Entries == nil || got.Counts[simulator.KindCreated] != 2 {
			t.Errorf("%s: %+v", query, got)
		}
	}
	expectStatus(t, tn.sim("GET", "/sim/ledger?after=soon", ""), http.StatusBadRequest)
}

func TestALedgerThatCannotBeWrittenStopsNothing(t *testing.T) {
	t.Parallel()
	b := &book{err: errors.New("the disk is full")}
	tn := start(t, func(c *simulator.Config) { c.LedgerFile = b })
	tn.create("u-1", "ada@example.com")
	if got := kinds(tn.Ledger().Entries); got != "created mailed" {
		t.Errorf("the ledger says %s", got)
	}
}

func TestUsersAreFoundByExternalIDAndAddress(t *testing.T) {
	t.Parallel()
	tn := start(t)
	tn.create("u-1", "ada@example.com")
	tn.create("u-2", "ada@example.com")
	tn.create("u-3", "eve@example.com")
	for query, want := range map[string]int{
		"": 3, "?external_id=u-1": 1, "?email=ADA@example.com": 2, "?external_id=u-1&email=ada@example.com": 1,
		"?external_id=u-1&email=eve@example.com": 0, "?external_id=u-9": 0, "?email=bob@example.com": 0,
	} {
		var got []simulator.User
		decode(t, tn.sim("GET", "/sim/users"+query, "").body, &got)
		if len(got) != want || got == nil {
			t.Errorf("%s: %d users, want %d", query, len(got), want)
		}
	}
}

// BenchmarkCreate shows that a call costs the same whatever happened before.
func BenchmarkCreate(b *testing.B) {
	for _, before := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("after %d users", before), func(b *testing.B) {
			sim, err := simulator.New(simulator.Config{
				BaseURL: "http://localhost:8081", APIToken: apiToken, ClientID: clientID, ClientSecret: clientSecret,
				RegistrationRedirectURI: loginURI,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer sim.Close()
			for i := range before {
				postAs(b.Context(), sim, fmt.Sprintf("before-%d", i))
			}
			n := 0
			for b.Loop() {
				id := fmt.Sprintf("u-%d", n)
				n++
				if status := postAs(b.Context(), sim, id); status != http.StatusOK {
					b.Fatalf("status %d", status)
				}
				req := httptest.NewRequestWithContext(b.Context(), "GET", "/sim/ledger?external_id="+id, http.NoBody)
				sim.ServeHTTP(httptest.NewRecorder(), req)
			}
		})
	}
}
