package store

import (
	"strings"
	"testing"
)

// The rows of a database of the first migration, in every status.
const rowsOfTheFirst = `
INSERT INTO users (id, external_id, internal_id, email, email_canonical, display_name, status, issuer, subject, created_at, updated_at) VALUES
	('ID0001', 'e1', NULL, 'A@b.c', 'a@b.c', '',     'received',     NULL, NULL, AT, 'SECOND1+00:00'),
	('ID0002', 'e2', NULL, 'b@b.c', 'b@b.c', 'Bert', 'provisioning', NULL, NULL, AT, 'SECOND2+00:00'),
	('ID0003', 'e3', 'i3', 'c@b.c', 'c@b.c', '',     'invited',      NULL, NULL, AT, 'SECOND3+00:00'),
	('ID0004', 'e4', 'i4', 'd@b.c', 'd@b.c', '',     'active',       'i',  's',  AT, 'SECOND4+00:00'),
	('ID0005', 'e5', NULL, 'e@b.c', 'e@b.c', '',     'failed',       NULL, NULL, AT, 'SECOND5+00:00');
INSERT INTO signups (id, receipt_hash, user_id, kind, locale, terms_version, created_at, settled_at)
	SELECT id, CAST('12345678901234567890123456789012' AS BYTES), id, 'new', 'de', '2', created_at, NULL FROM users WHERE external_id = 'e1';
INSERT INTO signups (id, receipt_hash, user_id, kind, locale, terms_version, created_at, settled_at)
	SELECT 'ID0009', CAST('22345678901234567890123456789012' AS BYTES), id, 'duplicate', '', '', created_at, updated_at
	FROM users WHERE external_id = 'e4';
INSERT INTO sessions (id, token_hash, user_id, client, created_at, last_seen_at, expires_at)
	SELECT id, CAST('12345678901234567890123456789012' AS BYTES), id, 'browser', created_at, created_at, created_at FROM users WHERE external_id = 'e4';
INSERT INTO used_flows (flow_id, expires_at) VALUES ('flow', AT)`

// Rows for which only the third migration has room. Nobody's status changes: it
// would end their sessions.
const rowsOfTheThird = `
UPDATE sessions SET auth_time = created_at, acr = 'phr', amr = '["hwk"]', provider_session = 'sid', user_agent = 'ua', address = '::1';
INSERT INTO native_codes (code_hash, challenge, user_id, identity, provider_session, created_at, expires_at)
	SELECT token_hash, token_hash, user_id, '{}', 'sid', created_at, created_at FROM sessions;
INSERT INTO used_logout_tokens (token_hash, expires_at) SELECT token_hash, created_at FROM sessions`

