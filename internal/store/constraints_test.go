package store

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// CheckViolations breaks each kind of constraint and asks violates which it
// was. It is called for both dialects.
func CheckViolations(t *testing.T, db *DB) {
	t.Helper()
	insert := func(id, externalID, internalID, canonical, status string, issuer, subject any) error {
		return db.gorm.Exec(`
			INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, issuer, subject, created_at, updated_at)
			VALUES (?, ?, ?, 'as typed', ?, '', ?, ?, ?, '2026-03-01 12:00:00+00:00', '2026-03-01 12:00:00+00:00')`,
			id, externalID, orNull(internalID), canonical, status, issuer, subject).Error
	}
	const first, second = "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"
	if err := insert(first, "ext", "int", "anna@example.com", "active", "iss", "sub"); err != nil {
		t.Fatal(err)
	}
	hash := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	signup := func(kind, user, candidate, email, canonical, name any) error {
		return db.gorm.Exec(`
			INSERT INTO signups (id, receipt_hash, kind, user_id, candidate_id, email, email_canonical, display_name,
				locale, terms_version, created_at, resend_after)
			VALUES (@id, @hash, @kind, @user, @candidate, @email, @canonical, @name, '', '', @at, @at)`, map[string]any{
			"id": second, "hash": hash(1), "kind": kind, "user": user, "candidate": candidate,
			"email": email, "canonical": canonical, "name": name, "at": "2026-03-01 12:00:00+00:00",
		}).Error
	}
	invitation := func(id string, hash []byte, uses, left int) error {
		return db.gorm.Exec(`
			INSERT INTO invitations (id, code_hash, note, uses, uses_left, created_at, expires_at)
			VALUES (@id, @hash, '', @uses, @left, @at, @at)`, map[string]any{
			"id": id, "hash": hash, "uses": uses, "left": left, "at": "2026-03-01 12:00:00+00:00",
		}).Error
	}
	if err := invitation(first, hash(9), 1, 1); err != nil {
		t.Fatal(err)
	}
	gate := func(because, since, until any) error {
		return db.gorm.Exec(`UPDATE provider_gate SET closed_because = ?, closed_since = ?, closed_until = ?`, because, since, until).Error
	}
	const at = "2026-03-01 12:00:00+00:00"
	session := func(user string, hash []byte, client string) error {
		return db.gorm.Exec(`
			INSERT INTO sessions (id, token_hash, user_id, client, created_at, last_seen_at, expires_at)
			VALUES (@id, @hash, @user, @client, @at, @at, @at)`, map[string]any{
			"id": second, "hash": hash, "user": user, "client": client, "at": at,
		}).Error
	}
	code := func(user string, hash, challenge []byte) error {
		return db.gorm.Exec(`
			INSERT INTO native_codes (user_id, code_hash, challenge, identity, created_at, expires_at)
			VALUES (@user, @hash, @challenge, '{}', @at, @at)`, map[string]any{
			"hash": hash, "challenge": challenge, "user": user, "at": at,
		}).Error
	}
	usedToken := func(hash []byte) error {
		return db.gorm.Exec(`INSERT INTO used_logout_tokens (expires_at, token_hash) VALUES (?, ?)`, at, hash).Error
	}
	constraints := []string{
		"users_external_id_key", "users_internal_id_key", "users_email_canonical_key", "users_issuer_subject_key",
		"users_status_check", "users_internal_id_check", "users_issuer_subject_check",
		"signups_kind_check", "signups_kind_user_check", "signups_candidate_check", "signups_receipt_hash_check",
		"invitations_code_hash_key", "invitations_code_hash_check", "invitations_uses_check", "provider_gate_closed_check",
		"sessions_token_hash_check", "sessions_client_check",
		"native_codes_code_hash_check", "native_codes_challenge_check", "used_logout_tokens_token_hash_check",
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"a second external_id":           {insert(second, "ext", "", "b@example.com", "received", nil, nil), "users_external_id_key"},
		"a second internal_id":           {insert(second, "ext2", "int", "b@example.com", "invited", nil, nil), "users_internal_id_key"},
		"a second address":               {insert(second, "ext2", "", "anna@example.com", "received", nil, nil), "users_email_canonical_key"},
		"a second issuer and subject":    {insert(second, "ext2", "int2", "b@example.com", "active", "iss", "sub"), "users_issuer_subject_key"},
		"a status that is none":          {insert(second, "ext2", "", "b@example.com", "ACTIVE", nil, nil), "users_status_check"},
		"an invitation to nobody":        {insert(second, "ext2", "", "b@example.com", "invited", nil, nil), "users_internal_id_check"},
		"an active user without an id":   {insert(second, "ext2", "", "b@example.com", "active", "iss", "sub2"), "users_internal_id_check"},
		"a subject without an issuer":    {insert(second, "ext2", "", "b@example.com", "received", nil, "sub2"), "users_issuer_subject_check"},
		"an issuer without a subject":    {insert(second, "ext2", "", "b@example.com", "received", "iss", nil), "users_issuer_subject_check"},
		"a user without a kind":          {signup(nil, first, nil, nil, nil, nil), "signups_kind_user_check"},
		"a kind without a user":          {signup("new", nil, second, "a@b.c", "a@b.c", ""), "signups_kind_user_check"},
		"a kind that is none":            {signup("NEW", first, nil, nil, nil, nil), "signups_kind_check"},
		"neither user nor candidate":     {signup(nil, nil, nil, nil, nil, nil), "signups_candidate_check"},
		"a candidate without an id":      {signup(nil, nil, nil, "a@b.c", "a@b.c", ""), "signups_candidate_check"},
		"a candidate without an address": {signup(nil, nil, second, nil, "a@b.c", ""), "signups_candidate_check"},
		"a candidate as typed only":      {signup(nil, nil, second, "a@b.c", nil, ""), "signups_candidate_check"},
		"a candidate without a name":     {signup(nil, nil, second, "a@b.c", "a@b.c", nil), "signups_candidate_check"},
		"a second invitation code":       {invitation(second, hash(9), 1, 1), "invitations_code_hash_key"},
		"a code's hash that is short":    {invitation(second, hash(9)[1:], 1, 1), "invitations_code_hash_check"},
		"an invitation of no use":        {invitation(second, hash(8), 0, 0), "invitations_uses_check"},
		"an invitation used too often":   {invitation(second, hash(8), 1, -1), "invitations_uses_check"},
		"an invitation used less":        {invitation(second, hash(8), 1, 2), "invitations_uses_check"},
		"a gate closed for ever":         {gate("failing", at, nil), "provider_gate_closed_check"},
		"a gate closed since never":      {gate("failing", nil, at), "provider_gate_closed_check"},
		"a gate closed for no reason":    {gate(nil, at, at), "provider_gate_closed_check"},
		"a sign-up of a user who is not": {signup("new", second, nil, nil, nil, nil), ""},
		"a token's hash that is short":   {session(first, hash(7)[1:], "browser"), "sessions_token_hash_check"},
		"a client that is none":          {session(first, hash(7), "system"), "sessions_client_check"},
		"a session of a user who is not": {session(second, hash(7), "browser"), ""},
		"a code's hash cut off":          {code(first, hash(7)[1:], hash(6)), "native_codes_code_hash_check"},
		"a challenge that is short":      {code(first, hash(7), hash(6)[1:]), "native_codes_challenge_check"},
		"a code of a user who is not":    {code(second, hash(7), hash(6)), ""},
		"a logout token's hash cut off":  {usedToken(hash(7)[1:]), "used_logout_tokens_token_hash_check"},
		"a table that is not":            {db.gorm.Exec(`SELECT FROM nowhere`).Error, ""},
	} {
		if test.err == nil {
			t.Errorf("%s was stored", name)
			continue
		}
		if unavailable(test.err) {
			t.Errorf("%s is no outage: %v", name, test.err)
		}
		for _, constraint := range constraints {
			if got := violates(translate(test.err), constraint); got != (constraint == test.want) {
				t.Errorf("%s violates %s: %v (%v)", name, constraint, got, test.err)
			}
		}
		if test.want != "" && !slices.Contains(constraints, test.want) {
			t.Errorf("%s is not in the list", test.want)
		}
	}
}

func TestWhatIsNoDatabaseErrorViolatesNothing(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("UNIQUE constraint failed: users.internal_id")} {
		if violates(err, "users_internal_id_key") {
			t.Errorf("%v violates a constraint", err)
		}
	}
}
