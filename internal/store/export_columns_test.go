package store

import (
	"slices"
	"testing"
)

// withheld says why what is stored is not told to the user whom it is about, by
// tables and by columns.
var withheld = map[string]string{
	"used_flows":         "names logins that are over, and nobody",
	"used_logout_tokens": "names logouts that are over, and nobody",
	"provider_gate":      "is about the provider",
	"rate_limits":        "are counters that drain within hours, under hashes of addresses",
	"idempotency_keys":   "are sealed with what only their sender has",
	"native_codes":       "live for a minute, and say what the user's row says",
	"audit_retention":    "is a setting",
	"imports":            "are about a file, and who has brought it",
	"import_rows":        "are about who is no user yet; of a user nothing but the id is left in them",
	"webhook_endpoints":  "are about the application",
	"webhook_events":     "say what the user's row said, for as long as events are kept",
	"webhook_deliveries": "are about the application",

	"reconciliations":         "are about the two directories",
	"reconciliation_users":    "are copies of the provider's rows, for as long as a comparison takes",
	"reconciliation_suspects": "the same",
	"reconciliation_findings": "say in what the user's row and the provider's differed, until ten newer comparisons",

	"users.provision_attempt":         "where the program has come to",
	"users.provision_ambiguous_until": "where the program has come to",
	"users.check_at":                  "where the program has come to",
	"users.adopt":                     "what an operator has asked of the program",
	"users.adopt_internal_id":         "a guess of an operator's about somebody at the provider",
	"users.sync_change":               "where the program has come to",
	"users.sync_ambiguous_until":      "where the program has come to",
	"users.sync_claimed_until":        "where the program has come to",
	"users.sync_since":                "where the program has come to",
	"sessions.token_hash":             "opens something",
	"sessions.user_id":                "is the user's id",
	"signups.receipt_hash":            "opens something",
	"signups.user_id":                 "is the user's id",
	"signups.candidate_id":            "is null once there is a user",
	"signups.email":                   "is null once there is a user",
	"signups.email_canonical":         "is null once there is a user",
	"signups.display_name":            "is null once there is a user",
	"invitations.code_hash":           "opens something",
	"invitations.uses":                "is about whoever else was invited by it",
	"invitations.uses_left":           "is about whoever else was invited by it",
	"email_changes.user_id":           "is the user's id",
	"email_changes.code_hash":         "opens something",
	"letters.user_id":                 "is the user's id",
	"audit_events.user_id":            "is the user's id",
}

func TestEveryColumnIsToldToItsUserOrExcused(t *testing.T) {
	t.Parallel()
	for table, row := range rows() {
		told, isTold := exported[table]
		if reason := withheld[table]; isTold == (reason != "") {
			t.Errorf("the table %s is told: %v, and withheld because it %q", table, isTold, reason)
		}
		if !isTold {
			continue
		}
		columns := columnsOf(t, row)
		for column := range columns {
			if reason := withheld[table+"."+column]; slices.Contains(told, column) == (reason != "") {
				t.Errorf("%s.%s is told: %v, and withheld because it %q", table, column, slices.Contains(told, column), reason)
			}
		}
		for _, column := range told {
			if _, ok := columns[column]; !ok {
				t.Errorf("%s.%s is told, and there is no such column", table, column)
			}
		}
	}
}
