package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/portico-id/portico/cmd/gauntlet/check"
	"github.com/portico-id/portico/internal/beyondidentity/simulator"
)

// stored adds what Portico has stored.
func stored(ctx context.Context, db *sql.DB, e *check.Evidence) error {
	for _, read := range []func(context.Context, *sql.DB, *check.Evidence) error{
		readSignups, readUsers, readTransitions, readJobs,
	} {
		if err := read(ctx, db, e); err != nil {
			return err
		}
	}
	return nil
}

func readSignups(ctx context.Context, db *sql.DB, e *check.Evidence) error {
	return each(ctx, db, `
		SELECT s.id::text, s.receipt_hash, coalesce(s.user_id::text, ''), coalesce(s.kind, ''), s.settled_at IS NOT NULL, s.resends,
		       s.settled_at IS NULL AND s.id::text IN (
		           SELECT args->>'signup_id' FROM river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded'))
		FROM signups s`,
		func(rows *sql.Rows) error {
			var s check.Signup
			var hash []byte
			err := rows.Scan(&s.ID, &hash, &s.UserID, &s.Kind, &s.Settled, &s.Resends, &s.HasJob)
			copy(s.Hash[:], hash)
			e.Signups = append(e.Signups, s)
			return err
		})
}

func readUsers(ctx context.Context, db *sql.DB, e *check.Evidence) error {
	return each(ctx, db, `SELECT id::text, external_id, coalesce(internal_id, ''), email_canonical, status FROM users`,
		func(rows *sql.Rows) error {
			var u check.User
			err := rows.Scan(&u.ID, &u.ExternalID, &u.InternalID, &u.Address, &u.Status)
			e.Users = append(e.Users, u)
			return err
		})
}

// readTransitions reads in the order of ids where times are equal: they are
// UUIDs of version 7, which count.
func readTransitions(ctx context.Context, db *sql.DB, e *check.Evidence) error {
	return each(ctx, db, `
		SELECT user_id::text, coalesce(from_status, ''), to_status, action FROM audit_events
		WHERE to_status IS NOT NULL AND user_id IS NOT NULL ORDER BY at, id`,
		func(rows *sql.Rows) error {
			var t check.Transition
			err := rows.Scan(&t.UserID, &t.From, &t.To, &t.Action)
			e.Transitions = append(e.Transitions, t)
			return err
		})
}

// readJobs counts jobs. One without arguments is about nobody, and comes back
// by itself.
func readJobs(ctx context.Context, db *sql.DB, e *check.Evidence) error {
	return each(ctx, db, `SELECT kind, state::text, args = '{}', count(*) FROM river_job GROUP BY 1, 2, 3`,
		func(rows *sql.Rows) error {
			var j check.Jobs
			err := rows.Scan(&j.Kind, &j.State, &j.Periodic, &j.Count)
			e.Jobs = append(e.Jobs, j)
			return err
		})
}

// each calls scan for every row.
func each(ctx context.Context, db *sql.DB, query string, scan func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// atProvider adds what the provider and the mailboxes have.
func atProvider(sim *simulator.Simulator, e *check.Evidence) {
	for _, u := range sim.Users() {
		e.Provider = append(e.Provider, check.ProviderUser{
			ExternalID: u.ExternalID, InternalID: u.InternalID, Address: compared(u.Email),
			Deleted: u.Status == simulator.StatusDeleted, Creates: u.Creates, Mails: u.Mails,
		})
	}
	e.Notices = make(map[string]int)
	for _, entry := range sim.Ledger().Entries {
		if entry.Kind == simulator.KindDelivered {
			e.Notices[compared(entry.Email)]++
		}
	}
}

// compared is an address as two spellings of it are equal, for the spellings
// that our people use. It is not the product's way to find out, on purpose.
func compared(address string) string {
	name, host, _ := strings.Cut(norm.NFKC.String(address), "@")
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		ascii = host
	}
	return strings.ToLower(name + "@" + ascii)
}

// given adds the secrets that a table holds. No column is for those that are
// planted: what Portico needs of them it has from its settings.
func given(ctx context.Context, db *sql.DB, s secrets, e *check.Evidence) error {
	var tables []string
	err := each(ctx, db, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
		func(rows *sql.Rows) error {
			var table string
			err := rows.Scan(&table)
			tables = append(tables, table)
			return err
		})
	if err != nil {
		return err
	}
	for _, table := range tables {
		for name, secret := range s {
			var row string
			// Bytes are shown in hexadecimal.
			query := fmt.Sprintf( //nolint:gosec // the name comes from the catalogue
				`SELECT left(t::text, 300) FROM %q t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0 LIMIT 1`, table)
			switch err := db.QueryRowContext(ctx, query, secret, hex.EncodeToString([]byte(secret))).Scan(&row); {
			case err == nil:
				e.Observed = append(e.Observed, check.Violation{Rule: check.Leak, Text: fmt.Sprintf("%s is in table %s: %s", name, table, row)})
			case !errors.Is(err, sql.ErrNoRows):
				return err
			}
		}
	}
	return nil
}
