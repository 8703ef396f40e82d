package check

import (
	"slices"
	"testing"
)

// sound returns ledgers in which Ada has signed up twice, once with a replay,
// and Bob once; nothing is wrong with them.
func sound() Evidence {
	return Evidence{
		Sent: map[string]Wishes{
			"ada@example.com": {Unkeyed: 1, Keys: 1, Resends: 1},
			"bob@example.com": {Unkeyed: 2},
		},
		Receipts: []Receipt{
			{Address: "ada@example.com", Hash: Hash{1}, Key: 7},
			{Address: "ada@example.com", Hash: Hash{1}, Key: 7},
			{Address: "ada@example.com", Hash: Hash{2}},
			{Address: "bob@example.com", Hash: Hash{3}},
		},
		Signups: []Signup{
			{ID: "s1", Hash: Hash{1}, UserID: "ada", Kind: "new", Settled: true, Resends: 1},
			{ID: "s2", Hash: Hash{2}, UserID: "ada", Kind: "duplicate", Settled: true},
			{ID: "s3", Hash: Hash{3}, UserID: "bob", Kind: "new", Settled: true},
		},
		Users: []User{
			{ID: "ada", ExternalID: "xa", InternalID: "ia", Address: "ada@example.com", Status: "invited"},
			{ID: "bob", ExternalID: "xb", InternalID: "ib", Address: "bob@example.com", Status: "active"},
		},
		Transitions: []Transition{
			{UserID: "ada", To: "received"},
			{UserID: "bob", To: "received"},
			{UserID: "ada", From: "received", To: "provisioning"},
			{UserID: "ada", From: "provisioning", To: "provisioning"},
			{UserID: "bob", From: "received", To: "provisioning"},
			{UserID: "ada", From: "provisioning", To: "invited"},
			{UserID: "bob", From: "provisioning", To: "invited"},
			{UserID: "bob", From: "invited", To: "active"},
		},
		Jobs: []Jobs{{Kind: "signup", State: "completed", Count: 3}, {Kind: "housekeeping", State: "available", Periodic: true, Count: 1}},
		Provider: []ProviderUser{
			{ExternalID: "xa", InternalID: "ia", Address: "ada@example.com", Creates: 1, Mails: 3},
			{ExternalID: "xb", InternalID: "ib", Address: "bob@example.com", Creates: 1, Mails: 1},
			{ExternalID: "xc", InternalID: "ic", Address: "ada@example.com", Deleted: true, Creates: 1},
		},
		Notices: map[string]int{"bob@example.com": 1},
	}
}

func TestSoundLedgersAgree(t *testing.T) {
	t.Parallel()
	if found := Run(sound()); len(found) != 0 {
		t.Errorf("%v", found)
	}
}

func TestNothingAtAllAgreesToo(t *testing.T) {
	t.Parallel()
	if found := Run(Evidence{}); len(found) != 0 {
		t.Errorf("%v", found)
	}
}

func TestEachBrokenPromiseIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		rule  Rule
		spoil func(*Evidence)
	}{
		{"a 202 without a row", Lost, func(e *Evidence) { e.Signups = e.Signups[:2] }},
		{"a 202 with two rows", Lost, func(e *Evidence) { e.Signups[1].Hash = Hash{1} }},
		{"a row that is not settled", Unsettled, func(e *Evidence) { e.Signups[0].Settled, e.Signups[0].HasJob = false, true }},
		{"a row that nobody will settle", Stranded, func(e *Evidence) { e.Signups[0].Settled = false }},
		{"a row without a user", Unsettled, func(e *Evidence) { e.Signups[0].UserID, e.Signups[0].Kind = "", "" }},
		{"a row more than requests", Surplus, func(e *Evidence) {
			e.Signups = append(e.Signups, Signup{ID: "s4", Hash: Hash{4}, UserID: "ada", Kind: "duplicate", Settled: true})
		}},
		{"a key with two receipts", Key, func(e *Evidence) { e.Receipts[2].Key = 7 }},
		{"a receipt that leads to somebody else", Mapping, func(e *Evidence) { e.Signups[2].UserID = "ada" }},
		{"a user made twice", Doubled, func(e *Evidence) { e.Signups[1].Kind = "new" }},
		{"an address with two users", Doubled, func(e *Evidence) { e.Users[1].Address = "ada@example.com" }},
		{"a second create", Doubled, func(e *Evidence) { e.Provider[0].Creates = 2 }},
		{"two users with one external_id at the provider", Doubled, func(e *Evidence) { e.Provider[1].ExternalID = "xa" }},
		{"two users with one address at the provider", Doubled, func(e *Evidence) { e.Provider[2].Deleted = false }},
		{"a user whom nobody has signed up", Orphan, func(e *Evidence) { delete(e.Sent, "bob@example.com") }},
		{"an invited user whom the provider does not have", Orphan, func(e *Evidence) { e.Provider[0].Deleted = true }},
		{"a provider's user whom we do not have", Orphan, func(e *Evidence) { e.Users = e.Users[:1] }},
		{"a provider's user who has failed here", Orphan, func(e *Evidence) { e.Users[1].Status, e.Users[1].InternalID = "failed", "" }},
		{"another internal_id than the provider's", Mapping, func(e *Evidence) { e.Users[0].InternalID = "ib" }},
		{"another address than the provider's", Mapping, func(e *Evidence) { e.Provider[0].Address = "eve@example.com" }},
		{"a user still provisioning", Unfinished, func(e *Evidence) { e.Users[0].Status = "provisioning" }},
		{"a conflict with nobody", Refused, func(e *Evidence) { e.Users[0].Status = "conflict" }},
		{"a transition that is missing", Audit, func(e *Evidence) { e.Transitions = slices.Delete(e.Transitions, 2, 4) }},
		{"a transition written twice", Audit, func(e *Evidence) { e.Transitions = slices.Insert(e.Transitions, 6, e.Transitions[5]) }},
		{"an illegal move", Audit, func(e *Evidence) { e.Transitions[2].To, e.Transitions[5].From = "suspended", "suspended" }},
		{"a status that no transition led to", Audit, func(e *Evidence) { e.Users[0].Status = "active" }},
		{"a transition of nobody", Audit, func(e *Evidence) { e.Transitions[0].UserID = "eve" }},
		{"a user without a history", Audit, func(e *Evidence) { e.Transitions = nil }},
		{"a mail that nobody has wished for", Mail, func(e *Evidence) { e.Provider[0].Mails = 4 }},
		{"a resend that nobody has sent", Mail, func(e *Evidence) { e.Signups[2].Resends = 1 }},
		{"two notices", Notice, func(e *Evidence) { e.Notices["bob@example.com"] = 2 }},
		{"a job left behind", Job, func(e *Evidence) { e.Jobs[0].State = "retryable" }},
		{"a job given up", Job, func(e *Evidence) { e.Jobs[0].State = "discarded" }},
		{"what a client has met itself", Answer, func(e *Evidence) { e.Observed = []Violation{{Rule: Answer, Text: "404"}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := sound()
			c.spoil(&e)
			found := Run(e)
			if !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == c.rule && v.Text != "" }) {
				t.Errorf("%v", found)
			}
		})
	}
}

func TestAConflictWithAForeignUserIsNoFault(t *testing.T) {
	t.Parallel()
	e := sound()
	e.Users[0].Status, e.Users[0].InternalID = "conflict", ""
	e.Transitions[5].To = "conflict"
	e.Provider[0] = ProviderUser{ExternalID: "foreign", InternalID: "ia", Address: "ada@example.com", Creates: 1, Mails: 1}
	e.Foreign = map[string]bool{"foreign": true}
	e.MayConflict = map[string]bool{"ada@example.com": true}
	if found := Run(e); len(found) != 0 {
		t.Errorf("%v", found)
	}
}
