package simulator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// bare makes one create over a connection of its own, and returns every byte
// that came back before it ended, and how it ended.
func (tn *tenant) bare(externalID string) ([]byte, error) {
	tn.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(tn.url, "http://"))
	if err != nil {
		tn.t.Fatal(err)
	}
	defer conn.Close()
	body := createBody(externalID, "ada@example.com")
	_, err = io.WriteString(conn, "POST /v1/manage/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer "+apiToken+"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
	if err != nil {
		tn.t.Fatal(err)
	}
	var got bytes.Buffer
	_, err = io.Copy(&got, conn)
	return got.Bytes(), err
}

const onCreate = `"match":{"method":"POST","path":"/v1/manage/users"}`

func TestAConnectionEndsAfterAsManyBytesAsItWasTold(t *testing.T) {
	t.Parallel()
	tn := start(t, fixed) // or the times' fractions would be of several lengths
	tn.fault(`{` + onCreate + `,"fault":{"drop_after":100000},"times":1}`)
	whole, err := tn.bare("u-whole")
	if err != nil || !bytes.HasPrefix(whole, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(whole, []byte(`"status":"ACTIVE"}`)) {
		t.Fatalf("%v, got %q", err, whole)
	}
	for after := range whole {
		tn.fault(`{` + onCreate + `,"fault":{"drop_after":` + strconv.Itoa(after) + `},"times":1}`)
		if got, err := tn.bare(fmt.Sprintf("u-%05d", after)); err != nil || len(got) != after {
			t.Fatalf("told %d bytes, got %d, %v", after, len(got), err)
		}
	}
	if users := len(tn.Users()); users != len(whole)+1 {
		t.Errorf("%d users: a cut answer is of an effect that happened", users)
	}
	calls := tn.Requests()
	if calls[0].Status != 200 || calls[1].Status != 0 || calls[len(calls)-1].Status != 0 {
		t.Errorf("the record says %d, %d … %d", calls[0].Status, calls[1].Status, calls[len(calls)-1].Status)
	}
}

func TestAResetIsOne(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{
		`{"drop":true,"reset":true}`, `{"drop_after":30,"reset":true}`,
		`{"drop_after":0,"reset":true,"commit":"late","delay_ms":600000}`,
	} {
		tn := start(t)
		tn.fault(`{` + onCreate + `,"fault":` + fault + `}`)
		if got, err := tn.bare("u-1"); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: got %q, %v", fault, got, err)
		}
	}
}

func TestAnAnswerDripsToItsEnd(t *testing.T) {
	t.Parallel()
	tn := start(t)
	tn.fault(`{` + onCreate + `,"fault":{"drip_ms":1,"drip_bytes":7}}`)
	tn.fault(`{"match":{"path":"/v2/users"},"fault":{"status":429,"drip_ms":1,"drip_bytes":1,"drop_after":20}}`)
	if id := tn.create("u-1", "ada@example.com"); id == "" {
		t.Error("no user came out")
	}
	if resp, err := tn.browser.Do(request(t, "GET", tn.url+"/v2/users", "")); err == nil {
		resp.Body.Close()
		t.Error("a cut answer came out whole")
	}
}

func TestClosingEndsADrip(t *testing.T) {
	t.Parallel()
	tn := start(t)
	tn.fault(`{` + onCreate + `,"fault":{"drip_ms":600000}}`)
	done := make(chan []byte)
	go func() {
		got, _ := tn.bare("u-1")
		done <- got
	}()
	for len(tn.Requests()) == 0 {
		select {
		case got := <-done:
			t.Fatalf("it ended by itself: %q", got)
		case <-time.After(time.Millisecond):
		}
	}
	tn.Close()
	if got := <-done; len(got) > 64 {
		t.Errorf("%d bytes came out", len(got))
	}
}

