package store_test

import (
	"context"
	"database/sql"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-id/portico/internal/audit"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/provision"
	"github.com/portico-id/portico/internal/queue"
	"github.com/portico-id/portico/internal/session"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var moment = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func newStore(t *testing.T, databaseURL string) (*store.DB, *store.Store) {
	t.Helper()
	db := storetest.Open(t, databaseURL)
	return db, storeOf(t, db)
}

func storeOf(t *testing.T, db *store.DB) *store.Store {
	t.Helper()
	jobs, err := queue.New(queue.Config{
		DB: db.SQL(), Pool: db.Pool(), Workers: 1, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return store.New(db, jobs)
}

// accept stores a sign-up and returns its id and its candidate's.
func accept(t *testing.T, s *store.Store, address string) (signup.ID, directory.UserID) {
	t.Helper()
	a := acceptance(t, address)
	if err := s.AcceptSignup(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a.ID, a.Candidate
}

func acceptance(t *testing.T, address string) signup.Acceptance {
	t.Helper()
	email, err := directory.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	return signup.Acceptance{
		ID:          signup.ID(uuid.Must(uuid.NewV7()).String()),
		ReceiptHash: signup.Hash(session.NewToken(session.Browser).Hash()),
		Candidate:   directory.NewUserID(),
		Email:       email,
		DisplayName: "Anna",
		Locale:      "de",
		At:          moment,
		ResendAfter: moment.Add(time.Minute),
	}
}

// enlist stores a sign-up and gives it its user.
func enlist(t *testing.T, s *store.Store, address string) provision.Subject {
	t.Helper()
	id, _ := accept(t, s, address)
	subject, err := s.Enlist(t.Context(), id, moment)
	if err != nil {
		t.Fatal(err)
	}
	return subject
}

// begin stores that an attempt for the subject has begun, and returns it as it
// then is.
func begin(t *testing.T, s *store.Store, subject provision.Subject, until time.Time) provision.Subject {
	t.Helper()
	if mine, err := s.BeginAttempt(t.Context(), subject, until, moment); !mine || err != nil {
		t.Fatalf("begin: %v, %v", mine, err)
	}
	return find(t, s, subject.Signup)
}

// identityOf is who the provider says the user is.
func identityOf(id directory.UserID) directory.Identity {
	return directory.Identity{
		Issuer:     "https://auth.example/v2",
		Subject:    string(id),
		ExternalID: directory.ExternalID(id),
		InternalID: directory.InternalID("int-" + id),
	}
}

// invite stores a user whom the provider has.
func invite(t *testing.T, s *store.Store, address string) directory.UserID {
	t.Helper()
	return provisioned(t, s, address).User.ID
}

// provisioned stores a user whom the provider has, and returns their sign-up.
func provisioned(t *testing.T, s *store.Store, address string) provision.Subject {
	t.Helper()
	subject := begin(t, s, enlist(t, s, address), moment.Add(time.Minute))
	moved, err := s.Invite(t.Context(), subject, identityOf(subject.User.ID).InternalID, moment)
	if !moved || err != nil {
		t.Fatalf("invite: %v, %v", moved, err)
	}
	return find(t, s, subject.Signup)
}

// opening is a session about to be stored, of its own.
func opening() session.Opening {
	return session.Opening{
		Session: session.Session{
			ID: session.ID(uuid.Must(uuid.NewV7()).String()), Client: session.Browser,
			CreatedAt: moment, LastSeenAt: moment, ExpiresAt: moment.Add(24 * time.Hour),
		},
		Hash: session.NewToken(session.Browser).Hash(),
	}
}

func find(t *testing.T, s *store.Store, id signup.ID) provision.Subject {
	t.Helper()
	found, err := s.FindSubject(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func count(t *testing.T, db *store.DB, query string, args ...any) int {
	t.Helper()
	var n int
	if err := db.SQL().QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// exec changes the database behind the store's back.
func exec(t *testing.T, db *store.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.SQL().ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// audited are the moves of a user that the audit holds, in its order.
func audited(t *testing.T, db *store.DB, id directory.UserID) []string {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), `
		SELECT actor, action, coalesce(from_status, '-'), coalesce(to_status, '-'), coalesce(class, '-'), signup_id IS NOT NULL
		FROM audit_events WHERE user_id = $1 ORDER BY id`, string(id))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var actor, action, from, to, class string
		var hasSignup bool
		if err := rows.Scan(&actor, &action, &from, &to, &class, &hasSignup); err != nil {
			t.Fatal(err)
		}
		line := strings.Join([]string{actor, action, from, to, class}, " ")
		if hasSignup {
			line += " signup"
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// lastErrorClass is the column of that name, empty for NULL.
func lastErrorClass(t *testing.T, db *store.DB, id directory.UserID) string {
	t.Helper()
	var class sql.NullString
	row := db.SQL().QueryRowContext(t.Context(), `SELECT provision_last_error_class FROM users WHERE id = $1`, string(id))
	if err := row.Scan(&class); err != nil {
		t.Fatal(err)
	}
	return class.String
}

// methods are every way to ask the store, with arguments that the schema takes.
func methods(s *store.Store) map[string]func(ctx context.Context) error {
	all := make(map[string]func(ctx context.Context) error)
	for _, some := range []map[string]func(ctx context.Context) error{
		signupMethods(s), provisionMethods(s), watchMethods(s), sessionMethods(s), accountMethods(s), letterMethods(s), auditMethods(s), changeMethods(s),
	} {
		maps.Copy(all, some)
	}
	return all
}

func signupMethods(s *store.Store) map[string]func(ctx context.Context) error {
	id := directory.NewUserID()
	return map[string]func(ctx context.Context) error{
		"AcceptSignup": func(ctx context.Context) error {
			return s.AcceptSignup(ctx, signup.Acceptance{
				ID: signup.ID(id), Candidate: id, Email: directory.RestoreEmail("a@b.c", "a@b.c"), At: moment, ResendAfter: moment,
			})
		},
		"FindKey":     func(ctx context.Context) error { _, err := s.FindKey(ctx, signup.Hash{}, moment); return err },
		"FindSignup":  func(ctx context.Context) error { _, err := s.FindSignup(ctx, signup.Hash{}); return err },
		"FindSignups": func(ctx context.Context) error { _, err := s.FindSignups(ctx, []signup.Hash{{}}); return err },
		"WishResend": func(ctx context.Context) error {
			_, err := s.WishResend(ctx, signup.ID(id), moment, moment)
			return err
		},
	}
}

func provisionMethods(s *store.Store) map[string]func(ctx context.Context) error {
	id := directory.NewUserID()
	subject := provision.Subject{Signup: signup.ID(id), User: directory.User{ID: id, Status: directory.Provisioning}}
	return map[string]func(ctx context.Context) error{
		"FindSubject":  func(ctx context.Context) error { _, err := s.FindSubject(ctx, signup.ID(id)); return err },
		"Enlist":       func(ctx context.Context) error { _, err := s.Enlist(ctx, signup.ID(id), moment); return err },
		"BeginAttempt": func(ctx context.Context) error { _, err := s.BeginAttempt(ctx, subject, moment, moment); return err },
		"Postpone": func(ctx context.Context) error {
			_, err := s.Postpone(ctx, subject, provision.Postponement{Class: "c", At: moment})
			return err
		},
		"Invite": func(ctx context.Context) error { _, err := s.Invite(ctx, subject, "i", moment); return err },
		"Refuse": func(ctx context.Context) error {
			_, err := s.Refuse(ctx, subject, directory.Failed, "c", moment)
			return err
		},
		"Settle": func(ctx context.Context) error { return s.Settle(ctx, signup.ID(id), moment) },
	}
}

func watchMethods(s *store.Store) map[string]func(ctx context.Context) error {
	id := directory.NewUserID()
	subject := provision.Subject{Signup: signup.ID(id), User: directory.User{ID: id}}
	return map[string]func(ctx context.Context) error{
		"ClaimEnrolmentMail": func(ctx context.Context) error {
			_, err := s.ClaimEnrolmentMail(ctx, subject, moment, moment)
			return err
		},
		"ReleaseEnrolmentMail": func(ctx context.Context) error { return s.ReleaseEnrolmentMail(ctx, subject, moment, moment) },
		"ClaimNotice":          func(ctx context.Context) error { _, err := s.ClaimNotice(ctx, subject, moment, moment); return err },
		"BeginNotice":          func(ctx context.Context) error { _, err := s.BeginNotice(ctx, id); return err },
		"UndoNotice":           func(ctx context.Context) error { return s.UndoNotice(ctx, id) },
		"OverdueSignups":       func(ctx context.Context) error { _, err := s.OverdueSignups(ctx, moment, "", 1); return err },
		"DueUsers":             func(ctx context.Context) error { _, err := s.DueUsers(ctx, moment, 1); return err },
		"Activate":             func(ctx context.Context) error { _, err := s.Activate(ctx, id, moment); return err },
		"MarkVanished":         func(ctx context.Context) error { _, err := s.MarkVanished(ctx, id, true, moment); return err },
		"CheckAgain":           func(ctx context.Context) error { return s.CheckAgain(ctx, id, moment) },
		"LoadGate":             func(ctx context.Context) error { _, err := s.LoadGate(ctx); return err },
	}
}

func changeMethods(s *store.Store) map[string]func(ctx context.Context) error {
	id := directory.NewUserID()
	subject := provision.Subject{User: directory.User{ID: id, Status: directory.Received}}
	change := provision.Change{User: directory.User{ID: id}, ClaimedUntil: moment}
	return map[string]func(ctx context.Context) error{
		"FindChange":      func(ctx context.Context) error { _, err := s.FindChange(ctx, id); return err },
		"FindUserSubject": func(ctx context.Context) error { _, err := s.FindUserSubject(ctx, id); return err },
		"BeginChange": func(ctx context.Context) error {
			_, err := s.BeginChange(ctx, change, provision.Claim{At: moment, Until: moment})
			return err
		},
		"EndChange": func(ctx context.Context) error {
			_, err := s.EndChange(ctx, change, provision.Outcome{Sync: directory.SyncSynced})
			return err
		},
		"DoubtChange": func(ctx context.Context) error { return s.DoubtChange(ctx, id, moment) },
		"KnowLeaving": func(ctx context.Context) error { _, err := s.KnowLeaving(ctx, change, "i"); return err },
		"Bury":        func(ctx context.Context) error { _, err := s.Bury(ctx, change, "", moment); return err },
		"BeginLook":   func(ctx context.Context) error { _, err := s.BeginLook(ctx, subject, moment); return err },
		"TakeOver": func(ctx context.Context) error {
			_, err := s.TakeOver(ctx, subject, provision.Takeover{InternalID: "i", At: moment})
			return err
		},
		"PendingChanges":    func(ctx context.Context) error { _, err := s.PendingChanges(ctx, moment, "", 1); return err },
		"PendingUsers":      func(ctx context.Context) error { _, err := s.PendingUsers(ctx, true, "", 1); return err },
		"ReviveUnsupported": func(ctx context.Context) error { _, err := s.ReviveUnsupported(ctx, 1); return err },
	}
}

func auditMethods(s *store.Store) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"AuditEvents": func(ctx context.Context) error { _, err := s.AuditEvents(ctx, audit.Query{Limit: 1}); return err },
		"WriteEvents": func(ctx context.Context) error { return s.WriteEvents(ctx, []audit.Event{{Action: "a.b"}}) },
		"RetainAudit": func(ctx context.Context) error { _, err := s.RetainAudit(ctx, 24*time.Hour, 1); return err },
	}
}

func sessionMethods(s *store.Store) map[string]func(ctx context.Context) error {
	id := directory.NewUserID()
	return map[string]func(ctx context.Context) error{
		"OpenSession": func(ctx context.Context) error {
			_, err := s.OpenSession(ctx, identityOf(id), opening())
			return err
		},
		"FindSession": func(ctx context.Context) error {
			_, _, err := s.FindSession(ctx, session.Hash{}, session.Browser)
			return err
		},
		"EndSession": func(ctx context.Context) error { return s.EndSession(ctx, session.Hash{}) },
		"TouchSessions": func(ctx context.Context) error {
			_, err := s.TouchSessions(ctx, map[session.ID]time.Time{session.ID(id): moment})
			return err
		},
		"ListSessions":   func(ctx context.Context) error { _, err := s.ListSessions(ctx, id); return err },
		"EndSessionByID": func(ctx context.Context) error { return s.EndSessionByID(ctx, id, session.ID(id)) },
		"EndSessionsOf":  func(ctx context.Context) error { _, err := s.EndSessionsOf(ctx, id, ""); return err },
		"EndSessionsOfProvider": func(ctx context.Context) error {
			_, err := s.EndSessionsOfProvider(ctx, session.ProviderLogout{Issuer: "https://auth.example/v2", Subject: "a", TokenID: "b"})
			return err
		},
		"GrantCode": func(ctx context.Context) error {
			return s.GrantCode(ctx, session.Granted{Login: session.Login{Identity: identityOf(id)}}, nil)
		},
		"RedeemCode":   func(ctx context.Context) error { _, _, err := s.RedeemCode(ctx, session.Redemption{}); return err },
		"UseFlow":      func(ctx context.Context) error { _, err := s.UseFlow(ctx, strings.Repeat("f", 43), moment); return err },
		"PurgeExpired": func(ctx context.Context) error { _, err := s.PurgeExpired(ctx, moment, time.Hour, 1); return err },
	}
}
