package beyondidentity

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/await"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
	"github.com/portico-id/portico/internal/directory"
)

// hostileTenant is a running simulator that knows our user already by the id
// given, unless the call is the one that creates them.
func hostileTenant(t *testing.T, op string) (sim *simulator.Simulator, base string, id directory.InternalID) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	base = "http://" + server.Listener.Addr().String()
	sim, err := simulator.New(simulator.Config{
		BaseURL: base, APIToken: testToken, ClientID: "client", ClientSecret: "secret",
		RegistrationRedirectURI: "http://localhost:8080/login",
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = sim
	server.Start()
	t.Cleanup(func() { sim.Close(); server.Close() })
	if op == opCreate {
		return sim, base, ""
	}
	user, err := newClient(t, base, generous).CreateUser(t.Context(), NewUser{ExternalID: ours, Email: oursMail, DisplayName: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	return sim, base, user.InternalID
}

func arm(t *testing.T, sim *simulator.Simulator, e simulator.Effect) {
	t.Helper()
	sim.ClearFaults()
	if _, err := sim.AddFault(simulator.Fault{Match: simulator.Match{Path: "*"}, Effect: e}); err != nil {
		t.Fatal(err)
	}
}

// lies reports whether an answer is the call's success to the byte, although
// it is not true: no client can tell.
func lies(op string, e simulator.Effect) bool {
	switch op {
	case opDelete: // has no body, so that none can be cut or be wrong
		return e.DropAfter != nil || e.BodyKind == simulator.BodyEmpty && e.Status <= http.StatusOK
	case opList: // may be of others than us
		return e.BodyKind == simulator.BodyOtherUser && e.Status/100 != 4 && e.Status/100 != 5
	}
	return false
}

// TestEveryMisfortuneHasItsClass runs the real client into each of the
// simulator's faults, of an effect that was committed and of one that was not.
func TestEveryMisfortuneHasItsClass(t *testing.T) {
	t.Parallel()
	const soon = 200 * time.Millisecond
	tests := []struct {
		name    string
		effect  simulator.Effect
		timeout time.Duration
		want    Class
	}{
		{name: "dropped before the effect", effect: simulator.Effect{Drop: true}, want: Ambiguous},
		{name: "dropped after the effect", effect: simulator.Effect{Drop: true, Commit: simulator.CommitBefore}, want: Ambiguous},
		{name: "dropped, and the effect comes late", effect: simulator.Effect{Drop: true, Commit: simulator.CommitLate, DelayMS: 30_000}, want: Ambiguous},
		{name: "reset before the effect", effect: simulator.Effect{Drop: true, Reset: true}, want: Ambiguous},
		{name: "reset after the effect", effect: simulator.Effect{Drop: true, Reset: true, Commit: simulator.CommitBefore}, want: Ambiguous},
		{name: "reset in the body", effect: simulator.Effect{DropAfter: new(250), Reset: true}, want: Ambiguous},
		{name: "an error before the effect", effect: simulator.Effect{Status: 503}, want: Ambiguous},
		{name: "an error after the effect", effect: simulator.Effect{Status: 500, Commit: simulator.CommitBefore}, want: Ambiguous},
		{name: "an error, and the effect comes late", effect: simulator.Effect{Status: 504, Commit: simulator.CommitLate, DelayMS: 30_000}, want: Ambiguous},
		{name: "a timeout of somebody in between", effect: simulator.Effect{Status: 408, Commit: simulator.CommitBefore}, want: Ambiguous},
		{name: "slow past the timeout after the effect", effect: simulator.Effect{DelayMS: 30_000}, timeout: soon, want: Ambiguous},
		{name: "slow past the timeout before the effect", effect: simulator.Effect{DelayMS: 30_000, Commit: simulator.CommitAfter}, timeout: soon, want: Ambiguous},
		{name: "slow within the timeout", effect: simulator.Effect{DelayMS: 20}},
		{name: "dripping past the timeout", effect: simulator.Effect{DripMS: 20, DripBytes: 1}, timeout: soon, want: Ambiguous},
		{name: "dripping within the timeout", effect: simulator.Effect{DripMS: 1, DripBytes: 100}},
		{name: "refused token", effect: simulator.Effect{Status: 401}, want: Unauthorized},
		{name: "refused permission", effect: simulator.Effect{Status: 403}, want: Unauthorized},
	}
	for _, kind := range simulator.BodyKinds() {
		tests = append(tests, []struct {
			name    string
			effect  simulator.Effect
			timeout time.Duration
			want    Class
		}{
			{name: string(kind) + " after the effect", effect: simulator.Effect{BodyKind: kind}, want: Ambiguous},
			{name: string(kind) + " without the effect", effect: simulator.Effect{Status: 200, Commit: simulator.CommitNever, BodyKind: kind}, want: Ambiguous},
			{name: string(kind) + " as a 201", effect: simulator.Effect{Status: 201, BodyKind: kind}, want: Ambiguous},
			{name: string(kind) + " as a 502", effect: simulator.Effect{Status: 502, BodyKind: kind}, want: Ambiguous},
			{name: string(kind) + " as a 409", effect: simulator.Effect{Status: 409, BodyKind: kind}, want: Conflict},
			{name: string(kind) + " as a 400", effect: simulator.Effect{Status: 400, BodyKind: kind}, want: Rejected},
		}...)
	}
	for _, tt := range tests {
		for _, call := range remoteCalls {
			t.Run(tt.name+", "+call.op, func(t *testing.T) {
				t.Parallel()
				sim, base, id := hostileTenant(t, call.op)
				arm(t, sim, tt.effect)
				want := tt.want
				if lies(call.op, tt.effect) {
					want = ""
				}
				timeout := tt.timeout
				if timeout == 0 {
					timeout = generous
				}
				user, err := call.do(t.Context(), newClient(t, base, timeout), id)
				if ClassOf(err) != want || want == "" && tt.want == "" && user.ExternalID != ours {
					t.Errorf("got %+v, %v, want %q", user, err, want)
				}
			})
		}
	}
}

// TestAnAnswerCutAtAnyByteIsAmbiguous cuts at each byte of the answer, up to
// the one with which it is whole.
func TestAnAnswerCutAtAnyByteIsAmbiguous(t *testing.T) {
	t.Parallel()
	for _, call := range remoteCalls {
		t.Run(call.op, func(t *testing.T) {
			t.Parallel()
			sim, base, id := hostileTenant(t, call.op)
			if err := sim.SetModes(simulator.Modes{Uniqueness: simulator.UniqueNone, Lookup: true}); err != nil {
				t.Fatal(err) // each create is to be answered as the first
			}
			c := newClient(t, base, generous)
			for after := 0; ; after++ {
				arm(t, sim, simulator.Effect{DropAfter: new(after), Reset: after%2 == 1})
				user, err := call.do(t.Context(), c, id)
				if call.op == opDelete && ClassOf(err) == NotFound {
					return // the cut answers were of deletes that happened, the first of all
				}
				if err == nil {
					if after < 200 || user.ExternalID != ours || user.InternalID == "" {
						t.Fatalf("after %d bytes: got %+v", after, user)
					}
					return
				}
				if ClassOf(err) != Ambiguous || after > 2000 {
					t.Fatalf("after %d bytes: got %v, want ambiguous", after, err)
				}
			}
		})
	}
}

func TestEveryKindOfRateLimitIsAWaitOfAtMostAnHour(t *testing.T) {
	t.Parallel()
	sim, base, id := hostileTenant(t, opFind)
	c := newClient(t, base, generous)
	bounds := map[simulator.LimitKind][2]time.Duration{
		simulator.LimitSeconds: {60 * time.Second, 60 * time.Second}, simulator.LimitHTTPDate: {0, 60 * time.Second},
		simulator.LimitPastDate: {0, 0}, simulator.LimitEpoch: {0, 60 * time.Second}, simulator.LimitEpochMS: {0, 60 * time.Second},
		simulator.LimitNegative: {0, 0}, simulator.LimitGarbage: {0, 0}, simulator.LimitHuge: {time.Hour, time.Hour},
		simulator.LimitNone: {0, 0}, simulator.LimitResetOnly: {60 * time.Second, 60 * time.Second},
		simulator.LimitResetEpoch: {0, 60 * time.Second}, simulator.LimitOldReset: {60 * time.Second, 60 * time.Second},
		simulator.LimitSeveral: {60 * time.Second, 60 * time.Second},
	}
	for _, kind := range simulator.LimitKinds() {
		bound, ok := bounds[kind]
		if !ok {
			t.Errorf("%s has no expectation", kind)
		}
		for _, call := range remoteCalls {
			arm(t, sim, simulator.Effect{LimitKind: kind, LimitSeconds: 60})
			_, err := call.do(t.Context(), c, id)
			e := mustError(t, err)
			if e.Class != RateLimited || e.RetryAfter < bound[0] || e.RetryAfter > bound[1] {
				t.Errorf("%s, %s: got %v after %s, want within %v", kind, call.op, err, e.RetryAfter, bound)
			}
		}
	}
	if users := sim.Ledger().Counts[simulator.KindCreated]; users != 1 {
		t.Errorf("%d users: a refused create took effect", users)
	}
}

// TestAHostileProviderIsNeverBelievedTooMuch holds what the client says of each
// call against what the provider's ledger says happened.
func TestAHostileProviderIsNeverBelievedTooMuch(t *testing.T) {
	t.Parallel()
	sim, base, _ := hostileTenant(t, opCreate)
	if err := sim.BeHostile(simulator.Hostility{Seed: 7, Level: 0.9, Lateness: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, base, generous)
	classes := map[Class]int{}
	for i := range 400 {
		user := NewUser{ExternalID: directory.ExternalID("user-" + strconv.Itoa(i)), Email: oursMail}
		got, err := c.CreateUser(t.Context(), user)
		class := ClassOf(err)
		classes[class]++
		created := sim.Ledger().Creates[string(user.ExternalID)]
		switch {
		case class == "" && (created != 1 || got.ExternalID != user.ExternalID):
			t.Fatalf("call %d: believed, and %d users were created: %+v", i, created, got)
		case (class == RateLimited || class == Unreachable) && created != 0:
			t.Fatalf("call %d: %v proves that nothing happened, and %d users were created", i, err, created)
		case class != "" && class != RateLimited && class != Ambiguous:
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if classes[Ambiguous] < 200 || classes[RateLimited] < 10 || classes[""] < 20 {
		t.Errorf("classes %v", classes)
	}
}

func TestTheLookUpSeesEnrolmentAndDeletion(t *testing.T) {
	t.Parallel()
	sim, base, _ := hostileTenant(t, opFind)
	c := newClient(t, base, generous)
	before, err := c.FindUser(t.Context(), ours)
	if err != nil || before.HasActivePasskey {
		t.Fatalf("got %+v, %v", before, err)
	}
	enrol(t, sim.Mailbox(oursMail)[0].Link)
	after, err := c.FindUser(t.Context(), ours)
	if err != nil || !after.HasActivePasskey || after.InternalID != before.InternalID {
		t.Fatalf("got %+v, %v", after, err)
	}
	if err := sim.SetStatus(string(after.InternalID), simulator.StatusDeleted); err != nil {
		t.Fatal(err)
	}
	if _, err := c.FindUser(t.Context(), ours); ClassOf(err) != NotFound {
		t.Errorf("got %v, want not found", err)
	}
	if _, err := c.RecoverUser(t.Context(), ours); ClassOf(err) != NotFound {
		t.Errorf("got %v, want not found", err)
	}
}

// enrol registers a passkey by a mail's link, as a browser would.
func enrol(t *testing.T, link string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, link, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("enrolment: HTTP %d", resp.StatusCode)
	}
}

// dropped is an effect whose answer is lost.
func dropped(happened bool) simulator.Effect {
	if happened {
		return simulator.Effect{Drop: true, Commit: simulator.CommitBefore}
	}
	return simulator.Effect{Drop: true, Commit: simulator.CommitNever}
}

// TestALateChangeMayOvertakeANewerOne is why a caller who was left in the dark
// has to wait, and to look again: the provider carries an old change out after
// it has answered a new one.
func TestALateChangeMayOvertakeANewerOne(t *testing.T) {
	t.Parallel()
	sim, base, id := hostileTenant(t, opUpdate)
	c := newClient(t, base, generous)
	arm(t, sim, simulator.Effect{Status: http.StatusGatewayTimeout, Commit: simulator.CommitLate, DelayMS: 100})
	_, err := c.UpdateUser(t.Context(), id, UserChange{DisplayName: new("Old")})
	if ClassOf(err) != Ambiguous {
		t.Fatalf("got %v, want ambiguous", err)
	}
	sim.ClearFaults()
	if got, err := c.UpdateUser(t.Context(), id, UserChange{DisplayName: new("New")}); err != nil || got.DisplayName != "New" {
		t.Fatalf("got %+v, %v", got, err)
	}
	await.True(t, "the late change takes effect", func() bool {
		got, err := c.GetUser(t.Context(), id)
		return err == nil && got.DisplayName == "Old"
	})
}

func TestAConflictOfAChangeIsOne(t *testing.T) {
	t.Parallel()
	_, base, id := hostileTenant(t, opUpdate)
	c := newClient(t, base, generous)
	if _, err := c.CreateUser(t.Context(), NewUser{ExternalID: "u-2", Email: "bob@example.com"}); err != nil {
		t.Fatal(err)
	}
	_, err := c.UpdateUser(t.Context(), id, UserChange{ExternalID: new(directory.ExternalID("u-2"))})
	if ClassOf(err) != Conflict {
		t.Errorf("got %v, want conflict", err)
	}
}