func TestBodiesThatAreNoSuccess(t *testing.T) {
	t.Parallel()
	tn := start(t)
	tn.create("u-0", "ada@example.com")
	paths := map[string]func(string) answer{
		"create": func(id string) answer {
			return tn.api("POST", "/v1/manage/users", createBody(id, "ada@example.com"))
		},
		"recover": func(string) answer {
			return tn.api("POST", "/v1/manage/recover-user", `{"external_id":"u-0","binding_token_delivery_method":"email"}`)
		},
		"list":         func(string) answer { return tn.list(`external_id eq "u-0"`, 10) },
		"empty list":   func(string) answer { return tn.list(`external_id eq "nobody"`, 10) },
		"create in v2": func(id string) answer { return tn.api("POST", "/v2/users", userV2(id)) },
	}
	for i, kind := range simulator.BodyKinds() {
		for name, call := range paths {
			for _, commit := range []simulator.Commit{simulator.CommitBefore, simulator.CommitNever} {
				tn.ClearFaults()
				if _, err := tn.AddFault(simulator.Fault{
					Match: simulator.Match{Path: "*"}, Effect: simulator.Effect{Status: 200, BodyKind: kind, Commit: commit},
				}); err != nil {
					t.Fatal(err)
				}
				got := call("u-" + string(commit) + name + strconv.Itoa(i))
				if got.status != http.StatusOK {
					t.Errorf("%s, %s: status %d", kind, name, got.status)
				}
				if why := fineUser(got); why != "" {
					t.Errorf("%s, %s, commit %s: %s: %s", kind, name, commit, why, got.body[:min(300, len(got.body))])
				}
			}
		}
	}
}

func userV2(id string) string {
	return `{"user":{"external_id":"` + id + `","email_address":"a@example.com","username":"a","display_name":"A"}}`
}

// fineUser says why an answer looks like a success about one of our users.
func fineUser(a answer) string {
	var got struct {
		ExternalID string `json:"external_id"`
		User       struct {
			ExternalID string `json:"external_id"`
		}
		Users []struct {
			ExternalID string `json:"external_id"`
		}
	}
	isJSON := a.header.Get("Content-Type") == "application/json" && a.header.Get("Content-Encoding") == "" && len(a.body) < 1<<20
	if !isJSON || json.Unmarshal([]byte(a.body), &got) != nil || strings.Contains(a.body, "\xff") || strings.Count(a.body, "internal_id") > 1 {
		return ""
	}
	if len(got.Users) > 0 {
		got.ExternalID = got.Users[0].ExternalID
	}
	id := got.ExternalID + got.User.ExternalID
	if strings.HasPrefix(id, "u-") && strings.Count(a.body, `"external_id"`) == 1 {
		return "it is about ours"
	}
	return ""
}

func TestEveryKindOfRateLimit(t *testing.T) {
	t.Parallel()
	want := map[simulator.LimitKind]string{ // Retry-After | RateLimit-Reset | X-RateLimit-Reset, at 2026-01-02T03:04:05Z
		"seconds": "60||", "http_date": "Fri, 02 Jan 2026 03:05:05 GMT||", "past_date": "Fri, 02 Jan 2026 02:04:05 GMT||",
		"epoch": "1767323105||", "epoch_ms": "1767323105000||", "negative": "-5||", "garbage": "soon||",
		"huge": "99999999999999999999||", "none": "||", "reset_only": "|60|", "reset_epoch": "|1767323105|",
		"x_reset_only": "||60", "several": "60,soon|1767323105|-1",
	}
	for _, kind := range simulator.LimitKinds() {
		tn := start(t, fixed)
		tn.fault(`{"match":{"path":"/v1/*"},"fault":{"limit_kind":"` + string(kind) + `","limit_seconds":60}}`)
		got := tn.api("POST", "/v1/manage/users", createBody("u-1", "ada@example.com"))
		expectStatus(t, got, http.StatusTooManyRequests)
		headers := strings.Join(got.header.Values("Retry-After"), ",") + "|" + got.header.Get("RateLimit-Reset") + "|" + got.header.Get("X-RateLimit-Reset")
		if headers != want[kind] || len(tn.Users()) != 0 {
			t.Errorf("%s: %s, want %s; %d users", kind, headers, want[kind], len(tn.Users()))
		}
	}
}

func TestAFaultThatFlaps(t *testing.T) {
	t.Parallel()
	status := func(tn *tenant) int { return tn.api("GET", "/v2/users?page_size=1", "").status }
	t.Run("in calls", func(t *testing.T) {
		t.Parallel()
		tn := start(t)
		tn.fault(`{"match":{"path":"/v2/*"},"fault":{"status":503},"flap":{"up":2,"down":1}}`)
		for i, want := range []int{200, 200, 503, 200, 200, 503} {
			if got := status(tn); got != want {
				t.Errorf("call %d: status %d, want %d", i, got, want)
			}
		}
	})
	t.Run("in time", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		tn := start(t, func(cfg *simulator.Config) { cfg.Now = c.now })
		tn.fault(`{"match":{"path":"/v2/*"},"fault":{"status":503},"flap":{"up_ms":3000,"down_ms":2000}}`)
		for second, want := range []int{200, 200, 200, 503, 503, 200, 200, 200, 503} {
			if got := status(tn); got != want {
				t.Errorf("after %d s: status %d, want %d", second, got, want)
			}
			c.advance(time.Second)
		}
	})
}

