package webhook_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/webhook"
)

func TestThePublishedScheduleIsKept(t *testing.T) {
	t.Parallel()
	s := webhook.Published()
	var total time.Duration
	var at []string
	for n := 0; ; n++ {
		wait, more := s.After(n, 0, 0)
		if !more {
			break
		}
		total += wait
		at = append(at, total.String())
	}
	want := "0s 5s 5m5s 35m5s 2h35m5s 7h35m5s 17h35m5s 31h35m5s 51h35m5s 75h35m5s"
	if got := strings.Join(at, " "); got != want {
		t.Errorf("attempts are made after %s, not %s", got, want)
	}
}

func TestAWaitIsLongerByChanceOrWhereTheReceiverAsks(t *testing.T) {
	t.Parallel()
	s := webhook.Published()
	for name, c := range map[string]struct {
		attempts int
		asked    time.Duration
		random   float64
		want     time.Duration
	}{
		"by no chance":                          {2, 0, 0, 5 * time.Minute},
		"by chance, at most a tenth":            {2, 0, 0.5, 5*time.Minute + 15*time.Second},
		"as long as is asked for":               {1, time.Minute, 0, time.Minute},
		"not shorter, whatever is asked for":    {2, time.Second, 0, 5 * time.Minute},
		"a day at most, whatever is asked for":  {1, 1000 * time.Hour, 0, 24 * time.Hour},
		"the last one, not shorter for the cap": {9, 1000 * time.Hour, 0.5, 24*time.Hour + 72*time.Minute},
	} {
		if got, more := s.After(c.attempts, c.asked, c.random); !more || got != c.want {
			t.Errorf("%s: %v, %v", name, got, more)
		}
	}
	if _, more := s.After(10, 0, 0); more {
		t.Error("there is an eleventh attempt")
	}
}

func TestAddressesAreJudgedByTheirText(t *testing.T) {
	t.Parallel()
	public, localhost, private := webhook.Rules{}, webhook.Rules{Localhost: true}, webhook.Rules{Private: true}
	for address, good := range map[string][3]bool{ // public, localhost, private
		"https://app.example/hooks?x=1":                    {true, true, true},
		"https://app.example:8443/":                        {true, true, true},
		"https://app.example:443/":                         {true, true, true},
		"https://[2001:4860::1]/":                          {true, true, true},
		"http://app.example/":                              {false, false, true},
		"http://localhost:9000/":                           {false, true, true},
		"http://127.0.0.1:9000/":                           {false, true, true},
		"http://[::1]:9000/":                               {false, true, true},
		"http://localhost.attacker.example/":               {false, false, true},
		"https://app.example:25/":                          {false, false, false},
		"https://app.example:22/":                          {false, false, false},
		"https://app.example:70000/":                       {false, false, false},
		"https://user:secret@app.example/":                 {false, false, false},
		"https://user@app.example/":                        {false, false, false},
		"https://app.example/#x":                           {false, false, false},
		"https://app.example/#":                            {false, false, false},
		"https:///hooks":                                   {false, false, false},
		"https:app.example":                                {false, false, false},
		"//app.example/":                                   {false, false, false},
		"/hooks":                                           {false, false, false},
		"":                                                 {false, false, false},
		"ftp://app.example/":                               {false, false, false},
		"file:///etc/passwd":                               {false, false, false},
		"gopher://app.example/":                            {false, false, false},
		"https://app.example/\r\nX: y":                     {false, false, false},
		"https://app.example/a b":                          {false, false, false},
		"https://äpp.example/":                             {false, false, false},
		"https://app.example/" + strings.Repeat("a", 2048): {false, false, false},
	} {
		for i, rules := range []webhook.Rules{public, localhost, private} {
			if err := rules.Check(address); (err == nil) != good[i] {
				t.Errorf("%.60s under %+v: %v", address, rules, err)
			}
		}
	}
}