// CheckMigrationOfRows takes a database with rows from the first migration to
// the last, back and up again. It is called for both dialects.
func CheckMigrationOfRows(t *testing.T, db *DB) {
	t.Helper()
	steps, err := db.goose(db.sql)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := steps.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	// The statements are abbreviated, and of neither dialect.
	whole := strings.NewReplacer("BYTES", map[Dialect]string{Postgres: "bytea", SQLite: "blob"}[db.dialect],
		"'ID", "'01890a5d-ac96-774b-bcce-00000000", "SECOND", "2026-03-01 12:00:0", "AT,", "'2026-03-01 12:00:00.123456+00:00',",
		"AT)", "'2026-03-01 12:00:00.123456+00:00')")
	for statement := range strings.SplitSeq(whole.Replace(rowsOfTheFirst), ";") {
		if _, err := db.sql.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	before := firstRows(t, db)
	for range 2 {
		if _, err := steps.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := firstRows(t, db); after != before {
			t.Errorf("up, there is\n%s, not\n%s", after, before)
		}
		checkFilledIn(t, db)
		// What only the later schema has room for goes with it.
		if _, err := db.sql.ExecContext(t.Context(), whole.Replace(`
			INSERT INTO signups (id, receipt_hash, candidate_id, email, email_canonical, display_name, locale, terms_version, created_at, resend_after)
			VALUES ('ID0008', CAST('32345678901234567890123456789012' AS BYTES), 'ID0007',
				'x@b.c', 'x@b.c', '', '', '', AT, AT)`)); err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(whole.Replace(rowsOfTheThird), ";") {
			if _, err := db.sql.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := steps.DownTo(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if after := firstRows(t, db); after != before {
			t.Errorf("down, there is\n%s, not\n%s", after, before)
		}
	}
	if _, err := steps.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	CheckSchema(t, db)
}

// firstRows are the rows as the first migration's columns show them.
func firstRows(t *testing.T, db *DB) string {
	t.Helper()
	var lines []string
	for _, query := range []string{
		`SELECT 'user ' || external_id || ' ' || coalesce(internal_id, '-') || ' ' || email || ' ' || email_canonical || ' ' || display_name || ' '
			|| status || ' ' || coalesce(issuer, '-') || ' ' || coalesce(subject, '-') || ' ' || created_at || ' ' || updated_at FROM users ORDER BY 1`,
		`SELECT 'signup ' || u.external_id || ' ' || s.kind || ' ' || s.locale || ' ' || s.terms_version || ' ' || s.created_at || ' '
			|| coalesce(CAST(s.settled_at AS text), '-') || ' ' || length(s.receipt_hash)
			FROM signups s JOIN users u ON u.id = s.user_id ORDER BY 1`,
		`SELECT 'session ' || u.external_id FROM sessions s JOIN users u ON u.id = s.user_id`,
		`SELECT 'flow ' || flow_id FROM used_flows`,
	} {
		each(t, db.sql, query, func(scan func(...any) error) error {
			var line string
			err := scan(&line)
			lines = append(lines, line)
			return err
		})
	}
	if len(lines) != 9 {
		t.Errorf("%d rows", len(lines))
	}
	return strings.Join(lines, "\n")
}

// checkFilledIn looks at what later migrations say of rows of the first.
func checkFilledIn(t *testing.T, db *DB) {
	t.Helper()
	for what, query := range map[string]string{
		"activated":         `SELECT count(*) FROM users WHERE activated_at = updated_at AND external_id = 'e4'`,
		"not activated":     `SELECT count(*) - 3 FROM users WHERE activated_at IS NULL`,
		"mailed":            `SELECT count(*) - 1 FROM users WHERE enrolment_mail_at = updated_at`,
		"not mailed":        `SELECT count(*) - 2 FROM users WHERE enrolment_mail_at IS NULL`,
		"due":               `SELECT count(*) FROM users WHERE check_at = updated_at AND external_id = 'e3'`,
		"not due":           `SELECT count(*) - 3 FROM users WHERE check_at IS NULL`,
		"no candidates":     `SELECT count(*) - 1 FROM signups WHERE candidate_id IS NULL AND email IS NULL AND resends = 0`,
		"resendable":        `SELECT count(*) - 1 FROM signups WHERE resend_after < '2026-03-01 12:02:00+00:00' AND resend_after >= '2026-03-01 12:00:00+00:00'`,
		"one gate, open":    `SELECT count(*) FROM provider_gate WHERE name = 'manage' AND closed_because IS NULL`,
		"of the issuer":     `SELECT count(*) FROM sessions WHERE issuer = 'i' AND auth_time IS NULL AND user_agent = '' AND address = ''`,
		"no code, no mark":  `SELECT 1 + (SELECT count(*) FROM native_codes) + (SELECT count(*) FROM used_logout_tokens)`,
		"no audit made up":  `SELECT count(*) + 1 FROM audit_events`,
		"no limits, no key": `SELECT 1 + (SELECT count(*) FROM rate_limits) + (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM invitations)`,
	} {
		each(t, db.sql, query, func(scan func(...any) error) error {
			var n int
			err := scan(&n)
			if n != 1 {
				t.Errorf("%s: %d off", what, n-1)
			}
			return err
		})
	}
}