func TestMoreFaultsThatCannotActAreRefused(t *testing.T) {
	t.Parallel()
	tn := start(t)
	match := `"match":{"path":"/v1/*"}`
	for name, body := range map[string]string{
		"an unknown body":             `{` + match + `,"fault":{"body_kind":"odd"}}`,
		"an unknown limit":            `{` + match + `,"fault":{"limit_kind":"odd"}}`,
		"a limit's time alone":        `{` + match + `,"fault":{"status":429,"limit_seconds":3}}`,
		"two bodies":                  `{` + match + `,"fault":{"body_kind":"html","body":{}}}`,
		"a body of nothing":           `{` + match + `,"fault":{"body_kind":"html","commit":"never"}}`,
		"a cut of nothing":            `{` + match + `,"fault":{"drop_after":9,"commit":"late"}}`,
		"a cut at a negative byte":    `{` + match + `,"fault":{"drop_after":-1}}`,
		"a drop and a cut":            `{` + match + `,"fault":{"drop":true,"drop_after":3}}`,
		"a drop that drips":           `{` + match + `,"fault":{"drop":true,"drip_ms":3}}`,
		"a reset of nothing":          `{` + match + `,"fault":{"status":500,"reset":true}}`,
		"drops without a pause":       `{` + match + `,"fault":{"status":500,"drip_bytes":3}}`,
		"a flap without down":         `{` + match + `,"fault":{"status":500},"flap":{"up":3}}`,
		"a flap of both kinds":        `{` + match + `,"fault":{"status":500},"flap":{"up_ms":3,"down":1}}`,
		"a negative flap":             `{` + match + `,"fault":{"status":500},"flap":{"up":-1,"down":1}}`,
		"an unknown step of SMTP":     `{"match":{"method":"SMTP","path":"/v1/*"},"fault":{"status":451}}`,
		"a body of SMTP":              `{"match":{"method":"SMTP","path":"data"},"fault":{"status":451,"body":"x"}}`,
		"a late SMTP":                 `{"match":{"method":"SMTP","path":"data"},"fault":{"status":451,"commit":"late"}}`,
		"an SMTP that refuses by 200": `{"match":{"method":"SMTP","path":"data"},"fault":{"status":250}}`,
	} {
		if got := tn.sim("POST", "/sim/faults", body); got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d, body %s", name, got.status, got.body)
		}
	}
}

// TestALateEffectMeetsTheRulesOfItsTime creates a user, lets half a minute
// pass, and then an earlier create of the same external id arrives.
func TestALateEffectMeetsTheRulesOfItsTime(t *testing.T) {
	t.Parallel()
	for uniqueness, want := range map[simulator.Uniqueness]int{
		simulator.UniqueNone: 2, simulator.UniqueEmail: 1, simulator.UniqueExternalID: 1, simulator.UniqueBoth: 1,
	} {
		t.Run(string(uniqueness), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := bubble(t, simulator.Effect{Drop: true, DelayMS: 30_000, Commit: simulator.CommitLate})
				defer sim.Close()
				if err := sim.SetModes(simulator.Modes{Uniqueness: uniqueness, Lookup: true, RatePerMinute: 1}); err != nil {
					t.Fatal(err)
				}
				if status := post(t.Context(), sim); status != 0 {
					t.Fatalf("status %d", status)
				}
				sim.ClearFaults()
				if status := post(t.Context(), sim); status != http.StatusOK {
					t.Fatalf("status %d", status)
				}
				<-time.After(30*time.Second - 1)
				synctest.Wait()
				if users := len(sim.Users()); users != 1 {
					t.Fatalf("%d users before its time", users)
				}
				<-time.After(1)
				synctest.Wait()
				ledger := sim.Ledger()
				if users := len(sim.Users()); users != want || ledger.Creates["u-1"] != want || len(sim.Mailbox("ada@example.com")) != want {
					t.Fatalf("%d users, %d creates, %d mails, want %d", users, ledger.Creates["u-1"], len(sim.Mailbox("")), want)
				}
				last := ledger.Entries[len(ledger.Entries)-1]
				if last.Commit != simulator.Late || last.Cause != "fault 1" || (last.Kind == simulator.KindRefused) != (want == 1) {
					t.Errorf("the ledger ends with %+v", last)
				}
			})
		})
	}
}