func TestMovesAreToldAsWhatTheyMeanToTheApplication(t *testing.T) {
	t.Parallel()
	type move struct{ from, to directory.Status }
	for m, want := range map[move]webhook.Type{
		{"", directory.Received}:                     webhook.UserCreated,
		{"", directory.Provisioning}:                 webhook.UserCreated,
		{directory.Received, directory.Provisioning}: "",
		{directory.Failed, directory.Provisioning}:   "",
		{directory.Conflict, directory.Provisioning}: "",
		{directory.Provisioning, directory.Invited}:  webhook.UserInvited,
		{directory.Provisioning, directory.Active}:   webhook.UserActivated,
		{directory.Invited, directory.Active}:        webhook.UserActivated,
		{directory.Provisioning, directory.Failed}:   webhook.UserFailed,
		{directory.Provisioning, directory.Conflict}: webhook.UserConflict,
		{directory.Active, directory.Suspended}:      webhook.UserSuspended,
		{directory.Suspended, directory.Active}:      webhook.UserRestored,
		{directory.Suspended, directory.Invited}:     webhook.UserRestored,
		{directory.Deleting, directory.Active}:       webhook.UserRestored,
		{directory.Deleting, directory.Provisioning}: webhook.UserRestored,
		{directory.Deleting, directory.Suspended}:    webhook.UserSuspended,
		{directory.Active, directory.Deleting}:       webhook.UserUpdated,
		{directory.Deleting, directory.Deleted}:      webhook.UserDeleted,
	} {
		if got, told := webhook.OfMove(m.from, m.to); got != want || told != (want != "") {
			t.Errorf("from %q to %q: %q, %v", m.from, m.to, got, told)
		}
	}
	// Of every legal move but those towards the provider something is told.
	for _, from := range directory.Statuses() {
		for _, to := range directory.Statuses() {
			_, told := webhook.OfMove(from, to)
			if from.CanBecome(to) && !told && to != directory.Provisioning {
				t.Errorf("nobody is told of a move from %s to %s", from, to)
			}
		}
	}
}

func TestAnEventOfADeletedUserHoldsIdsOnly(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	user := directory.User{
		ID: "u1", ExternalID: "x1", InternalID: "i1", Email: directory.RestoreEmail("Ada@example.com", "ada@example.com"),
		DisplayName: "Ada", Locale: "en", Status: directory.Active, Version: 7, CreatedAt: at, UpdatedAt: at,
	}
	for kind, want := range map[webhook.Type]string{
		webhook.UserDeleted: `{"type":"user.deleted","timestamp":"2026-03-01T11:00:00Z","data":{"id":"u1","external_id":"x1","version":7}}`,
		webhook.UserUpdated: `{"type":"user.updated","timestamp":"2026-03-01T11:00:00Z","data":{"id":"u1","external_id":"x1","internal_id":"i1",` +
			`"email":"Ada@example.com","display_name":"Ada","locale":"en","status":"active","last_error":null,"version":7,` +
			`"created_at":"2026-03-01T11:00:00Z","updated_at":"2026-03-01T11:00:00Z"}}`,
	} {
		event, err := webhook.OfUser(kind, user, at)
		if err != nil || string(event.Payload) != want {
			t.Errorf("%s: %s, %v", kind, event.Payload, err)
		}
	}
	event, err := webhook.OfUser(webhook.UserCreated, directory.User{ID: "u1", LastClass: "x"}, at)
	var body struct {
		Data map[string]any `json:"data"`
	}
	if err != nil || json.Unmarshal(event.Payload, &body) != nil || body.Data["internal_id"] != nil || body.Data["last_error"] != "x" {
		t.Errorf("%s, %v", event.Payload, err)
	}
	if strings.Contains(event.ID.Message(), ".") || !strings.HasPrefix(event.ID.Message(), "msg_") {
		t.Error(event.ID.Message())
	}
}
