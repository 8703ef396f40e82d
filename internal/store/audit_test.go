package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestEachMoveHasItsLineInTheAudit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		anna := provisioned(t, s, "anna@example.com")
		for range 2 {
			if _, err := s.OpenSession(t.Context(), identityOf(anna.User.ID), opening()); err != nil {
				t.Fatal(err)
			}
		}
		bert := provisioned(t, s, "bert@example.com")
		for i := range 2 {
			if news, err := s.Activate(t.Context(), bert.User.ID, moment); news != (i == 0) || err != nil {
				t.Errorf("active: %v, %v", news, err)
			}
		}
		for _, vanished := range []bool{true, true, false, false} {
			if _, err := s.MarkVanished(t.Context(), bert.User.ID, vanished, moment); err != nil {
				t.Fatal(err)
			}
		}
		carl := begin(t, s, enlist(t, s, "carl@example.com"), moment)
		if _, err := s.Refuse(t.Context(), carl, directory.Failed, "rejected", moment); err != nil {
			t.Fatal(err)
		}
		born := []string{
			"portico user.received - received - signup", "portico user.provisioning received provisioning - signup",
		}
		for _, test := range []struct {
			who  provision.Subject
			want []string
		}{
			{anna, append(slices.Clone(born), "portico user.invited provisioning invited - signup", "user:"+string(anna.User.ID)+" user.active invited active -",
				"user:"+string(anna.User.ID)+" login.succeeded - - -", "user:"+string(anna.User.ID)+" login.succeeded - - -")},
			{bert, append(slices.Clone(born), "portico user.invited provisioning invited - signup", "portico user.active invited active -",
				"portico user.vanished - - -", "portico user.reappeared - - -")},
			{carl, append(slices.Clone(born), "portico user.failed provisioning failed rejected signup")},
		} {
			if got := audited(t, db, test.who.User.ID); !slices.Equal(got, test.want) {
				t.Errorf("the audit says\n%q, not\n%q", got, test.want)
			}
		}
	})
}

func TestAMoveThatCannotBeAuditedDoesNotHappen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		db, s := newStore(t, databaseURL)
		accepted, _ := accept(t, s, "dora@example.com")
		received := enlist(t, s, "anna@example.com")
		underWay := begin(t, s, enlist(t, s, "bert@example.com"), moment)
		invited := provisioned(t, s, "carl@example.com")
		exec(t, db, `ALTER TABLE audit_events RENAME TO elsewhere`)
		before := everything(t, db)
		for name, move := range map[string]func(ctx context.Context) error{
			"Enlist": func(ctx context.Context) error { _, err := s.Enlist(ctx, accepted, moment); return err },
			"BeginAttempt": func(ctx context.Context) error {
				moved, err := s.BeginAttempt(ctx, received, moment, moment)
				return notMoved(t, moved, err)
			},
			"Invite": func(ctx context.Context) error {
				moved, err := s.Invite(ctx, underWay, "int-9", moment)
				return notMoved(t, moved, err)
			},
			"Refuse": func(ctx context.Context) error {
				moved, err := s.Refuse(ctx, underWay, directory.Failed, "why", moment)
				return notMoved(t, moved, err)
			},
			"Activate": func(ctx context.Context) error {
				moved, err := s.Activate(ctx, invited.User.ID, moment)
				return notMoved(t, moved, err)
			},
			"MarkVanished": func(ctx context.Context) error {
				moved, err := s.MarkVanished(ctx, invited.User.ID, true, moment)
				return notMoved(t, moved, err)
			},
			"OpenSession": func(ctx context.Context) error {
				_, err := s.OpenSession(ctx, identityOf(invited.User.ID), opening())
				return err
			},
		} {
			if err := move(t.Context()); err == nil {
				t.Errorf("%s happened without a line in the audit", name)
			}
			if after := everything(t, db); !slices.Equal(after, before) {
				t.Errorf("%s left\n%v, not\n%v", name, after, before)
			}
		}
		// What is no move needs none.
		late := provision.Postponement{Attempt: 1, AmbiguousUntil: moment.Add(time.Hour), Class: "ambiguous", At: moment}
		if moved, err := s.Postpone(t.Context(), underWay, late); !moved || err != nil {
			t.Errorf("postponed: %v, %v", moved, err)
		}
	})
}

func notMoved(t *testing.T, moved bool, err error) error {
	t.Helper()
	if moved {
		t.Error("it reports that it moved the user")
	}
	return err
}

// everything is what the audit's transactions write beside it.
func everything(t *testing.T, db *store.DB) (rows []string) {
	t.Helper()
	found, err := db.SQL().QueryContext(t.Context(), `
		SELECT status || ' ' || coalesce(internal_id, '-') || ' ' || provision_attempt || ' ' || coalesce(provision_last_error_class, '-')
			|| ' ' || coalesce(subject, '-') FROM users
		UNION ALL SELECT coalesce(kind, '-') || ' ' || coalesce(email, '-') FROM signups
		UNION ALL SELECT 'session' FROM sessions
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var row string
		if err := found.Scan(&row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
